"""The training loop: one loop, two players, one pass a step.

A stage draws minibatches, takes steps, and closes an epoch with a validation pass and a row of history. Its whole
state can be written and read back, so that a resumed run equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from torch import Tensor

from omicsglue.data.batches import BatchLoader, Rows, Split, cell_batch, edge_batch, split_cells
from omicsglue.data.modality import ModalityData
from omicsglue.errors import TrainingError
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.nn.network import Network, Noise
from omicsglue.data.tensors import Batch
from omicsglue.objective import evaluate
from omicsglue.training.averaging import WeightAverage
from omicsglue.training.checkpoint import Checkpoint, flatten, optimizer_tensors, restore_optimizer, unflatten
from omicsglue.training.config import StageConfig
from omicsglue.training.progress import Reporter
from omicsglue.training.stopping import Plateau

Row = dict[str, float | int | str]
StepHook = Callable[["Stage"], None]
VALIDATION_BLOCK = 1024


@dataclass
class StageState:
    """Where a stage stands: plain counters, and the history and times of the run so far."""

    step: int = 0
    epoch: int = 0
    epoch_steps: int = 0
    seconds: float = 0.0
    finished: bool = False
    history: list[Row] = field(default_factory=list)
    elapsed: dict[str, float] = field(default_factory=dict)

    def next_stage(self) -> StageState:
        """Return the state in which the next stage begins: history and times go on, counters start again."""
        return StageState(history=list(self.history), elapsed=dict(self.elapsed))


@dataclass(frozen=True)
class StageData:
    """What a stage trains on."""

    modalities: Mapping[str, ModalityData]
    splits: Mapping[str, Split]
    graph: GuidanceGraph

    @classmethod
    def split(
        cls, modalities: Mapping[str, ModalityData], graph: GuidanceGraph, fraction: float, seed: int
    ) -> StageData:
        """Hold out validation cells; the same seed holds out the same cells."""
        rng = np.random.default_rng([seed, 1])
        splits = {name: split_cells(len(data), fraction, rng) for name, data in modalities.items()}
        return cls(modalities, splits, graph)

    def weighted(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> StageData:
        """Return the same data with other balancing weights."""
        modalities = {name: replace(data, weight=weights[name]) for name, data in self.modalities.items()}
        return replace(self, modalities=modalities)


class Stage:
    """One stage of training.

    Parameters
    ----------
    name, order
        The stage's name, and its position in the run.
    network
        What is trained; at the end it holds the averaged weights.
    data
        Cells, split, and the guidance graph.
    config
        Settings.
    seed
        Seed of everything random in this stage.
    fabric
        Device and precision.
    state
        Where to begin; by default at the start of a run.
    """

    def __init__(
        self,
        name: str,
        order: int,
        network: Network,
        data: StageData,
        config: StageConfig,
        seed: int,
        fabric: Fabric,
        state: StageState | None = None,
    ) -> None:
        self.name, self.order, self.config, self.fabric, self.data = name, order, config, fabric, data
        self.network = network.to(fabric.device)
        self.optimizer = make_optimizer(self.network, config)
        self.module, self.fabric_optimizer = fabric.setup(self.network, self.optimizer)
        self.average = WeightAverage(self.network, config.ema)
        self.rng = np.random.default_rng([seed, 2, order])
        self.generator = torch.Generator(fabric.device).manual_seed(seed * 1000 + order)
        sampler = EdgeSampler(data.graph, negatives=config.negatives)
        self.loader = BatchLoader(
            data.modalities,
            {name: split.train for name, split in data.splits.items()},
            sampler,
            batch_size=config.batch_size,
            positives=max(math.ceil(len(sampler) * config.graph_share), 1),
        )
        self.validation_edges = edge_batch(sampler, self.loader.positives, np.random.default_rng([seed, 3]))
        self.plateau = Plateau(config.plateau)
        self.state = state or StageState()
        self.sums: Tensor | None = None
        self.names: list[str] = []

    @property
    def epoch_length(self) -> int:
        """Steps in which the largest modality is passed over once."""
        cells = max(len(split.train) for split in self.data.splits.values())
        return max(math.ceil(cells / self.config.batch_size), 1)

    @property
    def epochs(self) -> int:
        """Epochs after which the stage ends at the latest."""
        wanted = math.ceil(self.config.max_steps / self.epoch_length)
        return min(wanted, self.config.max_epochs or wanted)

    def run(self, reporter: Reporter, on_step: StepHook) -> None:
        """Train to the end of the stage, from wherever it stands.

        Parameters
        ----------
        reporter
            Hears of every epoch.
        on_step
            Called between steps with the stage; saves checkpoints, and may raise to stop.

        Raises
        ------
        TrainingError
            If a loss is no longer finite.
        """
        reporter.stage(self.name, self.epochs, self.state.epoch)
        self.module.train()
        before = self.state.elapsed.get(self.name, 0.0)
        began = time.perf_counter()
        while not self.state.finished:
            self._step()
            if self.state.epoch_steps == self.epoch_length:
                self._close_epoch(reporter)
            self.state.elapsed[self.name] = before + time.perf_counter() - began
            on_step(self)
        self.average.swap()
        self.module.eval()

    def _step(self) -> None:
        began = time.perf_counter()
        rate = self._learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self.loader.draw(self.rng).to(self.fabric.device)
        out = self.module(batch, Noise(self.generator, self._noise_level()))
        breakdown = evaluate(out, batch, self.config.weights)
        self.fabric_optimizer.zero_grad()
        self.fabric.backward(breakdown.total)
        self.fabric_optimizer.step()
        self.average.update()
        values = breakdown.values()
        self.sums = values if self.sums is None else self.sums + values
        self.names = breakdown.names
        self.state.step += 1
        self.state.epoch_steps += 1
        self.state.seconds += time.perf_counter() - began

    def _learning_rate(self) -> float:
        config, step = self.config, self.state.step
        rate = config.learning_rate * self.plateau.rate
        total = self.epochs * self.epoch_length
        if config.decay > 0 and step > total * (1 - config.decay):
            rate *= max((total - step) / (total * config.decay), 0.01)
        return rate * min((step + 1) / config.warmup, 1) if config.warmup else rate

    def _noise_level(self) -> float:
        config = self.config
        if config.keep_noise or not config.burn_in:
            return config.burn_in_noise if config.keep_noise else 0.0
        return config.burn_in_noise * max(1 - self.state.step / config.burn_in, 0.0)

    def _close_epoch(self, reporter: Reporter) -> None:
        assert self.sums is not None
        state = self.state
        state.epoch += 1
        means = (self.sums / state.epoch_steps).tolist()
        row: Row = {"stage": self.name, "epoch": state.epoch, "steps": state.epoch_steps}
        row |= {"seconds": round(state.seconds, 4), "learning_rate": self._learning_rate()}
        row |= dict(zip(self.names, means, strict=True))
        self._check_finite(row)
        if all(len(split.validation) for split in self.data.splits.values()):
            row |= {f"val_{name}": value for name, value in self._validate().items()}
            self.plateau.update(float(row["val_vae_loss"]), state.step)
        state.history.append(row)
        state.epoch_steps, state.seconds, self.sums = 0, 0.0, None
        state.finished = state.epoch >= self.epochs or self.plateau.stop
        reporter.epoch(row)

    def _check_finite(self, row: Row) -> None:
        wrong = [name for name in self.names if not math.isfinite(float(row[name]))]
        if wrong:
            raise TrainingError(
                f"the loss is no longer a finite number ({', '.join(wrong)})",
                where=f"stage {self.name}, epoch {row['epoch']}",
                remedy="lower the learning rate, or look for extreme values in the data of the modality named",
            )

    @torch.no_grad()
    def _validate(self) -> dict[str, float]:
        """Return the losses of the averaged weights on held-out cells, without noise."""
        self.average.swap()
        self.module.eval()
        names: list[str] = []
        sums, total = None, 0
        for batch in self._validation_batches():
            breakdown = evaluate(self.module(batch.to(self.fabric.device), Noise()), batch, self.config.weights)
            cells = sum(len(c.library) for c in batch.cells.values())
            values = breakdown.values() * cells
            sums, total, names = (values if sums is None else sums + values), total + cells, breakdown.names
        self.module.train()
        self.average.swap()
        assert sums is not None
        return dict(zip(names, (sums / total).tolist(), strict=True))

    def _validation_batches(self) -> list[Batch]:
        """Return the held-out cells of all modalities in step, in as few batches as fit."""
        blocks = max(math.ceil(len(s.validation) / VALIDATION_BLOCK) for s in self.data.splits.values())
        parts: dict[str, list[Rows]] = {
            name: [rows for rows in np.array_split(s.validation, blocks)] for name, s in self.data.splits.items()
        }
        return [
            Batch(
                {name: cell_batch(self.data.modalities[name], rows[i]) for name, rows in parts.items()},
                self.validation_edges,
            )
            for i in range(blocks)
        ]

    def checkpoint(self) -> Checkpoint:
        """Return the whole state of the stage."""
        tensors = flatten("network", self.network.state_dict())
        tensors |= flatten("average", self.average.average)
        tensors |= flatten("optimizer", optimizer_tensors(self.optimizer))
        tensors |= flatten("order", {k: torch.from_numpy(v) for k, v in self.loader.state().items()})
        tensors |= flatten("weight", {k: torch.from_numpy(v.weight) for k, v in self.data.modalities.items()})
        tensors["generator"] = self.generator.get_state()
        if self.sums is not None:
            tensors["sums"] = self.sums
        state: dict[str, Any] = {
            "counters": {key: value for key, value in vars(self.state).items()},
            "names": self.names,
            "rng": self.rng.bit_generator.state,
            "plateau": self.plateau.state(),
            "average_steps": self.average.steps,
        }
        return Checkpoint(self.order, self.name, self.state.step, tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of this stage; a finished one leaves the averaged weights in the network."""
        tensors, state = checkpoint.tensors, checkpoint.state
        self.network.load_state_dict(unflatten("network", tensors))
        for name, value in unflatten("average", tensors).items():
            self.average.average[name].copy_(value)
        self.average.steps = state["average_steps"]
        restore_optimizer(self.optimizer, unflatten("optimizer", tensors))
        self.loader.restore({k: v.numpy() for k, v in unflatten("order", tensors).items()})
        self.generator.set_state(tensors["generator"])
        self.sums = tensors.get("sums")
        if self.sums is not None:
            self.sums = self.sums.to(self.fabric.device)
        self.names = list(state["names"])
        self.rng.bit_generator.state = state["rng"]
        self.plateau.restore(state["plateau"])
        self.state = StageState(**state["counters"])


def resume_weights(checkpoint: Checkpoint) -> dict[str, npt.NDArray[np.float32]]:
    """Return the balancing weights with which the stage of a checkpoint was training."""
    return {name: value.numpy() for name, value in unflatten("weight", checkpoint.tensors).items()}


def make_optimizer(network: Network, config: StageConfig) -> torch.optim.Optimizer:
    """Return RMSprop over both players' parameters; the reversed gradient makes one optimiser serve both."""
    return torch.optim.RMSprop(network.parameters(), lr=config.learning_rate, foreach=True)
