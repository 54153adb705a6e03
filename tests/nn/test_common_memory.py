"""Processes of one machine tell each other the same through memory as over the network."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from omicsglue.nn import common_memory as memories
from omicsglue.nn.common_memory import CommonMemory, meet_on_this_machine
from omicsglue.nn.ranks import Ranks
from processes import on_ranks, told

pytestmark = pytest.mark.slow


def met(ranks: Ranks, seconds: float = 30) -> CommonMemory:
    found = meet_on_this_machine(ranks.rank, ranks.number, told, seconds)
    assert found is not None
    return found


def exchanged(ranks: Ranks) -> list[Tensor]:
    """Exchange numbers of several types and shapes; some are waited for later."""
    found = []
    generator = torch.Generator().manual_seed(ranks.rank)
    for _ in range(4):
        for shape in ((2, 3), (0, 4), (1000,), (2, 3)):
            for dtype in (torch.float64, torch.float32):
                first, second = torch.randn(2, *shape, generator=generator, dtype=dtype)
                later = ranks.gather_later(first)
                second.add_(1)  # meanwhile
                found += [later(), ranks.gather(second.flip(0)), ranks.add(first.clone())]
    return found


@dataclass
class Found:
    """What one process has found."""

    network: list[Tensor]
    memory: list[Tensor]
    rooms: list[Tensor]
    held: tuple[bool, bool]
    none: bool
    silent: tuple[str, float]
    closed: tuple[str, float]


def case(ranks: Ranks) -> Found:
    network = exchanged(ranks)
    shared = replace(ranks, memory=met(ranks))
    memory = exchanged(shared)
    assert shared.memory is not None
    rooms = written(shared.memory)
    held = shared.holds(shared.memory.room("a", (5,), torch.float64)[1:3]), shared.holds(rooms[0])
    return Found(network, memory, rooms, held, apart(ranks), lost(ranks, 0.2), lost(ranks, 30, closes=True))


def written(memory: CommonMemory) -> list[Tensor]:
    """Write into memory by name, the same name twice, and in another shape."""
    found = []
    for name, shape in (("a", (5,)), ("b", (5,)), ("a", (5,)), ("a", (2, 5)), ("a", (5,))):
        room = memory.room(name, shape, torch.float64)
        memory.arrive()
        memory.wait()
        room[..., memory.rank] += memory.rank + 1
        memory.arrive()
        memory.wait()
        found.append(room.clone())
        memory.arrive()
        memory.wait()
    return found


def apart(ranks: Ranks) -> bool:
    """Whether no process has memory in common where one cannot hear the others."""
    hears = memories._listening
    if ranks.rank == 1:
        memories._listening = lambda path, number: hears(path / "nowhere", number)
    try:
        return meet_on_this_machine(ranks.rank, ranks.number, told, 30) is None
    finally:
        memories._listening = hears


def lost(ranks: Ranks, seconds: float, *, closes: bool = False) -> tuple[str, float]:
    """Return what the first process is told of one that does not answer, or has closed, and how soon."""
    ranks = replace(ranks, memory=met(ranks, seconds), lost=lambda error: ValueError(type(error).__name__))
    assert ranks.memory is not None
    said, began = "", time.monotonic()
    if ranks.rank == 0:
        with pytest.raises(ValueError, match="Error") as caught:
            ranks.gather(torch.zeros(3))
        said = str(caught.value)
    elif closes:
        ranks.memory.close()
    took = time.monotonic() - began
    dist.barrier()
    return said, took


@pytest.mark.parametrize("number", [2, 3])
def test_memory_tells_what_the_network_tells(number: int) -> None:
    ranks = on_ranks(case, number)
    for rank, each in enumerate(ranks):
        for over, through, first in zip(each.network, each.memory, ranks[0].memory, strict=True):
            assert over.shape == through.shape
            assert torch.equal(through, first)
            if number == 2:
                assert torch.equal(over, through)
            else:
                torch.testing.assert_close(over, through, rtol=1e-6, atol=1e-6)
        expected = torch.zeros(5, dtype=torch.float64)
        expected[:number] = torch.arange(1.0, number + 1)
        assert torch.equal(each.rooms[0], expected)
        assert torch.equal(each.rooms[1], expected)
        assert torch.equal(each.rooms[2], 2 * expected)  # the same name is the same memory
        assert torch.equal(each.rooms[3], expected.expand(2, 5))
        assert torch.equal(each.rooms[4], expected)
        assert each.held == (True, False)
        assert each.none
        assert rank or each.silent[0] == "TimeoutError"
        assert rank or each.silent[1] < 10
        assert rank or each.closed[0] in {"ConnectionError", "ConnectionResetError", "BrokenPipeError"}
        assert rank or each.closed[1] < 10
