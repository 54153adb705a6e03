"""The recipe: pretrain, balance, train.

Source: Cao & Gao 2022, with another first stage: pretraining does not align, so that modalities of different
composition are tied by the guidance graph alone. Cells are weighted by what it finds. Where composition
differs, training goes on from the pretrained weights; where it does not, it starts afresh and aligns from
the first step (``docs/decisions/0013-pretraining-without-alignment.md``). The members of an ensemble share
all but the second stage.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from omicsglue.balancing import BalancingConfig, balancing_weights, composition_differs
from omicsglue.data.batches import passes
from omicsglue.data.digest import update_digest
from omicsglue.data.encoder_input import EncoderInput
from omicsglue.data.modality import ModalityData, dense_rows
from omicsglue.data.pairing import Pairing
from omicsglue.errors import OptionError
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.matching import linked_profiles
from omicsglue.nn.network import Network, NetworkConfig
from omicsglue.objective import ObjectiveWeights
from omicsglue.training.checkpoint import (
    Checkpoint,
    checkpoint_to_follow,
    flatten,
    save_checkpoint,
    unflatten,
)
from omicsglue.training.config import StageConfig
from omicsglue.training.curation import on_metacells, with_supported_labels
from omicsglue.training.device import threads_limited
from omicsglue.training.loop import Stage, StepHook, resumed
from omicsglue.training.progress import Reporter
from omicsglue.training.state import Engine, Row, StageData, StageState

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from omicsglue.training.team import Team

Floats = npt.NDArray[np.float32]
PRETRAIN, BALANCE, TRAIN = "pretrain", "balance", "train"
EMBEDDING_BLOCK = 4096
ENOUGH_CELLS = 3000  # from here on the default number of steps
FEWEST_STEPS = 0.25  # share of it that even the smallest data get


@dataclass(frozen=True)
class Recipe:
    """Settings of a whole run.

    Attributes
    ----------
    network
        Shape of the network.
    pretrain, train
        Settings of the two stages. By default the first does not align modalities, which would mix what is
        of different composition before there are weights.
    balancing
        Settings of the step between them; ``None`` leaves out pretraining and balancing.
    validation
        Share of the cells held out from both stages, for early stopping; at most 8,192 of a modality.
    seed
        Seed of everything random.
    member
        Number of the member of an ensemble that is trained; the second stage takes ``seed + member``.
    label_neighbours
        Neighbours that must support a cell's label; 0 trusts all labels. See
        :func:`~omicsglue.data.labels.supported_labels`.
    metacells
        Metacells of each modality, at most, on which the first stage trains; 0 for cells.

    Raises
    ------
    OptionError
        If a number is out of its range.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    pretrain: StageConfig = field(
        default_factory=lambda: StageConfig(
            max_steps=2000,
            keep_noise=True,
            decay=0,
            weights=ObjectiveWeights(kl=1, align=0, discrepancy=0),
        )
    )
    train: StageConfig = field(default_factory=StageConfig)
    balancing: BalancingConfig | None = field(default_factory=BalancingConfig)
    validation: float = 0.1
    seed: int = 0
    member: int = 0
    label_neighbours: int = 20
    metacells: int = 0

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not 0 <= self.seed < 2**32:
            raise OptionError(
                f"seed is {self.seed}",
                where="Recipe",
                remedy="give a whole number of at least 0 and below 2^32",
            )
        if self.member < 0:
            raise OptionError(
                f"member is {self.member}", where="Recipe", remedy="give a whole number of at least 0"
            )
        if self.metacells < 0:
            raise OptionError(
                f"metacells is {self.metacells}", where="Recipe", remedy="give a number, or 0 for none"
            )
        if not 0 <= self.validation < 1:
            raise OptionError(
                f"validation is {self.validation}",
                where="Recipe",
                remedy="give a share of at least 0 and below 1",
            )

    @classmethod
    def for_cells(cls, cells: int, seed: int = 0) -> Recipe:
        """Return the default recipe with the steps that a number of cells needs.

        Steps grow with the cells to the power 3/4 up to 3,000 cells, where they reach the default, and never
        fall under a quarter of it.

        Parameters
        ----------
        cells
            Cells of the largest modality.
        seed
            Seed of everything random.
        """
        recipe = cls(seed=seed)
        share = float(np.clip((cells / ENOUGH_CELLS) ** 0.75, FEWEST_STEPS, 1))
        return replace(recipe, pretrain=recipe.pretrain.shortened(share), train=recipe.train.shortened(share))

    @property
    def batch_size(self) -> int:
        """Cells of each modality in a step, in the stage that takes more."""
        return max(self.pretrain.batch_size, self.train.batch_size)

    def limited(self, max_epochs: int | None) -> Recipe:
        """Return the recipe with at most so many epochs in each stage; ``None`` leaves it as it is.

        Raises
        ------
        OptionError
            If the number is under 1.
        """
        return self if max_epochs is None else self._in_both(lambda stage: {"max_epochs": max_epochs})

    def batched(self, batch_size: int | None) -> Recipe:
        """Return the recipe with so many cells of each modality in a step; ``None`` leaves it as it is.

        Raises
        ------
        OptionError
            If the number is under 2.
        """
        return self if batch_size is None else self._in_both(lambda stage: {"batch_size": batch_size})

    def weighted(self, **weights: Any) -> Recipe:
        """Return the recipe with other weights of the objective in both stages, by their names."""
        return self._in_both(lambda stage: {"weights": replace(stage.weights, **weights)})

    def _in_both(self, changes: Callable[[StageConfig], dict[str, Any]]) -> Recipe:
        """Return the recipe with other settings of each stage."""
        pretrain, train = (replace(stage, **changes(stage)) for stage in (self.pretrain, self.train))
        return replace(self, pretrain=pretrain, train=train)


@dataclass(frozen=True)
class Outcome:
    """What a recipe leaves besides the trained network.

    Attributes
    ----------
    history
        One row an epoch and stage.
    weights
        Balancing weights of each modality, shape ``(n,)``.
    seconds
        Time of each stage, validation included; of a resumed run, the time before the interruption too.
    """

    history: list[Row]
    weights: dict[str, Floats]
    seconds: dict[str, float]


class PretrainedStore:
    """Where pretrained weights and balancing weights are kept for all members of an ensemble.

    Parameters
    ----------
    folder
        Folder for a file, which outlives the process; in memory by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._held: Checkpoint | None = None

    def load(self) -> Checkpoint | None:
        """Return what is kept; ``None`` where there is nothing, or a damaged file (with a warning)."""
        return checkpoint_to_follow(self.folder, run="", resume=True) if self.folder else self._held

    def keep(self, network: Network, data: StageData, state: StageState) -> None:
        """Keep a copy of what the second stage begins with.

        Raises
        ------
        RunFolderError
            If the disk is full or the folder cannot be written.
        """
        weights = {name: torch.from_numpy(cells.weight) for name, cells in data.modalities.items()}
        tensors = flatten("network", network.state_dict()) | flatten("weight", weights)
        copies = {name: value.detach().cpu().clone() for name, value in tensors.items()}
        start = Checkpoint(0, BALANCE, 0, copies, asdict(state))
        if self.folder is not None:
            save_checkpoint(self.folder, start)
        else:
            self._held = start


def follow(
    network: Network,
    modalities: Mapping[str, ModalityData],
    graph: GuidanceGraph,
    recipe: Recipe,
    fabric: Fabric,
    reporter: Reporter,
    *,
    on_step: StepHook,
    resume: Checkpoint | None = None,
    pretrained: PretrainedStore | None = None,
    pairing: Pairing | None = None,
    team: Team | None = None,
) -> Outcome:
    """Train a network by the recipe, from the start or from a checkpoint.

    Parameters
    ----------
    network
        Freshly initialised network; trained in place.
    modalities, graph, recipe
        The data and settings.
    fabric
        Device and precision.
    reporter
        Hears of the progress.
    on_step
        Called between steps with the stage at work.
    resume
        Checkpoint from which to go on.
    pretrained
        If it holds pretrained weights, the second stage begins with them; otherwise those of this run are
        put there.
    pairing
        Joint cells, if training is to use them.
    team
        Processes that train together, each with the same network; those after the first are given the data.

    Raises
    ------
    TrainingError
        If a loss is no longer finite.
    Interrupted
        If ``on_step`` says so.
    """
    engine = Engine.start(fabric, network, team)
    modalities = engine.first(partial(with_supported_labels, modalities, recipe.label_neighbours, reporter))
    data = StageData.split(modalities, graph, recipe.validation, recipe.seed, pairing)
    state = StageState()
    if resume is not None and resume.stage == TRAIN:
        data = resumed(data, resume)
    else:
        data, state = _begin(engine, data, recipe, reporter, on_step, resume, pretrained)
        resume = None
    train = Stage(TRAIN, 1, engine, data, recipe.train, recipe.seed + recipe.member, state)
    if resume is not None:
        train.restore(resume)
    train.run(reporter, on_step)
    weights = {name: cells.weight for name, cells in data.modalities.items()}
    return Outcome(train.state.history, weights, train.state.elapsed)


def run_digest(
    modalities: Mapping[str, ModalityData],
    graph: GuidanceGraph,
    recipe: Recipe,
    device: str,
    pairing: Pairing | None = None,
) -> str:
    """Return a digest of all that decides the course of a run, by which its checkpoints are known again.

    Parameters
    ----------
    modalities, graph, recipe, pairing
        As for :func:`follow`.
    device
        Kind of device: random numbers differ between kinds.
    """
    digest = hashlib.sha256(json.dumps([asdict(recipe), device], sort_keys=True).encode())
    update_digest(digest, modalities, pairing)
    digest.update("\0".join(graph.vertices).encode())
    for edges in (graph.source, graph.target, graph.weight, graph.sign):
        digest.update(np.ascontiguousarray(edges).data)
    return digest.hexdigest()


def _begin(
    engine: Engine,
    data: StageData,
    recipe: Recipe,
    reporter: Reporter,
    on_step: StepHook,
    resume: Checkpoint | None,
    pretrained: PretrainedStore | None,
) -> tuple[StageData, StageState]:
    """Return what the second stage begins with: what is kept, or what pretraining and balancing make."""
    kept = engine.first(lambda: pretrained.load() if pretrained is not None else None)
    if kept is not None:
        engine.network.load_state_dict(unflatten("network", kept.tensors))
        return resumed(data, kept), StageState(**kept.state).next_stage()
    state = StageState()
    if recipe.balancing is not None:
        fresh = {name: value.clone() for name, value in engine.network.state_dict().items()}
        stage = _first_stage(
            engine, on_metacells(data, recipe.metacells, recipe.validation, recipe.seed), recipe
        )
        aligned = stage.config.weights.align > 0
        if resume is not None:
            stage.restore(resume)
        stage.run(reporter, on_step)
        state = stage.state.next_stage()
        balanced = partial(_balanced, engine.network, data, recipe.balancing, recipe.seed, reporter, state)
        data = data.weighted(engine.first(lambda: balanced().weights()))
        if not aligned and all((cells.weight == 1).all() for cells in data.modalities.values()):
            engine.network.load_state_dict(fresh)
    if pretrained is not None and engine.rank == 0:
        pretrained.keep(engine.network, data, state)
    return data, state


def _first_stage(engine: Engine, data: StageData, recipe: Recipe) -> Stage:
    """Return the first stage; one without alignment whose steps are cut short aligns instead, as published.

    It would tell little of composition, and its few steps are better spent on alignment.
    """
    data = on_metacells(data, recipe.metacells, recipe.validation, recipe.seed)
    stage = Stage(PRETRAIN, 0, engine, data, recipe.pretrain, recipe.seed)
    steps = stage.epochs * stage.epoch_length
    if recipe.pretrain.weights.align > 0 or steps >= recipe.pretrain.max_steps:
        return stage
    config = replace(recipe.pretrain, weights=replace(recipe.train.weights, discrepancy=0))
    return Stage(PRETRAIN, 0, engine, data, config, recipe.seed)


def embed(network: Network, name: str, inputs: EncoderInput) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the embeddings of cells.

    Parameters
    ----------
    network
        The network.
    name
        Name of the modality.
    inputs
        What its encoder sees, shape ``(n, d)``.

    Returns
    -------
    Two float32 arrays of shape ``(n, D)``.
    """
    device = next(network.parameters()).device
    encoder = network.encoders[name]
    none = np.empty((0, network.graph.table.shape[1]), dtype=np.float32)
    means, stds = [none], [none]
    encoder.eval()
    with torch.no_grad():
        for rows in passes(inputs.shape[0], EMBEDDING_BLOCK):
            normal = encoder(torch.from_numpy(dense_rows(inputs, rows)).to(device), None)
            means.append(normal.mean.cpu().numpy())
            stds.append(normal.std.cpu().numpy())
    return np.concatenate(means), np.concatenate(stds)


def _balanced(
    network: Network,
    data: StageData,
    config: BalancingConfig,
    seed: int,
    reporter: Reporter,
    state: StageState,
) -> StageData:
    """Return the data with balancing weights, 1 where composition agrees; the time goes to the state."""
    reporter.stage(BALANCE)
    began = time.perf_counter()
    with threads_limited(None):
        embeddings = {name: embed(network, name, cells.inputs)[0] for name, cells in data.modalities.items()}
        profiles = partial(linked_profiles, data.modalities, data.graph)
        weights = balancing_weights(embeddings, config, seed, profiles)
        if composition_differs(weights):
            reporter.message("composition differs between modalities: cells are weighted")
        else:
            weights = {name: np.ones_like(weight) for name, weight in weights.items()}
    state.elapsed[BALANCE] = time.perf_counter() - began
    reporter.done(BALANCE, state.elapsed[BALANCE])
    return data.weighted(weights)
