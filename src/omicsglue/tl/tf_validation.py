"""Networks of transcription factors (TFs) held against targets that are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.keys import SIGN, TARGET, WEIGHT
from omicsglue.tl.tf_network import TF, TFNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_MODES: Final = {"activation": 1, "repression": -1}


def read_tf_targets(path: str | Path) -> pd.DataFrame:
    """Read known targets of TFs, as TRRUST gives them.

    Parameters
    ----------
    path
        Columns separated by tabs, without a header, plain or gzip: TF, target, and, if known, mode
        ('Activation', 'Repression' or other words) and sources.

    Returns
    -------
    pandas.DataFrame
        One row a pair, in the order of the file: `tf`, `target`, `sign` (int8; +1 or -1, 0 where modes
        contradict each other or none is known).

    Raises
    ------
    InputError
        The file is missing, damaged, or has fewer than two columns.
    """
    try:
        table = pd.read_csv(path, sep="\t", header=None, dtype=str, na_filter=False)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"it cannot be read ({error})", where=str(path), remedy="Give TRRUST's file, or one like it."
        ) from error
    if table.shape[1] < 2:
        raise InputError(
            "it has one column", where=str(path), remedy="Give TF, target and mode, separated by tabs."
        )
    mode = table[2].str.lower().map(_MODES).fillna(0) if table.shape[1] > 2 else 0
    pairs = pd.DataFrame({TF: table[0], TARGET: table[1], SIGN: mode})
    signs = pairs.groupby([TF, TARGET], sort=False)[SIGN]
    agreed = signs.max().clip(lower=0) + signs.min().clip(upper=0)  # 0 where some are up and some are down
    return agreed.astype(np.int8).reset_index()


def validate_network(
    network: TFNetwork | pd.DataFrame,
    reference: pd.DataFrame,
    *,
    tfs: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    draws: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare a network with known targets, and with random networks.

    All pairs are judged of a TF that was tested and has known targets in the data, and a gene that was
    tested and is a known target of any TF; what is not in the reference counts as false there, though it
    may only be unknown. A random network gives each TF as many targets as the network does, with the same
    weights, at random.

    Parameters
    ----------
    network
        A network, or a table with `tf`, `target` and `weight`, and if there `sign` and `support`.
    reference
        Known pairs: `tf`, `target` and if known `sign`; see `read_tf_targets`. Names may differ in case.
    tfs, genes
        Names of the TFs and genes that were tested; by default those of the network, or of its table.
    draws
        Random networks.
    seed
        Seed of the random networks.

    Returns
    -------
    pandas.DataFrame
        Rows: 'network', then 'links', 'promoter' and 'both' for the edges with this support. Columns:
        `n_edges` among the judged pairs, `n_true`, `precision`, `recall`, `odds_ratio` and `p_value`
        (Fisher's exact test, one side), `aupr` (average precision of all judged pairs by absolute weight, 0
        for those without edge), `random_precision`, `random_recall`, `random_aupr` (means of random
        networks) and `sign_agreement` (share of true edges of known sign that have it). NaN where there is
        nothing to measure.

    Raises
    ------
    InputError
        A table lacks columns, or no pair of the reference was tested.
    OptionError
        `draws` is below 1.

    Notes
    -----
    TRRUST: Han et al., Nucleic Acids Research 2018, doi 10.1093/nar/gkx1013.
    """
    edges = network.edges if isinstance(network, TFNetwork) else network
    if isinstance(network, TFNetwork):
        tfs = list(network.regulators[TF].unique()) if tfs is None else tfs
        genes = network.genes if genes is None else genes
    _check(edges, reference, draws)
    rows, columns = (
        pd.Index(list(dict.fromkeys(map(str, each if each is not None else edges[key]))), dtype=object)
        for each, key in ((tfs, TF), (genes, TARGET))
    )
    truth = _matrix(reference.assign(known=1), rows, columns, "known", fold=True) > 0
    judged = np.ix_(truth.any(axis=1), truth.any(axis=0))
    if not truth.any():
        raise InputError(
            f"none of the {len(reference):,} known pairs is of a TF and a gene that were tested",
            where="reference",
            remedy=f"Use a reference of the same species with gene names such as {examples(columns, 3)}.",
        )
    mode = _matrix(reference, rows, columns, SIGN, fold=True) if SIGN in reference else np.zeros(truth.shape)
    generator = np.random.default_rng(seed)
    found = {
        name: _scores(
            _matrix(part, rows, columns, WEIGHT)[judged], truth[judged], mode[judged], draws, generator
        )
        for name, part in _parts(edges)
    }
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("edges").reset_index()


def _parts(edges: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    yield "network", edges
    if "support" in edges:
        for name in ("links", "promoter", "both"):
            yield name, edges[edges["support"] == name]


def _scores(
    weight: Floats, truth: Flags, mode: Floats, draws: int, generator: np.random.Generator
) -> dict[str, float]:
    from scipy.stats import fisher_exact

    edge, strength = weight != 0, np.abs(weight)
    n_edges, n_true, n_known = int(edge.sum()), int((edge & truth).sum()), int(truth.sum())
    wrong = n_edges - n_true
    table = np.array([[n_true, wrong], [n_known - n_true, truth.size - n_known - wrong]])
    test = fisher_exact(table, alternative="greater") if n_edges else None
    signed = edge & truth & (mode != 0)
    random = [generator.permuted(strength, axis=1) for _ in range(draws)]
    hits = np.array([((each > 0) & truth).sum() for each in random])
    return {
        "n_edges": n_edges,
        "n_true": n_true,
        "precision": _ratio(n_true, n_edges),
        "recall": _ratio(n_true, n_known),
        "odds_ratio": float(test.statistic) if test else np.nan,
        "p_value": float(test.pvalue) if test else np.nan,
        "aupr": _average_precision(truth, strength),
        "random_precision": _ratio(hits.mean(), n_edges),
        "random_recall": _ratio(hits.mean(), n_known),
        "random_aupr": float(np.mean([_average_precision(truth, each) for each in random])),
        "sign_agreement": _ratio((np.sign(weight) == mode)[signed].sum(), signed.sum()),
    }


def _average_precision(truth: Flags, strength: Floats) -> float:
    """Weight the precision at each distinct strength by what it adds to recall; 0 comes last."""
    edge = strength > 0
    order = np.argsort(-strength[edge])
    falling, hits = strength[edge][order], truth[edge][order].cumsum()
    ends = np.flatnonzero(np.diff(falling, append=0))  # the last pair of each strength
    found = np.append(hits[ends], truth.sum())
    precision = found / np.append(ends + 1, truth.size)
    return float((np.diff(found, prepend=0) * precision).sum() / truth.sum())


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else np.nan


def _matrix(
    pairs: pd.DataFrame, rows: pd.Index, columns: pd.Index, value: str, *, fold: bool = False
) -> Floats:
    """Spread a table of pairs over all rows and columns; pairs of other names are left out."""
    matrix = np.zeros((len(rows), len(columns)))
    places = []
    for key, names in ((TF, rows), (TARGET, columns)):
        asked, known = pd.Index(pairs[key].astype(str), dtype=object), names
        if fold:
            asked, known = asked.str.casefold(), known.str.casefold()
        first = np.flatnonzero(~known.duplicated())
        at = known[first].get_indexer(asked)
        places.append(np.where(at >= 0, first[at], -1))
    good = (places[0] >= 0) & (places[1] >= 0)
    matrix[places[0][good], places[1][good]] = pairs[value].to_numpy(dtype=np.float64)[good]
    return matrix


def _check(edges: pd.DataFrame, reference: pd.DataFrame, draws: int) -> None:
    for name, table, needed in (
        ("network", edges, (TF, TARGET, WEIGHT)),
        ("reference", reference, (TF, TARGET)),
    ):
        missing = [key for key in needed if key not in table]
        if missing:
            raise InputError(
                f"no column {examples(missing)}", where=name, remedy=f"Name its columns {', '.join(needed)}."
            )
    if draws < 1:
        raise OptionError(f"{draws} random networks", where="draws", remedy="Give 1 or more.")
