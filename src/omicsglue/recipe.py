"""The recipe: pretrain, balance, train.

Source: Cao & Gao 2022. Pretraining keeps noise on the discriminator's input, so that alignment is coarse; cells are
then weighted so that modalities of different composition can be aligned; training starts from the pretrained weights.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from omicsglue.balancing import BalancingConfig, balancing_weights
from omicsglue.data.batches import passes
from omicsglue.data.modality import ModalityData
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.nn.network import Network, NetworkConfig
from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.config import StageConfig
from omicsglue.training.loop import Row, Stage, StageData, StageState, StepHook, resume_weights
from omicsglue.training.progress import Reporter

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Floats = npt.NDArray[np.float32]
PRETRAIN, BALANCE, TRAIN = "pretrain", "balance", "train"
EMBEDDING_BLOCK = 4096


@dataclass(frozen=True)
class Recipe:
    """Settings of a whole run.

    Attributes
    ----------
    network
        Shape of the network.
    pretrain, train
        Settings of the two stages.
    balancing
        Settings of the step between them; ``None`` leaves out pretraining and balancing.
    seed
        Seed of everything random.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    pretrain: StageConfig = field(default_factory=lambda: StageConfig(keep_noise=True))
    train: StageConfig = field(default_factory=StageConfig)
    balancing: BalancingConfig | None = field(default_factory=BalancingConfig)
    seed: int = 0

    def limited(self, max_epochs: int | None) -> Recipe:
        """Return the recipe with at most so many epochs in each stage."""
        return replace(
            self,
            pretrain=replace(self.pretrain, max_epochs=max_epochs),
            train=replace(self.train, max_epochs=max_epochs),
        )


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
) -> Outcome:
    """Train a network by the recipe, from the start or from a checkpoint.

    Parameters
    ----------
    network
        Freshly initialised network; trained in place.
    modalities, graph
        The data.
    recipe
        Settings.
    fabric
        Device and precision.
    reporter
        Hears of the progress.
    on_step
        Called between steps with the stage at work.
    resume
        Checkpoint from which to go on.

    Raises
    ------
    TrainingError
        If a loss is no longer finite.
    """
    data = StageData.split(modalities, graph, recipe.train.validation, recipe.seed)
    state = StageState()
    if recipe.balancing is not None and (resume is None or resume.stage == PRETRAIN):
        pretrain = Stage(PRETRAIN, 0, network, data, recipe.pretrain, recipe.seed, fabric)
        if resume is not None:
            pretrain.restore(resume)
            resume = None
        pretrain.run(reporter, on_step)
        state = pretrain.state.next_stage()
        reporter.stage(BALANCE)
        began = time.perf_counter()
        data = data.weighted(_balance(network, modalities, recipe))
        state.elapsed[BALANCE] = time.perf_counter() - began
    if resume is not None:
        data = data.weighted(resume_weights(resume))
    train = Stage(TRAIN, 1, network, data, recipe.train, recipe.seed, fabric, state)
    if resume is not None:
        train.restore(resume)
    train.run(reporter, on_step)
    weights = {name: cells.weight for name, cells in data.modalities.items()}
    return Outcome(train.state.history, weights, train.state.elapsed)


def embed(network: Network, cells: ModalityData) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the embeddings of all cells, each ``(n, D)``."""
    device = next(network.parameters()).device
    encoder = network.encoders[cells.name]
    means, stds = [], []
    encoder.eval()
    with torch.no_grad():
        for rows in passes(len(cells), EMBEDDING_BLOCK):
            normal = encoder(torch.from_numpy(cells.input_rows(rows)).to(device), None)
            means.append(normal.mean.cpu().numpy())
            stds.append(normal.std.cpu().numpy())
    return np.concatenate(means), np.concatenate(stds)


def _balance(network: Network, modalities: Mapping[str, ModalityData], recipe: Recipe) -> dict[str, Floats]:
    assert recipe.balancing is not None
    embeddings = {name: embed(network, cells)[0] for name, cells in modalities.items()}
    return balancing_weights(embeddings, recipe.balancing, recipe.seed)
