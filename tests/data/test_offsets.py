"""Offsets of batches: found where composition differs, taken off as a whole, left where there are none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue import GLUE
from omicsglue.data import offsets as module
from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.offsets import batch_offsets, mutual_neighbours, without_offsets
from omicsglue.data.setup import read_setup
from omicsglue.datasets import simulate
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.metrics import ilisi
from omicsglue.metrics.neighbours import neighbour_blocks
from omicsglue.pp import lsi, pca

if TYPE_CHECKING:
    from anndata import AnnData

# cells of four types in three batches; the last type is in the second batch alone, and nearly half of it
COMPOSITION = ((60, 60, 30, 0), (40, 40, 40, 90), (20, 60, 90, 0))


def cells_of(seed: int, *, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return cells, the codes of their batches and types, and the true offsets, of mean 0 over the cells."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=2, size=(4, 8))
    true = rng.normal(scale=effect, size=(3, 8))
    batch = np.repeat([0, 1, 2], [sum(each) for each in COMPOSITION])
    kind = np.concatenate([np.repeat(np.arange(4), each) for each in COMPOSITION])
    order = rng.permutation(len(batch))
    batch, kind = batch[order], kind[order]
    true -= true[batch].mean(axis=0)
    x = centres[kind] + true[batch] + rng.normal(size=(len(batch), 8))
    return x.astype(np.float32), batch, kind, true


def own_kind(x: np.ndarray, mine: np.ndarray) -> float:
    """Return the share of its own kind among the 15 neighbours of the cells of a kind."""
    share = np.concatenate([mine[indices].mean(axis=1) for _, indices, _ in neighbour_blocks(x, 15)])
    return float(share[mine].mean())


def test_mutual_neighbours_are_among_the_nearest_of_each_other() -> None:
    rng = np.random.default_rng(0)
    one, other = (x / np.linalg.norm(x, axis=1)[:, None] for x in (rng.normal(size=(n, 3)) for n in (40, 70)))
    distance = np.linalg.norm(one[:, None] - other[None], axis=2)
    near = (distance.argsort(axis=1).argsort(axis=1) < 7) & (distance.argsort(axis=0).argsort(axis=0) < 4)
    assert set(zip(*mutual_neighbours(one, other), strict=True)) == set(zip(*np.nonzero(near), strict=True))
    assert near.any()
    assert [len(found) for found in mutual_neighbours(one, other[:0])] == [0, 0]


@pytest.mark.parametrize("seed", range(5))
def test_offsets_are_found_although_a_type_is_in_one_batch_alone(seed: int) -> None:
    x, batch, kind, true = cells_of(seed, effect=2)
    found = batch_offsets(x, batch, 3)
    means = np.stack([x[batch == code].mean(axis=0) for code in range(3)]) - x.mean(axis=0)
    off = np.linalg.norm(found - true)
    assert off < 0.5 * np.linalg.norm(means - true)
    assert off < 0.25 * np.linalg.norm(true)
    np.testing.assert_allclose(found[batch].mean(axis=0), 0, atol=1e-5)
    assert np.array_equal(found, batch_offsets(x, batch, 3))
    moved = x - found[batch]
    assert own_kind(moved, kind == 3) > own_kind(x - true[batch], kind == 3) - 0.05


def test_of_many_cells_some_are_drawn_from_each_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    x, batch, _, true = cells_of(0, effect=2)
    whole = batch_offsets(x, batch, 3)
    monkeypatch.setattr(module, "MOST_CELLS", 300)
    drawn = module._drawn(batch, 3, np.random.default_rng(0))
    assert np.bincount(batch[drawn]).tolist() == [100, 100, 100]
    assert len(set(drawn)) == 300
    found = batch_offsets(x, batch, 3)
    assert not np.array_equal(found, whole)
    assert np.linalg.norm(found - true) < 0.15 * np.linalg.norm(true)


def test_a_batch_without_cells_has_no_offset() -> None:
    x, batch, _, _ = cells_of(0, effect=2)
    found = batch_offsets(x, np.where(batch == 2, 3, batch), 4)
    np.testing.assert_allclose(found[[0, 1, 3]], batch_offsets(x, batch, 3), atol=1e-5)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("seed", range(5))
def test_batches_that_are_mixed_already_are_left_as_they_are(seed: int) -> None:
    x, batch, _, _ = cells_of(seed, effect=0)
    assert (batch_offsets(x, np.random.default_rng(seed).permutation(batch), 3) == 0).all()


def modality(seed: int = 0, **options: object) -> tuple[AnnData, ModalityData]:
    """Return cells of three batches as AnnData and as training sees them."""
    data = simulate(150, genes=100, peaks=200, types=3, rare_share=0.2, batches=3, seed=seed, **options)
    adata = data.rna
    pca(adata, 10)
    GLUE.setup_anndata(adata, representation="X_pca", batch_key="batch")
    return adata, resolve("rna", adata, read_setup(adata, "rna"), list(adata.var_names))


def test_a_batch_moves_as_a_whole() -> None:
    adata, data = modality(batch_effect=1.5)
    found = without_offsets({"rna": data}, ("all",))["rna"]
    for code in range(3):
        moved = (data.inputs - found.inputs)[data.batch == code]
        np.testing.assert_allclose(moved, np.broadcast_to(found.offsets[code], moved.shape), atol=1e-5)
    assert np.abs(found.offsets).max() > 0.5
    assert data.offsets is None
    assert ilisi(found.inputs, adata.obs["batch"]) > ilisi(data.inputs, adata.obs["batch"]) + 0.2
    assert without_offsets({"rna": data}, ()) == {"rna": data}


def test_batches_that_differ_by_chance_are_told_of_and_keep_every_bit() -> None:
    _, data = modality(batch_effect=0.0)
    with pytest.warns(OmicsGlueWarning, match="rna: its batches differ by no more than chance"):
        found = without_offsets({"rna": data}, ("rna",))["rna"]
    assert found.inputs.tobytes() == data.inputs.tobytes()


def test_counts_that_the_encoder_sees_cannot_be_aligned() -> None:
    _, data = modality(batch_effect=1.5)
    sparse = replace(data, inputs=sp.csr_matrix(data.inputs))
    with pytest.raises(InputError, match="aligned in a representation"):
        without_offsets({"rna": sparse}, ("rna",))


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.6, 2.0])
def test_over_correction_is_guarded_on_simulated_cells(effect: float) -> None:
    """A type of one batch alone keeps nearly the neighbours that it has if the types tell the offsets.

    Means of batches, which that type draws along, lose 0.037 and 0.062 of them.
    """
    lost = []
    for seed in range(4):
        data = simulate(
            600,
            genes=300,
            peaks=1500,
            batches=3,
            batch_effect=effect,
            private_types={"type3": "batch2"},
            seed=seed,
        )
        pca(data.rna)
        lsi(data.atac)
        for adata, key in ((data.rna, "X_pca"), (data.atac, "X_lsi")):
            x, kind = np.asarray(adata.obsm[key]), adata.obs["cell_type"].astype(str).to_numpy()
            names, batch = np.unique(adata.obs["batch"].astype(str), return_inverse=True)
            moved = x - batch_offsets(x, batch, 3)[batch]
            known = told_by_types(x, batch, kind)
            lost.append(own_kind(x - known[batch], kind == "type3") - own_kind(moved, kind == "type3"))
            assert ilisi(moved, names[batch]) > ilisi(x, names[batch]) + 0.15
    assert np.mean(lost) < 0.035


def told_by_types(x: np.ndarray, batch: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return the mean over the types that all batches have of their means in each batch."""
    common = [one for one in np.unique(kind) if len(set(batch[kind == one])) == 3]
    means = [[x[(kind == one) & (batch == b)].mean(axis=0) for one in common] for b in range(3)]
    return np.array(means).mean(axis=1)
