"""Settings of one stage of training."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from omicsglue.errors import OptionError
from omicsglue.objective import ObjectiveWeights
from omicsglue.training.stopping import PlateauConfig

LABELS_GROW = 0.1  # share of the steps over which the weight of labels grows to the whole


@dataclass(frozen=True)
class StageConfig:
    """Settings of one stage of training.

    Attributes
    ----------
    batch_size
        Cells of each modality in a step.
    max_steps
        Steps after which the stage ends, at the close of the epoch that they fall in.
    max_epochs
        Epochs after which it ends at the latest, where given.
    learning_rate
        Step size of both players.
    warmup
        Steps over which the step size grows from 0.
    decay
        Share of the stage, at its end, over which the step size falls to a hundredth.
    burn_in
        Steps over which noise on the discriminator's input is annealed to 0.
    burn_in_noise
        Standard deviation of that noise at the start, in units of the spread of the embeddings.
    keep_noise
        Keep the noise at its starting level for the whole stage, as pretraining does.
    labels_from
        Share of the steps before labels begin to count; over another tenth of the steps their weight grows to
        the whole. Labels of one modality, from the start, fix its types before alignment has found their
        counterparts.
    ema
        Decay of the exponential average of the weights, which is what the stage returns.
    negatives
        Negative edges for each positive one.
    graph_share
        Share of the graph's edges (both directions, self-loops) drawn as positives in a step.
    most_positives
        But never more than so many, so that a graph of millions of edges does not slow the step.
    longest_epoch
        Steps after which an epoch ends at the latest. Up to 64,000 cells (with 128 in a step) an epoch passes
        over them once; of more it ends within the pass, and the next goes on there.
    validate_every
        Steps at least between validations, which take place at the end of epochs and cost as much as a step:
        short epochs are not all validated, the last always.
    plateau
        When to cut the learning rate and when to stop, by the validation loss.
    weights
        Weights of the objective's terms.
    compiled
        Use compiled kernels where they serve: several times as fast on a CPU, equal up to rounding.

    Raises
    ------
    OptionError
        If a number is out of its range.
    """

    batch_size: int = 128
    max_steps: int = 4000
    max_epochs: int | None = None
    learning_rate: float = 2e-3
    warmup: int = 0
    decay: float = 0.5
    burn_in: int = 250
    burn_in_noise: float = 1.5
    keep_noise: bool = False
    labels_from: float = 0.25
    ema: float = 0.995
    negatives: int = 10
    graph_share: float = 1 / 32
    most_positives: int = 4096
    longest_epoch: int = 500
    validate_every: int = 20
    plateau: PlateauConfig = field(default_factory=PlateauConfig)
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)
    compiled: bool = True

    def __post_init__(self) -> None:
        """Check the numbers."""
        steps = 1 if self.max_epochs is None else self.max_epochs
        for name, good, needed in (
            ("batch_size", self.batch_size >= 2, "2 or more"),
            ("max_steps", self.max_steps >= 1, "1 or more"),
            ("max_epochs", steps >= 1, "1 or more, or None"),
            ("learning_rate", self.learning_rate > 0, "more than 0"),
            ("warmup", self.warmup >= 0, "0 or more"),
            ("decay", 0 <= self.decay <= 1, "between 0 and 1"),
            ("burn_in", self.burn_in >= 0, "0 or more"),
            ("burn_in_noise", self.burn_in_noise >= 0, "0 or more"),
            ("labels_from", 0 <= self.labels_from <= 1, "between 0 and 1"),
            ("ema", 0 <= self.ema < 1, "0 or more and less than 1"),
            ("negatives", self.negatives >= 1, "1 or more"),
            ("most_positives", self.most_positives >= 1, "1 or more"),
            ("longest_epoch", self.longest_epoch >= 1, "1 or more"),
            ("validate_every", self.validate_every >= 1, "1 or more"),
            ("graph_share", 0 < self.graph_share <= 1, "more than 0 and at most 1"),
        ):
            if not good:
                raise OptionError(
                    f"{name} is {getattr(self, name)!r}",
                    where="StageConfig",
                    remedy=f"give a number that is {needed}",
                )

    def epoch_length(self, cells: int, processes: int = 1) -> int:
        """Return the steps of an epoch: one pass over the largest modality, or fewer where that is long.

        Parameters
        ----------
        cells
            Cells of the largest modality on which the stage trains.
        processes
            How many processes train together.
        """
        return min(max(math.ceil(cells / (self.batch_size * processes)), 1), self.longest_epoch)

    def label_weight(self, step: int, steps: int) -> float:
        """Return the weight of the labels' loss in a step of so many."""
        if self.labels_from == 0:
            return self.weights.label
        grown = (step / steps - self.labels_from) / LABELS_GROW
        return self.weights.label * min(max(grown, 0.0), 1.0)

    def epochs(self, epoch_length: int) -> int:
        """Return after how many epochs, of so many steps, the stage ends at the latest."""
        wanted = math.ceil(self.max_steps / epoch_length)
        return min(wanted, self.max_epochs or wanted)

    def shortened(self, share: float) -> StageConfig:
        """Return the same settings with a share of the steps, of burn-in and of the stopping rules."""
        rules = self.plateau
        return replace(
            self,
            max_steps=max(round(self.max_steps * share), 1),
            burn_in=round(self.burn_in * share),
            plateau=replace(
                rules,
                grace=round(rules.grace * share),
                plateau=round(rules.plateau * share),
                patience=round(rules.patience * share),
            ),
        )
