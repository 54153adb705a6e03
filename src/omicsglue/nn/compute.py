"""How a training step is computed on a CPU: compiled kernels, and threads that share fixed blocks of work.

Torch's own threads wait for work by spinning. On two cores they take them from each other and from whatever
else runs, so that a busy machine slows a step manyfold. Here torch computes on one thread, and the few large
operations are cut into blocks that idle threads take up, sleeping in between. Blocks do not depend on the
number of threads, nor do sums over them, so that the result is the same to the last bit with any number.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy.typing as npt
import torch
from torch import Tensor

Block = TypeVar("Block")
T = TypeVar("T")


@functools.cache
def _kernels() -> Any:
    """Return the module of kernels, or ``None`` where numba is missing or cannot compile."""
    try:
        from omicsglue.nn import kernels

        kernels.digamma(1.0)
    except Exception:  # whatever ails numba on this machine, plain torch goes on
        return None
    return kernels


class Compute:
    """Compiled kernels and their threads, for single precision on the CPU.

    Everything else (another device, double precision, a likelihood without a kernel, a machine on which numba
    cannot compile) goes through plain torch operations, which give the same values up to rounding.

    Parameters
    ----------
    threads
        How many threads share the work.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool: ThreadPoolExecutor | None = None
        if threads > 1:  # torch's number of threads is each thread's own
            self._pool = ThreadPoolExecutor(
                threads - 1, "omicsglue", initializer=torch.set_num_threads, initargs=(1,)
            )
        self.kernels = _kernels()

    def each(self, task: Callable[[Block], T], blocks: Sequence[Block]) -> list[T]:
        """Return the results of a task on every block, in order; blocks are taken up by idle threads."""
        waiting = deque(enumerate(blocks))
        results: dict[int, T] = {}

        def work() -> None:
            with torch.no_grad():
                while waiting:
                    try:
                        place, block = waiting.popleft()
                    except IndexError:  # another thread was faster
                        return
                    results[place] = task(block)

        helpers = min(self.threads, len(blocks)) - 1
        futures = [self._pool.submit(work) for _ in range(helpers)] if self._pool else []
        work()
        for future in futures:
            if not future.cancel():  # one that has not begun would find nothing left to do
                future.result()
        return [results[place] for place in range(len(blocks))]

    def later(self, task: Callable[[], T]) -> Callable[[], T]:
        """Have a task done by an idle thread, or when asked for; calling what is returned asks for it."""
        return self._pool.submit(task).result if self._pool is not None else task

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def spans(length: int, size: int) -> list[slice]:
    """Cut a range into runs of at most ``size``."""
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]


def arrays(*tensors: Tensor) -> list[npt.NDArray[Any]]:
    """Return tensors as the arrays that kernels take, without copying."""
    return [tensor.detach().numpy() for tensor in tensors]


@contextmanager
def computing(device: torch.device, *, compiled: bool) -> Iterator[Compute | None]:
    """Yield compiled kernels with as many threads as torch has, or ``None`` where plain torch must serve.

    Inside, torch itself computes on one thread where there are kernels; afterwards it has as many as before.

    Parameters
    ----------
    device
        Where the network is.
    compiled
        Whether kernels are wanted at all.
    """
    if not compiled or device.type != "cpu" or _kernels() is None:
        yield None
        return
    threads = torch.get_num_threads()
    compute = Compute(threads)
    torch.set_num_threads(1)
    try:
        yield compute
    finally:
        compute.close()
        torch.set_num_threads(threads)
