"""Devices and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from omicsglue.errors import OptionError

DEVICES = ("auto", "cpu", "cuda")
MOST_PROCESSES = 256  # on one machine


def make_fabric(device: str = "auto", devices: int = 1) -> Fabric:
    """Return lightning-fabric's handle on one device, after a look whether there are so many.

    Raises
    ------
    OptionError
        If the device is unknown or not there.
    """
    return Fabric(accelerator=accelerator_of(device, devices), devices=1)


def accelerator_of(device: str, devices: int = 1) -> str:
    """Return the kind of devices that training uses, ``"cpu"`` or ``"cuda"``, and check that they exist.

    Parameters
    ----------
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    devices
        How many of them on this machine; of CPUs, how many processes.

    Raises
    ------
    OptionError
        If the device is unknown or there are not so many.
    """
    if device not in DEVICES:
        raise OptionError(
            f"there is no device {device!r}", where="--device", remedy=f"choose one of: {', '.join(DEVICES)}"
        )
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError(
            "torch finds no CUDA device here",
            where="--device",
            remedy="use --device cpu, or install a torch build with CUDA on a machine that has a GPU",
        )
    if devices < 1:
        raise OptionError(f"devices is {devices}", where="--devices", remedy="give 1 or more")
    accelerator = "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
    there = torch.cuda.device_count() if accelerator == "cuda" else MOST_PROCESSES
    if devices > there:
        raise OptionError(
            f"devices is {devices}, but "
            + (
                f"there are {there} GPUs here" if accelerator == "cuda" else f"at most {there} can be started"
            ),
            where="--devices",
            remedy=f"give at most {there}, or start processes on several machines with torchrun",
        )
    return accelerator


@contextmanager
def threads_limited(threads: int | None) -> Iterator[None]:
    """Use so many CPU threads inside the block; ``None`` leaves them as they are.

    Afterwards torch has as many as before, whatever was called inside: some libraries (numba, for one) change
    the number for the whole process, and with it the speed and the last bits of what follows.

    Raises
    ------
    OptionError
        If the number is not positive.
    """
    if threads is not None and threads < 1:
        raise OptionError(f"threads is {threads}", where="--threads", remedy="give 1 or more")
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
