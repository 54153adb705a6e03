"""Reconstruction of cells that were measured in several modalities, from each other and from their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import torch
from torch import Tensor

from omicsglue.data.tensors import Batch, CellBatch
from omicsglue.nn.compute import Compute
from omicsglue.nn.decoders import DataDecoder


class Paired(NamedTuple):
    """Which reconstructions of joint cells a pass computes.

    Attributes
    ----------
    joint
        Of every modality from the mean of the cell's embeddings.
    cross
        Of every modality from the embeddings of the others.
    """

    joint: bool = False
    cross: bool = False


NO_PAIRS: Final = Paired()


class PairOutput(NamedTuple):
    """Negative log-likelihoods of joint cells by modality, summed over features and averaged over cells.

    Attributes
    ----------
    joint, cross
        As of :class:`Paired`; empty where they were not asked for, 0 where the batch has no joint cell.
    """

    joint: dict[str, Tensor]
    cross: dict[str, Tensor]


def joint_mean(embeddings: Mapping[str, Tensor], joint: Tensor) -> Tensor:
    """Return the mean of the embeddings of each joint cell over the modalities in which it is there.

    Parameters
    ----------
    embeddings
        Of the cells of every modality, ``(B, D)``.
    joint
        Positions of the joint cells, ``(P, K)``; see :class:`~omicsglue.data.tensors.Batch`.

    Returns
    -------
    Shape ``(P, D)``.
    """
    there = joint >= 0
    total = sum(
        each[at.clamp(min=0)] * here.unsqueeze(1)
        for each, at, here in zip(embeddings.values(), joint.T, there.T, strict=True)
    )
    assert isinstance(total, Tensor)
    return total / there.sum(1, keepdim=True)


def reconstruct_pairs(
    decoders: Mapping[str, DataDecoder],
    u: Mapping[str, Tensor],
    features: Mapping[str, Tensor],
    batch: Batch,
    paired: Paired,
    compute: Compute | None,
) -> PairOutput:
    """Reconstruct joint cells.

    Parameters
    ----------
    decoders, u, features
        Of every modality, in order: decoder, cell embeddings ``(B, D)`` and feature embeddings.
    batch
        The minibatch; it names joint cells.
    paired
        What to compute.
    compute
        Compiled kernels, where they serve.
    """
    joint = batch.joint
    assert joint is not None
    out = PairOutput({}, {})
    mean = joint_mean(u, joint) if paired.joint else None
    for column, (name, decoder) in enumerate(decoders.items()):
        at, cells = joint[:, column], batch.cells[name]
        if mean is not None:
            here = at >= 0
            out.joint[name] = _nll(decoder, mean[here], features[name], cells, at[here], compute)
        if paired.cross:
            seen, places = _from_others(list(u.values()), joint, column)
            out.cross[name] = _nll(decoder, seen, features[name], cells, places, compute)
    return out


def _from_others(u: list[Tensor], joint: Tensor, column: int) -> tuple[Tensor, Tensor]:
    """Return embeddings in other modalities of cells that are in one, and their positions there."""
    seen, places = [], []
    for other, each in enumerate(u):
        if other != column:
            both = joint[(joint[:, column] >= 0) & (joint[:, other] >= 0)]
            seen.append(each[both[:, other]])
            places.append(both[:, column])
    return torch.cat(seen), torch.cat(places)


def _nll(
    decoder: DataDecoder, u: Tensor, v: Tensor, cells: CellBatch, at: Tensor, compute: Compute | None
) -> Tensor:
    if not len(at):
        return v.new_zeros(())
    taken = cells.take(at)
    return decoder.nll(u, v, taken, torch.full_like(taken.library, 1 / len(at)), compute)
