"""Speed of several processes beside that of one, by turns, each process on one thread.

Run as ``python benchmarks/distributed.py --cells 3000 --devices 2 --repeats 5``. Every process takes as many
cells a step as the one alone does; with ``--divide`` they share those cells, so that a step is the same and
takes less time. Printed as JSON: cells a second of every repeat (steps alone, without
validation), their medians, and CPU seconds of a step in the first process, which depend less on what else
the machine does.

``python benchmarks/distributed.py --scores --cells 600 --genes 800 --peaks 4000 --seeds 0,1`` trains by the
whole default recipe instead, with one process and with several, and prints FOSCTTM and steps of each.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np

from omicsglue import GLUE
from omicsglue.datasets import simulate
from omicsglue.metrics import foscttm
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import prepare, read_inputs
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

BATCH = 128


class Watch(Silent):
    """Keeps the CPU time at the end of every epoch."""

    def __init__(self) -> None:
        self.cpu: list[float] = []

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Look at the clock."""
        self.cpu.append(time.process_time())


def model_of(cells: int, genes: int, peaks: int, batch_size: int) -> GLUE:
    """Return an untrained model of simulated cells that takes so many of each modality in a step."""
    data = simulate(cells, genes=genes, peaks=peaks, coordinates=True)
    options = IntegrateOptions.from_values({})
    prepared = prepare(read_inputs(data.modalities, options), None, None, options)
    recipe = Recipe.for_cells(cells)
    train = replace(recipe.train, batch_size=batch_size, validate_every=10**9)
    return GLUE(prepared.modalities, prepared.graph, replace(recipe, train=train, balancing=None))


def measured(model: GLUE, devices: int, epochs: int) -> dict[str, float]:
    """Train for some epochs; return cells a second and CPU seconds a step, the first epoch left out."""
    watch = Watch()
    model.train(epochs, device="cpu", devices=devices, threads=1, reporter=watch)
    rows = model.history.iloc[1:-1]
    steps = rows["steps"].sum()
    found = {
        "cells_a_second": steps
        * model.recipe.train.batch_size
        * devices
        * len(model.modalities)
        / rows["seconds"].sum(),
        "cpu_seconds_a_step": (watch.cpu[-2] - watch.cpu[0]) / steps,
    }
    return {name: float(value) for name, value in found.items()}


def scored(given: argparse.Namespace) -> None:
    """Train by the whole recipe with one process and with several, and print the scores."""
    data = simulate(given.cells, genes=given.genes, peaks=given.peaks, coordinates=True)
    options = IntegrateOptions.from_values({})
    prepared = prepare(read_inputs(data.modalities, options), None, None, options)
    for seed in map(int, given.seeds.split(",")):
        for devices in (1, given.devices):
            model = GLUE(prepared.modalities, prepared.graph, Recipe.for_cells(given.cells, seed))
            model.train(device="cpu", devices=devices, threads=1, reporter=Silent())
            pair = (np.asarray(model.get_latent_representation(name)) for name in model.modalities)
            row = {"seed": seed, "processes": devices, "foscttm": round(foscttm(*pair), 4)}
            print(json.dumps(row | {"steps": int(model.history["steps"].sum())}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scores", action="store_true")
    parser.add_argument("--divide", action="store_true", help="divide the cells of a step")
    parser.add_argument("--seeds", default="0")
    for name, default in (("cells", 3000), ("genes", 2000), ("peaks", 20_000), ("devices", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    given = parser.parse_args()
    if given.scores:
        scored(given)
        return
    sizes = {1: BATCH, given.devices: BATCH // given.devices if given.divide else BATCH}
    models = {n: model_of(given.cells, given.genes, given.peaks, size) for n, size in sizes.items()}
    runs: dict[int, list[dict[str, float]]] = {1: [], given.devices: []}
    for _ in range(given.repeats):
        for devices, found in runs.items():
            found.append(measured(models[devices], devices, given.epochs * devices))
    answer: dict[str, Any] = {"options": vars(given)}
    for devices, found in runs.items():
        answer[f"{devices} processes"] = {
            name: {"each": [each[name] for each in found], "median": median(each[name] for each in found)}
            for name in found[0]
        }
    one, many = (answer[f"{devices} processes"] for devices in runs)
    answer["times the speed"] = many["cells_a_second"]["median"] / one["cells_a_second"]["median"]
    share = one["cpu_seconds_a_step"]["median"] / many["cpu_seconds_a_step"]["median"]
    answer["times the speed by CPU time"] = share * given.devices
    answer["parameters"] = sum(parameter.numel() for parameter in models[1].network.parameters())
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
