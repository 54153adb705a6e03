"""How well scores tell true links from other pairs, overall and at like distance."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.keys import DISTANCE, SOURCE, TARGET
from omicsglue.suggest import did_you_mean

Bools = npt.NDArray[np.bool_]

DISTANCES = (0, 5_000, 20_000, 50_000, 100_000, 150_000)
ALL = "all"


def evaluate_links(
    links: pd.DataFrame,
    truth: pd.Series | pd.DataFrame,
    *,
    scores: Sequence[str] = ("score",),
    by_distance: Sequence[int] = DISTANCES,
    all_genes: bool = False,
) -> pd.DataFrame:
    """Compare scores of links with what is known of them.

    Parameters
    ----------
    links
        Candidate pairs: `source`, `target`, `distance` and the columns of scores.
    truth
        Whether each pair is a link: bool or nullable bool with the index of `links`, as
        :func:`omicsglue.tl.evidence.match_evidence` returns it (pairs with missing truth are left
        out); or a table of the true links, `source` and `target`.
    scores
        Columns of `links` that are high where a link is likely. Pairs without a score rank last.
    by_distance
        Limits of the distance strata in bases, rising. A stratum holds its lower limit, not its upper one;
        the last holds both. None if empty.
    all_genes
        Whether genes without any true link count too. They are left out by default, since it is not known
        whether the experiment could have seen links of theirs.

    Returns
    -------
    pandas.DataFrame
        One row a score and stratum: `method`, `stratum` ('all', '0-5 kb', ...), `n` (pairs), `positives`,
        `auroc` and `average_precision` (NaN where all pairs are alike).

    Raises
    ------
    InputError
        If there is no true link or no pair, a score is missing, or truth does not fit the pairs.
    OptionError
        If distances do not rise.

    Examples
    --------
    >>> links = pd.DataFrame({"source": ["a"] * 3, "target": list("xyz"), "distance": [0, 9, 99]})
    >>> links["score"] = [0.9, 0.1, 0.5]
    >>> evaluate_links(links, pd.Series([True, False, True]), by_distance=())["auroc"].tolist()
    [1.0]
    """
    _check_columns(links, [DISTANCE, *scores])
    limits = list(by_distance)
    if any(high <= low for low, high in pairwise(limits)):
        raise OptionError(f"{limits} do not rise", where="by_distance", remedy="Give limits in rising order.")
    known, true = _truth(links, truth)
    if not all_genes:
        known &= links[SOURCE].isin(links.loc[true, SOURCE].unique()).to_numpy()
    distance = links[DISTANCE].to_numpy(dtype=np.float64)[known]
    strata = {ALL: np.ones(len(distance), dtype=np.bool_), **_strata(distance, limits)}
    rows = []
    for score in scores:
        values = links[score].to_numpy(dtype=np.float64)[known]
        ranked = np.where(np.isnan(values), -np.inf, values)
        rows += [
            {"method": score, "stratum": name} | _row(true[known][at], ranked[at])
            for name, at in strata.items()
        ]
    return pd.DataFrame(rows)


def _check_columns(links: pd.DataFrame, wanted: Sequence[str]) -> None:
    for column in (SOURCE, *wanted):
        if column not in links:
            raise InputError(
                f"no column {column!r}{did_you_mean(column, links.columns)}",
                where="links",
                remedy="Give the table of links, with the columns of all scores.",
            )


def _truth(links: pd.DataFrame, truth: pd.Series | pd.DataFrame) -> tuple[Bools, Bools]:
    """Return which pairs are known, and which are true."""
    if isinstance(truth, pd.DataFrame):
        known, true = np.ones(len(links), dtype=np.bool_), _among(links, truth)
    else:
        if len(truth) != len(links) or not truth.index.equals(links.index):
            raise InputError(
                f"it has {len(truth):,} values for {len(links):,} pairs, or another index",
                where="truth",
                remedy="Give one value a pair with the index of the links, or a table of the true links.",
            )
        if not (pd.api.types.is_bool_dtype(truth) or truth.dropna().isin([True, False]).all()):
            raise InputError(
                f"it holds {examples(truth.dropna().unique(), 3)}",
                where="truth",
                remedy="Give True, False or missing for each pair.",
            )
        known = truth.notna().to_numpy(dtype=np.bool_)
        true = truth.astype("boolean").fillna(value=False).to_numpy(dtype=np.bool_)
    if not true.any():
        raise InputError(
            "none of the pairs is a true link",
            where="truth",
            remedy="Check that names of genes and elements, and the genome build, are those of the links.",
        )
    return known, true


def _among(links: pd.DataFrame, truth: pd.DataFrame) -> Bools:
    missing = [column for column in (SOURCE, TARGET) if column not in truth]
    if missing:
        raise InputError(
            f"no column {examples(missing)}", where="truth", remedy="Name the columns source and target."
        )
    _check_columns(links, [TARGET])
    pairs = pd.concat([links[[SOURCE, TARGET]], truth[[SOURCE, TARGET]]], ignore_index=True)
    source, target = (pd.factorize(pairs[column])[0].astype(np.int64) for column in (SOURCE, TARGET))
    keys = source * (target.max(initial=0) + 1) + target
    return np.asarray(np.isin(keys[: len(links)], keys[len(links) :]), dtype=np.bool_)


def _strata(distance: npt.NDArray[np.float64], limits: list[int]) -> dict[str, Bools]:
    found = {}
    for i, (low, high) in enumerate(pairwise(limits)):
        below = distance <= high if i == len(limits) - 2 else distance < high
        found[f"{low / 1000:g}-{high / 1000:g} kb"] = (distance >= low) & below
    return found


def _row(true: Bools, score: npt.NDArray[np.float64]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    row: dict[str, float] = {"n": len(true), "positives": int(true.sum())}
    both = 0 < true.sum() < len(true)
    # sklearn takes no infinity: ranks order the pairs as the scores do
    ranks = np.unique(score, return_inverse=True)[1]
    row["auroc"] = float(roc_auc_score(true, ranks)) if both else np.nan
    row["average_precision"] = float(average_precision_score(true, ranks)) if both else np.nan
    return row
