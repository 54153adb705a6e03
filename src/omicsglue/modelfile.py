"""A saved model: ``weights.safetensors`` and ``model.json``. Loading runs no code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from omicsglue.balancing import BalancingConfig
from omicsglue.errors import ModelFileError
from omicsglue.graph import GuidanceGraph
from omicsglue.io import atomic_directory, write_json
from omicsglue.nn.network import NetworkConfig
from omicsglue.objective import ObjectiveWeights
from omicsglue.recipe import Recipe
from omicsglue.training.checkpoint import flatten, unflatten
from omicsglue.training.config import StageConfig
from omicsglue.training.stopping import PlateauConfig

FORMAT = 1
WEIGHTS, RECORD = "weights.safetensors", "model.json"
EDGES = ("source", "target", "weight", "sign", "kind_codes", "distance")


@dataclass(frozen=True)
class SavedModel:
    """Everything that a model is made of, apart from the data.

    Attributes
    ----------
    record
        Plain values, as in ``model.json``.
    network
        The network's weights.
    weights
        Balancing weights of each modality.
    graph
        The guidance graph.
    """

    record: dict[str, Any]
    network: dict[str, Tensor]
    weights: dict[str, Tensor]
    graph: GuidanceGraph

    def recipe(self) -> Recipe:
        """Return the settings with which the model was trained."""
        values = self.record["recipe"]
        return Recipe(
            network=NetworkConfig(**values["network"]),
            pretrain=_stage(values["pretrain"]),
            train=_stage(values["train"]),
            balancing=BalancingConfig(**values["balancing"]) if values["balancing"] else None,
            seed=values["seed"],
        )


def write_model(folder: Path, model: SavedModel) -> None:
    """Write a model, whole or not at all; one that is there already is replaced.

    Raises
    ------
    RunFolderError
        If the disk is full or the folder cannot be written.
    """
    graph = model.graph
    tensors = flatten("network", model.network) | flatten("weight", model.weights)
    tensors |= flatten("edges", {name: torch.tensor(getattr(graph, name)) for name in EDGES})
    record = {
        "format": FORMAT,
        **model.record,
        "vertices": list(graph.vertices),
        "edge_kinds": list(graph.kind_names),
    }
    with atomic_directory(folder) as temporary:
        save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, temporary / WEIGHTS)
        write_json(temporary / RECORD, record)


def read_model(folder: Path) -> SavedModel:
    """Read a model.

    Raises
    ------
    ModelFileError
        If the files are missing, damaged, or of another format.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise ModelFileError(
            f"{Path(error.filename or WEIGHTS).name} is missing",
            where=str(folder),
            remedy="give the folder that GLUE.save or omicsglue integrate wrote (RUN/model)",
        ) from error
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelFileError(
            f"the model cannot be read: {error}", where=str(folder), remedy="restore the folder from a copy, or train again"
        ) from error
    if record.get("format") != FORMAT:
        raise ModelFileError(
            f"model of format {record.get('format')}, expected {FORMAT}",
            where=str(folder),
            remedy="load it with the version of omicsglue that saved it, or train again",
        )
    edges = {name: value.numpy() for name, value in unflatten("edges", tensors).items()}
    graph = GuidanceGraph(
        vertices=np.array(record["vertices"], dtype=object), kind_names=tuple(record["edge_kinds"]), **edges
    )
    return SavedModel(record, unflatten("network", tensors), unflatten("weight", tensors), graph)


def _stage(values: dict[str, Any]) -> StageConfig:
    weights, plateau = ObjectiveWeights(**values["weights"]), PlateauConfig(**values["plateau"])
    return StageConfig(**{**values, "weights": weights, "plateau": plateau})
