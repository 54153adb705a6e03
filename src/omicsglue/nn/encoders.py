"""Data encoder: one modality's cells to a diagonal normal over the cell embedding."""

from __future__ import annotations

from torch import Tensor, nn

from omicsglue.nn.layers import MLP, DiagonalNormal, Hidden, NormalHead
from omicsglue.nn.randomness import Randomness
from omicsglue.nn.ranks import Ranks


class DataEncoder(nn.Module):
    """A multilayer perceptron to the mean and the standard deviation of u.

    Parameters
    ----------
    inputs
        Width of the representation.
    dim
        Dimensions D of the embedding.
    hidden
        Shape of the hidden layers.
    """

    def __init__(self, inputs: int, dim: int, hidden: Hidden) -> None:
        super().__init__()
        self.hidden = MLP(inputs, hidden, norm=True)
        self.head = NormalHead(self.hidden.outputs, dim)

    def forward(self, x: Tensor, random: Randomness | None, ranks: Ranks | None = None) -> DiagonalNormal:
        """Map ``(n, inputs)`` to a normal over ``(n, D)``."""
        normal: DiagonalNormal = self.head(self.hidden(x, random, ranks))
        return normal
