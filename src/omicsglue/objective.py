"""The objective: terms as pure functions in one list.

Source: Cao & Gao 2022. Each data term is averaged over cells and features, each divergence over cells and
divided by the number of features, and the graph's divergence by the number of vertices, so that the weights
of the terms do not depend on the size of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import Batch
from omicsglue.nn.compute import Compute, arrays
from omicsglue.nn.network import NetworkOutput
from omicsglue.nn.pairs import joint_mean

KERNEL_SCALES = (0.1, 0.3, 1.0, 3.0)  # of twice the total variance: the mean squared distance between cells


@dataclass(frozen=True)
class ObjectiveWeights:
    """Weights of the terms; defaults are the published ones unless ``docs/experiments.md`` says otherwise.

    Attributes
    ----------
    data
        Weight of every modality's reconstruction.
    modality
        Further factor of single modalities, 1 where a name is absent.
    kl
        Weight of divergences from the prior, relative to the reconstruction they belong to.
    graph
        Weight of the guidance graph's reconstruction, multiplied by the number of modalities.
    align
        Strength of the adversarial alignment.
    discrepancy
        Weight of the kernel discrepancy between modalities, which helps the discriminator.
    label
        Weight of the classification of cells whose type is known.
    label_power
        Exponent q of its loss, ``(1 - p ** q) / q`` of the probability p of the label given: 0 is the cross
        entropy, to which a wrong label matters the more the less it fits; 1 the absolute error, to which all
        labels matter alike. In between, wrong labels do little harm.
    joint, cross
        Of cells that were measured in several modalities: weights of their reconstruction from the mean of
        their embeddings, and from their embedding in another modality; relative to ``data``.
    cosine
        Of such cells: weight of the angle between their embeddings and the mean of these.
    """

    data: float = 1.0
    modality: Mapping[str, float] | None = None
    kl: float = 2.0
    graph: float = 0.02
    align: float = 0.02
    discrepancy: float = 0.02
    label: float = 0.02
    label_power: float = 0.0
    joint: float = 0.02
    cross: float = 0.02
    cosine: float = 0.02


@dataclass(frozen=True)
class Term:
    """One term of the objective.

    Attributes
    ----------
    name
        Its name in the history.
    value
        A scalar.
    weight
        Its weight in the total.
    autoencoder
        Whether it is part of the loss of the autoencoders alone, which early stopping watches.
    """

    name: str
    value: Tensor
    weight: float
    autoencoder: bool = True


def data_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Reconstruction and divergence of every modality, per cell and feature."""
    terms = []
    for name, cells in batch.cells.items():
        features = cells.counts.shape[1]
        weight = weights.data * (weights.modality or {}).get(name, 1.0)
        terms.append(Term(f"data_nll_{name}", out.nll[name] / features, weight))
        kl = out.u[name].divergence.mean() / features
        terms.append(Term(f"data_kl_{name}", kl, weight * weights.kl))
    return terms


def graph_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Reconstruction of sampled edges (mean of positives and of negatives, averaged) and divergence of V."""
    present = batch.edges.present
    nll = functional.binary_cross_entropy_with_logits(out.edge_logits, present, reduction="none")
    positives = present.sum()
    mean_positive = (nll * present).sum() / positives.clamp(min=1)
    mean_negative = (nll * (1 - present)).sum() / (len(present) - positives).clamp(min=1)
    if out.everyone is not None:
        mean_negative = mean_negative * out.everyone.shares["negatives"]
    weight = weights.graph * len(batch.cells)
    kl = out.v.divergence.mean() / len(out.v.value)
    return [
        Term("graph_nll", (mean_positive + mean_negative) / 2, weight),
        Term("graph_kl", kl, weight * weights.kl),
    ]


def align_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Cross entropy of the discriminator, cells weighted by their balancing weights.

    The network reverses this term's gradient before the encoders with strength ``weights.align``; here it
    enters with weight 1, at which the discriminator descends.
    """
    cells = list(batch.cells.values())
    truth = torch.cat([torch.full_like(c.batch, k) for k, c in enumerate(cells)])
    balancing = torch.cat([c.weight for c in cells])
    loss = functional.cross_entropy(out.modality_logits, truth, reduction="none")
    return [Term("align", (loss * balancing).mean(), 1.0, autoencoder=False)]


def discrepancy_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Squared maximum mean discrepancy between the embeddings of modalities, averaged over pairs of them.

    The kernel is a sum of inverse multiquadrics at several scales of the embeddings' spread; cells count by
    their balancing weights. It sees what a weak discriminator leaves: differences of density between
    neighbours. Sources: Gretton et al. 2012; Tolstikhin et al. 2018 for the kernel.
    """
    if not weights.discrepancy:
        return []
    everyone = out.everyone
    held = [cells.weight for cells in (batch if everyone is None else everyone).cells.values()]
    means = torch.cat(list(out.means.values()))
    share = means.new_zeros(len(held), sum(map(len, held)))
    start = 0
    for row, weight in zip(share, held, strict=True):
        row[start : start + len(weight)] = weight / weight.sum().clamp(min=1e-12)
        start += len(weight)
    pairs = list(combinations(range(len(share)), 2))
    contrast = torch.stack([share[i] - share[j] for i, j in pairs])
    value = _discrepancy(means, contrast, out, list(out.means))
    return [Term("discrepancy", value, weights.discrepancy, autoencoder=False)]


class _Discrepancy(torch.autograd.Function):
    """Half the mean of w K w over the rows w of ``contrast``, with its gradient by the points in closed form.

    With d the squared distances and T the derivative of K by d times the mean of w w, the gradient of a point
    is twice the sum over the others of T and the difference. The scale of the kernel counts as constant.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, contrast: Tensor, compute: Compute | None) -> Tensor:
        squares = x.square().sum(1)
        distance = torch.addmm(squares.unsqueeze(1) + squares, x, x.T, alpha=-2)
        scales = 2 * x.var(0, correction=0).sum() * x.new_tensor(KERNEL_SCALES)
        weight = contrast.T @ contrast / len(contrast)
        value, slope = _multiquadrics(distance, weight, scales, compute)
        ctx.save_for_backward(2 * (slope.sum(1, keepdim=True) * x - slope @ x))
        return value / 2

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None, None]:
        (down,) = ctx.saved_tensors
        return down * grad_outputs[0], None, None


def _discrepancy(x: Tensor, contrast: Tensor, out: NetworkOutput, names: list[str]) -> Tensor:
    """Return the discrepancy of the cells of some modalities, of all processes where there are several."""
    value: Tensor
    if out.everyone is None:
        value = _Discrepancy.apply(x, contrast, out.compute)  # type: ignore[no-untyped-call]  # torch leaves it
    else:
        everyone = torch.cat([out.everyone.cells[name].means for name in names])
        mine = out.everyone.mine([len(out.means[name]) for name in names]).to(x.device)
        value = _SharedDiscrepancy.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            x, contrast, everyone, mine, out.everyone.ranks.number, out.compute
        )
    return value


class _SharedDiscrepancy(torch.autograd.Function):
    """One process's part of the same, between its points and those of all, times the number of processes.

    The gradient of its own points is whole: what other processes compute does not enter it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        contrast: Tensor,
        everyone: Tensor,
        mine: Tensor,
        number: int,
        compute: Compute | None,
    ) -> Tensor:
        squares = everyone.square().sum(1)
        distance = torch.addmm(squares[mine].unsqueeze(1) + squares, x, everyone.T, alpha=-2)
        scales = 2 * everyone.var(0, correction=0).sum() * x.new_tensor(KERNEL_SCALES)
        weight = contrast[:, mine].T @ contrast * (number / len(contrast))
        value, slope = _multiquadrics(distance, weight, scales, compute)
        ctx.save_for_backward(2 * (slope.sum(1, keepdim=True) * x - slope @ everyone))
        return value / 2

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (down,) = ctx.saved_tensors
        return down * grad_outputs[0], None, None, None, None, None


def _multiquadrics(
    distance: Tensor, weight: Tensor, scales: Tensor, compute: Compute | None
) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of kernels of squared distances, and the weighted derivatives by them."""
    if compute is not None:
        given = arrays(distance, weight, scales)
        return weight.new_tensor(compute.kernels.multiquadrics(*given)), distance
    inverse = 1 / (distance.clamp(min=0) + scales.view(-1, 1, 1))
    value = (inverse * scales.view(-1, 1, 1)).sum(0)
    slope = (inverse.square() * scales.view(-1, 1, 1)).sum(0).neg_()
    return (value * weight).sum(), slope * weight


def label_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Generalised cross entropy of the cell types that are known; nothing where none are.

    Source: Zhang & Sabuncu 2018. With exponent 0 it is the cross entropy.
    """
    if out.label_logits is None:
        return []
    truth = torch.cat([c.label for c in batch.cells.values()])
    q = weights.label_power
    nll = functional.cross_entropy(out.label_logits, truth, ignore_index=-1, reduction="none" if q else "sum")
    loss = (-torch.expm1(-q * nll) / q).sum() if q else nll  # p ** q = exp(-q nll); 0 where unknown
    loss = loss / (truth >= 0).sum().clamp(min=1)
    return [Term("label", loss, weights.label, autoencoder=False)]


def pair_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Reconstruction of joint cells from their mean embedding and from each other; nothing without pairs."""
    if out.pairs is None:
        return []
    terms = []
    for kind, found, weight in (
        ("joint", out.pairs.joint, weights.joint),
        ("cross", out.pairs.cross, weights.cross),
    ):
        for name, nll in found.items():
            features = batch.cells[name].counts.shape[1]
            factor = weights.data * (weights.modality or {}).get(name, 1.0)
            terms.append(Term(f"{kind}_nll_{name}", nll / features, factor * weight))
    return terms


def cosine_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """One minus the cosine between the embeddings of joint cells and their mean; nothing without pairs."""
    if batch.joint is None or not weights.cosine:
        return []
    there = (batch.joint >= 0).T
    centre = joint_mean(out.means, batch.joint)
    apart = [
        1 - functional.cosine_similarity(means[at[here]], centre[here])
        for means, at, here in zip(out.means.values(), batch.joint.T, there, strict=True)
    ]
    value = torch.cat(apart).sum() / there.sum().clamp(min=1)
    return [Term("cosine", value, weights.cosine, autoencoder=False)]


TermFunction = Callable[[NetworkOutput, Batch, ObjectiveWeights], list[Term]]
TERMS: tuple[TermFunction, ...] = (
    data_terms,
    graph_terms,
    label_terms,
    align_terms,
    discrepancy_terms,
    pair_terms,
    cosine_terms,
)


@dataclass(frozen=True)
class Breakdown:
    """Value of the objective and of its parts.

    Attributes
    ----------
    total
        What is minimised (with the adversarial gradient reversed inside the network), a scalar.
    terms
        The parts, in order.
    """

    total: Tensor
    terms: tuple[Term, ...]

    @property
    def names(self) -> list[str]:
        """Names of the recorded values: every term, and the loss of the autoencoders alone."""
        return [term.name for term in self.terms] + ["vae_loss"]

    def values(self) -> Tensor:
        """Return the recorded values in the order of ``names``, detached, shape ``(len(names),)``."""
        vae = torch.stack([term.weight * term.value for term in self.terms if term.autoencoder]).sum()
        return torch.stack([*(term.value for term in self.terms), vae]).detach()


def _shared(term: Term, share: Tensor | None) -> Term:
    """Return a term that is a mean over a count of its own, weighted by this process's share of the count."""
    return term if share is None else replace(term, value=term.value * share)


def evaluate(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> Breakdown:
    """Evaluate all terms on the output of one pass.

    Of processes that train together each evaluates its share: the mean over them is the whole.
    """
    terms = tuple(term for function in TERMS for term in function(out, batch, weights))
    if out.everyone is not None:
        terms = tuple(_shared(term, out.everyone.shares.get(term.name)) for term in terms)
    return Breakdown(torch.stack([term.weight * term.value for term in terms]).sum(), terms)
