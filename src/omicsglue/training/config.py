"""Settings of one stage of training."""

from __future__ import annotations

from dataclasses import dataclass, field

from omicsglue.objective import ObjectiveWeights
from omicsglue.training.stopping import PlateauConfig


@dataclass(frozen=True)
class StageConfig:
    """Settings of one stage of training.

    Attributes
    ----------
    batch_size
        Cells of each modality in a step.
    max_steps
        Steps after which the stage ends at the latest.
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
    ema
        Decay of the exponential average of the weights, which is what the stage returns.
    negatives
        Negative edges for each positive one.
    graph_share
        Share of the graph's edges (both directions, self-loops) drawn as positives in a step.
    validation
        Share of the cells held out.
    plateau
        When to cut the learning rate and when to stop, by the validation loss.
    weights
        Weights of the objective's terms.
    """

    batch_size: int = 128
    max_steps: int = 2000
    max_epochs: int | None = None
    learning_rate: float = 2e-3
    warmup: int = 0
    decay: float = 0.0
    burn_in: int = 2000
    burn_in_noise: float = 1.5
    keep_noise: bool = False
    ema: float = 0.99
    negatives: int = 10
    graph_share: float = 1 / 32
    validation: float = 0.1
    plateau: PlateauConfig = field(default_factory=PlateauConfig)
    weights: ObjectiveWeights = field(default_factory=ObjectiveWeights)
