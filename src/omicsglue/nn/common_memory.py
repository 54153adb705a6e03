"""What processes of one machine tell each other: numbers in memory that all see, and a byte that says so.

A byte over a socket is what a process can wait for asleep, and a socket closes when the process at its other
end dies. Memory has no name in the file system, and goes when the last process does.
"""

from __future__ import annotations

import math
import mmap
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

_HERE, _MEMORY = b"h", b"m"
_RANK_BYTES = 4


@dataclass
class CommonMemory:
    """Memory that all processes see; all must call the same methods in the same order.

    Attributes
    ----------
    rank, number
        Which process this is, from 0, and how many there are.
    others
        Connections to the other processes, in the order of their ranks.
    """

    rank: int
    number: int
    others: Sequence[socket.socket]
    _rooms: dict[str, Tensor] = field(default_factory=dict, repr=False)
    _places: set[int] = field(default_factory=set, repr=False)
    _turn: bool = False

    def arrive(self) -> None:
        """Say that what this process has written is there.

        Raises
        ------
        OSError
            If another process has ended.
        """
        for other in self.others:
            other.sendall(_HERE)

    def wait(self) -> None:
        """Wait until all processes have said so, as often as this one has waited before, and once more.

        Raises
        ------
        OSError
            If another process has ended, or is silent for too long.
        """
        for other in self.others:
            if other.recv(1) != _HERE:
                raise ConnectionError("a process has closed its connection")

    def room(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return memory of a shape that every process writes and reads; zeros at first.

        The same name gives the same memory again, unless shape or type are others.

        Raises
        ------
        OSError
            If another process has ended, or there is no more memory.
        """
        found = self._rooms.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = self._rooms[name] = self._made(name, math.prod(shape), dtype).view(shape)
            self._places = {_place(room) for room in self._rooms.values()}
        return found

    def holds(self, tensor: Tensor) -> bool:
        """Whether a tensor lies in memory that all see."""
        return _place(tensor) in self._places

    def gather(self, mine: Tensor) -> Callable[[], Tensor]:
        """Hand over a tensor; calling what is returned waits for those of all, ``(number, *mine.shape)``.

        Nothing else can be handed over before that.
        """
        room = self._handed_over(mine)

        def told() -> Tensor:
            self.wait()
            return room.clone()

        return told

    def add(self, mine: Tensor) -> None:
        """Add up the tensors of all processes in place, in the order of these."""
        room = self._handed_over(mine)
        self.wait()
        torch.sum(room, 0, out=mine)

    def _handed_over(self, mine: Tensor) -> Tensor:
        """Write a tensor and say that it is there; return where those of all processes are."""
        # others may still read what they were told the last time, but not the time before
        self._turn = not self._turn
        shape = (self.number, *mine.shape)
        room = self.room(f"{shape} {mine.dtype} {self._turn}", shape, mine.dtype)
        room[self.rank].copy_(mine)
        self.arrive()
        return room

    def close(self) -> None:
        """Close the connections."""
        for other in self.others:
            other.close()

    def _made(self, name: str, numbers: int, dtype: torch.dtype) -> Tensor:
        size = max(numbers, 1) * dtype.itemsize
        if self.rank == 0:
            descriptor = os.memfd_create(name)
            os.ftruncate(descriptor, size)
            for other in self.others:
                socket.send_fds(other, [_MEMORY], [descriptor])
        else:
            descriptor = self._descriptor()
        try:
            memory = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        return torch.frombuffer(memory, dtype=dtype, count=max(numbers, 1))[:numbers]

    def _descriptor(self) -> int:
        """Return the descriptor of memory that the first process has made."""
        said, found, *_ = socket.recv_fds(self.others[0], 1, 1)
        if said != _MEMORY or not found:
            raise ConnectionError("the first process has closed its connection")
        return found[0]


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def meet_on_this_machine(
    rank: int, number: int, tell: Callable[[object], list[object]], seconds: float
) -> CommonMemory | None:
    """Return memory that all processes see, or ``None`` in all of them where there can be none.

    There can be none if a process is on another machine, in a container of its own, or not on Linux.

    Parameters
    ----------
    rank, number
        Which process this is, and how many there are.
    tell
        Tells all processes an object, and returns those of all, in their order.
    seconds
        How long a process may be silent.
    """
    folder = Path(tempfile.mkdtemp(prefix="omicsglue-")) if rank == 0 else None
    try:
        place = Path(str(tell(folder)[0]))
        listener = _listening(place / str(rank), number)
        if not all(tell(listener is not None)):
            return None
        assert listener is not None
        with listener:
            below = _connected([place / str(other) for other in range(rank)], rank)
            if not all(tell(below is not None)):
                return None
            assert below is not None
            above = {}
            for _ in range(rank + 1, number):
                caller, _ = listener.accept()
                above[int.from_bytes(caller.recv(_RANK_BYTES), "big")] = caller
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
    others = [*below, *(above[other] for other in range(rank + 1, number))]
    for other in others:
        other.settimeout(seconds)
    return CommonMemory(rank, number, others)


def _listening(path: Path, number: int) -> socket.socket | None:
    """Return a socket at which others call, or ``None`` where this machine has not what is needed."""
    if not hasattr(os, "memfd_create"):
        return None
    listener = socket.socket(socket.AF_UNIX)
    try:
        os.close(os.memfd_create("try"))
        listener.bind(str(path))
        listener.listen(number)
    except OSError:
        listener.close()
        return None
    return listener


def _connected(paths: Sequence[Path], rank: int) -> list[socket.socket] | None:
    """Return connections to the processes that listen at some paths, which are told who calls."""
    found = []
    try:
        for path in paths:
            found.append(socket.socket(socket.AF_UNIX))
            found[-1].connect(str(path))
            found[-1].sendall(rank.to_bytes(_RANK_BYTES, "big"))
    except OSError:
        for each in found:
            each.close()
        return None
    return found
