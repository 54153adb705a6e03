"""How strongly a link acts in each cell type or state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicsglue.errors import InputError, examples
from omicsglue.keys import EMBEDDING, SOURCE, TARGET
from omicsglue.tl.profiles import fit_profiles, joint_axes

if TYPE_CHECKING:
    from anndata import AnnData


def link_activity(
    links: pd.DataFrame,
    genes: AnnData,
    elements: AnnData,
    groupby: str,
    *,
    embedding: str = EMBEDDING,
    layer: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Tell how far each link raises or lowers its gene in each group of cells.

    A link's activity in a cell is its effect times the element's profile at the cell: the part of the gene's
    change of log rate, in units of its deviation over all cells, that the element accounts for there.

    Parameters
    ----------
    links
        Some or all rows of what :func:`~omicsglue.tl.regulatory_links` returned.
    genes, elements
        The two modalities, with embeddings in ``obsm``.
    groupby
        ``obs`` column of cell types or states, in either modality or in both; cells without one are left out.
    embedding
        Key of ``obsm``.
    layer
        Layer with the counts of the elements; ``X`` by default.
    seed
        Seed of the metacells.

    Returns
    -------
    float64, links x groups, in the order of ``links``; rows are indexed by `source` and `target`.

    Raises
    ------
    InputError
        If no modality has the column, or an element of the links is not in the data.
    """
    unknown = pd.Index(links[TARGET].unique()).difference(elements.var_names)
    if len(unknown):
        raise InputError(
            f"elements of the links are not in the data: {examples(unknown)}",
            where="links",
            remedy="give the modality to which the elements of these links belong",
        )
    axes = joint_axes({"genes": genes.obsm[embedding], "elements": elements.obsm[embedding]})
    places = _group_means([(genes, axes["genes"]), (elements, axes["elements"])], groupby)
    asked = pd.Index(links[TARGET].unique())
    counts = elements[:, asked].X if layer is None else elements[:, asked].layers[layer]
    profiles = fit_profiles(sp.csc_matrix(counts), axes["elements"], seed=seed)
    of_element = profiles.direction @ places.to_numpy().T
    activity = links["effect"].to_numpy()[:, None] * of_element[asked.get_indexer(links[TARGET])]
    index = pd.MultiIndex.from_frame(links[[SOURCE, TARGET]])
    return pd.DataFrame(activity, index=index, columns=places.index)


def _group_means(
    modalities: list[tuple[AnnData, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]], groupby: str
) -> pd.DataFrame:
    """Return mean coordinates of groups, groups x axes, each modality that has the column counting alike."""
    found = [
        pd.DataFrame(axes).groupby(adata.obs[groupby].astype("category").to_numpy(), observed=True).mean()
        for adata, axes in modalities
        if groupby in adata.obs
    ]
    if not found:
        known = sorted({str(column) for adata, _ in modalities for column in adata.obs})
        raise InputError(
            f"obs of neither modality has a column {groupby!r}",
            where="groupby",
            remedy=f"choose among: {examples(known)}",
        )
    return pd.concat(found).groupby(level=0, sort=True).mean()
