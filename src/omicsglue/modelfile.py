"""A saved model: ``weights.safetensors`` and ``model.json``. Loading runs no code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from omicsglue.balancing import BalancingConfig
from omicsglue.data.encoder_input import Standard
from omicsglue.data.modality import ModalityData, check_dimensions, resolve
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import InputError, ModelFileError, OmicsGlueError, RunFolderError, examples
from omicsglue.graph import GuidanceGraph
from omicsglue.io import atomic_directory, sha256_of, write_json
from omicsglue.nn.network import Network, NetworkConfig
from omicsglue.objective import ObjectiveWeights
from omicsglue.recipe import Outcome, Recipe
from omicsglue.training.checkpoint import flatten, unflatten
from omicsglue.training.config import StageConfig
from omicsglue.training.stopping import PlateauConfig

if TYPE_CHECKING:
    from anndata import AnnData

FORMAT = 2
WEIGHTS, RECORD = "weights.safetensors", "model.json"
EDGES = ("source", "target", "weight", "sign", "kind_codes", "distance")


@dataclass(frozen=True)
class SavedModality:
    """What a model knows of a modality, apart from its data.

    Attributes
    ----------
    setup
        How it enters the model.
    features
        Names of the modelled features, in order.
    batches
        Names of the batches, in order.
    inputs
        Dimensions that the encoder sees.
    standard
        By which what the encoder sees was standardised; ``None`` where it was not.
    """

    setup: ModalitySetup
    features: tuple[str, ...]
    batches: tuple[str, ...]
    inputs: int
    standard: Standard | None = None

    @classmethod
    def of(cls, cells: ModalityData, setup: ModalitySetup) -> SavedModality:
        """Return what is kept of a modality that was trained on."""
        return cls(setup, tuple(cells.features), cells.batches, int(cells.inputs.shape[1]), cells.standard)

    def record(self) -> dict[str, Any]:
        """Return all but the arrays, for the JSON file."""
        setup, features, batches = self.setup.record(), list(self.features), list(self.batches)
        return {"setup": setup, "features": features, "batches": batches, "inputs": self.inputs}


@dataclass(frozen=True)
class SavedModel:
    """Everything that a trained model is made of, apart from the data.

    Attributes
    ----------
    modalities
        The modalities, in order.
    labels
        Names of the known cell types.
    recipe
        Settings with which it was trained.
    outcome
        History, balancing weights and times of the training.
    graph
        The guidance graph.
    network
        The network's weights.
    pairing
        How paired cells were found, if training used them.
    offsets
        What was taken off the encoder's input of each batch, where batches are aligned, ``(batches, d)``.
    """

    modalities: Mapping[str, SavedModality]
    labels: tuple[str, ...]
    recipe: Recipe
    outcome: Outcome
    graph: GuidanceGraph
    network: Mapping[str, Tensor]
    pairing: str | None = None
    offsets: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def resolve(self, modalities: Mapping[str, AnnData]) -> dict[str, ModalityData]:
        """Return cells as the model knows them.

        Raises
        ------
        InputError
            If the data lack a feature that the model knows, or its representation has other dimensions.
        """
        found = {}
        for name, known in self.modalities.items():
            found[name] = resolve(
                name,
                modalities[name],
                known.setup,
                known.features,
                batches=known.batches,
                labels=self.labels,
                standard=known.standard,
            )
            check_dimensions(found[name].inputs, known.inputs, name)
            found[name] = found[name].less(self.offsets.get(name))
        return found

    def restore(self, network: Network, where: str) -> None:
        """Give a network the saved weights, and leave it ready to embed cells.

        Raises
        ------
        ModelFileError
            If the weights do not fit it.
        """
        try:
            network.load_state_dict(self.network)
        except RuntimeError as error:
            raise ModelFileError(
                "the weights do not fit the record of the model",
                where=where,
                remedy="restore the folder from a copy, or train again",
            ) from error
        network.eval()


def write_model(folder: Path, model: SavedModel) -> None:
    """Write a model, whole or not at all; one that is there already is replaced.

    Raises
    ------
    RunFolderError
        If the folder holds anything but a model, cannot be written, or the disk is full.
    """
    _check_replaceable(folder)
    graph = model.graph
    weights = {name: torch.from_numpy(value) for name, value in model.outcome.weights.items()}
    offsets = {name: torch.from_numpy(value) for name, value in model.offsets.items()}
    tensors = flatten("network", model.network) | flatten("weight", weights)
    tensors |= flatten("offset", offsets)
    tensors |= flatten("edges", {name: torch.tensor(getattr(graph, name)) for name in EDGES})
    standards = {name: known.standard for name, known in model.modalities.items() if known.standard}
    for part in Standard._fields:
        found = {name: torch.from_numpy(getattr(standard, part)) for name, standard in standards.items()}
        tensors |= flatten(part, found)
    with atomic_directory(folder) as temporary:
        # written by Python, so that the user's umask holds and colleagues can read it
        body = save({name: value.cpu().contiguous() for name, value in tensors.items()})
        (temporary / WEIGHTS).write_bytes(body)
        record = {
            "format": FORMAT,
            "weights_sha256": sha256_of(temporary / WEIGHTS),
            "modalities": {name: known.record() for name, known in model.modalities.items()},
            "labels": model.labels,
            "pairing": model.pairing,
            "recipe": asdict(model.recipe),
            "history": model.outcome.history,
            "seconds": model.outcome.seconds,
            "vertices": list(graph.vertices),
            "edge_kinds": graph.kind_names,
        }
        write_json(temporary / RECORD, record)


def read_model(folder: Path) -> SavedModel:
    """Read a model.

    Raises
    ------
    ModelFileError
        If the files are missing, damaged, or of another format.
    """
    record = _read_record(folder)
    if record["weights_sha256"] != _digest(folder / WEIGHTS):
        raise _damaged(folder, f"{WEIGHTS} is damaged: its content does not match its checksum")
    try:
        return _parse(record, load_file(folder / WEIGHTS))
    except (SafetensorError, OmicsGlueError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"the model cannot be read: {type(error).__name__} {error}") from error


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(folder, RECORD) from error
    except (ValueError, OSError) as error:
        raise _damaged(folder, f"{RECORD} cannot be read: {error}") from error
    if not isinstance(record, dict) or "format" not in record:
        raise _damaged(folder, f"{RECORD} is not the record of a model")
    if record["format"] != FORMAT:
        raise ModelFileError(
            f"model of format {record['format']}, expected {FORMAT}",
            where=str(folder),
            remedy="load it with the version of omicsglue that saved it, or train again",
        )
    return {"weights_sha256": "", **record}


def _digest(path: Path) -> str:
    if not path.is_file():
        raise _missing(path.parent, path.name)
    try:
        return sha256_of(path)
    except InputError as error:
        raise _damaged(path.parent, error.what) from error


def _parse(record: dict[str, Any], tensors: dict[str, Tensor]) -> SavedModel:
    weights, offsets = (
        {name: value.numpy() for name, value in unflatten(prefix, tensors).items()}
        for prefix in ("weight", "offset")
    )
    edges = {name: value.numpy() for name, value in unflatten("edges", tensors).items()}
    vertices: npt.NDArray[np.object_] = np.array(record["vertices"], dtype=object)
    return SavedModel(
        modalities={name: _modality(name, known, tensors) for name, known in record["modalities"].items()},
        labels=tuple(record["labels"]),
        recipe=_recipe(record["recipe"]),
        outcome=Outcome(record["history"], weights, record["seconds"]),
        graph=GuidanceGraph(vertices=vertices, kind_names=tuple(record["edge_kinds"]), **edges),
        network=unflatten("network", tensors),
        pairing=record.get("pairing"),
        offsets=offsets,
    )


def _modality(name: str, values: dict[str, Any], tensors: dict[str, Tensor]) -> SavedModality:
    setup = ModalitySetup.from_record(values["setup"], name)
    parts = [tensors[f"{part}/{name}"].numpy() for part in Standard._fields if f"{part}/{name}" in tensors]
    standard = Standard(*parts) if parts else None
    return SavedModality(
        setup, tuple(values["features"]), tuple(values["batches"]), int(values["inputs"]), standard
    )


def _recipe(values: dict[str, Any]) -> Recipe:
    balancing = BalancingConfig(**values["balancing"]) if values["balancing"] else None
    stages = {name: _stage(values[name]) for name in ("pretrain", "train")}
    network = NetworkConfig(**values["network"])
    network = replace(network, align_batches=tuple(network.align_batches))
    return Recipe(**{**values, **stages, "network": network, "balancing": balancing})


def _stage(values: dict[str, Any]) -> StageConfig:
    weights, plateau = ObjectiveWeights(**values["weights"]), PlateauConfig(**values["plateau"])
    return StageConfig(**{**values, "weights": weights, "plateau": plateau})


def _check_replaceable(folder: Path) -> None:
    """Check that nothing but a model would be replaced."""
    others = []
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if path.name not in (WEIGHTS, RECORD))
    if others:
        raise RunFolderError(
            f"the folder holds other files, which would be lost ({examples(others)})",
            where=str(folder),
            remedy="save the model to a new folder",
        )


def _missing(folder: Path, name: str) -> ModelFileError:
    return ModelFileError(
        f"{name} is missing",
        where=str(folder),
        remedy="give the folder that GLUE.save or omicsglue integrate wrote (RUN/model)",
    )


def _damaged(folder: Path, what: str) -> ModelFileError:
    return ModelFileError(what, where=str(folder), remedy="restore the folder from a copy, or train again")
