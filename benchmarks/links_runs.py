"""What the studies of ``links.py`` look at: simulated data, runs over them, their links, and scglue's.

A run that is given is taken as it is; any other is made, with the command line as a user meets it, in the
working folder, where a later call finds it again. Links that are not given are inferred anew in each call.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.graph import GuidanceGraph, read_graph, write_graph
from omicsglue.io import read_json, write_parquet
from omicsglue.keys import SOURCE, TARGET
from omicsglue.runs import RunFolder
from omicsglue.tl import regulatory_links
from speed import say

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("omicsglue")
MODALITIES = ("rna", "atac")
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Data:
    """Simulated data."""

    preset: str
    seed: int
    regulation: float = 0.8  # the simulation's default; 0: genes do not follow their elements


@dataclass(frozen=True)
class Design:
    """How a run comes about."""

    data: str
    graph: str = "overlap"  # or "window", "half" of the edges, or the share of edges that are made random
    members: int = 1


DATA = {
    "10x-1": Data("10x", 1),
    "10x-5": Data("10x", 5),
    "snare-3": Data("snare", 3),
    "null-0": Data("10x", 0, 0.0),
    "null-6": Data("10x", 6, 0.0),
}
RUNS = {name: Design(name) for name in DATA} | {
    "half": Design("10x-1", "half"),
    "corrupted-50": Design("10x-1", "0.5"),
    "corrupted-90": Design("10x-1", "0.9"),
    "window": Design("10x-1", "window"),
    "ensemble": Design("10x-1", members=4),
}
SMALL = {"cells": 600, "genes": 400, "peaks": 6_000}
SMALL_RUNS = ("10x-1", "null-0", "half", "corrupted-50", "ensemble")
SMALL_MEMBERS = 2


@dataclass
class Bench:
    """Where data and runs are, and what has been inferred from them so far."""

    options: argparse.Namespace
    work: Path
    rival: Path | None
    known: dict[tuple[str, str], pd.DataFrame] = field(default_factory=dict)

    def runs(self, *names: str) -> list[str]:
        """Return the runs that are there or can be made; what is left out is said."""
        if self.options.small:
            names = tuple(name for name in names if name in SMALL_RUNS)
        there = [name for name in names if name in self.options.run or not self.options.no_train]
        for name in [name for name in names if name not in there]:
            say(f"{name} is left out: no --run {name}=DIR")
        return there

    def data(self, run: str) -> Path:
        """Return the folder of a run's data, simulated where it is not there."""
        name = RUNS[run].data
        folder: Path = self.options.data.get(name, self.work / "data" / name)
        if not (folder / "links.parquet").is_file():
            made = DATA[name]
            size = SMALL if self.options.small else {"cells": 3_000}
            say(f"simulate {name}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            called(
                "simulate",
                *(f"--{option}={value}" for option, value in size.items()),
                f"--preset={made.preset}",
                f"--regulation={made.regulation}",
                f"--seed={made.seed}",
                f"--out={folder}",
            )
        return folder

    def folder(self, run: str) -> RunFolder:
        """Return a finished run, made where it is not there."""
        if run in self.options.run:
            return RunFolder.open(self.options.run[run])
        place = self.work / "runs" / run
        if not (place / "integrated.h5mu").is_file():
            self._integrate(run, place)
        return RunFolder.open(place)

    def _integrate(self, run: str, place: Path) -> None:
        data, design = self.data(run), RUNS[run]
        place.parent.mkdir(parents=True, exist_ok=True)
        members = min(design.members, SMALL_MEMBERS) if self.options.small else design.members
        chosen = [f"--ensemble={members}", f"--threads={self.options.threads}"]
        if design.graph == "window":
            chosen.append("--window=150000")
        elif design.graph != "overlap":
            graph = place.with_name(f"{run}.graph.parquet")
            write_graph(self._damaged(run), graph)
            chosen.append(f"--graph={graph}")
        say(f"integrate {run}")
        files = [f"--modality={name}={data / name}.h5ad" for name in MODALITIES]
        called("integrate", *files, f"--annotation={data}/genes.gtf.gz", *chosen, f"--out={place}", "--quiet")

    def _damaged(self, run: str) -> GuidanceGraph:
        """Return the graph of the intact run with half of its edges, or with a share of them made random."""
        intact, rule = read_graph(self.folder(RUNS[run].data).graph), RUNS[run].graph
        if rule != "half":
            return intact.corrupt(float(rule), 0)
        edges = intact.to_frame()
        return GuidanceGraph.from_frame(
            edges[np.random.default_rng(0).random(len(edges)) < 0.5], list(intact.vertices)
        )

    def links(self, run: str, member: str = "") -> pd.DataFrame:
        """Return the links of a run, of all its members or of one, by the key of its embedding."""
        if (run, member) not in self.known:
            given = self.options.links.get(run) if not member else None
            self.known[run, member] = self._inferred(run, member) if given is None else pd.read_parquet(given)
        return self.known[run, member]

    def _inferred(self, run: str, member: str) -> pd.DataFrame:
        """Return the links, which are kept in the working folder too."""
        folder, name = self.folder(run), f"{run} {member}".strip()
        held = folder.modalities()
        say(f"links of {name}")
        table = regulatory_links(
            held["rna"],
            held["atac"],
            read_graph(folder.graph),
            embeddings=[member] if member else folder.members(),
            threads=self.options.threads,
        )
        place = self.work / "links" / f"{name.replace(' ', '-')}.parquet"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(place, table)
        return table

    def truth(self, run: str) -> pd.DataFrame:
        """Return the true links of a run's data."""
        return pd.read_parquet(self.data(run) / "links.parquet")

    def true(self, run: str) -> Bools:
        """Tell which candidate pairs are links."""
        return among(self.links(run), self.truth(run))

    def published(self, run: str) -> pd.DataFrame | None:
        """Return what scglue's inference makes of a run's own embeddings of features."""
        if self.rival is None:
            return None
        folder, place = self.folder(run), self.work / "published" / run
        place.mkdir(parents=True, exist_ok=True)
        for name in MODALITIES:
            stack = [folder.feature_embedding(name, key) for key in folder.members()]
            np.save(place / f"{name}.npy", np.stack(stack))
        return self._by_rival(run, place, "--embeddings", *(place / f"{name}.npy" for name in MODALITIES))

    def trained_by_scglue(self, run: str) -> tuple[pd.DataFrame, Any] | None:
        """Return the links of scglue's own training, given or made here, and what its stages took."""
        links = self._trained_by_scglue(run)
        if links is None:
            return None
        facts = self.options.scglue.get(run, self.work / "scglue" / run / "links.parquet").with_suffix(
            ".json"
        )
        return links, read_json(facts)["stages"] if facts.is_file() else {}

    def _trained_by_scglue(self, run: str) -> pd.DataFrame | None:
        if run in self.options.scglue:
            links = self.links(run)[[SOURCE, TARGET]]
            return links.merge(pd.read_parquet(self.options.scglue[run]), how="left", on=[SOURCE, TARGET])
        if self.rival is None or not self.options.train_scglue:
            return None
        place = self.work / "scglue" / run
        place.mkdir(parents=True, exist_ok=True)
        return self._by_rival(run, place, f"--max-seconds={self.options.train_scglue}")

    def _by_rival(self, run: str, place: Path, *options: Any) -> pd.DataFrame:
        pairs, out = place / "pairs.parquet", place / "links.parquet"
        write_parquet(pairs, self.links(run)[[SOURCE, TARGET]])
        say(f"scglue on {run}")
        files = [f"--data={self.data(run)}", f"--pairs={pairs}", f"--out={out}"]
        checked([self.rival, HERE / "links_rival.py", *files, f"--threads={self.options.threads}", *options])
        return pd.read_parquet(out)


def among(links: pd.DataFrame, pairs: pd.DataFrame) -> Bools:
    """Tell which links are among the pairs."""
    wanted = pd.MultiIndex.from_frame(pairs[[SOURCE, TARGET]])
    return np.asarray(pd.MultiIndex.from_frame(links[[SOURCE, TARGET]]).isin(wanted), dtype=np.bool_)


def called(command: str, *arguments: str) -> None:
    """Run one omicsglue command."""
    checked([COMMAND, command, *arguments])


def checked(command: list[Any]) -> str:
    """Run a command and return what it prints; a failure ends the benchmark."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[:2]))} failed:\n{done.stderr[-3000:]}")
    return done.stdout
