"""Annotations of several modalities, compared and unified in the joint embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.keys import BALANCING_WEIGHT, EMBEDDING
from omicsglue.suggest import did_you_mean
from omicsglue.tl.embeddings import REMEDY, checked_embeddings

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
_BLOCK: Final = 4096  # cells looked up at a time
_VOTERS: Final = 50_000  # labelled cells of the reference that vote; of more, so many drawn at random
COUNTERPART: Final = 0.2  # share of a label's votes that makes a label of the reference its counterpart
CONTRADICTION: Final = 0.8  # share of a cell's votes against its own label from which on it is flagged
_CLEAR: Final = 0.5  # share of votes that the best counterpart of a label must have


@dataclass(frozen=True)
class UnifiedLabels:
    """What annotations of several modalities have in common, and where they disagree.

    Attributes
    ----------
    cells
        One row a cell, by ``modality`` and ``cell``: ``label`` (its own, if it has one), ``unified`` (label
        of the reference that most of its neighbours have), ``score`` (their share), ``contradiction`` (share
        of neighbours with labels of the reference that the cell's own label does not otherwise stand for;
        NaN without a label) and ``contradictory`` (whether that is at least 0.8).
    conflicts
        One row a label of each modality: ``modality``, ``label``, ``cells``, ``relation``, ``unified`` (its
        counterpart, or counterparts, in the reference), ``share`` (of its votes that they have),
        ``contradictory`` (cells) and ``words``. A label ``agrees``, is ``renamed``, ``merges`` several labels
        of the reference, is ``part of`` one, bears the name of another one than it lies in
        (``contradicts``), or is ``unclear``.
    confusion
        Share of the votes of each label (rows: ``modality``, ``label``) for each label of the reference.
    agreement
        Adjusted mutual information of annotations, modalities x modalities: labels of one are carried over to
        the cells of the other and compared with those there, and the other way round; 1 for one clustering
        under whatever names, about 0 for unrelated ones.
    reference
        Modality whose labels are carried over.
    """

    cells: pd.DataFrame
    conflicts: pd.DataFrame
    confusion: pd.DataFrame
    agreement: pd.DataFrame
    reference: str


def unify_labels(
    modalities: Mapping[str, AnnData],
    label_key: Mapping[str, str],
    *,
    reference: str | None = None,
    use_rep: str = EMBEDDING,
    neighbours: int = 15,
    ignore_labels: Sequence[str] = (),
) -> UnifiedLabels:
    """Carry one annotation over to all cells, and tell where others agree with it, refine or contradict it.

    Every cell takes the label that most of its nearest neighbours in the reference have, each neighbour
    counting by its balancing weight where the data have one. A label of another annotation stands for those
    labels of the reference that get at least a fifth of its cells' votes.

    Parameters
    ----------
    modalities
        By name, with embeddings in ``obsm``. Cells of modalities without an annotation are labelled too.
    label_key
        ``obs`` column of the annotation by modality.
    reference
        Modality whose labels are carried over; the first of `label_key` by default.
    use_rep
        Key of ``obsm``.
    neighbours
        Neighbours that vote; fewer where the reference has fewer cells.
    ignore_labels
        Labels that mean nothing ('unknown'); such cells neither vote nor count as labelled.

    Returns
    -------
    UnifiedLabels

    Raises
    ------
    OptionError
        If a modality named is not there, the reference has no annotation, or `neighbours` is not positive.
    InputError
        If an embedding or a column is missing, or a column holds no label.

    Notes
    -----
    Source of the task: Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4, who carry
    labels over in the joint embedding. Agreement: Vinh, Epps and Bailey, J. Mach. Learn. Res. 2010.
    """
    first = _checked_options(modalities, label_key, reference, neighbours)
    embeddings = _embeddings(modalities, use_rep)
    labels = {name: _labels(modalities[name], key, name, ignore_labels) for name, key in label_key.items()}
    weights = {name: _weights(modalities[name]) for name in label_key}
    votes = {
        name: _votes(embeddings[first], labels[first], weights[first], each, neighbours, own=name == first)
        for name, each in embeddings.items()
    }
    confusion = _confusion(votes, labels)
    stands_for = _counterparts(confusion)
    cells = pd.concat(
        [
            _cell_rows(name, modalities[name], votes[name], labels.get(name), stands_for)
            for name in modalities
        ],
        ignore_index=True,
    )
    conflicts = _conflicts(cells, confusion, stands_for, first)
    agreement = _agreement(embeddings, labels, weights, neighbours)
    return UnifiedLabels(cells, conflicts, confusion, agreement, first)


def _checked_options(
    modalities: Mapping[str, AnnData], label_key: Mapping[str, str], reference: str | None, neighbours: int
) -> str:
    """Return the reference."""
    if not label_key:
        raise OptionError(
            "no annotation is named", where="label_key", remedy="name the obs column of one modality at least"
        )
    for name in label_key:
        if name not in modalities:
            raise OptionError(
                f"it names the modality {name!r}, which is not given{did_you_mean(name, list(modalities))}",
                where="label_key",
                remedy=f"name one of: {examples(modalities)}",
            )
    if reference is not None and reference not in label_key:
        raise OptionError(
            f"the reference {reference!r} has no annotation{did_you_mean(reference, list(label_key))}",
            where="reference",
            remedy=f"choose among: {examples(label_key)}, or name its obs column too",
        )
    if neighbours < 1:
        raise OptionError(f"{neighbours} neighbours", where="neighbours", remedy="give 1 or more")
    return reference or next(iter(label_key))


def _embeddings(modalities: Mapping[str, AnnData], key: str) -> dict[str, Floats]:
    for name, adata in modalities.items():
        if key not in adata.obsm:
            raise InputError(
                f"it has no embedding {key!r}{did_you_mean(key, list(adata.obsm))}", where=name, remedy=REMEDY
            )
    return checked_embeddings({name: adata.obsm[key] for name, adata in modalities.items()})


def _labels(adata: AnnData, key: str, name: str, ignored: Sequence[str]) -> pd.Categorical:
    if key not in adata.obs:
        raise InputError(
            f"obs has no column {key!r}{did_you_mean(key, list(adata.obs))}",
            where=name,
            remedy=f"choose among: {examples(adata.obs)}",
        )
    column = adata.obs[key]
    text = column.astype(object).where(column.notna().to_numpy(), None)
    found = pd.Categorical([None if each is None or str(each) in ignored else str(each) for each in text])
    if (found.codes < 0).all():
        raise InputError(
            f"the column {key!r} holds no label", where=name, remedy="name a column of cell types or clusters"
        )
    return found


def _weights(adata: AnnData) -> Floats:
    if BALANCING_WEIGHT in adata.obs:
        return np.asarray(adata.obs[BALANCING_WEIGHT], dtype=np.float64)
    return np.ones(adata.n_obs)


def _votes(
    reference: Floats,
    labels: pd.Categorical,
    weight: Floats,
    cells: Floats,
    neighbours: int,
    *,
    own: bool,
) -> pd.DataFrame:
    """Return the share of votes of each label for each cell, cells x labels; a cell has no vote on itself.

    Of more than 50,000 labelled cells so many drawn at random vote, so that time grows with the cells alone.
    """
    from sklearn.neighbors import NearestNeighbors

    voters = np.flatnonzero(labels.codes >= 0)
    if len(voters) > _VOTERS:
        voters = np.sort(np.random.default_rng(0).choice(voters, _VOTERS, replace=False))
    wanted = min(neighbours, len(voters) - own)
    if wanted < 1:
        raise InputError(
            "the reference has too few labelled cells", where="reference", remedy="choose another reference"
        )
    search = NearestNeighbors(n_neighbors=wanted + own, algorithm="brute").fit(reference[voters])
    # a weight of 0 silences a cell; where all neighbours are silent, they vote alike
    strength, code = weight[voters] + 1e-9, labels.codes[voters].astype(np.int64)
    table = np.zeros((len(cells), len(labels.categories)))
    for start in range(0, len(cells), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(cells)))
        nearest = search.kneighbors(cells[block], return_distance=False)
        force = strength[nearest]
        if own:
            force = np.where(voters[nearest] == block[:, None], 0.0, force)
        np.add.at(table, (np.repeat(block, nearest.shape[1]), code[nearest].ravel()), force.ravel())
    return pd.DataFrame(table / table.sum(axis=1, keepdims=True), columns=list(labels.categories))


def _confusion(votes: Mapping[str, pd.DataFrame], labels: Mapping[str, pd.Categorical]) -> pd.DataFrame:
    """Return the mean votes of the cells of each label of each modality."""
    parts = {name: votes[name].groupby(pd.Series(own), observed=True).mean() for name, own in labels.items()}
    together: pd.DataFrame = pd.concat(parts, names=["modality", "label"])
    return together


def _counterparts(confusion: pd.DataFrame) -> pd.DataFrame:
    """Return for which labels of the reference each label stands, bool; the most voted one at least."""
    best = confusion.eq(confusion.max(axis=1), axis=0)
    return (confusion >= COUNTERPART) | best


def _cell_rows(
    name: str, adata: AnnData, votes: pd.DataFrame, own: pd.Categorical | None, stands_for: pd.DataFrame
) -> pd.DataFrame:
    shares = votes.to_numpy()
    against = np.full(len(votes), np.nan)
    if own is not None:
        known = own.codes >= 0
        allowed = stands_for.loc[name].reindex(own.categories).to_numpy(dtype=bool)
        against[known] = (shares[known] * ~allowed[own.codes[known]]).sum(axis=1)
    best = shares.argmax(axis=1)
    return pd.DataFrame(
        {
            "modality": name,
            "cell": adata.obs_names.to_numpy(),
            "label": None if own is None else np.asarray(own, dtype=object),
            "unified": votes.columns.to_numpy()[best],
            "score": shares[np.arange(len(best)), best],
            "contradiction": against,
            "contradictory": np.nan_to_num(against) >= CONTRADICTION,
        }
    )


def _conflicts(
    cells: pd.DataFrame, confusion: pd.DataFrame, stands_for: pd.DataFrame, reference: str
) -> pd.DataFrame:
    """Return one row a label that says what it is in terms of the reference."""
    labelled = cells[cells["label"].notna()]
    sizes = labelled.groupby(["modality", "label"], observed=True).size()
    wrong = labelled.groupby(["modality", "label"], observed=True)["contradictory"].sum()
    main = confusion.idxmax(axis=1)
    rows = []
    for key in confusion.index:
        modality, label = key
        shares = confusion.loc[key]
        chosen = list(shares[stands_for.loc[key]].sort_values(ascending=False).index)
        siblings = [
            each for each in main.loc[modality].index[main.loc[modality] == main[key]] if each != label
        ]
        row = {
            "modality": modality,
            "label": label,
            "cells": int(sizes[key]),
            "relation": _relation(label, chosen, shares, siblings),
            "unified": ", ".join(chosen),
            "share": float(shares[chosen].sum()),
            "contradictory": int(wrong[key]),
        }
        rows.append(row | {"words": _words(row, shares[chosen], siblings, reference)})
    return pd.DataFrame(rows)


def _relation(label: str, chosen: Sequence[str], shares: pd.Series[float], siblings: Sequence[str]) -> str:
    if shares.max() < _CLEAR and len(chosen) < 2:
        return "unclear"
    if label in shares.index and label not in chosen:
        return "contradicts"
    if len(chosen) > 1:
        return "merges"
    if chosen[0] == label:
        return "agrees"
    return "part of" if siblings else "renamed"


def _words(
    row: Mapping[str, object], shares: pd.Series[float], siblings: Sequence[str], reference: str
) -> str:
    """Return the row in plain words."""
    parts = " and ".join(f"{name} ({share:.0%})" for name, share in shares.items())
    lead = f"{row['modality']} {row['label']!r}"
    tail = {
        "agrees": f"is {parts} of {reference}",
        "renamed": f"is what {reference} calls {parts}",
        "merges": f"covers {parts} of {reference}",
        "part of": f"is a part of {parts} of {reference}, beside {examples(siblings)}",
        "contradicts": f"bears the name of another label of {reference}, but lies in {parts}",
        "unclear": f"has no counterpart in {reference}; the nearest is {parts}",
    }[str(row["relation"])]
    wrong = int(str(row["contradictory"]))
    return f"{lead} {tail}" + (f"; {wrong:,} of its cells lie elsewhere" if wrong else "")


def _agreement(
    embeddings: Mapping[str, Floats],
    labels: Mapping[str, pd.Categorical],
    weights: Mapping[str, Floats],
    neighbours: int,
) -> pd.DataFrame:
    """Return the adjusted mutual information of annotations, the mean of both directions."""
    from sklearn.metrics import adjusted_mutual_info_score

    names = list(labels)
    found = pd.DataFrame(np.eye(len(names)), index=names, columns=names)
    for source in names:
        for target in names:
            if source == target:
                continue
            known = labels[target].codes >= 0
            cells = embeddings[target][known]
            votes = _votes(embeddings[source], labels[source], weights[source], cells, neighbours, own=False)
            carried = votes.to_numpy().argmax(axis=1)
            found.loc[source, target] = adjusted_mutual_info_score(labels[target].codes[known], carried)
    return (found + found.T) / 2
