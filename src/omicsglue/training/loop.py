"""The training loop: one loop, two players, one pass a step.

A stage draws minibatches, takes steps, and closes an epoch with a validation pass and a row of history. Its
whole state can be written and read back, so that a resumed run equals an uninterrupted one bit for bit.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from omicsglue.data.batches import BatchLoader, Rows, batch_of, blocks_in_step, edge_batch
from omicsglue.data.tensors import Batch
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.nn.compute import Compute, computing
from omicsglue.nn.network import Conduct
from omicsglue.nn.pairs import Paired
from omicsglue.nn.randomness import Randomness
from omicsglue.objective import evaluate
from omicsglue.training.averaging import WeightAverage
from omicsglue.training.checkpoint import (
    Checkpoint,
    flatten,
    optimizer_tensors,
    restore_optimizer,
    unflatten,
)
from omicsglue.training.config import StageConfig
from omicsglue.training.direct import DirectStep, serves
from omicsglue.training.optimiser import CompiledStep, make_optimizer
from omicsglue.training.progress import Reporter
from omicsglue.training.rate import Pace
from omicsglue.training.recovery import FACTOR, NotFiniteError, Recovery, place, with_good_state
from omicsglue.training.shares import Seeds, collected, part_of, share_of_cells
from omicsglue.training.state import Engine, Row, StageData, StageState
from omicsglue.training.stopping import Plateau

StepHook = Callable[["Stage"], None]
VALIDATION_BLOCK = 1024
FINITE_EVERY = 100  # steps between looks at the losses, each of which waits for the device


class _Ahead(NamedTuple):
    """A batch that is drawn ahead, and where the stage stood before it."""

    take: Callable[[], Batch]
    order: Mapping[str, Rows]
    rng: Mapping[str, Any]


@runtime_checkable
class Asked(Protocol):
    """What is called between steps and does the same in all processes that train together."""

    def answers(self) -> tuple[bool, ...]:
        """Return what is to be agreed upon."""


class Stage:
    """One stage of training.

    Parameters
    ----------
    name, order
        The stage's name, and its position in the run.
    engine
        The network that is trained, on its device; at the end it holds the averaged weights.
    data
        Cells, split, and the guidance graph.
    config
        Settings.
    seed
        Seed of everything random in this stage.
    state
        Where to begin; by default at the start of a run.
    """

    def __init__(
        self,
        name: str,
        order: int,
        engine: Engine,
        data: StageData,
        config: StageConfig,
        seed: int,
        state: StageState | None = None,
    ) -> None:
        self.name, self.order, self.config, self.data = name, order, config, data
        self.fabric, self.network, self.module = engine.fabric, engine.network, engine.module
        self.engine, self.team = engine, engine.team
        self.optimizer = make_optimizer(self.network, config)
        self._take_step = cast(Any, self.fabric.setup_optimizers(self.optimizer)).step
        self.average = WeightAverage(self.network, config.ema)
        self.seeds = Seeds.of(engine, seed, order)
        self.rng, self.generator = self.seeds.rng, self.seeds.generator
        self.compute: Compute | None = None
        self.compiled_step: CompiledStep | None = None
        self.direct: DirectStep | None = None
        self.ahead: _Ahead | None = None
        sampler = EdgeSampler(data.graph, negatives=config.negatives)
        rows, size = share_of_cells(engine, data, config.batch_size)
        self.loader = BatchLoader(
            data.modalities,
            rows,
            sampler,
            batch_size=size,
            positives=min(math.ceil(len(sampler) * config.graph_share), config.most_positives),
            pairing=data.pairing,
        )
        self.validation_edges = edge_batch(sampler, self.loader.positives, np.random.default_rng([seed, 3]))
        self.plateau = Plateau(config.plateau)
        self.state = state or StageState()
        self.recovery = Recovery()
        self.pulse: Callable[[], object] = bool  # called while a pass is long: tells the reporter
        self.stopping: Callable[[], bool] = bool  # whether the run is asked to stop: not by default
        self.sums: Tensor | None = None
        self.names: list[str] = []

    @property
    def epoch_length(self) -> int:
        """Steps in which the largest modality is passed over once, or fewer where that is long."""
        cells = max(len(split.train) for split in self.data.splits.values())
        return self.config.epoch_length(cells, self.engine.number)

    @property
    def epochs(self) -> int:
        """Epochs after which the stage ends at the latest."""
        return self.config.epochs(self.epoch_length)

    @property
    def most_steps(self) -> int:
        """Steps after which it ends at the latest."""
        return self.epochs * self.epoch_length

    def run(self, reporter: Reporter, on_step: StepHook) -> None:
        """Train to the end of the stage, from wherever it stands.

        Parameters
        ----------
        reporter
            Hears of every epoch.
        on_step
            Called between steps with the stage; saves checkpoints, and may raise to stop. Where it has a
            function ``stopping`` that returns true, a validation is left for later.

        Raises
        ------
        TrainingError
            If a loss is no longer finite, also after going back.

        Warns
        -----
        OmicsGlueWarning
            If training went back to a good state.
        """
        reporter.stage(self.name, self.epochs, self.state.epoch)
        self.stopping = getattr(on_step, "stopping", bool) if self.team is None else bool
        if self.team is not None and isinstance(on_step, Asked):
            self.team.question = on_step.answers
        self.module.train()
        with computing(self.fabric.device, compiled=self.config.compiled) as self.compute:
            if self.compute is not None:
                self.compiled_step = CompiledStep(self.optimizer, self.average, self.compute)
                if self.team is None and serves(self.network, self.config.weights):
                    self.direct = DirectStep(self.network, self.config.weights, self.compute)
            self._run(reporter, on_step)
        self.average.swap()
        self.module.eval()
        reporter.done(self.name, self.state.elapsed.get(self.name, 0.0))

    def _run(self, reporter: Reporter, on_step: StepHook) -> None:
        before = self.state.elapsed.get(self.name, 0.0)
        began = time.perf_counter()
        pace = Pace.of(self)
        self.pulse = partial(pace.tick, self, reporter)
        self.recovery.begin(self)
        while not self.state.finished:
            try:
                if self.state.epoch_steps < self.epoch_length:
                    self._step()
                if self.state.epoch_steps == self.epoch_length and not self.stopping():
                    self._close_epoch(reporter, pace)
            except NotFiniteError as trouble:
                self.recovery.go_back(self, trouble)
            self.state.elapsed[self.name] = before + time.perf_counter() - began
            self.pulse()
            on_step(self)

    def _step(self) -> None:
        """Take one step; nothing in it waits for the device but a look at the losses now and then."""
        began = time.perf_counter()
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        batch = self._draw().to(self.fabric.device)
        if self.direct is not None and self.direct.serves(batch):
            random = Randomness(self.generator, self.compute)
            values = self.direct.gradients(batch, random, self.noise_level(), self._draw_ahead)
            self.names = self.direct.names
        else:
            values, self.names = self._by_autograd(batch)
        self._update()
        self.sums = values if self.sums is None else self.sums + values
        self.state.step += 1
        self.state.epoch_steps += 1
        if self.state.epoch_steps % FINITE_EVERY == 0:
            self._check_finite(self.means())
            self.recovery.look(self)
        self.state.seconds += time.perf_counter() - began

    def _by_autograd(self, batch: Batch) -> tuple[Tensor, list[str]]:
        """Form the gradients of a minibatch; return the recorded values and their names."""
        label = self.config.label_weight(self.state.step, self.most_steps)
        weights = replace(self.config.weights, label=label)
        out = self.module(batch, self._conduct(), weights.align)
        breakdown = evaluate(out, batch, weights)
        self.optimizer.zero_grad()
        self._draw_ahead()
        self.fabric.backward(breakdown.total)
        values = breakdown.values()
        if self.team is not None:
            values = self.team.average(list(self.network.parameters()), values)
        return values, breakdown.names

    def _draw(self) -> Batch:
        ahead, self.ahead = self.ahead, None
        return ahead.take() if ahead is not None else self.loader.draw(self.rng)

    def _draw_ahead(self) -> None:
        """Have the next batch drawn while the gradients of this one are computed."""
        if self.compute is not None:
            position = self.loader.state(), self.rng.bit_generator.state
            self.ahead = _Ahead(self.compute.later(lambda: self.loader.draw(self.rng)), *position)

    def _update(self) -> None:
        if self.compiled_step is not None:
            self.compiled_step.take()
        else:
            self._take_step()
            self.average.update()

    def _conduct(self) -> Conduct:
        random = Randomness(self.generator, self.compute)
        if self.team is None:
            return Conduct(random, self.noise_level(), self.compute, self._paired())
        shared = Randomness(self.seeds.shared, self.compute)
        return Conduct(random, self.noise_level(), self.compute, self._paired(), self.team.ranks, shared)

    def _paired(self) -> Paired:
        weights = self.config.weights
        return Paired(joint=weights.joint > 0, cross=weights.cross > 0)

    def learning_rate(self, step: int | None = None) -> float:
        """Return the step size of a step, by default the next: warm-up, cuts, and decay at the end."""
        config, step = self.config, self.state.step if step is None else step
        rate = config.learning_rate * self.plateau.rate * FACTOR**self.state.rollbacks
        total = self.most_steps
        if config.decay > 0 and step > total * (1 - config.decay):
            rate *= max((total - step) / (total * config.decay), 0.01)
        return rate * min((step + 1) / config.warmup, 1) if config.warmup else rate

    def noise_level(self) -> float:
        """Return the noise on the discriminator's input in the next step, in units of the spread of u."""
        config = self.config
        if config.keep_noise:
            return config.burn_in_noise
        if not config.burn_in:
            return 0.0
        return config.burn_in_noise * max(1 - self.state.step / config.burn_in, 0.0)

    def means(self) -> dict[str, float]:
        """Return the losses averaged over the steps of the epoch so far; none where it has just begun."""
        if self.sums is None:
            return {}
        return dict(zip(self.names, (self.sums / self.state.epoch_steps).tolist(), strict=True))

    def _close_epoch(self, reporter: Reporter, pace: Pace) -> None:
        """Validate where that is due, and close the epoch; a validation that is left off leaves it open."""
        state = self.state
        began = time.perf_counter()
        means = self.means()  # waits for the device, so that the time of the steps is theirs
        seconds = state.seconds + time.perf_counter() - began
        epoch = state.epoch + 1
        row: Row = {"stage": self.name, "epoch": epoch, "steps": state.epoch_steps}
        row |= {"seconds": round(seconds, 4), "learning_rate": self.learning_rate(state.step - 1)}
        self._check_finite(means)
        row |= means
        if self._validation_is_due(epoch):
            validated = self._validate()
            if validated is None:
                return
            losses = {f"val_{name}": value for name, value in validated.items()}
            self._check_finite(losses)
            row |= losses
            state.validated = state.step
            self.plateau.update(losses["val_vae_loss"], state.step)
        state.history.append(row)
        state.epoch, state.epoch_steps, state.seconds, self.sums = epoch, 0, 0.0, None
        state.finished = state.epoch >= self.epochs or self.plateau.stop
        reporter.epoch({**row, **pace.measured(state.step)})
        self.recovery.look(self)

    def _validation_is_due(self, epoch: int) -> bool:
        """Whether to validate at the end of this epoch: of short epochs only some, but always the last."""
        if not self.data.has_validation:
            return False
        steps = self.state.step - self.state.validated
        return epoch >= self.epochs or steps >= self.config.validate_every

    def _check_finite(self, losses: Mapping[str, float]) -> None:
        wrong = [name for name, value in losses.items() if not math.isfinite(value)]
        if wrong:
            raise NotFiniteError(wrong, place(self))

    @torch.no_grad()
    def _validate(self) -> dict[str, float] | None:
        """Return the losses of the averaged weights on held-out cells, without noise.

        ``None`` where the run is asked to stop before all is done.
        """
        self.average.swap()
        self.module.eval()
        names: list[str] = self.names
        sums, total = None, 0
        for drawn in self._validation_batches():
            if self.stopping():
                break
            self.pulse()
            batch = drawn.to(self.fabric.device)
            breakdown = evaluate(
                self.module(batch, Conduct(compute=self.compute, paired=self._paired())),
                batch,
                self.config.weights,
            )
            cells = sum(len(c.library) for c in batch.cells.values())
            values = breakdown.values() * cells
            sums = values if sums is None else sums + values
            total, names = total + cells, breakdown.names
        self.module.train()
        self.average.swap()
        if self.team is not None:
            sums, total = self.team.added(sums, total, len(names))
        if sums is None or self.stopping():
            return None
        return dict(zip(names, (sums / total).tolist(), strict=True))

    def _validation_batches(self) -> Iterator[Batch]:
        """Yield the held-out cells of all modalities in step, in as few batches as fit."""
        held = {name: split.validation for name, split in self.data.splits.items()}
        pairing = self.data.pairing
        blocks = blocks_in_step(held, VALIDATION_BLOCK, pairing)
        for rows in itertools.islice(blocks, self.engine.rank, None, self.engine.number):
            yield batch_of(self.data.modalities, rows, self.validation_edges, pairing)

    def checkpoint(self) -> Checkpoint:
        """Return the whole state of the stage, with the latest good state where that is another.

        Of processes that train together, the first one's holds the place of each in the data.
        """
        now = self.snapshot()
        states = [now, self.recovery.beside(now)]
        if self.team is not None:
            states = [each and collected(self.team, each) for each in states]
        whole, good = states
        assert whole is not None
        return with_good_state(whole, good)

    def snapshot(self) -> Checkpoint:
        """Return the state of the stage as it is; of processes that train together, this one's."""
        order, rng = self.loader.state(), self.rng.bit_generator.state
        if self.ahead is not None:
            order, rng = dict(self.ahead.order), dict(self.ahead.rng)
        tensors = flatten("network", self.network.state_dict())
        tensors |= flatten("average", self.average.average)
        tensors |= flatten("optimizer", optimizer_tensors(self.optimizer))
        tensors |= flatten("order", {k: torch.from_numpy(v) for k, v in order.items()})
        tensors |= flatten("weight", {k: torch.from_numpy(v.weight) for k, v in self.data.modalities.items()})
        tensors["generator"] = self.generator.get_state()
        if self.sums is not None:
            tensors["sums"] = self.sums
        state: dict[str, Any] = {
            "counters": dict(vars(self.state)),
            "names": self.names,
            "rng": rng,
            "plateau": self.plateau.state(),
            "average_steps": self.average.steps,
        }
        if self.team is not None:
            tensors["shared"] = self.seeds.shared.get_state()
        return Checkpoint(self.order, self.name, self.state.step, tensors, state)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of this stage."""
        self.recovery.restore(checkpoint, partial(part_of, engine=self.engine))
        self.put_back(part_of(checkpoint, self.engine))

    def put_back(self, checkpoint: Checkpoint) -> None:
        """Put the stage into a state in which it was; the tensors given become part of it."""
        if self.ahead is not None:
            self.ahead.take()  # which may be at work, and draws from what is set below
            self.ahead = None
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
        if self.team is not None:
            self.seeds.shared.set_state(tensors["shared"])
        self.rng.bit_generator.state = state["rng"]
        self.plateau.restore(state["plateau"])
        counters = {**state["counters"], "history": list(state["counters"]["history"])}
        self.state = StageState(**counters)
        if self.compute is not None:  # its step works on the optimiser's tensors, which are others now
            self.compiled_step = CompiledStep(self.optimizer, self.average, self.compute)


def resumed(data: StageData, checkpoint: Checkpoint) -> StageData:
    """Return the data with the balancing weights with which the stage of a checkpoint was training."""
    return data.weighted(
        {name: value.numpy() for name, value in unflatten("weight", checkpoint.tensors).items()}
    )
