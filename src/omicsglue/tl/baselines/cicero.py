"""Coaccessibility of elements with promoters, as Cicero defines it, computed by circe-py."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import warnings
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.intervals import has_coordinates, window_pairs
from omicsglue.keys import CHROM, END, START

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# Bisection on the penalty; circe-py's default goes on to 1e-22 and takes five times as long
_BISECTIONS, _WINDOWS = 15, 50


def is_installed() -> bool:
    """Return whether circe-py is installed."""
    return importlib.util.find_spec("circe") is not None


def coaccessibility(
    values: sp.csr_matrix,
    elements: pd.DataFrame,
    promoters: pd.DataFrame,
    gene: Ints,
    element: Ints,
    *,
    seed: int = 0,
) -> Floats:
    """Return the coaccessibility of each element with the elements on its gene's promoter.

    Parameters
    ----------
    values
        Accessibility, log-normalised, metacells x elements.
    elements
        `chrom`, `start`, `end`, one row a column of `values`; those without coordinates are left out.
    promoters
        `chrom`, `start`, `end`, one row a gene.
    gene, element
        Rows of the pairs in `promoters` and `elements`, int64, shape ``(pairs,)``.
    seed
        Seed of the choice of windows from which the penalty is learned.

    Returns
    -------
    numpy.ndarray
        float64, shape ``(pairs,)``: the highest over the elements that overlap the promoter, 1 for these
        themselves; NaN where no element does.

    Raises
    ------
    OptionError
        If circe-py is not installed.
    InputError
        If it finds no window of the genome to learn the penalty from.

    Notes
    -----
    Source: Pliner et al. 2018 (Cicero: graphical LASSO with penalties that grow with distance). circe-py
    starts a process of its own, so that a script must call this under ``if __name__ == "__main__":``.
    """
    network = _network(values, elements, seed)
    on_promoter = window_pairs(promoters, elements)
    count = np.bincount(on_promoter.left, minlength=len(promoters))
    first = np.cumsum(count) - count
    times = count[gene]
    pair = np.repeat(np.arange(len(gene)), times)
    nth = np.arange(len(pair)) - np.repeat(np.cumsum(times) - times, times)
    partner = on_promoter.right[first[gene[pair]] + nth]
    score = np.asarray(network[element[pair], partner]).ravel()
    score = np.where(partner == element[pair], 1.0, score)
    out = np.full(len(gene), -np.inf)
    np.maximum.at(out, pair, score)
    return np.where(np.isfinite(out), out, np.nan)


def _network(values: sp.csr_matrix, elements: pd.DataFrame, seed: int) -> sp.csr_matrix:
    """Return coaccessibility, elements x elements, in the order of `elements`."""
    from anndata import AnnData

    circe = _circe()
    rows = np.flatnonzero(has_coordinates(elements))
    places = elements.iloc[rows]
    order = rows[np.lexsort((places[START].to_numpy(), places[CHROM].to_numpy().astype(str)))]
    places = elements.iloc[order]
    var = pd.DataFrame(
        {
            "chromosome": places[CHROM].astype(str).to_numpy(),
            "start": places[START].to_numpy(),
            "end": places[END].to_numpy(),
        },
        index=[str(i) for i in range(len(order))],
    )
    data = AnnData(sp.csr_matrix(values[:, order]), var=var)
    # It reports to the terminal on its own, and what it warns of is nothing that the user can change
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            circe.compute_atac_network(
                data, max_alpha_iteration=_BISECTIONS, n_samples=_WINDOWS, seed=seed, key="network"
            )
        except RuntimeError as error:
            raise InputError(
                f"circe-py finds no coaccessibility ({error})",
                where="coaccessibility",
                remedy="Use more elements (several in every 500 kb), or leave this method out.",
            ) from error
    found = sp.coo_matrix(data.varp["network"])
    size = len(elements)
    return sp.csr_matrix((found.data, (order[found.row], order[found.col])), shape=(size, size))


def _circe() -> ModuleType:
    if not is_installed():
        raise OptionError(
            "coaccessibility needs the package circe-py, which is not installed",
            where="methods",
            remedy="Install it with `pip install circe-py`, or leave 'coaccessibility' out.",
        )
    with warnings.catch_warnings():  # its import sets filters for the whole process
        return importlib.import_module("circe")
