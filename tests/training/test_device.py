"""Devices and threads."""

from __future__ import annotations

import pytest
import torch

from omicsglue.errors import OptionError
from omicsglue.training.device import accelerator_of, make_fabric, threads_limited


def test_cpu_is_what_is_asked_for() -> None:
    assert make_fabric("cpu").device == torch.device("cpu")


@pytest.mark.parametrize(("device", "devices"), [("tpu", 1), ("cpu", 0), ("cpu", 1000)])
def test_what_is_not_there_is_refused(device: str, devices: int) -> None:
    with pytest.raises(OptionError):
        make_fabric(device, devices)


def test_cuda_without_a_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(OptionError, match="CUDA"):
        make_fabric("cuda")
    assert make_fabric("auto").device.type == "cpu"


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert accelerator_of("auto", 2) == "cuda"
    with pytest.raises(OptionError, match="devices is 3, but there are 2 GPUs here"):
        accelerator_of("cuda", 3)


def test_threads_are_limited_inside_and_put_back() -> None:
    before = torch.get_num_threads()
    with threads_limited(3):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before
    with threads_limited(None):
        assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError), threads_limited(2):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("threads", [None, 1])
def test_threads_are_put_back_when_something_inside_changes_them(threads: int | None) -> None:
    before = torch.get_num_threads()
    with threads_limited(threads):
        torch.set_num_threads(before + 2)
    assert torch.get_num_threads() == before


def test_no_threads_are_refused() -> None:
    with pytest.raises(OptionError), threads_limited(0):
        pass
