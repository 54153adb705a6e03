"""What a stage of training works on, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from lightning_fabric import Fabric
from torch import nn

from omicsglue.data.batches import Split, split_cells, split_together
from omicsglue.data.modality import ModalityData
from omicsglue.data.pairing import Pairing
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.nn.network import Network
from omicsglue.training.team import Team

T = TypeVar("T")
Row = dict[str, float | int | str]
Weights = Mapping[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Engine:
    """A network on its device, wrapped once for all stages.

    Attributes
    ----------
    fabric
        Device and precision.
    network
        The network itself.
    module
        The network as fabric runs it.
    team
        Processes that train together; ``None`` where there is one.
    """

    fabric: Fabric
    network: Network
    module: nn.Module
    team: Team | None = None

    @classmethod
    def start(cls, fabric: Fabric, network: Network, team: Team | None = None) -> Engine:
        """Move a network to fabric's device, in place, and wrap it.

        Where processes train together it is not wrapped: they exchange gradients by themselves
        (``docs/decisions/0015-distributed-training.md``).
        """
        if team is not None:
            return cls(fabric, network, network.to(fabric.device), team)
        return cls(fabric, network, fabric.setup_module(network))

    def first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes, in all that train together."""
        return make() if self.team is None else self.team.first(make)

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""
        return 0 if self.team is None else self.team.rank

    @property
    def number(self) -> int:
        """How many processes train together."""
        return 1 if self.team is None else self.team.number


@dataclass
class StageState:
    """Where a stage stands: plain counters, and the history and times of the run so far.

    Attributes
    ----------
    step, epoch
        Steps and epochs done in this stage.
    epoch_steps, seconds
        Steps done in the epoch that is open, and the time they took.
    validated
        Step of the latest validation.
    finished
        Whether the stage has ended.
    history
        Rows of this stage and of those before it.
    elapsed
        Seconds by stage.
    rollbacks
        How often this stage went back to a good state; each time halved the learning rate.
    notes
        What was said of that, in this stage and those before it.
    """

    step: int = 0
    epoch: int = 0
    epoch_steps: int = 0
    seconds: float = 0.0
    validated: int = 0
    finished: bool = False
    history: list[Row] = field(default_factory=list)
    elapsed: dict[str, float] = field(default_factory=dict)
    rollbacks: int = 0
    notes: list[str] = field(default_factory=list)

    def next_stage(self) -> StageState:
        """Return the state in which the next stage begins: history and times go on, counters start again."""
        return StageState(history=list(self.history), elapsed=dict(self.elapsed), notes=list(self.notes))


@dataclass(frozen=True)
class StageData:
    """What a stage trains on.

    Attributes
    ----------
    modalities
        The data, with their balancing weights.
    splits
        Which cells of each modality train, and which are held out.
    graph
        The guidance graph.
    pairing
        Joint cells that training uses; ``None`` where it treats all cells as unpaired.
    """

    modalities: Mapping[str, ModalityData]
    splits: Mapping[str, Split]
    graph: GuidanceGraph
    pairing: Pairing | None = None

    @classmethod
    def split(
        cls,
        modalities: Mapping[str, ModalityData],
        graph: GuidanceGraph,
        fraction: float,
        seed: int,
        pairing: Pairing | None = None,
    ) -> StageData:
        """Hold out validation cells; the same seed holds out the same, joint cells in all modalities."""
        rng = np.random.default_rng([seed, 1])
        if pairing is not None:
            cells = {name: len(data) for name, data in modalities.items()}
            return cls(modalities, split_together(cells, fraction, rng, pairing), graph, pairing)
        splits = {
            name: split_cells(len(data), fraction, rng, data.shuffle) for name, data in modalities.items()
        }
        return cls(modalities, splits, graph)

    def weighted(self, weights: Weights) -> StageData:
        """Return the same data with other balancing weights."""
        modalities = {name: replace(data, weight=weights[name]) for name, data in self.modalities.items()}
        return replace(self, modalities=modalities)

    def weights(self) -> Weights:
        """Return the balancing weights of modalities."""
        return {name: cells.weight for name, cells in self.modalities.items()}

    @property
    def has_validation(self) -> bool:
        """Whether every modality has cells held out."""
        return all(len(split.validation) for split in self.splits.values())
