"""Terms of the objective against plain formulas, and what their weights do not depend on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import Batch, CellBatch, EdgeBatch
from omicsglue.nn.compute import Compute
from omicsglue.nn.layers import DiagonalNormal, Draw
from omicsglue.nn.network import NetworkOutput
from omicsglue.nn.pairs import PairOutput
from omicsglue.objective import (
    ObjectiveWeights,
    align_terms,
    cosine_terms,
    data_terms,
    discrepancy_terms,
    evaluate,
    graph_terms,
    label_terms,
    pair_terms,
)

CELLS = {"rna": 4, "atac": 6}
FEATURES = {"rna": 5, "atac": 8}
LABELS = {"rna": [0, 1, -1, 2], "atac": [-1, -1, 2, 0, -1, 1]}
WEIGHTS = ObjectiveWeights(data=0.7, kl=0.5, graph=0.03, align=0.05, label=0.2, modality={"atac": 3.0})


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def normal(n: int, seed: int) -> DiagonalNormal:
    return DiagonalNormal(torch.cat([randn(n, 3, seed=seed), randn(n, 3, seed=seed + 1)], dim=1))


CELL_NORMALS = {name: normal(n, seed) for seed, (name, n) in enumerate(CELLS.items())}
FEATURE_NORMALS = normal(13, 10)


@pytest.fixture
def batch() -> Batch:
    cells = {}
    for seed, (name, n) in enumerate(CELLS.items()):
        counts = sp.csr_matrix(np.ones((n, FEATURES[name]), dtype=np.float32))
        cells[name] = CellBatch(
            counts=slice_rows(counts, np.arange(n)),
            inputs=torch.zeros(n, 2),
            library=torch.ones(n),
            batch=torch.zeros(n, dtype=torch.int64),
            weight=torch.rand(n, generator=torch.Generator().manual_seed(seed)),
            label=torch.tensor(LABELS[name]),
        )
    present = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0])
    ends = torch.zeros(5, dtype=torch.int64)
    return Batch(cells, EdgeBatch(ends, ends, torch.ones(5), present))


@pytest.fixture
def out() -> NetworkOutput:
    return NetworkOutput(
        u={name: found.draw(None) for name, found in CELL_NORMALS.items()},
        means={name: found.mean for name, found in CELL_NORMALS.items()},
        v=FEATURE_NORMALS.draw(None),
        nll={"rna": torch.tensor(20.0), "atac": torch.tensor(48.0)},
        edge_logits=randn(5, seed=20),
        modality_logits=randn(10, 2, seed=21),
        label_logits=randn(10, 3, seed=22),
    )


def divergences(found: DiagonalNormal) -> list[float]:
    return [
        sum(0.5 * (m * m + s * s - 2 * math.log(s) - 1) for m, s in zip(mean, std, strict=True))
        for mean, std in zip(found.mean.tolist(), found.std.tolist(), strict=True)
    ]


def cross_entropy(logits: list[float], truth: int) -> float:
    return math.log(sum(math.exp(x) for x in logits)) - logits[truth]


def test_data_terms_are_per_cell_and_feature(out: NetworkOutput, batch: Batch) -> None:
    terms = {term.name: term for term in data_terms(out, batch, WEIGHTS)}
    assert terms["data_nll_rna"].value.item() == pytest.approx(20 / 5)
    assert terms["data_nll_atac"].value.item() == pytest.approx(48 / 8)
    for name in CELLS:
        expected = np.mean(divergences(CELL_NORMALS[name])) / FEATURES[name]
        assert terms[f"data_kl_{name}"].value.item() == pytest.approx(expected, rel=1e-5)
    weights = {name: term.weight for name, term in terms.items()}
    assert weights == pytest.approx(
        {"data_nll_rna": 0.7, "data_kl_rna": 0.35, "data_nll_atac": 2.1, "data_kl_atac": 1.05}
    )


def test_graph_terms_average_positives_and_negatives_apart(out: NetworkOutput, batch: Batch) -> None:
    nll, kl = graph_terms(out, batch, WEIGHTS)
    logits = out.edge_logits.tolist()
    positive = np.mean([math.log1p(math.exp(-x)) for x in logits[:2]])
    negative = np.mean([math.log1p(math.exp(x)) for x in logits[2:]])
    assert nll.value.item() == pytest.approx((positive + negative) / 2, rel=1e-5)
    assert kl.value.item() == pytest.approx(np.mean(divergences(FEATURE_NORMALS)) / 13, rel=1e-5)
    assert (nll.weight, kl.weight) == pytest.approx((0.03 * 2, 0.03 * 2 * 0.5))


def test_alignment_weighs_cells_by_their_balancing_weights(out: NetworkOutput, batch: Batch) -> None:
    (term,) = align_terms(out, batch, WEIGHTS)
    truth = [0] * 4 + [1] * 6
    weight = torch.cat([cells.weight for cells in batch.cells.values()]).tolist()
    losses = [cross_entropy(row, k) for row, k in zip(out.modality_logits.tolist(), truth, strict=True)]
    assert term.value.item() == pytest.approx(np.mean(np.multiply(losses, weight)), rel=1e-5)
    assert term.weight == 1  # the network reverses it with the strength of the alignment


def test_discrepancy_equals_the_definition(out: NetworkOutput, batch: Batch) -> None:
    (term,) = discrepancy_terms(out, batch, WEIGHTS)
    x = torch.cat(list(out.means.values())).double().numpy()
    weight = [cells.weight.double().numpy() for cells in batch.cells.values()]
    signed = np.concatenate([weight[0] / weight[0].sum(), -weight[1] / weight[1].sum()])
    distance = ((x[:, None] - x[None]) ** 2).sum(-1)
    spread = distance.mean()  # twice the total variance
    kernel = sum(scale * spread / (scale * spread + distance) for scale in (0.1, 0.3, 1.0, 3.0))
    assert term.value.item() == pytest.approx(signed @ kernel @ signed / 2, rel=1e-4)
    assert term.weight == WEIGHTS.discrepancy


def test_the_gradient_of_the_discrepancy_is_that_of_its_definition(out: NetworkOutput, batch: Batch) -> None:
    means = {name: found.double().requires_grad_() for name, found in out.means.items()}
    (term,) = discrepancy_terms(out._replace(means=means), batch, WEIGHTS)
    term.value.backward()
    x = torch.cat([found.detach() for found in means.values()]).requires_grad_()
    weight = [cells.weight.double() for cells in batch.cells.values()]
    signed = torch.cat([weight[0] / weight[0].sum(), -weight[1] / weight[1].sum()])
    distance = (x.unsqueeze(1) - x).square().sum(-1)
    spread = distance.detach().mean()
    kernel = sum(scale * spread / (scale * spread + distance) for scale in (0.1, 0.3, 1.0, 3.0))
    (signed @ kernel @ signed / 2).backward()
    torch.testing.assert_close(
        torch.cat([found.grad for found in means.values()]), x.grad, rtol=1e-4, atol=1e-8
    )


def test_discrepancy_is_the_same_by_compiled_kernels(out: NetworkOutput, batch: Batch) -> None:
    found = []
    for compute in (None, Compute(1)):
        means = {name: value.clone().requires_grad_() for name, value in out.means.items()}
        (term,) = discrepancy_terms(out._replace(means=means, compute=compute), batch, WEIGHTS)
        term.value.backward()
        found.append([term.value.detach(), *(value.grad for value in means.values())])
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain, rtol=1e-4, atol=1e-7)


def test_discrepancy_is_nothing_where_modalities_agree_or_where_it_is_left_out(
    out: NetworkOutput, batch: Batch
) -> None:
    same = batch.cells["rna"]
    alike = Batch({"rna": same, "atac": same}, batch.edges)
    means = {"rna": out.means["rna"], "atac": out.means["rna"]}
    (term,) = discrepancy_terms(out._replace(means=means), alike, WEIGHTS)
    assert abs(term.value.item()) < 1e-6
    apart = {"rna": out.means["rna"], "atac": out.means["rna"] + 5}
    (term,) = discrepancy_terms(out._replace(means=apart), alike, WEIGHTS)
    assert term.value.item() > 0.5
    assert discrepancy_terms(out, batch, ObjectiveWeights(discrepancy=0)) == []


def test_labels_count_where_they_are_known(out: NetworkOutput, batch: Batch) -> None:
    (term,) = label_terms(out, batch, WEIGHTS)
    truth = [label for name in CELLS for label in LABELS[name]]
    rows = zip(out.label_logits.tolist(), truth, strict=True)
    losses = [cross_entropy(row, label) for row, label in rows if label >= 0]
    assert term.value.item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert label_terms(out._replace(label_logits=None), batch, WEIGHTS) == []


@pytest.mark.parametrize("power", [0.3, 0.7, 1.0])
def test_the_loss_of_labels_bounds_what_a_wrong_one_costs(
    out: NetworkOutput, batch: Batch, power: float
) -> None:
    (term,) = label_terms(out, batch, replace(WEIGHTS, label_power=power))
    truth = [label for name in CELLS for label in LABELS[name]]
    rows = zip(out.label_logits.tolist(), truth, strict=True)
    chances = [math.exp(-cross_entropy(row, label)) for row, label in rows if label >= 0]
    assert term.value.item() == pytest.approx(np.mean([(1 - p**power) / power for p in chances]), rel=1e-5)
    far = out._replace(label_logits=out.label_logits * 1000)
    (worst,) = label_terms(far, batch, replace(WEIGHTS, label_power=power))
    assert worst.value.item() <= 1 / power
    (close,) = label_terms(out, batch, replace(WEIGHTS, label_power=1e-4))
    (plain,) = label_terms(out, batch, WEIGHTS)
    assert close.value.item() == pytest.approx(plain.value.item(), rel=1e-2)


def test_a_batch_without_labels_costs_nothing(out: NetworkOutput, batch: Batch) -> None:
    unknown = {
        name: CellBatch(**{**vars(cells), "label": torch.full_like(cells.label, -1)})
        for name, cells in batch.cells.items()
    }
    (term,) = label_terms(out, Batch(unknown, batch.edges), WEIGHTS)
    assert term.value.item() == 0


def test_the_total_is_the_weighted_sum_and_the_loss_of_autoencoders_leaves_out_the_rest(
    out: NetworkOutput, batch: Batch
) -> None:
    found = evaluate(out, batch, WEIGHTS)
    values = dict(zip(found.names, found.values().tolist(), strict=True))
    weight = {term.name: term.weight for term in found.terms}
    assert found.total.item() == pytest.approx(sum(weight[n] * values[n] for n in weight), rel=1e-5)
    others = ("align", "label", "discrepancy")
    vae = sum(weight[name] * values[name] for name in weight if name not in others)
    assert values["vae_loss"] == pytest.approx(vae, rel=1e-5)
    assert set(others) < set(weight)


def test_terms_do_not_depend_on_the_number_of_cells(out: NetworkOutput, batch: Batch) -> None:
    def doubled(x: Tensor) -> Tensor:
        return torch.cat([x, x])

    twice = NetworkOutput(
        u={name: Draw(*map(doubled, found)) for name, found in out.u.items()},
        means={name: doubled(found) for name, found in out.means.items()},
        v=out.v,
        nll=out.nll,
        edge_logits=doubled(out.edge_logits),
        modality_logits=torch.cat([doubled(part) for part in out.modality_logits.split([4, 6])]),
        label_logits=torch.cat([doubled(part) for part in out.label_logits.split([4, 6])]),
    )
    cells = {
        name: CellBatch(
            **{
                key: value if key == "counts" or value is None else doubled(value)
                for key, value in vars(found).items()
            }
        )
        for name, found in batch.cells.items()
    }
    edges = EdgeBatch(**{key: doubled(value) for key, value in vars(batch.edges).items()})
    expected = evaluate(out, batch, WEIGHTS).values()
    torch.testing.assert_close(evaluate(twice, Batch(cells, edges), WEIGHTS).values(), expected)


def test_more_negatives_do_not_outweigh_positives(out: NetworkOutput, batch: Batch) -> None:
    edges = batch.edges
    more = torch.cat([torch.arange(5), torch.tensor([2, 3, 4]).repeat(9)])
    many = EdgeBatch(**{key: value[more] for key, value in vars(edges).items()})
    expected = graph_terms(out, batch, WEIGHTS)[0].value
    found = graph_terms(out._replace(edge_logits=out.edge_logits[more]), Batch(batch.cells, many), WEIGHTS)
    torch.testing.assert_close(found[0].value, expected)


# Joint cells: the first is in both modalities, and so are the last of RNA and the first but one of ATAC
JOINT = torch.tensor([[0, 5], [3, 1]])


def paired(batch: Batch) -> Batch:
    return replace(batch, joint=JOINT)


def in_pairs(out: NetworkOutput) -> tuple[np.ndarray, np.ndarray]:
    means = [found.double().numpy() for found in out.means.values()]
    return means[0][JOINT[:, 0]], means[1][JOINT[:, 1]]


def test_reconstructions_of_joint_cells_are_per_feature(out: NetworkOutput, batch: Batch) -> None:
    pairs = PairOutput({"rna": torch.tensor(10.0)}, {"rna": torch.tensor(15.0), "atac": torch.tensor(4.0)})
    weights = replace(WEIGHTS, joint=0.1, cross=0.2)
    terms = pair_terms(out._replace(pairs=pairs), paired(batch), weights)
    found = {term.name: (term.value.item(), term.weight) for term in terms}
    assert found == {
        "joint_nll_rna": pytest.approx((10 / 5, 0.7 * 0.1)),
        "cross_nll_rna": pytest.approx((15 / 5, 0.7 * 0.2)),
        "cross_nll_atac": pytest.approx((4 / 8, 0.7 * 3 * 0.2)),
    }


def test_the_cosine_of_joint_cells_equals_the_definition(out: NetworkOutput, batch: Batch) -> None:
    means = {name: found.double().requires_grad_() for name, found in out.means.items()}
    (term,) = cosine_terms(out._replace(means=means), paired(batch), replace(WEIGHTS, cosine=0.3))
    one, two = in_pairs(out)
    centre = (one + two) / 2
    cosines = [
        (x @ c) / np.sqrt((x @ x) * (c @ c)) for side in (one, two) for x, c in zip(side, centre, strict=True)
    ]
    assert term.value.item() == pytest.approx(1 - np.mean(cosines), rel=1e-12)
    assert (term.weight, term.autoencoder) == (0.3, False)
    term.value.backward()
    moved = {name: found.grad.abs().sum(1) > 0 for name, found in means.items()}
    assert moved["rna"].tolist() == [True, False, False, True]
    assert moved["atac"].tolist() == [False, True, False, False, False, True]


def test_terms_of_pairs_are_nothing_without_pairs_and_0_in_a_batch_that_has_none(
    out: NetworkOutput, batch: Batch
) -> None:
    weights = replace(WEIGHTS, cosine=0.3)
    assert "cosine" not in evaluate(out, batch, weights).names
    assert cosine_terms(out, batch, weights) == pair_terms(out, batch, weights) == []
    none = replace(batch, joint=JOINT[:0])
    (term,) = cosine_terms(out, none, weights)
    assert term.value.item() == 0
    assert cosine_terms(out, paired(batch), replace(WEIGHTS, cosine=0)) == []
