"""The cells of all modalities in one table, with coordinates to draw them at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from omicsglue import keys
from omicsglue.data.columns import batch_values
from omicsglue.errors import InputError, examples
from omicsglue.metrics.neighbours import neighbour_blocks
from omicsglue.runs.folder import RunFolder

MODALITY: Final = "modality"
_EXACT: Final = 50_000  # cells; above, UMAP searches neighbours its own way


@dataclass(frozen=True)
class JointCells:
    """Cells of several modalities, one below the other.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``, float32.
    modality
        Name of each cell's modality, ``(n_cells,)``; the categories keep the order of the modalities.
    tables
        Table of obs of each modality, of the same cells in the same order.
    total
        Number of cells before subsampling.
    """

    embedding: npt.NDArray[np.float32]
    modality: pd.Categorical
    tables: dict[str, pd.DataFrame]
    total: int

    def __len__(self) -> int:
        return len(self.embedding)

    def column(self, key: str | Mapping[str, str]) -> pd.Series[Any]:
        """Return one column of obs for all cells, missing in modalities that lack it.

        Parameters
        ----------
        key
            Name of the column, ``"modality"``, or the column's name in each modality; several columns with
            commas between them are combined.

        Raises
        ------
        InputError
            If no modality has it.
        """
        if key == MODALITY:
            return pd.Series(self.modality)
        named = {name: key if isinstance(key, str) else key.get(name) for name in self.tables}
        found = {
            name: batch_values(table, column)
            for name, table in self.tables.items()
            if (column := named[name]) is not None
        }
        if all(each is None for each in found.values()):
            known = dict.fromkeys(str(column) for table in self.tables.values() for column in table)
            raise InputError(
                f"no modality has the obs column {key!r}",
                where="color",
                remedy=f"choose one of: {MODALITY}, {examples(known, 20)}",
            )
        parts = [
            pd.Series(np.nan, index=table.index, dtype=object) if (each := found.get(name)) is None else each
            for name, table in self.tables.items()
        ]
        if all(
            pd.api.types.is_numeric_dtype(part) and not pd.api.types.is_bool_dtype(part) for part in parts
        ):
            return pd.concat(parts, ignore_index=True)
        texts = [part.astype(object).where(part.notna()).map(str, na_action="ignore") for part in parts]
        return pd.concat([text.astype(object) for text in texts], ignore_index=True)


def gather(
    data: RunFolder | Mapping[str, AnnData],
    *,
    key: str = keys.EMBEDDING,
    max_cells: int | None = None,
    seed: int = 0,
) -> JointCells:
    """Put the cells of all modalities into one table.

    Parameters
    ----------
    data
        A run, or AnnData of each modality by name.
    key
        Name of the embedding in obsm.
    max_cells
        If there are more cells, so many are drawn at random, from every modality in proportion.
    seed
        Of the drawing.

    Raises
    ------
    InputError
        If a modality lacks the embedding, holds values that are not finite, or its dimensions differ.
    """
    read = {name: _parts(data, name, key) for name in (data.names() if isinstance(data, RunFolder) else data)}
    if not read:
        raise InputError("it holds no modality", where="data", remedy="give AnnData objects by name")
    if len({embedding.shape[1] for embedding, _ in read.values()}) > 1:
        sizes = ", ".join(f"{name} {embedding.shape[1]}" for name, (embedding, _) in read.items())
        raise InputError(
            f"its dimensions differ ({sizes})", where=f"obsm {key}", remedy="integrate them together"
        )
    total = sum(len(embedding) for embedding, _ in read.values())
    random = np.random.default_rng(seed)
    share = 1.0 if max_cells is None else min(max_cells / total, 1.0)
    kept = {name: _draw(len(embedding), share, random) for name, (embedding, _) in read.items()}
    names = list(read)
    return JointCells(
        embedding=np.concatenate([read[name][0][kept[name]] for name in names]),
        modality=pd.Categorical(np.repeat(names, [len(kept[name]) for name in names]), categories=names),
        tables={name: read[name][1].iloc[kept[name]] for name in names},
        total=total,
    )


def _parts(
    data: RunFolder | Mapping[str, AnnData], name: str, key: str
) -> tuple[npt.NDArray[np.float32], pd.DataFrame]:
    if isinstance(data, RunFolder):
        embedding, table = data.embedding(name, key), data.obs(name)
    elif key in data[name].obsm:
        embedding, table = np.asarray(data[name].obsm[key]), data[name].obs
    else:
        raise InputError(
            f"modality {name!r} has no {key!r}",
            where="obsm",
            remedy=f"train a model and store its embedding there, or choose of: {examples(data[name].obsm)}",
        )
    if not np.isfinite(embedding).all():
        raise InputError(
            "it holds values that are not finite", where=f"obsm {key} of {name}", remedy="train again"
        )
    return embedding.astype(np.float32, copy=False), table


def _draw(cells: int, share: float, random: np.random.Generator) -> npt.NDArray[np.int64]:
    if share >= 1:
        return np.arange(cells)
    return np.sort(random.choice(cells, max(int(cells * share), 1), replace=False))


def umap_coordinates(
    embedding: npt.NDArray[np.floating], *, neighbours: int = 15, min_distance: float = 0.3, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Lay out cells in two dimensions with UMAP, the same way for the same seed.

    Parameters
    ----------
    embedding
        ``(n_cells, n_dims)``.
    neighbours
        Size of a neighbourhood, lowered where there are fewer cells.
    min_distance
        Least distance of points in the layout.
    seed
        Of the layout.

    Returns
    -------
    ``(n_cells, 2)``, float64.

    References
    ----------
    McInnes, Healy & Melville 2018, arXiv 1802.03426.
    """
    if len(embedding) < 5:
        raise InputError(
            f"there are {len(embedding)} cells, 5 are needed", where="embedding", remedy="draw it another way"
        )
    near = max(min(neighbours, len(embedding) - 1), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from umap import UMAP

        layout = UMAP(
            n_neighbors=near,
            precomputed_knn=_exact_neighbours(embedding, near)
            if len(embedding) <= _EXACT
            else (None, None, None),
            min_dist=min_distance,
            random_state=seed,
            n_jobs=1,
            init="spectral" if len(embedding) > 20 else "random",
        ).fit_transform(np.asarray(embedding, dtype=np.float32))
    found: npt.NDArray[np.float64] = np.asarray(layout, dtype=np.float64)
    return found


def _exact_neighbours(
    embedding: npt.NDArray[np.floating], near: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Nearest neighbours of each cell, itself first: for so few cells sooner found than approximated."""
    blocks = list(neighbour_blocks(np.asarray(embedding, dtype=np.float64), near - 1))
    itself = np.arange(len(embedding))[:, None]
    indices = np.hstack([itself, np.concatenate([indices for _, indices, _ in blocks])])
    distances = np.concatenate([distances for _, _, distances in blocks])
    return indices, np.hstack([np.zeros_like(itself, dtype=float), distances]).astype(np.float32)
