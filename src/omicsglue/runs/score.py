"""Scores of a whole run, as ``omicsglue score`` prints them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue import keys, metrics
from omicsglue.data.columns import batch_values
from omicsglue.data.pairing import key_texts
from omicsglue.errors import InputError, OmicsGlueError, OptionError, examples
from omicsglue.metrics.checks import as_matrix, same_columns
from omicsglue.runs.folder import RunFolder

DIGITS: Final = 4
PAIRINGS: Final = ("obs_names", "none")

Key = str | Mapping[str, str]
"""A column of obs: one name for all modalities, or a name for each."""


@dataclass(frozen=True)
class Cells:
    """What is scored of one modality.

    Parameters
    ----------
    name
        Of the modality.
    embedding
        ``(n_cells, n_dims)``, float64.
    obs_names
        Of the cells, ``(n_cells,)``.
    labels, batches
        One value a cell, missing where not known or to be ignored; ``None`` where there is no such column.
    representation
        The modality by itself (PCA, LSI), ``(n_cells, n_other_dims)``, where the run holds it.
    """

    name: str
    embedding: npt.NDArray[np.float64]
    obs_names: pd.Index[Any]
    labels: pd.Series[Any] | None = None
    batches: pd.Series[Any] | None = None
    representation: npt.NDArray[np.float64] | None = None

    def subset(self, kept: npt.NDArray[np.bool_]) -> Cells:
        """Return some of the cells."""
        return Cells(
            name=self.name,
            embedding=self.embedding[kept],
            obs_names=self.obs_names[kept],
            labels=None if self.labels is None else self.labels[kept],
            batches=None if self.batches is None else self.batches[kept],
            representation=None if self.representation is None else self.representation[kept],
        )


@dataclass
class _Sheet:
    """Scores of one pair of modalities, and why some are missing."""

    scores: dict[str, float | int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, compute: Callable[[], float]) -> None:
        """Add one score, or a note where the data do not allow it."""
        try:
            score = compute()
            if math.isfinite(score):
                self.scores[name] = score
            else:
                self.notes.append(f"{name} left out: it is not defined for these cells")
        except OmicsGlueError as error:
            self.notes.append(f"{name} left out: {error.where}: {error.what}")

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
        f"{a.name}-{b.name}": _score_pair(a, b, paired=pairing != "none")
        for a, b in combinations(everything, 2)
    }
    found: dict[str, Any] = {
        "modalities": [each.name for each in everything],
        "cells": [len(each.embedding) for each in everything],
    }
    if len(pairs) == 1:
        (sheet,) = pairs.values()
        found |= sheet.rounded()
    else:
        found |= _means(list(pairs.values()))
        found["pairs"] = {name: sheet.rounded() for name, sheet in pairs.items()}
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


def recorded_unknown(folder: RunFolder) -> list[str]:
    """Return the labels of which the run was told that they mean that a cell type is not known."""
    options = folder.record().get("options", {}) if folder.run_json.is_file() else {}
    return list(options.get("unknown_labels") or ())


def _draw(cells: list[Cells], share: float, seed: int) -> list[Cells]:
    """Keep a random share of all obs names, in every modality that has them."""
    names = pd.Index(np.unique(np.concatenate([each.obs_names.to_numpy(dtype=str) for each in cells])))
    kept = names[np.random.default_rng(seed).random(len(names)) < share]
    return [each.subset(each.obs_names.isin(kept)) for each in cells]


def read_cells(
    folder: RunFolder,
    *,
    label_key: Key | None = None,
    batch_key: Key | None = None,
    ignore_labels: Collection[str] = (),
    pairing_key: str | None = None,
) -> list[Cells]:
    """Read what is scored of each modality, without its counts.

    With ``pairing_key``, cells bear the values of that column for names; cells without a value keep a name
    that no other modality has.

    Raises
    ------
    InputError
        If there is one modality only, fewer than two modalities have a column, or embeddings do not fit.
    """
    tables = {name: folder.obs(name) for name in folder.names()}
    if len(tables) < 2:
        raise InputError(
            f"it holds {len(tables)} modality, 2 are needed",
            where=str(folder.path),
            remedy="integrate two or more",
        )
    labels = _columns(tables, label_key, "label_key")
    ignored = {"", *ignore_labels, *recorded_unknown(folder)}
    batches = _batches(tables, batch_key)
    cells = [
        Cells(
            name=name,
            embedding=as_matrix(folder.embedding(name), f"obsm {keys.EMBEDDING} of {name}"),
            obs_names=_names(name, table, pairing_key),
            labels=_texts(table, labels.get(name), ignored),
            batches=batches.get(name),
            representation=_representation(folder, name),
        )
        for name, table in tables.items()
    ]
    for other in cells[1:]:
        same_columns(cells[0].embedding, other.embedding, (cells[0].name, other.name))
    return cells


def _names(modality: str, table: pd.DataFrame, key: str | None) -> pd.Index[Any]:
    """Return the names by which cells are paired."""
    names = table.index.astype(str)
    if key is None or key not in table:
        return names
    values = pd.Index(key_texts(table[key]), dtype=object)
    return values.where(values.notna(), f"{modality} only: " + names)


def _columns(tables: Mapping[str, pd.DataFrame], key: Key | None, option: str) -> dict[str, str]:
    """Return the column of labels of each modality that has it; two modalities at least must."""
    if key is None:
        return {}
    wanted = dict.fromkeys(tables, key) if isinstance(key, str) else dict(key)
    found = {name: wanted[name] for name, table in tables.items() if wanted.get(name) in table}
    if len(found) < 2:
        lacking = [name for name in tables if name not in found]
        there = "; ".join(
            f"{name} has {examples(tables[name].columns, 20) or 'no columns'}" for name in lacking
        )
        raise InputError(
            f"obs of {', '.join(lacking)} has no column {key!r}",
            where=option,
            remedy=f"choose a column that the modalities share, or leave the option out ({there})",
        )
    return found


def _batches(tables: Mapping[str, pd.DataFrame], key: Key | None) -> dict[str, pd.Series[Any]]:
    """Return the batches of each modality that has them, as text; one modality at least must."""
    if key is None:
        return {}
    wanted = dict.fromkeys(tables, key) if isinstance(key, str) else dict(key)
    values = {name: batch_values(table, wanted[name]) for name, table in tables.items() if wanted.get(name)}
    found = {name: _as_text(each, ()) for name, each in values.items() if each is not None}
    if not found:
        there = "; ".join(f"{name} has {examples(table.columns, 20)}" for name, table in tables.items())
        raise InputError(
            f"no modality has the obs column {key!r}",
            where="batch_key",
            remedy=f"choose a column of batches, or leave the option out ({there})",
        )
    return found


def _texts(table: pd.DataFrame, key: str | None, ignored: Collection[str]) -> pd.Series[Any] | None:
    """Return a column as text, with missing values where there is no label or one to be ignored."""
    return None if key is None else _as_text(table[key], ignored)


def _as_text(values: pd.Series[Any], ignored: Collection[str]) -> pd.Series[Any]:
    text = values.astype(str).astype(object)
    return text.where(values.notna() & ~text.isin(list(ignored)))


def _representation(folder: RunFolder, name: str) -> npt.NDArray[np.float64] | None:
    """Read what entered the encoder of a modality: what the record names, else PCA or LSI."""
    found = folder.representations(name)
    recorded = folder.record().get("modalities", {}).get(name, {}) if folder.run_json.is_file() else {}
    for key in (recorded.get("representation"), keys.PCA, keys.LSI):
        if isinstance(key, str) and key in found:
            return folder.embedding(name, key).astype(np.float64)
    return None


def _score_pair(a: Cells, b: Cells, *, paired: bool) -> _Sheet:
    """Every score that two modalities allow."""
    sheet = _Sheet()
    joint = np.concatenate([a.embedding, b.embedding])
    modality = np.repeat([a.name, b.name], [len(a.embedding), len(b.embedding)])
    sheet.add("mixing", lambda: metrics.seurat_alignment_score([a.embedding, b.embedding]))
    sheet.add("ilisi", lambda: metrics.ilisi(joint, modality))
    if paired:
        _score_matches(sheet, a, b)
    _score_labels(sheet, a, b, joint, modality)
    _score_neighbours(sheet, a, b)
    _score_batches(sheet, a, b, joint)
    _summarise(sheet)
    return sheet


def _score_matches(sheet: _Sheet, a: Cells, b: Cells) -> None:
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
    sheet.add("foscttm", lambda: metrics.foscttm(a.embedding[both], b.embedding[where[both]]))


def _score_labels(
    sheet: _Sheet, a: Cells, b: Cells, joint: npt.NDArray[np.float64], modality: npt.NDArray[np.str_]
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
            a.embedding[known_a], labels_a[known_a], b.embedding[known_b], labels_b[known_b]
        ),
    )
    sheet.add("mean_average_precision", lambda: metrics.mean_average_precision(cells, types))
    sheet.add("cell_type_asw", lambda: metrics.cell_type_asw(cells, types))
    sheet.add("omics_layer_asw", lambda: metrics.omics_layer_asw(cells, layers, types))
    sheet.add("graph_connectivity", lambda: metrics.graph_connectivity(cells, types))


def _score_neighbours(sheet: _Sheet, a: Cells, b: Cells) -> None:
    before = [each.representation for each in (a, b) if each.representation is not None]
    if len(before) < 2:
        lacking = [each.name for each in (a, b) if each.representation is None]
        sheet.notes.append(
            f"neighbour_conservation left out: no representation of {', '.join(lacking)} by itself"
        )
        return
    sheet.add(
        "neighbour_conservation",
        lambda: metrics.neighbour_conservation([a.embedding, b.embedding], before),
    )


def _score_batches(sheet: _Sheet, a: Cells, b: Cells, joint: npt.NDArray[np.float64]) -> None:
    for each in (a, b):
        if each.batches is not None:
            _score_batches_of(sheet, each.name, each.embedding, each.batches)
    if a.batches is None or b.batches is None:
        return
    batches = pd.concat([a.batches, b.batches], ignore_index=True)
    known = batches.notna().to_numpy()
    if not known.any():
        sheet.notes.append("batch_ilisi left out: no cell has a batch")
        return
    sheet.add("batch_ilisi", lambda: metrics.ilisi(joint[known], batches[known]))


def _score_batches_of(
    sheet: _Sheet, name: str, embedding: npt.NDArray[np.float64], batches: pd.Series[Any]
) -> None:
    known = batches.notna().to_numpy()
    if len(batches[known].unique()) > 1:
        sheet.add(f"batch_ilisi_{name}", lambda: metrics.ilisi(embedding[known], batches[known]))


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
