"""Checkpoints: one safetensors file each, written whole, verified by a digest, the newest valid one used."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from omicsglue.errors import ModelFileError, OmicsGlueWarning
from omicsglue.io import atomic_path

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
    """

    order: int
    stage: str
    step: int
    tensors: dict[str, Tensor]
    state: dict[str, Any]

    @property
    def filename(self) -> str:
        """Name that sorts by age."""
        return f"{self.order}-{self.stage}-{self.step:07d}.safetensors"


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint and remove those that are no longer needed.

    Raises
    ------
    RunFolderError
        If the disk is full or the folder cannot be written.
    """
    tensors = {name: value.detach().contiguous().cpu() for name, value in checkpoint.tensors.items()}
    header = {"format": FORMAT, "order": checkpoint.order, "stage": checkpoint.stage, "step": checkpoint.step}
    state = json.dumps({**header, "state": checkpoint.state})
    body = save_tensors(tensors, metadata={"state": state})
    path = folder / checkpoint.filename
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_bytes(body + hashlib.sha256(body).digest())
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises
    ------
    ModelFileError
        If the file is damaged or of another format.
    """
    raw = path.read_bytes()
    body, digest = raw[:-32], raw[-32:]
    if hashlib.sha256(body).digest() != digest:
        raise ModelFileError(
            "the checkpoint is damaged: its content does not match its checksum",
            where=str(path),
            remedy="delete it and resume: the checkpoint before it is used",
        )
    try:
        tensors = load_tensors(body)
        length = int.from_bytes(body[:8], "little")
        head = json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["state"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelFileError(
            f"the checkpoint cannot be read: {error}", where=str(path), remedy="delete it and resume"
        ) from error
    if head["format"] != FORMAT:
        raise ModelFileError(
            f"checkpoint of format {head['format']}, expected {FORMAT}",
            where=str(path),
            remedy="finish the run with the version of omicsglue that began it, or start it again with --overwrite",
        )
    return Checkpoint(head["order"], head["stage"], head["step"], tensors, head["state"])


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the newest checkpoint that is whole, or ``None``; damaged ones are passed over with a warning."""
    for path in _newest_first(folder):
        try:
            return load_checkpoint(path)
        except ModelFileError as error:
            warnings.warn(f"{error}\n  (using the one before)", OmicsGlueWarning, stacklevel=2)
    return None


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("*.safetensors") if _NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: [int(part) for part in _NAME.fullmatch(path.name).group(1, 3)],  # type: ignore[union-attr]
                  reverse=True)


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
