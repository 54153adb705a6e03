"""Memory that is kept from step to step, and gradients that stay where they are."""

from __future__ import annotations

import torch
from torch import Tensor


class Memory:
    """Tensors by name, made anew only where their shape has changed.

    New memory costs more than the arithmetic on it: the system hands it out page by page.
    """

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def __call__(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return a tensor whose content is whatever it was."""
        found = self.kept.get(name)
        if found is None or found.shape != shape:
            found = self.kept[name] = torch.zeros(shape, dtype=dtype)
        return found


def gradient_of(parameter: Tensor) -> Tensor:
    """Return a parameter's gradient, made where there is none, to be written to in place."""
    if parameter.grad is None or not parameter.grad.is_contiguous():
        parameter.grad = torch.zeros_like(parameter, memory_format=torch.contiguous_format)
    return parameter.grad
