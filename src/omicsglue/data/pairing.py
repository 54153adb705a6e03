"""Which cells of several modalities are one cell: found by name or by a column, split and drawn together."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from omicsglue.data import checks
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples

Rows = npt.NDArray[np.int64]

OBS_NAMES: Final = "obs_names"
FEW: Final = 0.01  # share of the smaller modality under which pairs are taken for chance

_PREFIX: Final = re.compile(r"^.+[_#:/]")
_SUFFIX: Final = re.compile(r"[-_.]\w{1,8}$")
_BARCODE: Final = re.compile(r"[ACGTN]{8,}")


@dataclass(frozen=True)
class Pairing:
    """Cells that were measured in more than one modality.

    Attributes
    ----------
    joint
        For each modality the number of the joint cell that a cell is, -1 where it was measured in no other
        modality; int64, shape ``(n,)``.
    count
        How many joint cells there are.
    """

    joint: Mapping[str, Rows]
    count: int

    def positions(self, rows: Mapping[str, Rows]) -> Rows:
        """Return where the joint cells are that some rows of two or more modalities share.

        Parameters
        ----------
        rows
            Rows of each modality. Of a row that is there twice, the first counts.

        Returns
        -------
        int64, shape ``(P, K)``: for each of P joint cells its position among the rows of each of the K
        modalities, in their order; -1 where it is not among them.
        """
        found = {name: np.unique(self.joint[name][rows[name]], return_index=True) for name in rows}
        numbers, times = np.unique(np.concatenate([n for n, _ in found.values()]), return_counts=True)
        shared = numbers[(numbers >= 0) & (times > 1)]
        out = np.full((len(shared), len(rows)), -1, dtype=np.int64)
        for column, (held, at) in zip(out.T, found.values(), strict=True):
            place = np.minimum(np.searchsorted(held, shared), max(len(held) - 1, 0))
            here = held[place] == shared if len(held) else np.zeros(len(shared), dtype=bool)
            column[here] = at[place[here]]
        return out

    def rows_of(self, name: str, rows: Rows) -> Rows:
        """Return the row of each joint cell among some rows of a modality, -1 where there is none."""
        out = np.full(self.count, -1, dtype=np.int64)
        number = self.joint[name][rows]
        out[number[number >= 0]] = rows[number >= 0]
        return out


def pair_cells(modalities: Mapping[str, AnnData], by: str = OBS_NAMES) -> Pairing:
    """Find the cells that modalities share.

    Parameters
    ----------
    modalities
        By name.
    by
        ``"obs_names"``: cells of one name are one cell. Else a column of ``obs`` that every modality has:
        cells of one value are one cell, and cells without a value are paired with none.

    Returns
    -------
    Pairing

    Raises
    ------
    InputError
        If a column is missing, a modality names a cell twice, or no two modalities share a cell.

    Warns
    -----
    OmicsGlueWarning
        If modalities share so few cells that chance may have paired them.
    """
    return match_keys({name: cell_keys(adata, by, name) for name, adata in modalities.items()}, by)


def cell_keys(adata: AnnData, by: str, where: str) -> npt.NDArray[np.object_]:
    """Return the text by which each cell of a modality is known, ``None`` where there is none, ``(n,)``.

    Raises
    ------
    InputError
        If the column is missing.
    """
    if by == OBS_NAMES:
        names: npt.NDArray[np.object_] = adata.obs_names.to_numpy(dtype=object)
        return names
    checks.check_key(adata, "obs", by, where=where)
    return key_texts(adata.obs[by])


def key_texts(column: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """Return a column as text; whole numbers are written alike, whether or not some are missing."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype(str).to_numpy(dtype=object)
    text[column.isna().to_numpy() | (text == "")] = None
    return text


def match_keys(found: Mapping[str, npt.NDArray[np.object_]], by: str = OBS_NAMES) -> Pairing:
    """Pair cells by the keys that :func:`cell_keys` returned; raises and warns as :func:`pair_cells`."""
    keys = {name: pd.Series(values).dropna() for name, values in found.items()}
    for name, values in keys.items():
        _check_unique(name, values, by)
    times = pd.concat(list(keys.values()), ignore_index=True).value_counts(sort=False)
    shared = pd.Index(times.index[times > 1])
    if shared.empty:
        raise _no_pairs(keys, by)
    joint = {}
    for name, texts in found.items():
        number = shared.get_indexer(pd.Index(texts))
        number[pd.isna(texts)] = -1
        joint[name] = number.astype(np.int64)
    _warn_of_few(joint, {name: len(values) for name, values in found.items()}, by)
    return Pairing(joint, len(shared))


def _check_unique(name: str, values: pd.Series[Any], by: str) -> None:
    twice = values[values.duplicated()].unique()
    if len(twice):
        raise InputError(
            f"several cells have one {_called(by)}, so that nobody can tell which is the partner: "
            f"{examples(twice, 3)}",
            where=name,
            remedy="make them unique, such as with the name of the sample before the barcode, or pair by a "
            "column of obs that is",
        )


def _no_pairs(keys: Mapping[str, pd.Series[Any]], by: str) -> InputError:
    shown = "; ".join(f"{name} has {examples(values, 3) or 'none'}" for name, values in keys.items())
    return InputError(
        f"no two modalities share a cell: no {_called(by)} is in two of them ({shown})",
        where="paired cells",
        remedy=_hint(keys) or "give the cells of a pair one name, or integrate without pairing",
    )


def _hint(keys: Mapping[str, pd.Series[Any]]) -> str:
    """Return what would make names match, if something simple does."""
    changes: tuple[tuple[str, Callable[[str], str]], ...] = (
        ("upper and lower case did not matter", str.casefold),
        ('endings such as "-1" were left out', lambda text: _SUFFIX.sub("", text)),
        ('beginnings such as "sample_" were left out', lambda text: _PREFIX.sub("", text)),
        ("barcodes alone were compared", lambda text: (_BARCODE.findall(text) or [text])[-1]),
    )
    for words, change in changes:
        changed = {name: set(map(change, values)) for name, values in keys.items()}
        most = max(len(one & two) for one, two in combinations(changed.values(), 2))
        if most:
            return f"{most:,} would match if {words}: rename the cells of one modality"
    return ""


def _warn_of_few(joint: Mapping[str, Rows], cells: Mapping[str, int], by: str) -> None:
    matched = {name: number[number >= 0] for name, number in joint.items()}
    for one, two in combinations(joint, 2):
        shared = len(np.intersect1d(matched[one], matched[two]))
        if 0 < shared < FEW * min(cells[one], cells[two]):
            warnings.warn(
                f"{one} and {two} share only {shared:,} cells by {_called(by)}, of {cells[one]:,} and "
                f"{cells[two]:,}; check that these are the same cells, and not barcodes that met by chance",
                OmicsGlueWarning,
                stacklevel=4,
            )


def _called(by: str) -> str:
    return "obs name" if by == OBS_NAMES else f"value of obs[{by!r}]"


def pairs_to_use(pairing: str | None, pairs: Pairing | None) -> Pairing | None:
    """Return the joint cells of a model's training; a loaded model knows how they are found, but not which.

    Raises
    ------
    OptionError
        If pairs are wanted and not at hand.
    """
    if pairing is not None and pairs is None:
        raise OptionError(
            f"the model was trained with cells paired by {pairing}, and was loaded without them",
            where="train",
            remedy="make a new model with GLUE(data, graph, recipe, pairing=...) and train that",
        )
    return pairs
