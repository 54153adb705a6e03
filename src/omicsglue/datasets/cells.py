"""Cells drawn in blocks: each block depends on the seed and its number alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from omicsglue.datasets.options import MODALITIES, SAME_READS
from omicsglue.datasets.truth import CELL_STREAM, SimulationTruth, random_stream

BLOCK: Final = 256  # cells
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_DEPTH_LIMIT = 3.2  # log depths lie within so many standard deviations


@dataclass(frozen=True)
class CellBlock:
    """Consecutive cells.

    A block is always drawn whole, so that cutting the last one changes none of its cells; `size` says how
    many count.

    Attributes
    ----------
    number
        The number of the block.
    first
        The number of its first cell.
    size
        How many of its cells count, from the first on.
    cell_type
        Type of each cell (int64, cells); on the continuum the nearer one.
    on_branch
        Whether the cell lies on the continuum (bool, cells).
    pseudotime
        Position on the continuum, 0 at its first type, 1 at its second; NaN elsewhere (cells).
    batch
        Batch of each cell (int64, cells).
    latent
        Latent state (cells x states, float32).
    depth
        Standard normal score of the log depth for each modality (cells).
    present
        Whether the cell was measured, for each modality (bool, cells); false beyond `size`.
    """

    number: int
    first: int
    size: int
    cell_type: NDArray[np.int64]
    on_branch: NDArray[np.bool_]
    pseudotime: NDArray[np.float64]
    batch: NDArray[np.int64]
    latent: NDArray[np.float32]
    depth: dict[str, NDArray[np.float64]]
    present: dict[str, NDArray[np.bool_]]


def blocks_of(cells: int) -> int:
    """Return the number of blocks that hold so many cells."""
    return -(-cells // BLOCK)


def draw_cells(truth: SimulationTruth, number: int) -> CellBlock:
    """Draw one block of cells.

    Types follow a low-discrepancy sequence, so that their shares are met closely for any number of cells;
    everything else is drawn at random.

    Parameters
    ----------
    truth
        What `draw_truth` returned.
    number
        Number of the block, from 0.

    Returns
    -------
    The block of cells.
    """
    options, tree = truth.options, truth.tree
    rng = random_stream(options.seed, CELL_STREAM, number)
    first = number * BLOCK
    position = ((first + np.arange(BLOCK) + 1.0) * _GOLDEN) % 1.0
    cell_type = np.searchsorted(np.cumsum(tree.shares)[:-1], position, side="right")
    on_branch, pseudotime = _place_on_continuum(truth, cell_type, rng)
    weights = np.zeros((BLOCK, options.types))
    weights[np.arange(BLOCK), cell_type] = 1.0
    start, stop = tree.continuum
    weights[on_branch] = 0.0
    weights[on_branch, start] = 1.0 - pseudotime[on_branch]
    weights[on_branch, stop] = pseudotime[on_branch]
    scores = rng.standard_normal((BLOCK, options.programmes))
    batch = _draw_batches(truth, cell_type, rng)
    depth = _draw_depths(truth, rng)
    present = _draw_presence(truth, cell_type, batch, rng)
    size = min(BLOCK, options.cells - first)
    return CellBlock(
        number=number,
        first=first,
        size=size,
        cell_type=cell_type,
        on_branch=on_branch,
        pseudotime=pseudotime,
        batch=batch,
        latent=np.hstack([weights, scores]).astype(np.float32),
        depth=depth,
        present={modality: here & (np.arange(BLOCK) < size) for modality, here in present.items()},
    )


def _place_on_continuum(
    truth: SimulationTruth, cell_type: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    start, stop = truth.tree.continuum
    room = truth.tree.shares[start] + truth.tree.shares[stop]
    chance = min(truth.options.continuum / room, 1.0)
    on_branch = np.isin(cell_type, (start, stop)) & (rng.random(len(cell_type)) < chance)
    half = 0.5 * rng.random(len(cell_type))
    pseudotime = np.where(cell_type == start, half, 1.0 - half)
    return on_branch, np.where(on_branch, pseudotime, np.nan)


def _draw_batches(
    truth: SimulationTruth, cell_type: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    options = truth.options
    shares = np.ones(options.batches) if options.batch_shares is None else np.array(options.batch_shares)
    batch = rng.choice(options.batches, size=len(cell_type), p=shares / shares.sum())
    for name, home in options.private_types.items():
        batch[cell_type == options.type_names.index(name)] = options.batch_names.index(home)
    return batch


def _draw_depths(truth: SimulationTruth, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    options = truth.options
    correlation = options.depth_correlation
    if correlation is None:
        correlation = options.technology.depth_correlation
    shared = rng.standard_normal(BLOCK)
    scores: dict[str, NDArray[np.float64]] = {}
    for modality in (each for each in MODALITIES if each not in SAME_READS):
        alone = rng.standard_normal(BLOCK)
        mixed = np.sqrt(correlation) * shared + np.sqrt(1.0 - correlation) * alone
        scores[modality] = mixed.clip(-_DEPTH_LIMIT, _DEPTH_LIMIT)
    return scores | {modality: scores[other] for modality, other in SAME_READS.items()}


def _draw_presence(
    truth: SimulationTruth, cell_type: NDArray[np.int64], batch: NDArray[np.int64], rng: np.random.Generator
) -> dict[str, NDArray[np.bool_]]:
    options = truth.options
    paired = rng.random(BLOCK) < options.paired
    assays = {each: SAME_READS.get(each, each) for each in options.modalities}
    assays = {each: assay if assay in assays else each for each, assay in assays.items()}
    codes = {assay: code for code, assay in enumerate(dict.fromkeys(assays.values()))}
    only = rng.integers(len(codes), size=BLOCK)
    present: dict[str, NDArray[np.bool_]] = {}
    for modality in options.modalities:
        keep = np.ones(options.types)
        for name, share in options.composition.get(modality, {}).items():
            keep[options.type_names.index(name)] = share
        for name in options.missing.get(modality, ()):
            keep[options.type_names.index(name)] = 0.0
        here = (paired | (only == codes[assays[modality]])) & (rng.random(BLOCK) < keep[cell_type])
        gone = [options.batch_names.index(name) for name in options.missing_batches.get(modality, ())]
        present[modality] = here & ~np.isin(batch, gone)
    return present


def cell_table(truth: SimulationTruth, block: CellBlock) -> pd.DataFrame:
    """Return what is known of the cells of a block.

    Parameters
    ----------
    truth
        What `draw_truth` returned.
    block
        Cells of it.

    Returns
    -------
    One row a cell, indexed by its name: ``cell_type``, ``batch`` and ``branch`` (categorical) and
    ``pseudotime`` (both missing off the continuum) and ``in_<modality>``, whether it was measured there.
    """
    options = truth.options
    start, stop = truth.tree.continuum
    names = options.type_names
    digits = max(6, len(str(options.cells)))
    branch = f"{names[start]}-{names[stop]}"
    table = pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(block.cell_type, categories=pd.Index(names)),
            "batch": pd.Categorical.from_codes(block.batch, categories=pd.Index(options.batch_names)),
            "branch": pd.Categorical.from_codes(
                np.where(block.on_branch, 0, -1), categories=pd.Index([branch])
            ),
            "pseudotime": block.pseudotime,
        },
        index=pd.Index([f"cell{block.first + i + 1:0{digits}d}" for i in range(BLOCK)]),
    )
    for modality, here in block.present.items():
        table[f"in_{modality}"] = here
    return table.iloc[: block.size]
