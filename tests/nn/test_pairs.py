"""Reconstruction of joint cells: which embeddings go into which decoder, and whom the gradient reaches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from omicsglue.data.batches import BatchLoader
from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.pairing import pair_cells
from omicsglue.data.setup import read_setup
from omicsglue.data.tensors import Batch
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.nn.build import build_network
from omicsglue.nn.compute import Compute
from omicsglue.nn.network import Conduct, Network
from omicsglue.nn.pairs import Paired, joint_mean
from omicsglue.nn.randomness import Randomness
from small import NETWORK, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

BOTH = Paired(joint=True, cross=True)


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
    """A minibatch of 32 cells, of which about half have their partners with them."""
    some = dict(small_pair)
    names = some["atac"].obs_names
    some["atac"] = some["atac"].copy()
    some["atac"].obs_names = [name if i % 2 else f"other{i}" for i, name in enumerate(names)]
    rows = {name: np.arange(len(cells)) for name, cells in data.items()}
    edges = EdgeSampler(small_graph(small_pair))
    loader = BatchLoader(data, rows, edges, batch_size=32, positives=20, pairing=pair_cells(some))
    return loader.draw(np.random.default_rng(0))


@pytest.fixture
def network(data: dict[str, ModalityData], small_pair: dict[str, AnnData]) -> Network:
    made = build_network(data, small_graph(small_pair), NETWORK, types=0, seed=0)
    with torch.no_grad():
        made.graph.table.normal_(generator=torch.Generator().manual_seed(3))  # at the start V is 0
    return made


def test_the_mean_of_joint_cells_is_over_where_they_are() -> None:
    u = {name: torch.tensor([[float(k)], [10.0 * k]]) for k, name in enumerate(("rna", "atac", "protein"), 1)}
    joint = torch.tensor([[0, 1, -1], [1, 0, 0], [-1, 0, 1]])
    assert joint_mean(u, joint).ravel().tolist() == pytest.approx(
        [(1 + 20) / 2, (10 + 2 + 3) / 3, (2 + 30) / 2]
    )


def test_each_modality_is_reconstructed_from_the_mean_and_from_the_other(
    network: Network, batch: Batch
) -> None:
    network.eval()
    out = network(batch, Conduct(paired=BOTH))
    assert batch.joint is not None
    assert 8 < len(batch.joint) < 24
    assert out.pairs is not None
    features = network.features(out.v.value)
    rna, atac = batch.joint.T
    u = {"rna": out.u["rna"].value[rna], "atac": out.u["atac"].value[atac]}
    mean = (u["rna"] + u["atac"]) / 2
    for name, other, at in (("rna", "atac", rna), ("atac", "rna", atac)):
        cells = batch.cells[name].take(at)
        weight = torch.full((len(at),), 1 / len(at))
        for given, found in ((mean, out.pairs.joint[name]), (u[other], out.pairs.cross[name])):
            expected = network.decoders[name].nll(given, features[name], cells, weight)
            torch.testing.assert_close(found, expected)
    assert not torch.allclose(out.pairs.joint["rna"], out.pairs.cross["rna"])


def test_the_other_modality_learns_from_what_it_reconstructs(network: Network, batch: Batch) -> None:
    out = network(batch, Conduct(Randomness(torch.Generator().manual_seed(0)), paired=BOTH))
    assert out.pairs is not None
    out.pairs.cross["rna"].backward()
    encoders = {name: network.encoders[name].head.loc.weight.grad for name in network.modalities}
    assert encoders["rna"] is None or not encoders["rna"].any()
    assert encoders["atac"].abs().max() > 0
    assert network.decoders["rna"].bias.grad.abs().max() > 0
    assert network.graph.table.grad.abs().max() > 0


def test_only_what_is_asked_for_is_computed(network: Network, batch: Batch) -> None:
    network.eval()
    none = network(batch, Conduct()).pairs
    assert none is not None
    assert (none.joint, none.cross) == ({}, {})
    some = network(batch, Conduct(paired=Paired(cross=True))).pairs
    assert some is not None
    assert some.joint == {}
    assert set(some.cross) == {"rna", "atac"}
    assert network(replace(batch, joint=None), Conduct(paired=BOTH)).pairs is None


def test_a_batch_without_joint_cells_reconstructs_nothing(network: Network, batch: Batch) -> None:
    empty = replace(batch, joint=torch.empty(0, 2, dtype=torch.int64))
    out = network(empty, Conduct(paired=BOTH)).pairs
    assert out is not None
    assert [value.item() for part in out for value in part.values()] == [0.0] * 4


def test_compiled_kernels_give_the_same(network: Network, batch: Batch) -> None:
    network.eval()
    plain = network(batch, Conduct(paired=BOTH)).pairs
    compiled = network(batch, Conduct(paired=BOTH, compute=Compute(1))).pairs
    assert plain is not None
    assert compiled is not None
    for one, two in zip(plain, compiled, strict=True):
        for name, value in one.items():
            torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-4)


def test_three_modalities_are_reconstructed_from_both_others(network: Network, batch: Batch) -> None:
    network.eval()
    three = {**batch.cells, "twin": batch.cells["atac"]}
    network.encoders["twin"], network.decoders["twin"] = network.encoders["atac"], network.decoders["atac"]
    network.register_buffer("vertices_twin", network.get_buffer("vertices_atac"))
    network.in_turn = False
    assert batch.joint is not None
    rna, atac = batch.joint.T
    nowhere = torch.full_like(rna, -1)
    twin = torch.where(torch.arange(len(rna)) % 2 == 0, atac, nowhere)
    joint = torch.stack([rna, atac, twin], dim=1)
    out = network(replace(batch, cells=three, joint=joint), Conduct(paired=BOTH))
    assert out.pairs is not None
    features = network.features(out.v.value)["rna"]
    even = torch.arange(len(rna)) % 2 == 0
    u = torch.cat([out.u["atac"].value[atac], out.u["twin"].value[twin[even]]])
    cells = batch.cells["rna"].take(torch.cat([rna, rna[even]]))
    expected = network.decoders["rna"].nll(u, features, cells, torch.full((len(u),), 1 / len(u)))
    torch.testing.assert_close(out.pairs.cross["rna"], expected)
