"""The objective: terms as pure functions in one list.

Source: Cao & Gao 2022. Each data term is averaged over cells and features, each divergence over cells and
divided by the number of features, and the graph's divergence by the number of vertices, so that the weights
of the terms do not depend on the size of the data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from omicsglue.data.tensors import Batch
from omicsglue.nn.network import NetworkOutput

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
    """

    data: float = 1.0
    modality: Mapping[str, float] | None = None
    kl: float = 2.0
    graph: float = 0.02
    align: float = 0.02
    discrepancy: float = 0.02
    label: float = 0.02


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
    sizes = [len(cells.batch) for cells in batch.cells.values()]
    share = [cells.weight / cells.weight.sum().clamp(min=1e-12) for cells in batch.cells.values()]
    means = torch.cat(list(out.means.values()))
    kernel = _kernel(means)
    ends = [slice(sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))]

    def likeness(i: int, j: int) -> Tensor:
        return share[i] @ kernel[ends[i], ends[j]] @ share[j]

    pairs = list(combinations(range(len(sizes)), 2))
    values = [likeness(i, i) + likeness(j, j) - 2 * likeness(i, j) for i, j in pairs]
    value = torch.stack(values).mean() / 2
    return [Term("discrepancy", value, weights.discrepancy, autoencoder=False)]


def _kernel(x: Tensor) -> Tensor:
    """Return sums of inverse multiquadric kernels between all rows, ``(n, n)``."""
    squares = x.square().sum(1)
    distance = (squares.unsqueeze(1) + squares - 2 * x @ x.T).clamp(min=0)
    spread = 2 * x.detach().var(0, correction=0).sum()
    return torch.stack([scale * spread / (scale * spread + distance) for scale in KERNEL_SCALES]).sum(0)


def label_terms(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> list[Term]:
    """Cross entropy of the cell types that are known; nothing where none are."""
    if out.label_logits is None:
        return []
    truth = torch.cat([c.label for c in batch.cells.values()])
    loss = functional.cross_entropy(out.label_logits, truth, ignore_index=-1, reduction="sum")
    loss = loss / (truth >= 0).sum().clamp(min=1)
    return [Term("label", loss, weights.label, autoencoder=False)]


TermFunction = Callable[[NetworkOutput, Batch, ObjectiveWeights], list[Term]]
TERMS: tuple[TermFunction, ...] = (
    data_terms,
    graph_terms,
    label_terms,
    align_terms,
    discrepancy_terms,
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


def evaluate(out: NetworkOutput, batch: Batch, weights: ObjectiveWeights) -> Breakdown:
    """Evaluate all terms on the output of one pass."""
    terms = tuple(term for function in TERMS for term in function(out, batch, weights))
    return Breakdown(torch.stack([term.weight * term.value for term in terms]).sum(), terms)
