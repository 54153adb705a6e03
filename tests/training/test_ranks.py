"""Processes that train together compute what one does on the cells of all of them."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from processes import all_cells, on_ranks, passes, problem

PARTS = ("joint_nll_rna", "cross_nll_atac", "cosine", "label", "graph_nll", "discrepancy", "align")


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 3])
def test_gradients_are_those_of_one_process_on_all_cells(number: int) -> None:
    plain = problem(number, dropout=0.2, dtype=torch.float64)
    compiled = problem(number, dropout=0.0, dtype=torch.float32)
    expected = (
        all_cells(copy.deepcopy(plain), number, compiled=False),
        all_cells(copy.deepcopy(compiled), number, compiled=True),
    )
    found = on_ranks(passes, number, plain, compiled)
    for way, (kind, tolerance) in itertools.product((0, 1), ((0, 1e-10), (1, 2e-5))):
        assert {f"value of {name}" for name in PARTS} < set(expected[kind])
        for each in found:
            assert set(each[way][kind]) == set(expected[kind])
            for name, value in expected[kind].items():
                scale = max(float(value.abs().max()), 1e-3)
                assert float((each[way][kind][name] - value).abs().max()) <= tolerance * scale, name
                assert torch.equal(each[way][kind][name], found[0][way][kind][name]), name
