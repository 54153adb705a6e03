"""Checkpoint files: whole or not there, damage noticed, no more of them than needed."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from omicsglue.errors import ModelFileError, OmicsGlueWarning, RunFolderError
from omicsglue.training import checkpoint as module
from omicsglue.training.checkpoint import (
    Checkpoint,
    check_no_checkpoints,
    flatten,
    load_checkpoint,
    newest_checkpoint,
    optimizer_tensors,
    restore_optimizer,
    save_checkpoint,
    unflatten,
)


def checkpoint(step: int = 5, order: int = 0) -> Checkpoint:
    tensors = {
        "network/weight": torch.full((3, 2), float(step)),
        "network/count": torch.tensor(step),
        "order/rna": torch.arange(4),
        "generator": torch.Generator().manual_seed(step).get_state(),
        "order/empty": torch.zeros(0, dtype=torch.int64),
    }
    state = {"history": [{"loss": 0.1 + step / 3, "stage": "train"}], "best": float("inf"), "big": 2**100}
    return Checkpoint(order, ("pretrain", "train")[order], step, tensors, state, run="this")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    written = checkpoint()
    read = load_checkpoint(save_checkpoint(tmp_path / "new" / "folder", written))
    assert replace(read, tensors={}) == replace(written, tensors={})
    assert set(read.tensors) == set(written.tensors)
    for name, value in written.tensors.items():
        assert read.tensors[name].dtype == value.dtype
        assert torch.equal(read.tensors[name], value)


def test_a_checkpoint_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, checkpoint())
    with safe_open(path, framework="pt") as file:
        assert torch.equal(file.get_tensor("order/rna"), torch.arange(4))
        assert json.loads(file.metadata()["state"])["step"] == 5


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for order, step in ((0, 5), (0, 10), (1, 3), (1, 1000)):
        save_checkpoint(tmp_path, checkpoint(step, order))
    assert names(tmp_path) == ["1-train-0000003.safetensors", "1-train-0001000.safetensors", "notes.txt"]
    assert newest_checkpoint(tmp_path, "this").step == 1000


def test_a_stage_comes_before_a_step(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(99_999_999, 0))
    save_checkpoint(tmp_path, checkpoint(1, 1))
    assert newest_checkpoint(tmp_path, "this").stage == "train"


def test_later_checkpoints_of_a_course_given_up_are_removed(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(20, 1))
    save_checkpoint(tmp_path, checkpoint(30, 1))
    save_checkpoint(tmp_path, checkpoint(5, 0))
    assert names(tmp_path) == ["0-pretrain-0000005.safetensors"]


@pytest.mark.parametrize("where", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path, where: float) -> None:
    path = save_checkpoint(tmp_path, checkpoint())
    raw = bytearray(path.read_bytes())
    raw[int(where * len(raw))] ^= 1
    path.write_bytes(raw)
    with pytest.raises(ModelFileError):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_a_truncated_file_is_noticed(tmp_path: Path, kept: int) -> None:
    path = save_checkpoint(tmp_path, checkpoint())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelFileError, match="damaged"):
        load_checkpoint(path)


def test_a_damaged_newest_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint(5))
    path = save_checkpoint(tmp_path, checkpoint(10))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.warns(OmicsGlueWarning, match="0000010"):
        assert newest_checkpoint(tmp_path, "this").step == 5


def test_where_there_is_none_there_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path, "this") is None
    assert newest_checkpoint(tmp_path / "nowhere", "this") is None


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, checkpoint())
    with pytest.raises(RunFolderError, match="other data or settings"):
        newest_checkpoint(tmp_path, "that")


def test_a_new_run_does_not_start_among_checkpoints(tmp_path: Path) -> None:
    check_no_checkpoints(tmp_path)
    check_no_checkpoints(tmp_path / "nowhere")
    save_checkpoint(tmp_path, checkpoint())
    with pytest.raises(RunFolderError, match="0-pretrain-0000005"):
        check_no_checkpoints(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORMAT", 99)
    path = save_checkpoint(tmp_path, checkpoint())
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="format 99"):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(tmp_path, checkpoint(5))

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFolderError, match=r"(?i)space"):
        save_checkpoint(tmp_path, checkpoint(10))
    monkeypatch.undo()
    assert names(tmp_path) == ["0-pretrain-0000005.safetensors"]
    assert newest_checkpoint(tmp_path, "this").step == 5


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError):
        save_checkpoint(tmp_path / "file", checkpoint())


def test_names_are_joined_and_parted() -> None:
    one, two = torch.ones(1), torch.zeros(1)
    joined = flatten("a", {"x/y": one}) | flatten("ab", {"x": two})
    assert set(joined) == {"a/x/y", "ab/x"}
    assert unflatten("a", joined) == {"x/y": one}


def test_an_optimiser_goes_on_where_it_stood() -> None:
    def steps(weight: torch.Tensor, optimizer: torch.optim.Optimizer, count: int, seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for _ in range(count):
            weight.grad = torch.randn(4, generator=random)
            optimizer.step()

    whole = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.RMSprop([whole], lr=0.1)
    steps(whole, optimizer, 3, seed=0)
    copy = whole.detach().clone().requires_grad_()
    other = torch.optim.RMSprop([copy], lr=0.1)
    restore_optimizer(other, {k: v.clone() for k, v in optimizer_tensors(optimizer).items()})
    steps(whole, optimizer, 3, seed=1)
    steps(copy, other, 3, seed=1)
    assert torch.equal(whole, copy)
