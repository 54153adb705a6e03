"""Worker of ``speed.py`` that runs scglue 0.4.1, in an environment of its own.

It is given the very data of the other worker: counts of the modelled features, the representation that the
encoder sees, and the guidance graph, with both directions of every edge and a self-loop of weight 1 on every
vertex, which is what scglue builds itself. So scglue's own building of graphs, and bedtools with it, is not
needed. Training is its own ``fit`` with its defaults, one stage; hooks on its engine count and time its steps
(not its epochs, which pass over the cells of all modalities). The process of its own that scglue starts to
draw edges ahead works on while a step is timed, as it does for its users; its memory is not counted.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import networkx as nx
import numpy as np
import scglue
import torch
from ignite.engine import Engine, Events
from scglue.models import SCGLUEModel, configure_dataset
from scglue.models.base import TrainingPlugin

from speed_worker import Answer, Blocks, Ended, Port, peak_memory, versions

FIRST_RECORD = 10.0  # seconds of training before the first record of quality
GROWTH = 1.25  # factor from one record's time to the next
SETTLE_SECONDS = 60.0  # that are waited at most for the process that shuffles edges


class Plugin(TrainingPlugin):
    """Hooks on scglue's training engine.

    Parameters
    ----------
    on_start
        Called when the training begins.
    on_step
        Called with the engine after every step.
    """

    def __init__(self, on_start: Callable[[], None], on_step: Callable[[Engine], None]) -> None:
        super().__init__()
        self.on_start, self.on_step = on_start, on_step
        self.loader: Any = None
        self.validation: Engine | None = None
        self.epoch_length = self.budget_steps = 0

    def attach(self, **parts: Any) -> None:
        """Attach the hooks; scglue calls this when its own are in place."""
        self.loader, self.validation = parts["train_loader"], parts["val_engine"]
        self.epoch_length = len(self.loader.data_loaders[0])  # the cells'; that of the edges is begun anew
        parts["train_engine"].add_event_handler(Events.STARTED, self._start)
        parts["train_engine"].add_event_handler(Events.ITERATION_COMPLETED, self.on_step)

    def _start(self, engine: Engine) -> None:
        self.budget_steps = engine.state.max_epochs * self.epoch_length
        self.on_start()

    def settle(self) -> None:
        """Wait until the process that shuffles edges ahead has nothing left to do."""
        limit = time.monotonic() + SETTLE_SECONDS
        for loader in self.loader.data_loaders:
            ahead = loader.dataset.propose_queue
            while ahead is not None and ahead.empty() and time.monotonic() < limit:
                time.sleep(0.05)


class Rival:
    """One data set in memory, and what can be done with it."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.data: dict[str, ad.AnnData] = {}
        self.graph = nx.MultiDiGraph()

    def load(self, folder: str) -> Answer:
        """Read prepared data."""
        place = Path(folder)
        keys = json.loads((place / "representations.json").read_text(encoding="utf-8"))
        for name, key in keys.items():
            self.data[name] = ad.read_h5ad(place / f"{name}.h5ad")
            configure_dataset(self.data[name], "NB", use_highly_variable=False, use_rep=key)
        self.graph = read_graph(place / "graph.npz")
        return {
            "versions": versions("scglue", "torch", "numpy", "scipy", "anndata", "scanpy", "pytorch-ignite")
        }

    def train(self, warmup: int, seed: int, directory: str) -> Answer:
        """Take timed steps in blocks, until told to end."""
        blocks = Blocks(self.port, warmup, settle=lambda: plugin.settle())

        def step(engine: Engine) -> None:
            first = engine.state.iteration % plugin.epoch_length == 1  # validation comes before it
            blocks.step(counted=not first)

        plugin = Plugin(lambda: blocks.facts.update(budget_steps=plugin.budget_steps), step)
        try:
            self._fit(seed, plugin, directory)
        except Ended:
            return {}
        raise RuntimeError("the training ended before the last block of steps")

    def curve(self, seconds: float, wall_seconds: float, seed: int, directory: str, out: str) -> Answer:
        """Train to the end or for so long, recording by the way; the clock stands still meanwhile.

        Parameters
        ----------
        seconds, wall_seconds
            Limits of the training's own time, and of the time including the records.
        seed
            Seed.
        directory
            Where scglue may write.
        out
            Where the recorded embeddings go; the driver has them scored.
        """
        began = time.perf_counter()
        recorder = Recorder(Path(out), self._embed, seconds, began + wall_seconds)
        plugin = Plugin(recorder.start, lambda engine: recorder.step(engine, plugin.validation))
        self._fit(seed, plugin, directory, recorder)
        recorder.finish()
        return {
            "points": recorder.points,
            "converged": not recorder.stopped,
            "seconds": recorder.elapsed,
            "steps": recorder.steps,
            "budget_steps": plugin.budget_steps,
            "peak_bytes": peak_memory(),
        }

    def _fit(self, seed: int, plugin: Plugin, directory: str, recorder: Recorder | None = None) -> None:
        model = SCGLUEModel(self.data, sorted(self.graph.nodes), random_seed=seed)
        model.compile()
        if recorder is not None:
            recorder.model = model
        model.trainer.fit = functools.partial(model.trainer.fit, plugins=[plugin])
        model.fit(self.data, self.graph, directory=directory)

    def _embed(self, model: SCGLUEModel, file: Path) -> None:
        np.savez(file, **{name: model.encode_data(name, adata) for name, adata in self.data.items()})


class Recorder:
    """Records embeddings and validation loss at times that grow by a factor, with the clock stopped."""

    def __init__(
        self, out: Path, embed: Callable[[SCGLUEModel, Path], None], seconds: float, wall_end: float
    ) -> None:
        self.out, self.embed, self.seconds, self.wall_end = out, embed, seconds, wall_end
        self.model: SCGLUEModel | None = None
        self.points: list[Answer] = []
        self.began = self.held = 0.0
        self.due = min(FIRST_RECORD, seconds / 4)
        self.stopped = False
        self.steps = self.epoch = 0
        self.elapsed = 0.0
        self.val_loss: float | None = None
        out.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def step(self, engine: Engine, validation: Engine | None) -> None:
        """Record where it is due, and stop the training when its time is over."""
        self.steps, self.epoch = engine.state.iteration, engine.state.epoch
        self.elapsed = time.perf_counter() - self.began - self.held
        self._note_loss(validation)
        over = self.elapsed >= self.seconds or time.perf_counter() >= self.wall_end
        if over or self.elapsed >= self.due:
            self._record()
            while self.due <= self.elapsed:
                self.due *= GROWTH
        if over:
            self.stopped = True
            engine.terminate()

    def finish(self) -> None:
        """Record the network that scglue leaves when it stops by itself: that of its best epoch."""
        if not self.stopped:
            self.elapsed = time.perf_counter() - self.began - self.held
            self._record()

    def _note_loss(self, validation: Engine | None) -> None:
        """Keep the loss of the last whole validation pass; there is none in the first epoch."""
        if validation is not None and validation.state is not None:
            loss = validation.state.metrics.get("vae_loss")
            self.val_loss = None if loss is None else float(loss)

    def _record(self) -> None:
        assert self.model is not None
        paused = time.perf_counter()
        file = self.out / f"{len(self.points):03d}.npz"
        self.embed(self.model, file)
        self.points.append(
            {
                "seconds": self.elapsed,
                "steps": self.steps,
                "epoch": self.epoch,
                "val_loss": self.val_loss,
                "file": str(file),
            }
        )
        self.held += time.perf_counter() - paused


def read_graph(file: Path) -> nx.MultiDiGraph:
    """Return the guidance graph in scglue's form."""
    graph = nx.MultiDiGraph()
    with np.load(file) as stored:
        names = stored["vertices"].tolist()
        edges = [stored[key].tolist() for key in ("source", "target", "weight", "sign")]
    for source, target, weight, sign in zip(*edges, strict=True):
        graph.add_edge(names[source], names[target], weight=weight, sign=sign)
        graph.add_edge(names[target], names[source], weight=weight, sign=sign)
    for name in names:
        graph.add_edge(name, name, weight=1.0, sign=1)
    return graph


def main() -> None:
    """Answer commands; the argument is the number of threads."""
    port = Port()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    scglue.config.CPU_ONLY = True
    rival = Rival(port)
    port.serve({name: getattr(rival, name) for name in ("load", "train", "curve")})


if __name__ == "__main__":
    main()
