"""Scores of a whole run, as ``omicsglue score`` prints them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue import metrics
from omicsglue.errors import OmicsGlueError, OptionError
from omicsglue.metrics import Estimate
from omicsglue.runs.cells import Cells, Key, read_cells
from omicsglue.runs.folder import RunFolder

DIGITS: Final = 4
MOST_EXACT: Final = 50_000  # cells of two modalities whose scores are exact
PAIRINGS: Final = ("obs_names", "none")


@dataclass(frozen=True)
class Scale:
    """How many cells scores of very many rest on; ``None`` for all.

    Parameters
    ----------
    queries
        Cells that are looked at among all.
    most
        Cells that are looked at among themselves, in each of four draws.
    per_type
        Of each cell type, likewise.
    seed
        Of the drawing.
    """

    queries: int | None = None
    most: int | None = None
    per_type: int | None = None
    seed: int = 0

    @classmethod
    def of(cls, cells: int, seed: int, *, exact: bool = False) -> Scale:
        """Return the scale for so many cells of two modalities together."""
        return cls(seed=seed) if exact or cells <= MOST_EXACT else cls(10_000, 10_000, 2_500, seed)

    @property
    def asked(self) -> dict[str, Any]:
        """Arguments of scores that look at some cells among all."""
        return {"queries": self.queries, "seed": self.seed}

    @property
    def drawn(self) -> dict[str, Any]:
        """Arguments of scores that look at some cells among themselves."""
        return {"most": self.most, "seed": self.seed}

    @property
    def typed(self) -> dict[str, Any]:
        """Arguments of scores that draw from each cell type."""
        return {"most": self.per_type, "seed": self.seed}

    @property
    def near(self) -> dict[str, Any]:
        """Arguments of scores of the graph of neighbours of all cells."""
        return {"exact": self.exact, "seed": self.seed}

    @property
    def exact(self) -> bool:
        """Whether scores rest on all cells."""
        return self.queries is None


@dataclass
class _Sheet:
    """Scores of one pair of modalities, and why some are missing."""

    scores: dict[str, float | int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, compute: Callable[[], float]) -> None:
        """Add one score, or a note where the data do not allow it."""
        try:
            score = compute()
            if math.isfinite(score):
                self.scores[name] = score
                self._tell_estimate(name, score)
            else:
                self.notes.append(f"{name} left out: it is not defined for these cells")
        except OmicsGlueError as error:
            self.notes.append(f"{name} left out: {error.where}: {error.what}")

    def _tell_estimate(self, name: str, score: float) -> None:
        if isinstance(score, Estimate):
            self.notes.append(f"{name} is an estimate: {score.how}")
            if score.standard_error is not None:
                self.errors[name] = float(f"{score.standard_error:.1e}")

    def rounded(self) -> dict[str, float | int]:
        """Return the scores, rounded for print."""
        return {
            name: value if isinstance(value, int) else round(float(value), DIGITS)
            for name, value in self.scores.items()
        }


def score_run(
    path: str | Path | RunFolder,
    *,
    paired_by: str | None = None,
    label_key: Key | None = None,
    batch_key: Key | None = None,
    ignore_labels: Collection[str] = (),
    max_cells: int | None = None,
    seed: int = 0,
    exact: bool = False,
) -> dict[str, Any]:
    """Score a finished run.

    Parameters
    ----------
    path
        The run folder.
    paired_by
        ``"obs_names"``: cells of one name in two modalities are one cell; ``"none"``: no cells are paired. By
        default what the run was told (``pairing`` or ``pairing_key`` in its record), else ``"obs_names"``.
    label_key
        Column of obs with cell types, one name for all modalities or a name for each. Cells without a label
        are left out of the scores that need one.
    batch_key
        Column of obs with batches, likewise; several with commas between them. One modality that has it is
        enough for `batch_ilisi_NAME`, the mixing of its own batches; `batch_ilisi` is that over all cells.
    ignore_labels
        Labels to be treated as missing, beside those of which the run was told that they mean so.
    max_cells
        If the modalities hold more cells together, score about so many, drawn at random by obs name, so that
        paired cells stay paired.
    seed
        Of the drawing.
    exact
        Compute scores of all cells, however long it takes. By default scores of more than 50,000 cells of two
        modalities are estimates from some of the cells; ``notes`` says of how many, and ``standard_errors``
        how precise they are.

    Returns
    -------
    One JSON object. With two modalities the scores stand at its top; with more they stand under ``pairs`` by
    pair of names (``rna-atac``), and their means at the top. ``notes`` says which scores are missing and why.

    Raises
    ------
    RunFolderError
        If the folder holds no finished run.
    InputError
        If a column of obs is not there, or an embedding is not finite.
    OptionError
        If ``paired_by`` is unknown.
    """
    if paired_by not in (None, *PAIRINGS):
        raise OptionError(
            f"{paired_by!r} is unknown", where="paired_by", remedy=f"choose one of: {', '.join(PAIRINGS)}"
        )
    if max_cells is not None and max_cells < 2:
        raise OptionError(f"max_cells is {max_cells}", where="max_cells", remedy="give 2 or more")
    folder = path if isinstance(path, RunFolder) else RunFolder.open(path)
    told = folder.record().get("options", {}) if folder.run_json.is_file() else {}
    pairing = paired_by or told.get("pairing") or PAIRINGS[0]
    everything = read_cells(
        folder,
        label_key=label_key,
        batch_key=batch_key,
        ignore_labels=ignore_labels,
        pairing_key=None if paired_by else told.get("pairing_key"),
    )
    total = sum(len(each.embedding) for each in everything)
    drawn = max_cells is not None and total > max_cells
    if max_cells is not None and drawn:
        everything = _draw(everything, max_cells / total, seed)
    pairs = {
        f"{a.name}-{b.name}": _score_pair(
            a, b, Scale.of(len(a.embedding) + len(b.embedding), seed, exact=exact), paired=pairing != "none"
        )
        for a, b in combinations(everything, 2)
    }
    found: dict[str, Any] = {
        "modalities": [each.name for each in everything],
        "cells": [len(each.embedding) for each in everything],
    }
    if len(pairs) == 1:
        (sheet,) = pairs.values()
        found |= sheet.rounded()
        if sheet.errors:
            found["standard_errors"] = sheet.errors
    else:
        found |= _means(list(pairs.values()))
        found["pairs"] = {name: sheet.rounded() for name, sheet in pairs.items()}
        if any(sheet.errors for sheet in pairs.values()):
            found["standard_errors"] = {name: sheet.errors for name, sheet in pairs.items()}
    notes = [
        note if len(pairs) == 1 else f"{name}: {note}"
        for name, sheet in pairs.items()
        for note in sheet.notes
    ]
    if told.get("use_pairing") and pairing != "none":
        notes.append("training used the pairs, so foscttm says how well they were learned, not more")
    if drawn:
        notes.insert(0, f"scores of {sum(found['cells']):,} of {total:,} cells, drawn at random")
    return found | {"notes": notes}


def _draw(cells: list[Cells], share: float, seed: int) -> list[Cells]:
    """Keep a random share of all obs names, in every modality that has them."""
    names = pd.Index(np.unique(np.concatenate([each.obs_names.to_numpy(dtype=str) for each in cells])))
    kept = names[np.random.default_rng(seed).random(len(names)) < share]
    return [each.subset(each.obs_names.isin(kept)) for each in cells]


def _score_pair(a: Cells, b: Cells, scale: Scale, *, paired: bool) -> _Sheet:
    """Every score that two modalities allow."""
    sheet = _Sheet()
    joint = np.concatenate([a.embedding, b.embedding])
    modality = np.repeat([a.name, b.name], [len(a.embedding), len(b.embedding)])
    sheet.add("mixing", lambda: metrics.seurat_alignment_score([a.embedding, b.embedding], **scale.drawn))
    sheet.add("ilisi", lambda: metrics.ilisi(joint, modality, **scale.asked))
    if paired:
        _score_matches(sheet, a, b, scale)
    _score_labels(sheet, a, b, joint, modality, scale)
    _score_neighbours(sheet, a, b, scale)
    _score_batches(sheet, a, b, joint, scale)
    _summarise(sheet)
    return sheet


def _score_matches(sheet: _Sheet, a: Cells, b: Cells, scale: Scale) -> None:
    for each in (a, b):
        if not each.obs_names.is_unique:
            sheet.notes.append(f"foscttm left out: obs names of {each.name} are not unique")
            return
    where = b.obs_names.get_indexer(a.obs_names)
    both = np.flatnonzero(where >= 0)
    if not both.size:
        sheet.notes.append(f"foscttm left out: {a.name} and {b.name} share no obs name")
        return
    sheet.scores["paired"] = int(both.size)
    sheet.add("foscttm", lambda: metrics.foscttm(a.embedding[both], b.embedding[where[both]], **scale.asked))


def _score_labels(
    sheet: _Sheet,
    a: Cells,
    b: Cells,
    joint: npt.NDArray[np.float64],
    modality: npt.NDArray[np.str_],
    scale: Scale,
) -> None:
    if a.labels is None or b.labels is None:
        sheet.notes.append("scores of cell types left out: no labels")
        return
    labels_a, labels_b = a.labels, b.labels
    known_a, known_b = labels_a.notna().to_numpy(), labels_b.notna().to_numpy()
    if not known_a.any() or not known_b.any():
        sheet.notes.append("scores of cell types left out: no cell of a modality has a label")
        return
    labels = pd.concat([labels_a, labels_b], ignore_index=True)
    known = labels.notna().to_numpy()
    cells, types, layers = joint[known], labels[known], modality[known]
    sheet.add(
        "label_acc",
        lambda: metrics.label_transfer_accuracy(
            a.embedding[known_a],
            labels_a[known_a],
            b.embedding[known_b],
            labels_b[known_b],
            **scale.asked,
        ),
    )
    sheet.add("mean_average_precision", lambda: metrics.mean_average_precision(cells, types, **scale.drawn))
    sheet.add("cell_type_asw", lambda: metrics.cell_type_asw(cells, types, **scale.drawn))
    sheet.add(
        "omics_layer_asw",
        lambda: metrics.omics_layer_asw(cells, layers, types, **scale.typed),
    )
    sheet.add(
        "graph_connectivity",
        lambda: metrics.graph_connectivity(cells, types, **scale.near),
    )


def _score_neighbours(sheet: _Sheet, a: Cells, b: Cells, scale: Scale) -> None:
    before = [each.representation for each in (a, b) if each.representation is not None]
    if len(before) < 2:
        lacking = [each.name for each in (a, b) if each.representation is None]
        sheet.notes.append(
            f"neighbour_conservation left out: no representation of {', '.join(lacking)} by itself"
        )
        return
    sheet.add(
        "neighbour_conservation",
        lambda: metrics.neighbour_conservation([a.embedding, b.embedding], before, **scale.drawn),
    )


def _score_batches(sheet: _Sheet, a: Cells, b: Cells, joint: npt.NDArray[np.float64], scale: Scale) -> None:
    for each in (a, b):
        if each.batches is not None:
            _score_batches_of(sheet, each.name, each.embedding, each.batches, scale)
    if a.batches is None or b.batches is None:
        return
    batches = pd.concat([a.batches, b.batches], ignore_index=True)
    known = batches.notna().to_numpy()
    if not known.any():
        sheet.notes.append("batch_ilisi left out: no cell has a batch")
        return
    sheet.add("batch_ilisi", lambda: metrics.ilisi(joint[known], batches[known], **scale.asked))


def _score_batches_of(
    sheet: _Sheet, name: str, embedding: npt.NDArray[np.float64], batches: pd.Series[Any], scale: Scale
) -> None:
    known = batches.notna().to_numpy()
    if len(batches[known].unique()) > 1:
        sheet.add(
            f"batch_ilisi_{name}", lambda: metrics.ilisi(embedding[known], batches[known], **scale.asked)
        )


def _summarise(sheet: _Sheet) -> None:
    """Add the paper's summaries where all of their scores are there."""
    scores = sheet.scores
    biology = ("mean_average_precision", "cell_type_asw", "neighbour_conservation")
    mixing = ("omics_layer_asw", "graph_connectivity")
    if all(name in scores for name in biology):
        scores["biology_summary"] = metrics.biology_summary(**{name: scores[name] for name in biology})
    if "mixing" in scores and all(name in scores for name in mixing):
        scores["mixing_summary"] = metrics.mixing_summary(
            seurat_alignment_score=max(scores["mixing"], 0.0), **{name: scores[name] for name in mixing}
        )
    if "biology_summary" in scores and "mixing_summary" in scores:
        scores["overall"] = metrics.overall_score(
            biology=scores["biology_summary"], mixing=scores["mixing_summary"]
        )


def _means(sheets: list[_Sheet]) -> dict[str, float]:
    """Mean of each score over the pairs that have it."""
    names = dict.fromkeys(name for sheet in sheets for name in sheet.scores if name != "paired")
    return {
        name: round(float(np.mean([sheet.scores[name] for sheet in sheets if name in sheet.scores])), DIGITS)
        for name in names
    }
