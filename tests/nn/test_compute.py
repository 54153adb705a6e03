"""Threads that share work, and where plain torch takes over from compiled kernels."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch

from omicsglue.nn import compute as module
from omicsglue.nn.compute import Compute, computing, spans

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def compute(request: pytest.FixtureRequest) -> Iterator[Compute]:
    made = Compute(request.param)
    yield made
    made.close()


@pytest.fixture
def anew() -> Iterator[None]:
    """Have the kernels looked for anew, in the test and after it."""
    module._kernels.cache_clear()
    yield
    module._kernels.cache_clear()


def test_results_are_in_the_order_of_the_blocks(compute: Compute) -> None:
    def task(block: int) -> int:
        time.sleep(0.002 * (block % 3))
        return block * block

    assert compute.each(task, range(20)) == [block * block for block in range(20)]
    assert compute.each(task, [7]) == [49]
    assert compute.each(task, []) == []


def test_blocks_are_shared_among_threads_without_gradients_on_one_thread_of_torch() -> None:
    compute, together = Compute(3), threading.Barrier(3, timeout=20)

    def task(_: int) -> tuple[int, bool, int]:
        together.wait()  # passes when three threads are at it at the same time
        return threading.get_ident(), torch.is_grad_enabled(), torch.get_num_threads()

    try:
        found = compute.each(task, range(3))
    finally:
        compute.close()
    assert len({ident for ident, _, _ in found}) == 3
    assert {(grad, threads) for _, grad, threads in found} == {(False, 1)}
    assert torch.is_grad_enabled()


def test_an_exception_reaches_the_caller_and_the_next_call_works(compute: Compute) -> None:
    def failing(block: int) -> int:
        if block == 5:
            raise ZeroDivisionError("block 5")
        time.sleep(0.001)
        return block

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="block 5"):
            compute.each(failing, range(12))
        assert compute.each(lambda block: block + 1, range(12)) == list(range(1, 13))


def test_an_exception_of_a_helper_reaches_the_caller() -> None:
    compute, caller = Compute(2), threading.get_ident()
    both = threading.Barrier(2, timeout=20)

    def task(_: int) -> None:
        both.wait()
        if threading.get_ident() != caller:
            raise ZeroDivisionError

    try:
        with pytest.raises(ZeroDivisionError):
            compute.each(task, range(2))
    finally:
        compute.close()


def test_later_gives_its_result_when_asked(compute: Compute) -> None:
    ask = compute.later(lambda: "done")
    assert ask() == "done"

    def failing() -> None:
        raise ZeroDivisionError

    ask = compute.later(failing)
    with pytest.raises(ZeroDivisionError):
        ask()
    assert compute.each(abs, [-1, 2]) == [1, 2]


def test_a_long_task_for_later_does_not_hold_up_blocks() -> None:
    compute, release = Compute(2), threading.Event()
    try:
        ask = compute.later(lambda: release.wait(20))
        assert compute.each(lambda block: block, range(4)) == [0, 1, 2, 3]
        assert not release.is_set()
        release.set()
        assert ask()
    finally:
        release.set()
        compute.close()


def test_spans_cover_a_range_once() -> None:
    assert spans(10, 4) == [slice(0, 4), slice(4, 8), slice(8, 10)]
    assert spans(8, 4) == [slice(0, 4), slice(4, 8)]
    assert spans(0, 4) == []


def test_inside_torch_has_one_thread_and_afterwards_as_many_as_before() -> None:
    torch.set_num_threads(3)
    with computing(CPU, compiled=True) as compute:
        assert compute is not None
        assert compute.threads == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(ZeroDivisionError), computing(CPU, compiled=True):
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3
    torch.set_num_threads(1)


def test_threads_end_with_the_block() -> None:
    torch.set_num_threads(2)
    with computing(CPU, compiled=True) as compute:
        assert compute is not None
        compute.later(lambda: None)()
        assert any(thread.name.startswith("omicsglue") for thread in threading.enumerate())
    assert not any(thread.name.startswith("omicsglue") for thread in threading.enumerate())
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("device", "compiled"),
    [(CPU, False), (torch.device("cuda"), True), (torch.device("meta"), True)],
    ids=["not wanted", "cuda", "meta"],
)
def test_elsewhere_plain_torch_serves(device: torch.device, compiled: bool) -> None:
    torch.set_num_threads(2)
    with computing(device, compiled=compiled) as compute:
        assert compute is None
        assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


@pytest.mark.usefixtures("anew")
def test_without_numba_plain_torch_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("omicsglue.nn.kernels")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("omicsglue.nn.kernels", raising=False)
    with computing(CPU, compiled=True) as compute:
        assert compute is None


@pytest.mark.usefixtures("anew")
def test_where_nothing_can_be_compiled_plain_torch_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    from omicsglue.nn import kernels

    def failing(_: float) -> float:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(kernels, "digamma", failing)
    with computing(CPU, compiled=True) as compute:
        assert compute is None
