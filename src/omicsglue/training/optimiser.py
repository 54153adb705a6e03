"""The optimiser's step: RMSprop over both players' parameters, and the average of the weights with it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from omicsglue.nn.compute import Compute, arrays, spans
from omicsglue.nn.network import Network
from omicsglue.training.averaging import WeightAverage
from omicsglue.training.config import StageConfig

NUMBERS = 1 << 16  # in a block of work
Numbers = npt.NDArray[np.float32]


def make_optimizer(network: Network, config: StageConfig) -> torch.optim.RMSprop:
    """Return RMSprop over both players' parameters; the reversed gradient makes one optimiser serve both."""
    return torch.optim.RMSprop(network.parameters(), lr=config.learning_rate, foreach=True)


class CompiledStep:
    """The same step as torch's RMSprop and the average of the weights, in one pass over the numbers.

    It works on torch's optimiser and on the average in place, so that they can be saved and restored as ever.

    Parameters
    ----------
    optimizer
        Torch's RMSprop, without momentum or weight decay.
    average
        Average of the same weights.
    compute
        Kernels and threads.
    """

    def __init__(self, optimizer: torch.optim.RMSprop, average: WeightAverage, compute: Compute) -> None:
        self.optimizer, self.average, self.compute = optimizer, average, compute
        names = {id(value): name for name, value in average.live.items()}
        self.parameters = {names[id(p)]: p for group in optimizer.param_groups for p in group["params"]}
        self.numbers = {name: self._numbers(name, parameter) for name, parameter in self.parameters.items()}
        self.blocks = self._blocks()
        self.gradients: dict[str, Tensor] = {}
        self.pieces: list[list[list[Numbers]]] = []
        self.counts: list[npt.NDArray[np.float32]] = []

    def _blocks(self) -> list[list[tuple[str, slice]]]:
        """Cut large parameters to pieces, and gather small ones."""
        large: list[list[tuple[str, slice]]] = []
        small: list[tuple[str, slice]] = []
        for name, parameter in self.parameters.items():
            pieces = [(name, span) for span in spans(parameter.numel(), NUMBERS)]
            small.extend(pieces) if len(pieces) == 1 else large.extend([piece] for piece in pieces)
        return [*large, *(small[i::4] for i in range(4))]

    def take(self) -> None:
        """Take a step by the gradients that the parameters hold."""
        group = self.optimizer.param_groups[0]
        constants = [np.float32(group[key]) for key in ("lr", "alpha", "eps")]
        decay = np.float32(self.average.next_decay())
        kernel = self.compute.kernels.rmsprop
        self._look()

        def work(block: list[list[Numbers]]) -> None:
            for numbers in block:
                kernel(*numbers, *constants, decay)

        self.compute.each(work, self.pieces)
        for count in self.counts:
            count += 1
        self.average.update_others(self.gradients, float(decay))

    def _look(self) -> None:
        """Cut up the gradients, where they are not the tensors that they were in the last step."""
        found = {name: p.grad for name, p in self.parameters.items() if p.grad is not None}
        known = self.gradients
        if found.keys() == known.keys() and all(
            grad is known[name] and grad.is_contiguous() for name, grad in found.items()
        ):
            return
        self.gradients = found
        flat = {name: _flat(grad.contiguous()) for name, grad in found.items()}
        kept = {name: [flat[name], *self.numbers[name]] for name in found}
        self.pieces = [
            [[numbers[span] for numbers in kept[name]] for name, span in block if name in kept]
            for block in self.blocks
        ]
        self.counts = [arrays(self.optimizer.state[self.parameters[name]]["step"])[0] for name in found]

    def _numbers(self, name: str, parameter: Tensor) -> list[Numbers]:
        """Return a parameter's weights, mean squares of gradients and averages, all changed in place."""
        state = self.optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["square_avg"] = torch.zeros_like(parameter)
        return [_flat(part) for part in (parameter, state["square_avg"], self.average.average[name])]


def _flat(tensor: Tensor) -> Numbers:
    (numbers,) = arrays(tensor.view(-1))
    return numbers
