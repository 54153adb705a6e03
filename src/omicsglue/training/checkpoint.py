"""Checkpoints: a safetensors file each, written whole, known by a digest, the newest valid one used."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from omicsglue.errors import ModelFileError, OmicsGlueWarning, OptionError, RunFolderError, examples
from omicsglue.io import atomic_path, remove_partial

FORMAT = 1
KEPT = 2  # the newest, and the one before in case the newest is damaged
_NAME = re.compile(r"(\d+)-(\w+)-(\d+)\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """Everything that a stage needs to go on as if it had never stopped.

    Attributes
    ----------
    order
        Position of the stage in the run.
    stage
        Name of the stage.
    step
        Steps done in it.
    tensors
        Weights, averages, optimiser state, generator states, positions in the data.
    state
        Plain values: counters, random states, stopping rules, history; JSON.
    run
        Digest of the data and settings of the run that it belongs to.
    """

    order: int
    stage: str
    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]
    run: str = ""

    @property
    def filename(self) -> str:
        """Name that sorts by age."""
        return f"{self.order}-{self.stage}-{self.step:07d}.safetensors"


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint and remove those that are no longer needed.

    The one before it is kept. Later ones are of a course that was given up, since training stands here.

    Raises
    ------
    RunFolderError
        If the disk is full or the folder cannot be written.
    """
    tensors = {name: value.detach().contiguous().cpu() for name, value in checkpoint.tensors.items()}
    plain = {name: value for name, value in vars(checkpoint).items() if name != "tensors"}
    state = json.dumps({"format": FORMAT, **plain})
    body = save_tensors(tensors, metadata={"state": state, "sha256": _digest(tensors, state)})
    path = folder / checkpoint.filename
    _make(folder)
    with atomic_path(path) as temporary:
        temporary.write_bytes(body)
    found = _newest_first(folder)
    for other in [*found[: found.index(path)], *found[found.index(path) + KEPT :]]:
        other.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises
    ------
    ModelFileError
        If the file is damaged or of another format.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelFileError(
            f"the checkpoint cannot be read ({error.strerror or error})",
            where=str(path),
            remedy="make the file readable, or delete it and resume",
        ) from error
    try:
        tensors = load_tensors(raw)
        length = int.from_bytes(raw[:8], "little")
        metadata = json.loads(raw[8 : 8 + length])["__metadata__"]
        whole = metadata["sha256"] == _digest(tensors, metadata["state"])
        head = json.loads(metadata["state"])
        found = head.pop("format")
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"the checkpoint is damaged: {error}") from error
    if not whole:
        raise _damaged(path, "the checkpoint is damaged: its content does not match its checksum")
    if found != FORMAT:
        raise ModelFileError(
            f"checkpoint of format {found}, expected {FORMAT}",
            where=str(path),
            remedy="finish the run with the version of omicsglue that began it, or start it again",
        )
    return Checkpoint(tensors=tensors, **head)


def newest_checkpoint(folder: Path, run: str) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or ``None``; others are passed over with a warning.

    Parameters
    ----------
    folder
        Where checkpoints are.
    run
        Digest of the run that is to go on.

    Raises
    ------
    RunFolderError
        If the checkpoint belongs to another run.
    """
    for path in _newest_first(folder):
        try:
            checkpoint = load_checkpoint(path)
        except ModelFileError as error:
            warnings.warn(f"{error}\n  (passed over)", OmicsGlueWarning, stacklevel=2)
            continue
        if checkpoint.run != run:
            raise RunFolderError(
                "the checkpoint belongs to a run with other data or settings, or on another kind of device",
                where=str(path),
                remedy="resume with what the run began with, or start anew in another folder",
            )
        return checkpoint
    return None


def check_no_checkpoints(folder: Path) -> None:
    """Check that a run that starts from the beginning will not mix with one that is there.

    Raises
    ------
    RunFolderError
        If the folder holds checkpoints.
    """
    found = _newest_first(folder)
    if found:
        raise RunFolderError(
            f"the folder holds checkpoints of an earlier run ({examples(path.name for path in found)})",
            where=str(folder),
            remedy="go on from them with resume, or remove them, or choose another folder",
        )


def checkpoint_to_follow(folder: Path, run: str, *, resume: bool) -> Checkpoint | None:
    """Return the checkpoint to go on from; without ``resume`` there must be none.

    Files that an interrupted process was writing are removed.

    Raises
    ------
    RunFolderError
        As :func:`newest_checkpoint` and :func:`check_no_checkpoints`.
    """
    if not resume:
        check_no_checkpoints(folder)
    remove_partial(folder)
    return newest_checkpoint(folder, run) if resume else None


def where_to_begin(
    folder: Path | None, digest: Callable[[], str], *, resume: bool
) -> tuple[str, Checkpoint | None]:
    """Return the digest of a run and the checkpoint to go on from, if any; without a folder, neither.

    Raises
    ------
    OptionError
        If the run is to go on without a folder.
    RunFolderError
        As :func:`checkpoint_to_follow`.
    """
    if folder is None:
        if resume:
            raise OptionError(
                "there is nothing to resume from", where="train", remedy="give the folder with checkpoints="
            )
        return "", None
    run = digest()
    return run, checkpoint_to_follow(folder, run, resume=resume)


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().data)
    return digest.hexdigest()


def _damaged(path: Path, what: str) -> ModelFileError:
    return ModelFileError(
        what, where=str(path), remedy="nothing need be done where there is another; delete it if you like"
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"the folder for checkpoints cannot be made ({error.strerror or error})",
            where=str(folder),
            remedy="choose a folder in which you may write",
        ) from error


def _newest_first(folder: Path) -> list[Path]:
    ages = {}
    for path in folder.glob("*.safetensors"):
        match = _NAME.fullmatch(path.name)
        if match is not None:
            ages[path] = (int(match[1]), int(match[3]))
    return sorted(ages, key=ages.__getitem__, reverse=True)


def flatten(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors under names that begin with a prefix."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def unflatten(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with a prefix, without it."""
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state as named tensors."""
    found = {}
    for index, state in optimizer.state_dict()["state"].items():
        for key, value in state.items():
            found[f"{index}/{key}"] = torch.as_tensor(value)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put saved tensors back into an optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
