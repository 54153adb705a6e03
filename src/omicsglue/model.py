"""GLUE: the user's object. Thin: it resolves the data, follows the recipe, and hands out embeddings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from omicsglue.data import checks
from omicsglue.data.modality import ModalityData, label_names, resolve
from omicsglue.data.setup import ModalitySetup, read_setup, write_setup
from omicsglue.errors import GraphError, InputError, NotTrainedError, OptionError
from omicsglue.graph import GuidanceGraph
from omicsglue.graph import check as check_graph
from omicsglue.modelfile import SavedModel, read_model, write_model
from omicsglue.nn.build import build_network
from omicsglue.recipe import Outcome, Recipe, embed, follow
from omicsglue.training.checkpoint import newest_checkpoint
from omicsglue.training.device import make_fabric, threads_limited
from omicsglue.training.interrupt import CheckpointKeeper, listening
from omicsglue.training.progress import LiveBar, Reporter

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Floats = npt.NDArray[np.float32]


class GLUE:
    """Graph-linked unified embedding of cells of several modalities and of the features that they measure.

    Parameters
    ----------
    data
        Modalities by name, or a MuData; each set up by :meth:`setup_anndata`. At least two, and none is changed.
    graph
        Guidance graph over features of all modalities. Features outside it are not modelled.
    recipe
        Settings; the defaults suit most data.

    Raises
    ------
    InputError
        If a modality is not set up, or its data cannot be used.
    GraphError
        If the graph does not fit the data.

    Notes
    -----
    Source: Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.

    Examples
    --------
    >>> model = GLUE({"rna": rna, "atac": atac}, graph)  # doctest: +SKIP
    >>> model.train()  # doctest: +SKIP
    >>> rna.obsm["X_glue"] = model.get_latent_representation("rna")  # doctest: +SKIP
    """

    def __init__(
        self, data: Mapping[str, AnnData] | MuData, graph: GuidanceGraph, recipe: Recipe | None = None
    ) -> None:
        modalities = as_modalities(data)
        self.recipe = recipe or Recipe()
        self.graph = graph
        self.graph_report = check_graph(graph, {name: adata.var_names for name, adata in modalities.items()})
        self.setups = {name: read_setup(adata, name) for name, adata in modalities.items()}
        self.labels = label_names(modalities, self.setups)
        self._data = {
            name: resolve(name, adata, self.setups[name], graph.vertices, labels=self.labels)
            for name, adata in modalities.items()
        }
        for name, cells in self._data.items():
            checks.check_enough_cells(len(cells), self.recipe.train.batch_size, where=name)
        self._build()
        self._outcome: Outcome | None = None

    def _build(self) -> None:
        self.network = build_network(
            self._data,
            self.graph,
            self.recipe.network,
            types=len(self.labels),
            reversal=self.recipe.train.weights.align,
            seed=self.recipe.seed,
        )

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        likelihood: str = "nb",
        layer: str | None = None,
        representation: str | None = None,
        batch_key: str | None = None,
        labels_key: str | None = None,
    ) -> None:
        """Say how a modality enters the model; kept in ``adata.uns["omicsglue"]``.

        Parameters
        ----------
        adata
            Cells x features.
        likelihood
            Likelihood of the modelled data; ``"nb"`` for counts.
        layer
            Layer with the modelled data; ``None`` is ``X``.
        representation
            ``obsm`` key of the encoder's input, such as ``"X_pca"``; ``None`` lets it see log-normalised counts.
        batch_key
            ``obs`` column of experimental batches, which get decoder parameters of their own.
        labels_key
            ``obs`` column of known cell types, missing where unknown; they guide the embedding.

        Raises
        ------
        InputError, OptionError
            If something named is not there, or the data do not suit the likelihood.
        """
        write_setup(adata, ModalitySetup(likelihood, layer, representation, batch_key, labels_key))

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in order."""
        return list(self._data)

    @property
    def is_trained(self) -> bool:
        """Whether the model has been trained."""
        return self._outcome is not None

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch and stage: losses, learning rate, steps, seconds."""
        return pd.DataFrame(self._trained().history)

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage of training."""
        return dict(self._trained().seconds)

    def train(
        self,
        max_epochs: int | None = None,
        *,
        device: str = "auto",
        devices: int = 1,
        threads: int | None = None,
        checkpoints: str | Path | None = None,
        checkpoint_minutes: float = 1.0,
        resume: bool = False,
        reporter: Reporter | None = None,
    ) -> None:
        """Pretrain, balance, train; from fresh weights, also when called again.

        Parameters
        ----------
        max_epochs
            At most so many epochs in each stage.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        devices
            Number of devices.
        threads
            CPU threads; as torch is set by default.
        checkpoints
            Folder for checkpoints; none are written by default.
        checkpoint_minutes
            Time between checkpoints; 0 writes one after every epoch.
        resume
            Go on from the newest valid checkpoint, or start where there is none.
        reporter
            Hears of the progress; a live bar by default.

        Raises
        ------
        OptionError
            If an option cannot be used.
        TrainingError
            If a loss is no longer finite.
        Interrupted
            On Ctrl-C or SIGTERM; with ``checkpoints``, the state is saved.
        """
        recipe = self._limited(max_epochs)
        folder = Path(checkpoints) if checkpoints is not None else None
        saved = newest_checkpoint(folder) if resume and folder is not None else None
        reporter = reporter or LiveBar()
        fabric = make_fabric(device, devices)
        self._build()
        try:
            with threads_limited(threads), listening() as signals:
                self._outcome = follow(
                    self.network,
                    self._data,
                    self.graph,
                    recipe,
                    fabric,
                    reporter,
                    on_step=CheckpointKeeper(folder, signals, checkpoint_minutes),
                    resume=saved,
                )
        finally:
            reporter.close()

    def _limited(self, max_epochs: int | None) -> Recipe:
        if max_epochs is not None and max_epochs < 1:
            raise OptionError(f"max_epochs is {max_epochs}", where="train", remedy="give 1 or more")
        return self.recipe.limited(max_epochs) if max_epochs is not None else self.recipe

    def get_latent_representation(
        self, modality: str, adata: AnnData | None = None, *, return_std: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Return the embedding of cells, the mean of u.

        Parameters
        ----------
        modality
            Name of the modality.
        adata
            Other cells of this modality, with the same representation; by default those of training.
        return_std
            Return the posterior standard deviation too.

        Returns
        -------
        float32, shape ``(cells, D)``, or a pair of such arrays.

        Raises
        ------
        NotTrainedError
            If the model has not been trained.
        """
        self._trained()
        cells = self._cells(modality) if adata is None else self._resolve(modality, adata)
        mean, std = embed(self.network, cells)
        return (mean, std) if return_std else mean

    def get_feature_embedding(self, modality: str | None = None) -> pd.DataFrame:
        """Return the embedding of features, the mean of V.

        Parameters
        ----------
        modality
            Name of a modality; all vertices of the graph by default.

        Returns
        -------
        float32, features x D, indexed by feature name.
        """
        self._trained()
        self.network.graph.eval()
        with torch.no_grad():
            v = self.network.graph().mean.cpu().numpy()
        table = pd.DataFrame(v, index=pd.Index(self.graph.vertices, dtype=object))
        return table if modality is None else table.loc[self._cells(modality).features]

    def balancing_weights(self, modality: str) -> Floats:
        """Return the balancing weight of each cell, mean 1, shape ``(cells,)``."""
        self._cells(modality)
        return self._trained().weights[modality]

    def save(self, folder: str | Path) -> None:
        """Write ``weights.safetensors`` and ``model.json`` to a folder, whole or not at all.

        Raises
        ------
        NotTrainedError
            If the model has not been trained.
        """
        outcome = self._trained()
        record = {
            "modalities": {
                name: {
                    "setup": self.setups[name].record(),
                    "features": list(cells.features),
                    "batches": list(cells.batches),
                    "inputs": int(cells.inputs.shape[1]),
                }
                for name, cells in self._data.items()
            },
            "labels": list(self.labels),
            "recipe": asdict(self.recipe),
            "history": outcome.history,
            "seconds": outcome.seconds,
        }
        weights = {f"{name}": torch.from_numpy(value) for name, value in outcome.weights.items()}
        write_model(Path(folder), SavedModel(record, self.network.state_dict(), weights, self.graph))

    @classmethod
    def load(cls, folder: str | Path, data: Mapping[str, AnnData] | MuData) -> GLUE:
        """Return a saved model with its data.

        Parameters
        ----------
        folder
            Folder that :meth:`save` wrote.
        data
            The modalities on which it was trained, or other cells with the same features and representations.

        Raises
        ------
        ModelFileError
            If the files are damaged or of another version.
        InputError
            If the data lack a modality or a feature that the model knows.
        """
        saved = read_model(Path(folder))
        modalities = as_modalities(data)
        model = cls.__new__(cls)
        model.recipe = saved.recipe()
        model.graph = saved.graph
        model.labels = tuple(saved.record["labels"])
        known = saved.record["modalities"]
        _check_same(list(known), list(modalities), "modalities", str(folder))
        model.setups = {
            name: ModalitySetup.from_record(known[name]["setup"], str(folder)) for name in known
        }
        model._data = {}
        for name, entry in known.items():
            cells = resolve(
                name, modalities[name], model.setups[name], entry["features"], entry["batches"], model.labels
            )
            _check_same(entry["features"], list(cells.features), "features", name)
            model._data[name] = cells
        model.graph_report = check_graph(
            model.graph, {name: modalities[name].var_names for name in known}
        )
        model._build()
        model.network.load_state_dict(saved.network)
        model.network.eval()
        weights = {name: value.numpy() for name, value in saved.weights.items()}
        model._outcome = Outcome(saved.record["history"], weights, saved.record["seconds"])
        return model

    def _trained(self) -> Outcome:
        if self._outcome is None:
            raise NotTrainedError("the model has not been trained", where="GLUE", remedy="call train() first")
        return self._outcome

    def _cells(self, modality: str) -> ModalityData:
        if modality not in self._data:
            raise OptionError(
                f"there is no modality {modality!r}",
                where="GLUE",
                remedy=f"choose one of: {', '.join(self._data)}",
            )
        return self._data[modality]

    def _resolve(self, modality: str, adata: AnnData) -> ModalityData:
        known = self._cells(modality)
        setup = self.setups[modality]
        checks.check_setup(adata, setup, modality)
        cells = resolve(modality, adata, setup, list(known.features), known.batches, self.labels)
        _check_same(list(known.features), list(cells.features), "features", modality)
        if cells.inputs.shape[1] != known.inputs.shape[1]:
            raise InputError(
                f"the representation has {cells.inputs.shape[1]} dimensions, the model knows {known.inputs.shape[1]}",
                where=modality,
                remedy="project the cells with the loadings that were used for training",
            )
        return cells


def as_modalities(data: Mapping[str, AnnData] | MuData) -> dict[str, AnnData]:
    """Return the modalities of a mapping or a MuData, in order, after checking that they go together."""
    mod = getattr(data, "mod", data)
    modalities = {str(name): mod[name] for name in mod}
    checks.check_modalities(modalities)
    return modalities


def _check_same(expected: list[str], found: list[str], what: str, where: str) -> None:
    """Check that names are the same and in the same order."""
    if expected == found:
        return
    missing = [name for name in expected if name not in set(found)]
    raise InputError(
        f"the model's {what} differ from the data's; missing: {checks.examples(missing) or 'none (the order differs)'}",
        where=where,
        remedy=f"give the {what} on which the model was trained, in the same order",
    )
