"""The picture of how much of expression is explained."""

from __future__ import annotations

import numpy as np
import pandas as pd

from omicsglue import pl, tl


def found(genes: int = 60) -> tl.ExpressionExplained:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"atac": rng.normal(0.3, 0.1, genes), "atac + mcg": rng.normal(0.5, 0.1, genes)})
    table.loc[0, "atac"], table.loc[1, "atac"] = np.nan, -4.0
    summary = pd.DataFrame(
        {"mean_r2": [0.3, 0.5], "permuted_mean": [-0.02, -0.04], "other_gene_mean": [0.1, 0.2]},
        index=table.columns,
    )
    baseline = pd.DataFrame(rng.normal(-0.03, 0.02, (5 * genes, 2)), columns=table.columns)
    return tl.ExpressionExplained(table, summary, baseline, pd.Series(dtype=int), {}, 0)


def test_each_combination_with_its_means_and_its_baseline() -> None:
    figure = pl.explained(found(), title="study")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["atac", "atac\n+ mcg"]
    assert [text.get_text() for text in axes.texts] == ["0.30", "0.50"]
    halves = [body for body in axes.collections if any(len(path.vertices) > 50 for path in body.get_paths())]
    assert len(halves) == 4
    left, right = (halves[number].get_paths()[0].vertices for number in (0, 1))
    assert left[:, 0].max() <= 0 <= right[:, 0].min()
    assert left[:, 1].min() >= -0.5  # the gene at -4 is drawn at the edge
    diamonds = next(line for line in axes.lines if line.get_marker() == "D")
    assert list(diamonds.get_ydata()) == [0.1, 0.2]
    assert axes.get_title(loc="left") == "study"


def test_one_gene_is_drawn_without_a_density() -> None:
    few = found()
    few.genes.drop(few.genes.index[1:], inplace=True)
    few.genes.loc[0] = 0.4
    assert len(pl.explained(few).axes) == 1
