"""The whole network: who learns what from the discriminator, and where its randomness comes from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from omicsglue.data.batches import BatchLoader
from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.setup import read_setup
from omicsglue.data.tensors import Batch, EdgeBatch
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.nn.build import build_network, feature_profile
from omicsglue.nn.compute import Compute
from omicsglue.nn.discriminator import reverse_gradient
from omicsglue.nn.network import Conduct, Network
from omicsglue.nn.randomness import Randomness
from omicsglue.objective import ObjectiveWeights, align_terms, data_terms, evaluate
from small import NETWORK, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

Gradients = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def data(small_pair: dict[str, AnnData]) -> dict[str, ModalityData]:
    graph = small_graph(small_pair)
    found = {}
    for name, adata in small_pair.items():
        features = list(adata.var_names[adata.var_names.isin(graph.vertices)])
        found[name] = resolve(name, adata, read_setup(adata, name), features)
    return found


@pytest.fixture(scope="module")
def batch(data: dict[str, ModalityData], small_pair: dict[str, AnnData]) -> Batch:
    rows = {name: np.arange(len(cells)) for name, cells in data.items()}
    edges = EdgeSampler(small_graph(small_pair))
    return BatchLoader(data, rows, edges, batch_size=32, positives=20).draw(np.random.default_rng(0))


@pytest.fixture
def network(data: dict[str, ModalityData], small_pair: dict[str, AnnData]) -> Network:
    return build_network(data, small_graph(small_pair), NETWORK, types=0, seed=0)


def gradients(network: Network, loss: torch.Tensor) -> Gradients:
    network.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_reversal_turns_a_gradient_and_leaves_the_value() -> None:
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = reverse_gradient(x, 0.05)
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, 5.0])).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([-0.15, -0.25]))


def test_encoders_climb_what_the_discriminator_descends(network: Network, batch: Batch) -> None:
    network.eval()

    def align(strength: float) -> torch.Tensor:
        return align_terms(network(batch, Conduct(), strength), batch, ObjectiveWeights())[0].value

    plain, turned = gradients(network, align(-1.0)), gradients(network, align(0.05))
    encoders = [name for name in plain if name.startswith("encoders") and "std" not in name]
    assert any(plain[name].abs().max() > 0 for name in encoders)
    for name in encoders:
        torch.testing.assert_close(turned[name], -0.05 * plain[name])
    for name in (name for name in plain if name.startswith("discriminator")):
        torch.testing.assert_close(turned[name], plain[name])
        assert plain[name].abs().max() > 0


def test_a_whole_step_gives_the_encoders_data_minus_alignment(network: Network, batch: Batch) -> None:
    network.eval()
    weights = ObjectiveWeights(align=0.3, discrepancy=0.0)
    total = gradients(network, evaluate(network(batch, Conduct(), 0.3), batch, weights).total)
    out = network(batch, Conduct(), -1.0)
    data_part = sum(term.weight * term.value for term in data_terms(out, batch, weights))
    data_only = gradients(network, data_part)
    align = gradients(network, align_terms(network(batch, Conduct(), -1.0), batch, weights)[0].value)
    name = "encoders.rna.head.loc.weight"
    torch.testing.assert_close(total[name], data_only[name] - 0.3 * align[name])


def test_the_discriminator_is_noisy_only_where_asked(network: Network, batch: Batch) -> None:
    network.eval()

    def logits(level: float, seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        return network(batch, Conduct(Randomness(generator), level)).modality_logits

    assert torch.equal(logits(1.5, 0), logits(1.5, 0))
    assert not torch.equal(logits(1.5, 0), logits(1.5, 1))
    assert not torch.equal(logits(1.5, 0), logits(0.0, 0))
    still = network(batch, Conduct()).modality_logits
    assert torch.equal(still, network(batch, Conduct(None, 1.5)).modality_logits)


def test_noise_is_in_units_of_the_spread_of_the_embeddings(network: Network) -> None:
    network.eval()
    heard: list[torch.Tensor] = []
    network.discriminator.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    u = torch.randn(20_000, NETWORK.dim, generator=torch.Generator().manual_seed(0))
    u = u * torch.arange(1, NETWORK.dim + 1)
    nobody = Batch({}, EdgeBatch(*[torch.empty(0)] * 4))
    network._discriminate(u, Conduct(Randomness(torch.Generator().manual_seed(1)), 1.5), nobody)
    torch.testing.assert_close((heard[0] - u).std(0), 1.5 * u.std(0), rtol=0.03, atol=0)


def test_weights_come_from_the_seed_and_no_generator_is_touched(
    data: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    graph = small_graph(small_pair)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = (build_network(data, graph, NETWORK, types=0, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert not torch.equal(one.encoders["rna"].head.loc.weight, other.encoders["rna"].head.loc.weight)
    assert one.graph.table.abs().max() == 0


def test_features_are_those_of_the_modality_in_its_order(
    network: Network, data: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    vertices = list(small_graph(small_pair).vertices)
    v = torch.arange(len(vertices)).unsqueeze(1)
    for name, cells in data.items():
        assert [vertices[i] for i in network.features(v)[name].ravel().tolist()] == list(cells.features)


def test_features_out_of_turn_are_found_too(
    network: Network, data: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    mixed = {name: network.get_buffer(f"vertices_{name}").flip(0) for name in reversed(network.modalities)}
    other = Network(network.encoders, network.decoders, network.graph, mixed, network.discriminator)
    v = torch.randn(len(small_graph(small_pair).vertices), 2, generator=torch.Generator().manual_seed(0))
    expected = network.features(v)
    for name in data:
        assert torch.equal(other.features(v)[name], expected[name].flip(0))


def test_profile_sums_each_batch(data: dict[str, ModalityData]) -> None:
    cells = data["rna"]
    codes = np.arange(len(cells)) % 2
    profile = feature_profile(replace(cells, batch=codes, batches=("a", "b")))
    dense = cells.counts.toarray()
    np.testing.assert_allclose(profile.total.numpy(), [dense[codes == b].sum(0) for b in (0, 1)])
    assert profile.cells.tolist() == [80, 80]


@pytest.fixture
def batched(data: dict[str, ModalityData]) -> dict[str, ModalityData]:
    """Two batches in each modality, of which b is in both."""
    codes = np.arange(len(data["rna"])) % 2
    names = {"rna": ("a", "b"), "atac": ("b", "c")}
    return {name: replace(cells, batch=codes, batches=names[name]) for name, cells in data.items()}


def drawn(data: dict[str, ModalityData], small_pair: dict[str, AnnData]) -> Batch:
    rows = {name: np.arange(len(cells)) for name, cells in data.items()}
    edges = EdgeSampler(small_graph(small_pair))
    return BatchLoader(data, rows, edges, batch_size=32, positives=20).draw(np.random.default_rng(0))


@pytest.mark.parametrize("compiled", [False, True])
def test_the_discriminator_sees_the_batches_that_are_shared(
    batched: dict[str, ModalityData], small_pair: dict[str, AnnData], compiled: bool
) -> None:
    network = build_network(
        batched, small_graph(small_pair), replace(NETWORK, shared_batches=True), types=0, seed=0
    )
    batch = drawn(batched, small_pair)
    heard: list[torch.Tensor] = []
    network.discriminator.register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    compute = Compute(1) if compiled else None
    random = Randomness(torch.Generator().manual_seed(0), compute)
    out = network(batch, Conduct(random, 1.5, compute), 0.05)
    align_terms(out, batch, ObjectiveWeights())[0].value.backward()
    if compute is not None:
        compute.close()
    expected = [batch.cells["rna"].batch == 1, batch.cells["atac"].batch == 0]
    assert heard[0].shape == (64, NETWORK.dim + 1)
    assert torch.equal(heard[0][:, -1], torch.cat(expected).float())
    assert network.encoders["rna"].head.loc.weight.grad.abs().max() > 0
    assert network.discriminator.hidden.linear[0].weight.grad[:, -1].abs().max() > 0


def test_the_network_does_not_depend_on_the_alignment_of_batches(
    batched: dict[str, ModalityData], small_pair: dict[str, AnnData]
) -> None:
    graph = small_graph(small_pair)
    plain = build_network(batched, graph, NETWORK, types=0, seed=3).state_dict()
    aligned = build_network(batched, graph, replace(NETWORK, align_batches=("all",)), types=0, seed=3)
    found = aligned.state_dict()
    assert set(found) == set(plain)
    assert all(torch.equal(found[name], value) for name, value in plain.items())
