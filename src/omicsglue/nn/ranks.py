"""Several processes that train one network together, each on cells of its own.

What they compute is what one process computes on the cells of all of them. Every process scales its share of
the objective so that the mean over processes is the whole, and asks the others for what does not split into
such shares: the moments of batch norm, the spread of the embeddings, the points of the kernel discrepancy,
and the counts by which means are formed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.distributed as dist
from torch import Tensor

from omicsglue.data.tensors import Batch
from omicsglue.nn.common_memory import CommonMemory

T = TypeVar("T")
Floats = npt.NDArray[np.float32]


def _as_it_came(error: Exception) -> Exception:
    return error


@dataclass
class Ranks:
    """What processes tell each other within a step; all must call the same methods in the same order.

    Attributes
    ----------
    rank, number
        Which process this is, from 0, and how many there are.
    group
        Torch's process group; ``None`` is the default one.
    lost
        Makes the error that is raised when another process has gone away or does not answer.
    memory
        Memory that all processes see, where they are on one machine; everything is then told through it.
    sent
        Numbers that this process has handed over so far, for measurements.
    """

    rank: int
    number: int
    group: Any = None
    lost: Callable[[Exception], Exception] = _as_it_came
    memory: CommonMemory | None = None
    sent: int = field(default=0, compare=False)

    def gather(self, mine: Tensor) -> Tensor:
        """Return what all processes hold, in their order, shape ``(number, *mine.shape)``."""
        return self.gather_later(mine)()

    def gather_later(self, mine: Tensor) -> Callable[[], Tensor]:
        """Hand over what this process holds; calling what is returned waits for what all hold.

        Nothing else may be handed over before that.
        """
        mine = mine.contiguous()
        self.sent += mine.numel()
        memory = self.memory
        if memory is not None:
            told = self._asked(lambda: memory.gather(mine))
            return lambda: self._asked(told)
        out = mine.new_empty(self.number, *mine.shape)
        parts = list(out.unbind(0))
        work = self._asked(lambda: dist.all_gather(parts, mine, group=self.group, async_op=True))

        def waited() -> Tensor:
            self._asked(work.wait)
            return out

        return waited

    def add(self, mine: Tensor) -> Tensor:
        """Add up what all processes hold, in place, to the same bits everywhere."""
        self.sent += mine.numel()
        memory = self.memory
        if memory is not None:
            self._asked(lambda: memory.add(mine))
        else:
            self._asked(lambda: dist.all_reduce(mine, group=self.group))
        return mine

    def holds(self, gradient: Tensor | None) -> bool:
        """Whether a gradient lies in memory that all processes see."""
        return gradient is not None and self.memory is not None and self.memory.holds(gradient)

    @property
    def device(self) -> torch.device:
        """Device on which tensors are exchanged."""
        cuda = dist.get_backend(self.group) == "nccl"
        return torch.device("cuda", torch.cuda.current_device()) if cuda else torch.device("cpu")

    def moments(self, mine: Floats) -> Floats:
        """Return mean and variance over the cells of all processes, given those of equally many here.

        Parameters
        ----------
        mine
            Means and variances, shape ``(2, width)``.
        """
        return joint_moments(self.gather(torch.from_numpy(mine).to(self.device))).cpu().numpy()

    def total(self, mine: Floats) -> Floats:
        """Return the sum over all processes."""
        return self.add(torch.from_numpy(mine.copy()).to(self.device)).cpu().numpy()

    def _asked(self, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except (RuntimeError, OSError) as error:
            raise self.lost(error) from error


def joint_moments(found: Tensor) -> Tensor:
    """Return mean and variance of groups of one size taken together, ``(number, 2, n)`` to ``(2, n)``."""
    mean, var = found[:, 0].mean(0), found[:, 1].mean(0)
    return torch.stack([mean, var + (found[:, 0] - mean).square().mean(0)])


class Others(NamedTuple):
    """Cells of one modality in all processes, in the order of these; nothing here carries a gradient.

    Attributes
    ----------
    means
        Means of the embeddings, ``(number * B, D)``.
    weight
        As of :class:`~omicsglue.data.tensors.CellBatch`, ``(number * B,)``.
    """

    means: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Everyone:
    """What all processes hold in one step.

    Attributes
    ----------
    ranks
        The processes.
    cells
        Cells of each modality.
    shares
        By name of a term that is a mean over a count of its own: this process's share of the count times the
        number of processes, so that the mean over processes of terms times shares is the term of all.
    """

    ranks: Ranks
    cells: Mapping[str, Others]
    shares: Mapping[str, Tensor]

    def spread(self, names: list[str]) -> Tensor:
        """Return the standard deviation of the embeddings of some modalities, shape ``(D,)``."""
        return torch.cat([self.cells[name].means for name in names]).std(0)

    def mine(self, sizes: list[int]) -> Tensor:
        """Return where this process's cells are among those of all, modality after modality."""
        number, rank = self.ranks.number, self.ranks.rank
        places, start = [], 0
        for size in sizes:
            places.append(torch.arange(size) + start + rank * size)
            start += number * size
        return torch.cat(places)


def meet(means: Mapping[str, Tensor], batch: Batch, ranks: Ranks) -> Callable[[], Everyone]:
    """Tell the other processes of this one's cells; calling what is returned waits for what they tell.

    Parameters
    ----------
    means
        Means of the embeddings of each modality; as many cells in every process, ``(B, D)``.
    batch
        This process's minibatch.
    ranks
        The processes.
    """
    counts = _counts(batch)
    rows = [torch.stack(list(counts.values())).to(next(iter(means.values())))]
    for name, cells in batch.cells.items():
        weight = cells.weight.to(means[name]).unsqueeze(1)
        rows.append(torch.cat([means[name].detach(), weight], dim=1).view(-1))
    told = ranks.gather_later(torch.cat(rows))

    def met() -> Everyone:
        head, *bodies = torch.split(told(), [len(row) for row in rows], dim=1)
        found = {}
        for (name, mean), body in zip(means.items(), bodies, strict=True):
            columns = body.reshape(-1, mean.shape[1] + 1)
            found[name] = Others(columns[:, :-1], columns[:, -1])
        shares = head[ranks.rank] * ranks.number / head.sum(0).clamp(min=1)
        return Everyone(ranks, found, dict(zip(counts, shares, strict=True)))

    return met


def _counts(batch: Batch) -> dict[str, Tensor]:
    """Return what the terms divide by that are means over something else than cells."""
    counts = {
        "negatives": (batch.edges.present == 0).sum(),
        "label": torch.stack([(cells.label >= 0).sum() for cells in batch.cells.values()]).sum(),
    }
    if batch.joint is None:
        return counts
    there = batch.joint >= 0
    counts["cosine"] = there.sum()
    for column, name in enumerate(batch.cells):
        here = there[:, column]
        counts[f"joint_nll_{name}"] = here.sum()
        counts[f"cross_nll_{name}"] = (there[here].sum(1) - 1).sum()
    return counts


class _JointNorm(torch.autograd.Function):
    """Batch norm over the cells of all processes, as many in each, before scale and shift."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, ranks: Ranks) -> tuple[Tensor, Tensor]:
        mine = torch.stack([x.mean(0), x.var(0, correction=0)])
        moments = joint_moments(ranks.gather(mine))
        inverse = (moments[1] + eps).rsqrt()
        normed = (x - moments[0]) * inverse
        ctx.save_for_backward(normed, inverse)
        ctx.ranks = ranks
        ctx.mark_non_differentiable(moments)
        return normed, moments

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None, None]:
        normed, inverse = ctx.saved_tensors
        down, ranks = grad_outputs[0], ctx.ranks
        sums = ranks.add(torch.stack([down.sum(0), (down * normed).sum(0)]))
        sums = sums / (len(normed) * ranks.number)
        return (down - sums[0] - normed * sums[1]) * inverse, None, None


def joint_norm(x: Tensor, norm: torch.nn.BatchNorm1d, ranks: Ranks) -> Tensor:
    """Return batch norm in training over the cells of all processes; its running statistics follow.

    Torch's own for several processes needs a GPU.
    """
    normed, moments = _JointNorm.apply(x, norm.eps, ranks)  # type: ignore[no-untyped-call]  # torch leaves it so
    with torch.no_grad():
        track(norm, moments, len(x) * ranks.number)
    out: Tensor = normed * norm.weight + norm.bias
    return out


def track(norm: torch.nn.BatchNorm1d, moments: Tensor, cells: int) -> None:
    """Bring the running statistics of batch norm up to date, as torch does, given mean and variance."""
    mean, var, momentum = norm.running_mean, norm.running_var, norm.momentum
    if mean is None or var is None or momentum is None or norm.num_batches_tracked is None:
        return
    mean.lerp_(moments[0], momentum)
    var.lerp_(moments[1] * (cells / (cells - 1)), momentum)
    norm.num_batches_tracked += 1
