"""A saved model: nothing but safetensors and JSON, damage noticed, other folders left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from omicsglue.errors import ModelFileError, RunFolderError
from omicsglue.io import sha256_of
from omicsglue.modelfile import RECORD, WEIGHTS, read_model

if TYPE_CHECKING:
    from omicsglue import GLUE


@pytest.fixture
def folder(small_model: GLUE, tmp_path: Path) -> Path:
    small_model.save(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder: Path, change: Callable[[dict], object]) -> None:
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    change(record)
    (folder / RECORD).write_text(json.dumps(record), encoding="utf-8")


def test_two_files_are_written(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [RECORD, WEIGHTS]
    tensors = load_file(folder / WEIGHTS)
    assert {name.partition("/")[0] for name in tensors} == {"network", "weight", "edges"}
    record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    assert record["format"] == 2
    assert list(record["modalities"]) == ["rna", "atac"]


def test_what_is_read_is_what_was_written(folder: Path, small_model: GLUE) -> None:
    saved = read_model(folder)
    assert asdict(saved.recipe) == asdict(small_model.recipe)
    assert saved.labels == ()
    assert saved.outcome.seconds == small_model.seconds
    assert saved.modalities["rna"].inputs == 12
    assert saved.modalities["rna"].setup == small_model.setups["rna"]
    for name, value in small_model.network.state_dict().items():
        assert torch.equal(saved.network[name], value)


def test_a_model_is_replaced_by_another(folder: Path, small_model: GLUE) -> None:
    (folder / WEIGHTS).write_bytes(b"old")
    small_model.save(folder)
    read_model(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_folder_of_other_things_is_left_alone(small_model: GLUE, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunFolderError, match=r"thesis\.txt"):
        small_model.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", [WEIGHTS, RECORD])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelFileError, match=f"{name} is missing"):
        read_model(folder)


def test_a_missing_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="missing"):
        read_model(tmp_path / "nowhere")


@pytest.mark.parametrize("where", [0, 100, 0.5, -1])
def test_a_changed_byte_of_the_weights_is_noticed(folder: Path, where: float) -> None:
    raw = bytearray((folder / WEIGHTS).read_bytes())
    raw[int(where * len(raw)) if isinstance(where, float) else where] ^= 1
    (folder / WEIGHTS).write_bytes(raw)
    with pytest.raises(ModelFileError, match="checksum"):
        read_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}', "\x00\xff"])
def test_a_damaged_record_is_noticed(folder: Path, text: str) -> None:
    (folder / RECORD).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFileError):
        read_model(folder)


def test_another_format_is_refused(folder: Path) -> None:
    rewrite(folder, lambda record: record.update(format=3))
    with pytest.raises(ModelFileError, match="format 3, expected 2"):
        read_model(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("recipe"),
        lambda record: record.pop("weights_sha256"),
        lambda record: record["recipe"].update(unheard_of=1),
        lambda record: record["recipe"]["train"].update(batch_size=0),
        lambda record: record["modalities"]["rna"].pop("features"),
        lambda record: record["modalities"]["rna"]["setup"].update(format=9),
        lambda record: record.update(modalities=[1, 2]),
        lambda record: record.update(vertices=["one"]),
    ],
)
def test_a_record_that_makes_no_sense_is_refused(folder: Path, change: Callable[[dict], object]) -> None:
    rewrite(folder, change)
    with pytest.raises(ModelFileError):
        read_model(folder)


def test_weights_that_are_no_safetensors_are_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"x" * 100)
    rewrite(folder, lambda record: record.update(weights_sha256=sha256_of(folder / WEIGHTS)))
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_model(folder)


def test_weights_of_another_network_are_refused(folder: Path, small_model: GLUE, small_pair: dict) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["network/discriminator.out.bias"] = torch.zeros(7)
    save_file(tensors, folder / WEIGHTS)
    rewrite(folder, lambda record: record.update(weights_sha256=sha256_of(folder / WEIGHTS)))
    with pytest.raises(ModelFileError, match="do not fit"):
        type(small_model).load(folder, small_pair)
