"""What is scored of a run: embeddings, representations and columns of obs, read without the counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue import keys
from omicsglue.data.columns import batch_values
from omicsglue.data.pairing import key_texts
from omicsglue.errors import InputError, examples
from omicsglue.metrics.checks import as_matrix, same_columns
from omicsglue.runs.folder import RunFolder

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


def recorded_unknown(folder: RunFolder) -> list[str]:
    """Return the labels of which the run was told that they mean that a cell type is not known."""
    options = folder.record().get("options", {}) if folder.run_json.is_file() else {}
    return list(options.get("unknown_labels") or ())


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
