r"""Measure whether pretraining on metacells pays: one JSON line a setting.

    python benchmarks/metacells.py
    python benchmarks/metacells.py --cells 2000 --study tenfold --setting default --setting metacells

Settings: `default`; `metacells`, whose first stage trains on so many metacells of each modality; `short` and
`metacells-short`, whose first stage takes a quarter of the steps; `kept` and `metacells-kept`, whose second
stage begins with the pretrained weights, whatever the composition, and takes half the steps, as with
`metacells-kept-short`, where the first takes a quarter of them.

Studies and scores are those of ``benchmarks/composition.py``; seconds are those of the
processor, of the whole and of the first stage, and by the clock by stage. ``weight_error``
tells how far balancing weights depart from the true ones, and ``weight_error_metacells`` how far those do
that come of clusters of metacells, shares counted in cells.
"""

from __future__ import annotations

import argparse
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

import omicsglue as og
from composition import STUDIES, prepared, say, scores, simulated, weight_error
from omicsglue import balancing
from omicsglue import recipe as recipes
from omicsglue.data.grouping import group_means, grouped_cells
from omicsglue.matching import Clustering, pair_weights
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

SETTINGS = (
    "default",
    "metacells",
    "short",
    "metacells-short",
    "kept",
    "metacells-kept",
    "metacells-kept-short",
)
QUARTER, HALF = 0.25, 0.5


class Enough(Exception):  # noqa: N818
    """What was asked for has been measured."""


def main() -> None:
    """Run every study with every setting and seed."""
    options = parsed()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        for study in options.study or ("equal",):
            data = simulated(options, study, seed)
            graph = prepared(data)
            for setting in options.setting or SETTINGS:
                facts: dict[str, Any] = {"kept": "kept" in setting}
                named = {"study": study, "setting": setting, "seed": seed, "cells": options.cells}
                try:
                    embeddings, weights = trained(
                        data, graph, recipe_of(setting, options, seed), facts, options
                    )
                except Enough:
                    say(named, facts)
                    continue
                say(named, scores(data, embeddings), {"weight_error": weight_error(data, weights)}, facts)


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--study", action="append", choices=list(STUDIES))
    add("--setting", action="append", choices=SETTINGS)
    add("--seeds", default="0")
    add("--preset", default="10x")
    add("--cells", type=int, default=6000)
    add("--metacells", type=int, default=600)
    add("--genes", type=int, default=1000)
    add("--peaks", type=int, default=8000)
    add("--types", type=int, default=6)
    add("--threads", type=int, default=1)
    add("--weights-only", action="store_true", help="stop after the first stage and balancing")
    return parser.parse_args()


def recipe_of(setting: str, options: argparse.Namespace, seed: int) -> Recipe:
    """Return the recipe of a setting."""
    recipe = Recipe.for_cells(options.cells, seed)
    if "metacells" in setting:
        recipe = replace(recipe, metacells=options.metacells)
    if "short" in setting:
        recipe = replace(recipe, pretrain=recipe.pretrain.shortened(QUARTER))
    if "kept" in setting:
        recipe = replace(recipe, train=recipe.train.shortened(HALF))
    return recipe


def trained(
    data: Any, graph: Any, recipe: Recipe, facts: dict[str, Any], options: argparse.Namespace
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return embeddings and weights of a trained model, and note what it took."""
    model = og.GLUE(data.modalities, graph, recipe)
    computed, differs = recipes.balancing_weights, recipes.composition_differs

    def weighed(u: dict[str, np.ndarray], config: Any, drawn: int, profiles: Any) -> dict[str, np.ndarray]:
        facts["cpu_pretrain"] = time.process_time() - began
        found = computed(u, config, drawn, profiles)
        facts["weight_error_found"] = weight_error(data, found)
        other = by_metacells(u, config, drawn, options.metacells)
        facts["weight_error_metacells"] = weight_error(data, other)
        facts["composition_differs"] = bool(differs(found))
        if options.weights_only:
            raise Enough
        return found

    recipes.balancing_weights = weighed
    if facts.pop("kept", False):
        recipes.composition_differs = lambda weights: True
    began = time.process_time()
    try:
        model.train(threads=options.threads, reporter=Silent())
    finally:
        recipes.balancing_weights, recipes.composition_differs = computed, differs
    facts["cpu_seconds"] = time.process_time() - began
    facts |= {f"seconds_{stage}": seconds for stage, seconds in model.seconds.items()}
    names = list(data.modalities)
    return (
        {name: np.asarray(model.get_latent_representation(name)) for name in names},
        {name: model.balancing_weights(name) for name in names},
    )


def by_metacells(
    embeddings: dict[str, np.ndarray], config: Any, seed: int, number: int
) -> dict[str, np.ndarray]:
    """Return balancing weights of clusters of metacells in the embedding, shares counted in cells."""
    found = []
    for u in embeddings.values():
        code = grouped_cells(u, np.zeros(len(u), dtype=np.int64), number, seed=seed)
        means = group_means(lambda rows, u=u: u[rows], code, int(code.max()) + 1)
        labels = balancing.leiden_clusters(means.astype(np.float32), config, seed)[code]
        centroids = group_means(lambda rows, u=u: u[rows], labels, int(labels.max()) + 1)
        found.append([Clustering(labels, centroids, {})])
    one, other = embeddings
    weights = pair_weights((one, other), *found, config.cutoff, config.power)
    return {name: weight.astype(np.float32) for name, weight in zip(embeddings, weights, strict=True)}


if __name__ == "__main__":
    main()
