"""Scores of many cells from some of them: near the scores of all, with honest errors, and said so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from omicsglue import metrics
from omicsglue.metrics import Estimate, approximate
from omicsglue.metrics.approximate import approximate_neighbours, nearest_neighbours
from omicsglue.metrics.estimate import drawn_rows, mean_error, median_error
from omicsglue.metrics.neighbours import neighbour_blocks

CELLS = 1200


def modality(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cells of four types; of one seed the types and places are the same, the noise is not."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 4, CELLS)
    place = 2.5 * rng.normal(size=(4, 6))[kind] + rng.normal(size=(CELLS, 6))
    return place + 0.5 * np.random.default_rng(seed).normal(size=place.shape), kind


A, TYPES = modality(1)
B, _ = modality(2)
JOINT = np.concatenate([A, B + 0.3])
SIDE = np.repeat(["a", "b"], CELLS)
BOTH = np.concatenate([TYPES, TYPES])
SCORES: dict[str, tuple[Callable[..., float], str]] = {
    "foscttm": (lambda **k: metrics.foscttm(A, B, **k), "queries"),
    "label_acc": (lambda **k: metrics.label_transfer_accuracy(A, TYPES, B, TYPES, **k), "queries"),
    "ilisi": (lambda **k: metrics.ilisi(JOINT, SIDE, **k), "queries"),
    "map": (lambda **k: metrics.mean_average_precision(JOINT, BOTH, **k), "most"),
    "asw": (lambda **k: metrics.cell_type_asw(JOINT, BOTH, **k), "most"),
    "layers": (lambda **k: metrics.omics_layer_asw(JOINT, SIDE, BOTH, **k), "most"),
    "kept": (lambda **k: metrics.neighbour_conservation([A, B], [A[:, :4], B[:, :4]], **k), "most"),
    "mixing": (lambda **k: metrics.seurat_alignment_score([A, B + 0.3], **k), "most"),
}
NUMBERS = {"layers": 200, "mixing": 600}


@pytest.mark.parametrize("name", SCORES)
def test_estimates_are_near_with_honest_errors(name: str) -> None:
    score, option = SCORES[name]
    number = NUMBERS.get(name, 500)
    exact = score()
    assert not isinstance(exact, Estimate)
    assert score(**{option: 10**6}) == exact
    found = [score(**{option: number}, seed=seed) for seed in range(6)]
    assert all(isinstance(each, Estimate) and each.standard_error is not None for each in found)
    again = score(**{option: number}, seed=0)
    assert (again, again.standard_error) == (found[0], found[0].standard_error)  # type: ignore[attr-defined]
    error = np.sqrt(np.mean([each.standard_error**2 for each in found]))  # type: ignore[attr-defined]
    assert np.std(found, ddof=1) < 2.5 * error + 1e-3
    # a neighbourhood of 1 % is 24 cells of all and 5 of a draw, which leaves a trace
    assert abs(np.mean(found) - exact) < 4 * error + 0.02


def test_estimates_say_what_they_rest_on() -> None:
    found = metrics.foscttm(A, B, queries=100)
    assert isinstance(found, Estimate)
    assert found.how == "100 of 1,200 cells, each among all"
    per_cell = metrics.foscttm_per_cell(A, B)
    rows = drawn_rows(CELLS, 100, 0)
    for some, each in zip(metrics.foscttm_per_cell(A, B, queries=100), per_cell, strict=True):
        np.testing.assert_array_equal(some, each[rows])


def test_queries_are_looked_at_among_all_cells() -> None:
    np.testing.assert_allclose(
        metrics.lisi_per_cell(JOINT, SIDE, queries=50, seed=3),
        metrics.lisi_per_cell(JOINT, SIDE)[drawn_rows(2 * CELLS, 50, 3)],
        rtol=1e-6,
    )


def test_errors_of_means_and_medians() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(400, 101))
    assert np.std(draws.mean(axis=1)) == pytest.approx(np.mean([mean_error(x) for x in draws]), rel=0.15)
    assert np.std(np.median(draws, axis=1)) == pytest.approx(
        np.mean([median_error(x) for x in draws]), rel=0.15
    )
    assert mean_error(draws[0], draws[1]) == pytest.approx(
        np.hypot(mean_error(draws[0]), mean_error(draws[1])) / 2
    )


@pytest.mark.slow
def test_approximate_neighbours_are_nearly_all_found_and_the_same_every_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import numba
    import torch

    threads = numba.get_num_threads(), torch.get_num_threads()
    one, two = (approximate_neighbours(JOINT, 14, seed=5) for _ in range(2))
    assert (numba.get_num_threads(), torch.get_num_threads()) == threads
    assert np.array_equal(one.indices, two.indices)
    assert one.recall is not None
    assert one.recall >= 0.95
    truth = np.concatenate([block[1] for block in neighbour_blocks(JOINT, 14)])
    shared = np.mean([len(np.intersect1d(a, b)) for a, b in zip(one.indices, truth, strict=True)]) / 14
    assert shared == pytest.approx(one.recall, abs=0.03)
    assert (one.indices != np.arange(len(JOINT))[:, None]).all()
    exact = nearest_neighbours(JOINT, 14)
    assert exact.recall is None
    assert np.array_equal(exact.indices, truth)
    monkeypatch.setattr(approximate, "APPROXIMATE", 1000)
    near = metrics.graph_connectivity(JOINT, BOTH, exact=False)
    assert near == pytest.approx(metrics.graph_connectivity(JOINT, BOTH), abs=0.01)
    assert isinstance(near, Estimate)
    assert near.how.startswith("approximate neighbours, of recall ")
