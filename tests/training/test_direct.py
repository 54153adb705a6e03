"""The step without autograd against the plain way: values, gradients, running statistics, threads."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import Tensor

from omicsglue import objective
from omicsglue.data.batches import BatchLoader
from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.setup import read_setup
from omicsglue.data.tensors import Batch
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.nn import graph_encoder
from omicsglue.nn.build import build_network
from omicsglue.nn.compute import Compute
from omicsglue.nn.direct import features
from omicsglue.nn.network import Conduct, Network
from omicsglue.nn.randomness import Randomness
from omicsglue.objective import ObjectiveWeights, evaluate
from omicsglue.training import direct
from omicsglue.training.direct import DirectStep, serves
from small import NETWORK, WEIGHTS, small_graph

if TYPE_CHECKING:
    from anndata import AnnData


class Problem(NamedTuple):
    """A network and a minibatch."""

    network: Network
    batch: Batch

    def start(self) -> Network:
        """Return the network as it was, without gradients."""
        self.network.zero_grad()
        return self.network.train()


class Found(NamedTuple):
    """What a step computes."""

    values: dict[str, float]
    gradients: dict[str, Tensor]
    state: dict[str, Tensor]


@pytest.fixture(scope="module")
def data(small_pair: dict[str, AnnData]) -> dict[str, ModalityData]:
    graph = small_graph(small_pair)
    found = {}
    for name, adata in small_pair.items():
        kept = list(adata.var_names[adata.var_names.isin(graph.vertices)])
        found[name] = resolve(name, adata, read_setup(adata, name), kept)
    return found


@pytest.fixture(autouse=True)
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the small data into as many blocks of work as large data are cut into."""
    for module, name, size in (
        (graph_encoder, "VERTICES", 64),
        (features, "VERTICES", 64),
        (features, "EDGES", 128),
        (direct, "FEATURES", 64),
    ):
        monkeypatch.setattr(module, name, size)


def problem(
    data: dict[str, ModalityData], pair: dict[str, AnnData], *, batches: int = 1, **network: Any
) -> Problem:
    """Return a network whose parameters are not those of the start, and cells of unequal weights."""
    rng, graph = np.random.default_rng(0), small_graph(pair)
    changed = {}
    for name, each in data.items():
        codes = rng.integers(batches, size=len(each)) if batches > 1 else np.zeros(len(each), dtype=np.int64)
        weight = rng.uniform(0.5, 1.5, len(each)).astype(np.float32)
        names = tuple(f"{name}{i}" for i in range(batches))
        changed[name] = replace(each, batch=codes, batches=names, weight=weight)
    made = build_network(changed, graph, replace(NETWORK, **network), types=0, seed=0)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=random), alpha=0.05)
    rows = {name: np.arange(len(each)) for name, each in data.items()}
    loader = BatchLoader(changed, rows, EdgeSampler(graph), batch_size=70, positives=40)
    return Problem(made, loader.draw(rng))


def taken(
    given: Problem, weights: ObjectiveWeights, noise: float, threads: int | None, times: int = 1
) -> Found:
    """Take a step, by hand where a number of threads is given, else by autograd; then undo it."""
    network, compute = given.start(), Compute(threads or 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = Randomness(torch.Generator().manual_seed(3), compute)
    try:
        if threads is None:
            conduct = Conduct(random, noise, compute)
            breakdown = evaluate(network(given.batch, conduct, weights.align), given.batch, weights)
            breakdown.total.backward()
            names, values = breakdown.names, breakdown.values()
        else:
            assert serves(network, weights)
            step = DirectStep(network, weights, compute)
            assert step.serves(given.batch)
            for _ in range(times):
                network.load_state_dict(before)
                random.generator.manual_seed(3)
                values = step.gradients(given.batch, random, noise, bool)
            names = step.names
    finally:
        compute.close()
    gradients = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    found = {name: value.clone() for name, value in network.state_dict().items()}
    network.load_state_dict(before)
    return Found(dict(zip(names, values.tolist(), strict=True)), gradients, found)


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize(
    ("weights", "noise"),
    [
        (WEIGHTS, 0.0),
        (WEIGHTS, 1.5),
        (replace(WEIGHTS, align=0.0, discrepancy=0.0), 0.0),
        (replace(WEIGHTS, discrepancy=3.0, kl=2.0, graph=1.0, modality={"rna": 0.3}), 0.5),
    ],
)
def test_values_and_gradients_equal_those_of_autograd(
    data: dict[str, ModalityData],
    small_pair: dict[str, AnnData],
    weights: ObjectiveWeights,
    noise: float,
    batches: int,
) -> None:
    given = problem(data, small_pair, batches=batches)
    plain = taken(given, weights, noise, None)
    ours = taken(given, weights, noise, 1, times=2)
    assert ours.values == pytest.approx(plain.values, rel=3e-6)
    assert list(ours.values) == list(plain.values)
    assert ours.gradients.keys() == plain.gradients.keys() == dict(given.network.named_parameters()).keys()
    for name, expected in plain.gradients.items():
        assert expected.norm() > 0, name
        assert (ours.gradients[name] - expected).norm() / expected.norm() < 2e-5, name
    for name, expected in plain.state.items():
        torch.testing.assert_close(ours.state[name], expected, rtol=1e-6, atol=1e-7, msg=name)
    norm = "encoders.rna.hidden.norm.0.running_mean"
    assert not torch.equal(ours.state[norm], given.network.state_dict()[norm])


@pytest.mark.parametrize("batches", [1, 3])
def test_bits_do_not_depend_on_the_number_of_threads(
    data: dict[str, ModalityData], small_pair: dict[str, AnnData], batches: int
) -> None:
    given = problem(data, small_pair, batches=batches)
    one, *others = (taken(given, WEIGHTS, 1.0, threads) for threads in (1, 2, 3, 3))
    for other in others:
        assert other.values == one.values
        for name, expected in one.gradients.items():
            assert torch.equal(other.gradients[name], expected), name


def test_what_is_not_written_out_is_left_to_autograd(
    data: dict[str, ModalityData], small_pair: dict[str, AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = problem(data, small_pair, batches=2)
    network = given.network
    assert serves(network, WEIGHTS)
    assert not serves(network, replace(WEIGHTS, data=0.0))
    assert not serves(network, replace(WEIGHTS, modality={"atac": 0.0}))
    batched = {
        name: replace(each, batch=np.arange(len(each)) % 2, batches=("a", "b")) for name, each in data.items()
    }
    telling = replace(NETWORK, shared_batches=True)
    shared = build_network(batched, small_graph(small_pair), telling, types=0, seed=0)
    assert not serves(shared, WEIGHTS)
    typed = build_network(data, small_graph(small_pair), NETWORK, types=3, seed=0)
    assert not serves(typed, WEIGHTS)
    monkeypatch.setattr(objective, "TERMS", (*objective.TERMS, objective.label_terms))
    assert not serves(network, WEIGHTS)


def test_minibatches_with_pairs_or_coverage_are_left_to_autograd(
    data: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    network, batch = problem(data, small_pair)
    step = DirectStep(network, WEIGHTS, Compute(1))
    assert step.serves(batch)
    assert not step.serves(replace(batch, joint=torch.zeros(1, 2, dtype=torch.int64)))
    covered = replace(batch.cells["rna"], coverage=batch.cells["rna"].counts)
    assert not step.serves(replace(batch, cells={**batch.cells, "rna": covered}))


def test_what_is_not_finite_shows_in_the_values(
    data: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    given = problem(data, small_pair)
    with torch.no_grad():
        given.network.decoders["atac"].bias[0, 3] = np.nan
    values = taken(given, WEIGHTS, 0.0, 1).values
    assert np.isnan(values["data_nll_atac"])
    assert np.isnan(values["vae_loss"])
    assert np.isfinite(values["data_nll_rna"])


def test_kernels_of_the_graph_equal_sparse_algebra() -> None:
    from omicsglue.nn import kernels

    rng = np.random.default_rng(0)
    matrix = sp.csr_matrix(sp.random(40, 40, 0.05, random_state=0) + sp.eye(40), dtype=np.float32)
    table, out = rng.normal(size=(40, 7)).astype(np.float32), np.empty((30, 7), dtype=np.float32)
    starts = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)
    assert np.diff(starts[0]).max() > 4
    kernels.propagate(table, *starts, matrix.data, 10, out)
    np.testing.assert_allclose(out, (matrix @ table)[10:], rtol=1e-5, atol=1e-6)
    source, target = rng.integers(40, size=(2, 90))
    down = rng.normal(size=90).astype(np.float32)
    indptr, other, edge = np.empty(41, dtype=np.int64), *np.empty((2, 180), dtype=np.int64)
    kernels.incidence(source, target, indptr, other, edge)
    found = np.zeros((40, 7), dtype=np.float32)
    kernels.add_edges(table, indptr, other, edge, down, 0, found)
    expected = np.zeros((40, 7))
    np.add.at(expected, source, down[:, None] * table[target])
    np.add.at(expected, target, down[:, None] * table[source])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
