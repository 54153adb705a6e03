"""Which transcription factors (TFs) predict the expression of a gene over metacells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import rankdata

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.tl.metacells import aggregate, log_normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData
    from sklearn.ensemble import GradientBoostingRegressor

Floats = npt.NDArray[np.float64]

_FEWEST_METACELLS = 30
_TREES, _PATIENCE = 500, 15  # at most so many; no more after so many that did not help
_CHOICE = 30  # TFs, or a tenth of all where these are more, that each split of a tree chooses from
_HELD_OUT = 0.2


class Coexpression(NamedTuple):
    """How TFs and genes go together.

    Attributes
    ----------
    importance
        Share of the gene's variance in held-out metacells that the prediction owes to the TF, in [0, 1],
        float64, shape (n_tfs, n_targets); 0 for a TF and itself.
    correlation
        Spearman's correlation, float64, shape (n_tfs, n_targets); 0 where either does not vary.
    """

    importance: Floats
    correlation: Floats


def metacell_expression(rna: AnnData, labels: str | Sequence[object]) -> pd.DataFrame:
    """Sum counts over metacells and take the logarithm of counts per ten thousand.

    Parameters
    ----------
    rna
        Counts in `X`, shape (n_cells, n_genes).
    labels
        Metacell of each cell, shape (n_cells,), or the column of `obs` that holds it. Cells without one are
        left out.

    Returns
    -------
    pandas.DataFrame
        log(1 + counts per 10,000), float64, shape (n_metacells, n_genes); the index holds the labels.

    Raises
    ------
    InputError
        There is no such column, or not one label a cell.
    """
    if isinstance(labels, str):
        if labels not in rna.obs:
            raise InputError(
                f"obs has no column {labels!r}",
                where="rna",
                remedy=f"Use one of: {examples(rna.obs.columns)}.",
            )
        labels = list(rna.obs[labels])
    if len(labels) != rna.n_obs:
        raise InputError(
            f"{len(labels):,} labels for {rna.n_obs:,} cells",
            where="labels",
            remedy="Give one for each cell.",
        )
    codes, names = pd.factorize(pd.Index(list(labels), dtype=object))
    totals = aggregate(rna.X, codes.astype(np.int64), len(names))
    return pd.DataFrame(log_normalised(totals).toarray(), index=names, columns=rna.var_names.astype(str))


def coexpression(
    expression: Floats,
    factors: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    *,
    seed: int = 0,
    n_jobs: int = 1,
    where: str = "expression",
) -> Coexpression:
    """Predict each gene from the TFs by gradient boosting, and say which TFs the prediction rests on.

    Trees are added for a gene until those metacells that are held out (a fifth, the same for all genes) are
    predicted no better. The importances of its TFs are scaled to the share of variance that is explained
    there, so that those of a gene that nothing predicts are near 0.

    Parameters
    ----------
    expression
        Logarithms of normalised expression, shape (n_metacells, n_genes).
    factors
        Positions of the TFs among the genes, shape (n_tfs,).
    targets
        Positions of the genes to predict, shape (n_targets,).
    seed
        Seed of all random choices. The result does not depend on `n_jobs`.
    n_jobs
        Processes; -1 for as many as there are cores.
    where
        What to call the expression in messages.

    Returns
    -------
    Coexpression
        Importances and correlations.

    Raises
    ------
    InputError
        There are fewer than 30 metacells, or values that are not finite.
    OptionError
        `n_jobs` is 0.

    Notes
    -----
    Boosted trees for networks: Moerman et al., Bioinformatics 2019, doi 10.1093/bioinformatics/bty916.
    """
    from sklearn.utils.parallel import Parallel, delayed

    _check(expression, n_jobs, where)
    n_metacells = len(expression)
    predictors = np.ascontiguousarray(expression[:, factors], dtype=np.float32)
    wanted = expression[:, targets]
    spread = wanted.std(axis=0)
    scaled = np.divide(wanted - wanted.mean(axis=0), spread, out=np.zeros_like(wanted), where=spread > 0)
    generator = np.random.default_rng(seed)
    held_out = np.zeros(n_metacells, dtype=bool)
    held_out[generator.permutation(n_metacells)[: int(n_metacells * _HELD_OUT)]] = True
    seeds = generator.integers(2**31, size=len(targets)).tolist()
    column = dict(zip(factors.tolist(), range(len(factors)), strict=True))
    found = Parallel(n_jobs=n_jobs)(
        delayed(_importance)(predictors, scaled[:, i], held_out, column.get(gene, -1), seeds[i])
        for i, gene in enumerate(targets.tolist())
        if spread[i] > 0
    )
    importance = np.zeros((len(factors), len(targets)))
    importance[:, spread > 0] = np.reshape(found, (-1, len(factors))).T
    return Coexpression(importance, _spearman(expression, factors, targets))


def _importance(
    predictors: npt.NDArray[np.float32], target: Floats, held_out: npt.NDArray[np.bool_], own: int, seed: int
) -> Floats:
    """Explained variance by TF for one gene; `own` is the column of the gene itself, or -1."""
    from sklearn.ensemble import GradientBoostingRegressor

    if own >= 0:
        predictors = predictors.copy()
        predictors[:, own] = 0
    watch = _Watch(predictors[held_out], target[held_out])
    model = GradientBoostingRegressor(
        n_estimators=_TREES,
        learning_rate=0.1,
        max_depth=3,
        subsample=0.8,
        max_features=min(predictors.shape[1], max(_CHOICE, predictors.shape[1] // 10)),
        random_state=seed,
    )
    model.fit(predictors[~held_out], target[~held_out], monitor=watch)
    if watch.best_at < 0:
        return np.zeros(predictors.shape[1])
    model.estimators_ = model.estimators_[: watch.best_at + 1]
    return np.asarray(watch.explained * model.feature_importances_, dtype=np.float64)


class _Watch:
    """Follow the error in held-out metacells, and stop when it falls no more."""

    def __init__(self, predictors: npt.NDArray[np.float32], target: Floats) -> None:
        self.predictors, self.rest = predictors, target
        self.best_at = -1
        self.first = self.best = float(np.mean(np.square(target)))

    @property
    def explained(self) -> float:
        """Share of the held-out variance that the best number of trees explains."""
        return 1 - self.best / self.first if self.first > 0 else 0.0

    def __call__(self, step: int, model: GradientBoostingRegressor, _: dict[str, Any]) -> bool:
        if step == 0:
            self.rest = self.rest - model.init_.predict(self.predictors)
            self.first = self.best = float(np.mean(np.square(self.rest)))
        tree = model.estimators_[step, 0].tree_
        self.rest = self.rest - model.learning_rate * tree.predict(self.predictors)[:, 0]
        error = float(np.mean(np.square(self.rest)))
        if error < self.best:
            self.best, self.best_at = error, step
        return step - self.best_at >= _PATIENCE


def _spearman(expression: Floats, factors: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> Floats:
    ranks = rankdata(expression, axis=0)
    ranks -= ranks.mean(axis=0)
    length = np.linalg.norm(ranks, axis=0)
    ranks = np.divide(ranks, length, out=np.zeros_like(ranks), where=length > 0)
    return np.asarray(ranks[:, factors].T @ ranks[:, targets], dtype=np.float64)


def _check(expression: Floats, n_jobs: int, where: str) -> None:
    if n_jobs == 0:
        raise OptionError("0 processes", where="n_jobs", remedy="Give 1 or more, or -1 for all cores.")
    if len(expression) < _FEWEST_METACELLS:
        raise InputError(
            f"{len(expression):,} metacells are too few to learn which TFs predict a gene",
            where=where,
            remedy=f"Give {_FEWEST_METACELLS} or more, better some hundreds (one a row).",
        )
    if not np.isfinite(expression).all():
        raise InputError(
            "expression that is not a finite number", where=where, remedy="Fill or remove missing values."
        )
