"""What several gloo processes compute together, for tests: a case is a function of this module."""

from __future__ import annotations

import copy
import multiprocessing
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from omicsglue.data.batches import batch_of, edge_batch
from omicsglue.data.shards import shards
from omicsglue.data.tensors import Batch, EdgeBatch
from omicsglue.graph.sampling import EdgeSampler
from omicsglue.model import GLUE
from omicsglue.nn import sharing
from omicsglue.nn.common_memory import meet_on_this_machine
from omicsglue.nn.compute import Compute
from omicsglue.nn.network import Conduct, Network
from omicsglue.nn.pairs import Paired
from omicsglue.nn.randomness import Randomness
from omicsglue.nn.ranks import Ranks
from omicsglue.objective import ObjectiveWeights, evaluate
from omicsglue.training.team import Team
from small import quick_recipe, small_graph, small_modalities

T = TypeVar("T")
SIZES = {"rna": 24, "atac": 20}  # cells of a minibatch in each process


def on_ranks(case: Callable[..., T], number: int, *given: Any, seconds: float = 100) -> list[T]:
    """Return what a case returns in each of so many processes that have met; it is given ranks first."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(number, context) as pool:
        futures = [pool.submit(_meet, case, rank, number, port, given) for rank in range(number)]
        return [future.result(seconds) for future in futures]


def _meet(case: Callable[..., T], rank: int, number: int, port: int, given: tuple[Any, ...]) -> T:
    torch.set_num_threads(1)
    where = f"tcp://127.0.0.1:{port}"
    dist.init_process_group(
        "gloo", init_method=where, rank=rank, world_size=number, timeout=timedelta(seconds=60)
    )
    try:
        return case(Ranks(rank, number), *given)
    finally:
        dist.destroy_process_group()


def told(mine: object) -> list[object]:
    """Return an object of each process, in their order."""
    held: list[object] = [None] * dist.get_world_size()
    dist.all_gather_object(held, mine)
    return held


class Fixed(Randomness):
    """Draws for the cells of all processes together, and keeps those of one; of all, where rank is None."""

    def __init__(self, seed: int, rank: int | None, number: int) -> None:
        super().__init__(torch.Generator().manual_seed(seed))
        self.rank, self.number = rank, number

    def normal(self, x: Tensor) -> Tensor:
        return self._own(x, lambda shape: torch.randn(shape, generator=self.generator, dtype=torch.float64))

    def mask(self, x: Tensor, rate: float) -> Tensor:
        def draw(shape: tuple[int, int]) -> Tensor:
            kept = torch.rand(shape, generator=self.generator, dtype=torch.float64) >= rate
            return kept / (1 - rate)

        return self._own(x, draw)

    def _own(self, x: Tensor, draw: Callable[[tuple[int, int]], Tensor]) -> Tensor:
        if self.rank is None:
            return draw((len(x), x.shape[1])).to(x.dtype)
        found = draw((len(x) * self.number, x.shape[1]))
        sizes = list(SIZES.values()) if len(x) == sum(SIZES.values()) else [len(x)]
        parts = found.split([self.number * size for size in sizes])
        own = [part[self.rank * size :][:size] for part, size in zip(parts, sizes, strict=True)]
        return torch.cat(own).to(x.dtype)


@dataclass(frozen=True)
class Problem:
    """A network, and the minibatch of each process.

    Attributes
    ----------
    network, weights
        What is trained, and by what.
    batches
        One a process.
    whole
        The same cells and edges as one minibatch.
    """

    network: Network
    weights: ObjectiveWeights
    batches: list[Batch]
    whole: Batch


def problem(number: int, *, dropout: float, dtype: torch.dtype) -> Problem:
    """Return a problem in which every term of the objective plays a part; counts differ by process."""
    modalities = small_modalities(batches=3, batch_effect=0.5)
    names = np.arange(len(modalities["rna"]))
    modalities["rna"].obs["cell"] = np.where(names % 3 == 0, "", names.astype(str))
    modalities["atac"].obs["cell"] = np.where(names % 5 == 0, "", names.astype(str))
    for name, adata in modalities.items():
        adata.obs["cell"] = adata.obs["cell"].replace("", None)
        GLUE.setup_anndata(
            adata,
            representation="X_rep",
            batch_key="batch",
            labels_key="cell_type" if name == "rna" else None,
        )
    recipe = quick_recipe()
    shape = replace(recipe.network, shared_batches=True, align_batches=("all",), dropout=dropout)
    model = GLUE(modalities, small_graph(modalities), replace(recipe, network=shape), pairing="cell")
    rng = np.random.default_rng(0)
    data = {
        name: replace(
            cells,
            weight=rng.uniform(0.2, 3, len(cells)).astype(np.float32),
            label=np.where(rng.random(len(cells)) < 0.3, -1, cells.label),
        )
        for name, cells in model._data.items()
    }
    pairs = model._pairs
    assert pairs is not None
    parts = shards({name: np.arange(len(cells)) for name, cells in data.items()}, number, pairs)
    rows = [{name: rng.permutation(part[name])[: SIZES[name]] for name in data} for part in parts]
    sampler = EdgeSampler(model.graph, negatives=5)
    edges = [_without(edge_batch(sampler, 30, rng), 7 * rank) for rank in range(number)]
    batches = [batch_of(data, own, drawn, pairs) for own, drawn in zip(rows, edges, strict=True)]
    everything = {name: np.concatenate([own[name] for own in rows]) for name in data}
    joined = EdgeBatch(*(torch.cat(part) for part in zip(*(vars(e).values() for e in edges), strict=True)))
    whole = batch_of(data, everything, joined, pairs)
    weights = ObjectiveWeights(label_power=0.3, discrepancy=0.5, joint=0.3, cross=0.3)
    network = model.network.to(dtype)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    return Problem(network, weights, [_to(batch, dtype) for batch in batches], _to(whole, dtype))


def _without(edges: EdgeBatch, last: int) -> EdgeBatch:
    """Leave out the last negatives."""
    return EdgeBatch(*(part[: len(part) - last] for part in vars(edges).values()))


def _to(batch: Batch, dtype: torch.dtype) -> Batch:
    def converted(item: Any) -> Any:
        if isinstance(item, Tensor):
            return item.to(dtype) if item.is_floating_point() else item
        if hasattr(item, "__dataclass_fields__"):
            return replace(item, **{key: converted(value) for key, value in vars(item).items()})
        return {k: converted(v) for k, v in item.items()} if isinstance(item, Mapping) else item

    found: Batch = converted(batch)
    return found


def quiet_compute() -> Compute:
    """Return compiled kernels that draw no noise."""
    compute = Compute(1)

    def silence(first: Any, second: Any, begin: int, out: Any) -> None:
        out[:] = 0

    compute.kernels = SimpleNamespace(**{**vars(compute.kernels), "normal_noise": silence})
    return compute


def conducted(rank: int | None, number: int, ranks: Ranks | None, *, compiled: bool) -> Conduct:
    """Return how a pass is run by one process, or by one for all."""
    own, shared = Fixed(3, rank, number), Fixed(4, None, 1)
    compute = quiet_compute() if compiled else None
    if compute is not None:
        own.compute = shared.compute = compute
    return Conduct(own, 0.7, compute, Paired(joint=True, cross=True), ranks, shared)


def passed(
    network: Network, batch: Batch, weights: ObjectiveWeights, conduct: Conduct, team: Team | None
) -> dict[str, Tensor]:
    """Return values, gradients and running statistics after one pass, all by name."""
    network.train()
    breakdown = evaluate(network(batch, conduct, 0.3), batch, weights)
    breakdown.total.backward()
    values = breakdown.values()
    if team is not None:
        values = team.average(list(network.parameters()), values)
    found = {f"value of {name}": value for name, value in zip(breakdown.names, values, strict=True)}
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        found[f"gradient of {name}"] = parameter.grad.clone()
    return found | {name: value.clone() for name, value in network.named_buffers() if "running" in name}


def one_pass(ranks: Ranks, given: Problem, *, compiled: bool) -> dict[str, Tensor]:
    """Take a process's part in one pass."""
    team = Team(SimpleNamespace(device=torch.device("cpu")), ranks, None)  # type: ignore[arg-type]
    conduct = conducted(ranks.rank, ranks.number, ranks, compiled=compiled)
    network = copy.deepcopy(given.network)  # what torch sends to a process stays shared
    return passed(network, given.batches[ranks.rank], given.weights, conduct, team)


Passed = tuple[dict[str, Tensor], dict[str, Tensor]]


def passes(ranks: Ranks, plain: Problem, compiled: Problem) -> tuple[Passed, Passed]:
    """Take a process's part in passes through plain torch and through compiled kernels.

    The first two go over the network, the others through memory, after passes whose numbers are still there.
    """
    shared = replace(ranks, memory=meet_on_this_machine(ranks.rank, ranks.number, told, 60))
    assert shared.memory is not None
    both = plain, compiled
    sharing.VERTICES = 150  # type: ignore[misc]  # so that each process of this test has vertices of its own
    for kind, given in enumerate(both):
        one_pass(shared, given, compiled=kind == 1)
    over, through = (
        tuple(one_pass(way, given, compiled=kind == 1) for kind, given in enumerate(both))
        for way in (ranks, shared)
    )
    return cast(Passed, over), cast(Passed, through)


def all_cells(given: Problem, number: int, *, compiled: bool) -> dict[str, Tensor]:
    """Return what one process computes on all cells."""
    conduct = conducted(None, number, None, compiled=compiled)
    return passed(given.network, given.whole, given.weights, conduct, None)
