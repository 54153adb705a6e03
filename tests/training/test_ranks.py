"""Processes that train together compute what one does on the cells of all of them."""

from __future__ import annotations

import copy

import pytest
import torch

from processes import all_cells, on_ranks, one_pass_compiled, one_pass_plain, problem


@pytest.mark.slow
@pytest.mark.parametrize(("number", "compiled"), [(2, False), (2, True), (3, False)])
def test_gradients_are_those_of_one_process_on_all_cells(number: int, compiled: bool) -> None:
    dtype, tolerance = (torch.float32, 2e-5) if compiled else (torch.float64, 1e-10)
    given = problem(number, dropout=0.0 if compiled else 0.2, dtype=dtype)
    expected = all_cells(copy.deepcopy(given), number, compiled=compiled)
    case = one_pass_compiled if compiled else one_pass_plain
    found = on_ranks(case, number, given)
    parts = {"value of joint_nll_rna", "value of cross_nll_atac", "value of cosine", "value of label"}
    parts |= {"value of discrepancy", "value of batch_discrepancy_rna", "value of batch_align_atac"}
    assert parts < set(expected)
    for each in found:
        assert set(each) == set(expected)
        for name, value in expected.items():
            scale = max(float(value.abs().max()), 1e-3)
            assert float((each[name] - value).abs().max()) <= tolerance * scale, name
            assert torch.equal(each[name], found[0][name]), name
