from __future__ import annotations

import numpy as np
import pytest

from omicsglue.datasets import SimulationOptions, SimulationTruth, draw_truth


@pytest.fixture(scope="module")
def truth() -> SimulationTruth:
    return draw_truth(SimulationOptions(genes=400, peaks=4_000, regulation=0.6))


def test_expression_is_own_part_plus_linked_accessibility(truth: SimulationTruth) -> None:
    for gene in range(0, 400, 17):
        expected = truth.own[:, gene].astype(float)
        for link in truth.links[truth.links["gene"] == gene].itertuples():
            expected = expected + link.sign * link.effect * truth.accessibility[:, link.peak]
        np.testing.assert_allclose(truth.expression[:, gene], expected, atol=1e-4)


def test_links_make_up_the_share_asked_for(truth: SimulationTruth) -> None:
    types = truth.options.types
    linked = np.unique(truth.links["gene"])
    part = truth.expression - truth.own

    def variance(loadings: np.ndarray) -> np.ndarray:
        return loadings[:types].var(axis=0) + (loadings[types:] ** 2).sum(axis=0)

    ratio = variance(part)[linked] / (variance(part) + variance(truth.own))[linked]
    np.testing.assert_allclose(ratio, 0.6, atol=1e-3)
    unlinked = np.setdiff1d(np.arange(400), linked)
    assert len(unlinked) > 0
    np.testing.assert_allclose(part[:, unlinked], 0, atol=1e-6)


def test_without_regulation_nothing_ties_genes_to_peaks() -> None:
    options = SimulationOptions(genes=400, peaks=4_000, regulation=0.0)
    truth = draw_truth(options)
    assert len(truth.links) == 0
    np.testing.assert_array_equal(truth.own, truth.expression)
    linked = draw_truth(SimulationOptions(genes=400, peaks=4_000, regulation=0.6))
    np.testing.assert_array_equal(truth.accessibility, linked.accessibility)  # the peaks stay as they were
    assert truth.peaks.equals(linked.peaks)
    correlation = _centred(truth.own).T @ _centred(truth.accessibility)
    near = correlation[linked.links["gene"], linked.links["peak"]]
    assert abs(near.mean()) < 4 * correlation.std() / np.sqrt(len(near))
    regulated = (_centred(linked.expression).T @ _centred(linked.accessibility))[
        linked.links["gene"], linked.links["peak"]
    ]
    assert (regulated * linked.links["sign"]).mean() > 0.2


def _centred(loadings: np.ndarray) -> np.ndarray:
    centred = loadings - loadings.mean(axis=0)
    return centred / np.linalg.norm(centred, axis=0)


def test_means_do_not_depend_on_effects(truth: SimulationTruth) -> None:
    types = truth.options.types
    for modality in ("rna", "atac"):
        p = truth.counts[modality]
        assert p.profile.sum() == pytest.approx(1.0)
        scores = np.random.default_rng(0).standard_normal((200, truth.options.programmes))
        weights = np.repeat(np.eye(types), len(scores), axis=0)
        latent = np.hstack([weights, np.tile(scores, (types, 1))])
        rate = np.exp(p.base + latent @ p.loadings).reshape(types, len(scores), -1).mean(axis=1)
        mean = truth.tree.shares @ rate
        assert np.median(mean / p.profile) == pytest.approx(1.0, abs=0.1)
        assert mean.sum() == pytest.approx(1.0, abs=0.25)


def test_dominant_gene_takes_its_share() -> None:
    truth = draw_truth(SimulationOptions(preset="snare"))
    assert truth.counts["rna"].profile.max() == pytest.approx(0.23, abs=0.01)


def test_seed_changes_everything_and_repeats() -> None:
    first, again, other = (draw_truth(SimulationOptions(genes=50, peaks=300, seed=s)) for s in (1, 1, 2))
    np.testing.assert_array_equal(first.expression, again.expression)
    assert first.links.equals(again.links)
    assert not np.array_equal(first.expression, other.expression)


def test_no_signal_leaves_no_difference_between_states() -> None:
    truth = draw_truth(SimulationOptions(genes=50, peaks=300, signal=0.0))
    assert not truth.expression.any()
    assert not truth.accessibility.any()
