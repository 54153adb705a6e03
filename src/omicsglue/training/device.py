"""Devices and threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric import Fabric

from omicsglue.errors import OptionError

DEVICES = ("auto", "cpu", "cuda")


def make_fabric(device: str = "auto", devices: int = 1) -> Fabric:
    """Return lightning-fabric's handle on a device.

    Raises
    ------
    OptionError
        If the device is unknown or not there.
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
    if devices != 1:
        raise OptionError(
            f"devices is {devices}", where="--devices", remedy="one device is supported at present: use 1"
        )
    accelerator = "cuda" if device == "cuda" or (device == "auto" and torch.cuda.is_available()) else "cpu"
    return Fabric(accelerator=accelerator, devices=devices)


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
