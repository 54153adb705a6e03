"""Centred log-ratio of surface protein: what the encoder of such a modality sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from omicsglue.data.matrices import matrix_of
from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.antibody_names import is_isotype
from omicsglue.keys import CLR
from omicsglue.pp.blocks import CellBlocks, cell_blocks, too_large
from omicsglue.pp.counts import csr_counts

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float32]
Axis = Literal["cells", "features"]
Isotypes = Literal["drop", "keep", "regress"]
_FEWEST = 2
_BYTES = 24  # of an entry, all of which are dense
_AT_ONCE = 2**14  # cells


def clr(
    adata: AnnData,
    *,
    layer: str | None = None,
    axis: Axis = "cells",
    isotypes: Isotypes = "drop",
    key_added: str = CLR,
) -> Floats:
    """Compute the centred log-ratio of protein counts and write it to ``adata.obsm``.

    With x the counts of cell i and protein j,

        clr_ij = ln(x_ij + 1) - mean ln(x + 1),

    the mean being that of the cell over its P proteins (``axis="cells"``: what is left tells which proteins a
    cell has more of than others, whatever its depth) or that of the protein over the cells
    (``axis="features"``: the depth of a cell stays in all its proteins).

    Counts on disk that are many are read once, in blocks of cells; the result is in memory.

    Parameters
    ----------
    adata
        Cells x proteins of counts; ``obsm`` is changed.
    layer
        Layer with the counts; ``None`` is ``X``.
    axis
        Over what the mean is taken.
    isotypes
        Antibodies that bind nothing on purpose, known by their names: left out (``"drop"``), kept, or left
        out after a straight line of each protein on their mean was taken off (``"regress"``), which removes
        what sticks to a cell unspecifically.
    key_added
        Key of ``obsm``.

    Returns
    -------
    float32, shape ``(cells, proteins)``, without isotype controls unless they are kept.

    Raises
    ------
    InputError
        If there are fewer than two proteins, none of them isotype controls; if there is no isotype control to
        regress on; if there is no such layer; or if a value is no count.
    OptionError
        If `axis` or `isotypes` is unknown.

    Notes
    -----
    Source: Stoeckius et al., Nature Methods 2017, doi 10.1038/nmeth.4380; ln(x + 1) in place of ln(x) is
    usual where counts may be 0.

    Examples
    --------
    >>> from anndata import AnnData
    >>> clr(AnnData(np.array([[0.0, 3.0], [1.0, 1.0]], dtype=np.float32))).round(2).tolist()
    [[-0.6899999976158142, 0.6899999976158142], [0.0, 0.0]]
    """
    for name, value, known in (
        ("axis", axis, ("cells", "features")),
        ("isotypes", isotypes, ("drop", "keep", "regress")),
    ):
        if value not in known:
            raise OptionError(
                f"{name} is {value!r}", where="clr", remedy=f"choose one of: {', '.join(known)}"
            )
    control = np.array([is_isotype(str(name)) for name in adata.var_names], dtype=bool)
    chosen = np.ones_like(control) if isotypes == "keep" else ~control
    if chosen.sum() < _FEWEST:
        raise InputError(
            f"a ratio needs at least {_FEWEST} proteins, found {chosen.sum()} beside {control.sum()} isotype "
            f"controls ({examples(adata.var_names, 3)})",
            where="clr",
            remedy="check that the right modality was chosen",
        )
    matrix = matrix_of(adata, layer, where="clr")
    if too_large(matrix, _BYTES * adata.n_obs * adata.n_vars):
        result = _in_blocks(cell_blocks(adata, layer, "clr"), control, chosen, axis, isotypes)
        adata.obsm[key_added] = result
        return result
    logged = np.log1p(csr_counts(adata, layer, "clr").toarray().astype(np.float64))
    values = logged[:, chosen]
    values -= values.mean(axis=1 if axis == "cells" else 0, keepdims=True)
    if isotypes == "regress":
        depth = logged[:, ~control].mean(axis=1) if axis == "cells" else 0.0
        values = _without_background(values, _background(logged, control) - depth)
    result = np.ascontiguousarray(values, dtype=np.float32)
    adata.obsm[key_added] = result
    return result


def _in_blocks(
    blocks: CellBlocks,
    control: npt.NDArray[np.bool_],
    chosen: npt.NDArray[np.bool_],
    axis: Axis,
    isotypes: Isotypes,
) -> Floats:
    """Return the centred log-ratio, having only the result itself in memory."""
    cells = blocks.shape[0]
    result, background = np.empty((cells, int(chosen.sum())), dtype=np.float32), np.zeros(cells)
    for first, block in blocks:
        logged = np.log1p(block.toarray().astype(np.float64))
        here, values = slice(first, first + len(logged)), logged[:, chosen]
        result[here] = values - values.mean(axis=1, keepdims=True) if axis == "cells" else values
        if isotypes == "regress":
            depth = logged[:, ~control].mean(axis=1) if axis == "cells" else 0.0
            background[here] = _background(logged, control) - depth
    if axis == "features":
        result -= result.mean(axis=0, dtype=np.float64).astype(np.float32)
    if isotypes == "regress":
        _take_off_background(result, background)
    return result


def _take_off_background(values: Floats, background: npt.NDArray[np.float64]) -> None:
    """Do what `_without_background` does, where the values stand."""
    ground = background - background.mean()
    spread = float(ground @ ground)
    if spread == 0:
        return
    parts = [slice(first, first + _AT_ONCE) for first in range(0, len(values), _AT_ONCE)]
    slope = np.sum([ground[part] @ values[part].astype(np.float64) for part in parts], axis=0) / spread
    for part in parts:
        values[part] -= np.outer(ground[part], slope).astype(np.float32)


def _background(logged: npt.NDArray[np.float64], control: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Return the mean of the isotype controls of each cell."""
    if not control.any():
        raise InputError(
            "no antibody is an isotype control by its name, so there is no background to regress on",
            where="clr",
            remedy="use isotypes='drop', or name the controls so (IgG1 isotype control, for example)",
        )
    return np.asarray(logged[:, control].mean(axis=1), dtype=np.float64)


def _without_background(
    values: npt.NDArray[np.float64], background: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Take off each protein's straight line on the background of the cells."""
    ground = background - background.mean()
    spread = float(ground @ ground)
    if spread == 0:
        return values
    slope = ground @ (values - values.mean(axis=0)) / spread
    return np.asarray(values - np.outer(ground, slope), dtype=np.float64)
