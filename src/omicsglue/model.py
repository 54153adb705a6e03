"""GLUE: the user's object. Thin: it resolves the data, follows the recipe, and hands out embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from omicsglue.data import checks
from omicsglue.data.encoder_input import EncoderInput
from omicsglue.data.groups import check_batch_options
from omicsglue.data.modality import (
    ModalityData,
    as_modalities,
    check_same_modalities,
    input_of_others,
    label_names,
    resolve_all,
)
from omicsglue.data.offsets import without_offsets
from omicsglue.data.pairing import Pairing, pair_cells, pairs_to_use
from omicsglue.data.setup import ModalitySetup, read_setup, write_setup
from omicsglue.errors import NotTrainedError, OptionError
from omicsglue.graph import GuidanceGraph
from omicsglue.graph import check as check_graph
from omicsglue.keys import joined_columns
from omicsglue.modelfile import SavedModality, SavedModel, read_model, write_model
from omicsglue.nn.build import build_network
from omicsglue.nn.classifier import label_probabilities
from omicsglue.recipe import Outcome, PretrainedStore, Recipe, embed, run_digest
from omicsglue.training.checkpoint import where_to_begin
from omicsglue.training.device import make_fabric
from omicsglue.training.progress import LiveBar, Reporter
from omicsglue.worker import Job, Place, lead, leave_if_led

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

Floats = npt.NDArray[np.float32]


class GLUE:
    """Graph-linked unified embedding of cells of several modalities and of the features that they measure.

    Parameters
    ----------
    data
        Modalities by name, or a MuData; each set up by :meth:`setup_anndata`. At least two; none is changed.
    graph
        Guidance graph over features of all modalities. Features outside it are not modelled.
    recipe
        Settings; by default those of :meth:`Recipe.for_cells`.
    pairing
        How cells that were measured in several modalities are known, if training is to use them:
        ``"obs_names"`` (cells of one name are one cell), or a column of ``obs`` that all modalities have
        (cells of one value are one cell, cells without a value are unpaired). By default all cells are
        treated as unpaired, whatever their names.

    Raises
    ------
    InputError
        If a modality is not set up, its data cannot be used, or pairs are asked for and there are none.
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
        self,
        data: Mapping[str, AnnData] | MuData,
        graph: GuidanceGraph,
        recipe: Recipe | None = None,
        *,
        pairing: str | None = None,
    ) -> None:
        modalities = as_modalities(data)
        self.recipe = recipe or Recipe.for_cells(max(adata.n_obs for adata in modalities.values()))
        self.graph = graph
        self.graph_report = check_graph(graph, {name: adata.var_names for name, adata in modalities.items()})
        self.setups = {name: read_setup(adata, name) for name, adata in modalities.items()}
        self.labels = label_names(modalities, self.setups)
        data = resolve_all(modalities, self.setups, graph.vertices, self.labels)
        for name, adata in modalities.items():
            checks.check_enough_cells(adata.n_obs, self.recipe.batch_size, where=name)
        shape, batches = self.recipe.network, {name: cells.batches for name, cells in data.items()}
        check_batch_options(batches, shared=shape.shared_batches, align=shape.align_batches)
        self._data = without_offsets(data, shape.align_batches)
        self.pairing = pairing
        self._pairs: Pairing | None = None if pairing is None else pair_cells(modalities, pairing)
        self._build()
        self._outcome: Outcome | None = None

    def _build(self) -> None:
        types, seed = len(self.labels), self.recipe.seed
        self.network = build_network(self._data, self.graph, self.recipe.network, types=types, seed=seed)

    @classmethod
    def setup_anndata(
        cls,
        adata: AnnData,
        *,
        likelihood: str = "nb",
        layer: str | None = None,
        representation: str | None = None,
        batch_key: str | Sequence[str] | None = None,
        labels_key: str | None = None,
        coverage: str | None = None,
        unknown_labels: Sequence[str] = (),
    ) -> None:
        """Say how a modality enters the model; kept in ``adata.uns["omicsglue"]``.

        Parameters
        ----------
        adata
            Cells x features.
        likelihood
            Likelihood of the modelled data; ``"nb"`` for counts. ``docs/likelihoods.md`` lists all of them.
        layer
            Layer with the modelled data; ``None`` is ``X``.
        representation
            ``obsm`` key of the encoder's input, such as ``"X_pca"``; ``None`` lets it see log-normalised
            counts, or standardised values of other data.
        batch_key
            ``obs`` column of experimental batches, which get decoder parameters of their own; of several, a
            list or names with commas between them, each combination is a batch.
        labels_key, unknown_labels
            ``obs`` column of known cell types, which guide the embedding; missing, or one of these names
            (such as ``"Unassigned"``), where the type is not known.
        coverage
            Layer that says how much of each entry was measured; entries of which it holds 0 are missing, as
            are NaN in the data. ``"betabinomial"`` takes the covered counts from it, and from the layer
            ``coverage`` if none is named.

        Raises
        ------
        InputError, OptionError
            If something named is not there, or the data do not suit the likelihood.
        """
        batches, unknown = joined_columns(batch_key), tuple(map(str, unknown_labels))
        setup = ModalitySetup(likelihood, layer, representation, batches, labels_key, coverage, unknown)
        write_setup(adata, setup)

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
        pretrained: PretrainedStore | None = None,
        guard: Callable[[], None] | None = None,
    ) -> None:
        """Pretrain, balance, train; from fresh weights, also when called again.

        Parameters
        ----------
        max_epochs
            At most so many epochs in each stage.
        device
            ``"auto"``, ``"cpu"`` or ``"cuda"``.
        devices
            Number of devices on this machine. With more than one, a process a device trains together with
            this one; see ``docs/distributed.md``.
        threads
            CPU threads of each process; as torch is set by default, shared by the processes.
        checkpoints
            Folder for checkpoints; none are written by default.
        checkpoint_minutes
            Time between checkpoints; 0 writes one after every epoch.
        resume
            Go on from the newest valid checkpoint, or start where there is none.
        reporter
            Hears of the progress; a live bar by default.
        pretrained
            Where members of an ensemble share pretrained weights and balancing weights: used if they are
            there, else put there; see :meth:`member`.
        guard
            Called before each checkpoint is saved; raises where none must be saved.

        Raises
        ------
        OptionError
            If an option cannot be used.
        RunFolderError
            If checkpoints are of another run, or there are some and ``resume`` is not set.
        TrainingError
            If a loss is no longer finite, also after going back three times with half the learning rate, or
            another process is lost.
        Interrupted
            On Ctrl-C or SIGTERM; with ``checkpoints``, the state is saved.
        """
        recipe = self.recipe.limited(max_epochs)
        leave_if_led(device, devices)
        fabric = make_fabric(device, devices)
        folder = Path(checkpoints) if checkpoints is not None else None
        pairs = pairs_to_use(self.pairing, self._pairs)
        digest = partial(run_digest, self._data, self.graph, recipe, fabric.device.type, pairs)
        run, saved = where_to_begin(folder, digest, resume=resume)
        speaker = reporter or LiveBar()
        self._outcome = None
        self._build()
        try:
            shares = pretrained is not None
            job = Job(self.network, self.graph, recipe, saved, shares, pairs, threads, checkpoint_minutes)
            place = Place(fabric, device, devices, folder, run, guard)
            self._outcome = lead(job, self._data, place, speaker, pretrained)
        finally:
            if reporter is None:
                speaker.close()

    def member(self, number: int) -> GLUE:
        """Return an untrained member of an ensemble with this model.

        It has the same data and settings, and another seed of the second stage: ``seed + number``. Member 0
        is trained as this model is.

        Parameters
        ----------
        number
            Number of the member, from 0.

        Raises
        ------
        OptionError
            If the number is negative.
        """
        other = copy(self)
        other.recipe = replace(self.recipe, member=number)
        other._outcome = None
        other._build()
        return other

    def get_latent_representation(
        self, modality: str, adata: AnnData | None = None, *, return_std: bool = False
    ) -> Floats | tuple[Floats, Floats]:
        """Return the embedding of cells, the mean of u.

        Parameters
        ----------
        modality
            Name of the modality.
        adata
            Other cells of this modality, with a representation made in the same way (or, where the model sees
            counts, the same features), and their batches where these are aligned; by default training's.
        return_std
            Return the posterior standard deviation too.

        Returns
        -------
        float32, shape ``(cells, D)``, or a pair of such arrays.

        Raises
        ------
        NotTrainedError
            If the model has not been trained.
        OptionError
            If there is no such modality.
        InputError
            If the other cells lack what the encoder sees, or are of other batches where these are aligned.
        """
        self._trained()
        inputs = self._cells(modality).inputs
        if adata is not None:
            inputs = self._other_input(modality, adata)
        mean, std = embed(self.network, modality, inputs)
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

        Raises
        ------
        NotTrainedError, OptionError
            If the model has not been trained, or there is no such modality.
        """
        self._trained()
        self.network.graph.eval()
        with torch.no_grad():
            v = self.network.graph().mean.cpu().numpy()
        table = pd.DataFrame(v, index=pd.Index(self.graph.vertices, dtype=object))
        return table if modality is None else table.loc[list(self._cells(modality).features)]

    def predict_labels(self, modality: str, adata: AnnData | None = None) -> pd.DataFrame:
        """Return the probability of each known cell type for every cell: float32, cells x types.

        Parameters are those of :meth:`get_latent_representation`; the modality need not have had labels.

        Raises
        ------
        OmicsGlueError
            As :meth:`get_latent_representation`, and if the model was trained without labels.
        """
        means = self.get_latent_representation(modality, adata)
        cells = pd.Index(self._cells(modality).cells) if adata is None else adata.obs_names
        return label_probabilities(self.network, np.asarray(means), cells, self.labels)

    def balancing_weights(self, modality: str) -> Floats:
        """Return the balancing weight of each cell of training, mean 1.

        Parameters
        ----------
        modality
            Name of the modality.

        Returns
        -------
        float32, shape ``(cells,)``.

        Raises
        ------
        NotTrainedError, OptionError
            If the model has not been trained, or there is no such modality.
        """
        self._cells(modality)
        return self._trained().weights[modality]

    def save(self, folder: str | Path) -> None:
        """Write ``weights.safetensors`` and ``model.json`` to a folder, whole or not at all.

        Parameters
        ----------
        folder
            A new folder, or one that holds a model, which is replaced.

        Raises
        ------
        NotTrainedError
            If the model has not been trained.
        RunFolderError
            If the folder holds anything else or cannot be written.
        """
        known = {name: SavedModality.of(cells, self.setups[name]) for name, cells in self._data.items()}
        network = self.network.state_dict()
        offsets = {name: cells.offsets for name, cells in self._data.items() if cells.offsets is not None}
        parts = known, self.labels, self.recipe, self._trained(), self.graph, network, self.pairing
        write_model(Path(folder), SavedModel(*parts, offsets))

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
        check_same_modalities(list(saved.modalities), list(modalities), str(folder))
        model = cls.__new__(cls)
        model.recipe, model.graph, model.labels = saved.recipe, saved.graph, saved.labels
        model.setups = {name: known.setup for name, known in saved.modalities.items()}
        model.pairing, model._pairs = saved.pairing, None
        model._data = saved.resolve(modalities)
        names = {name: modalities[name].var_names for name in saved.modalities}
        model.graph_report = check_graph(model.graph, names)
        model._build()
        saved.restore(model.network, str(folder))
        model._outcome = saved.outcome
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

    def _other_input(self, modality: str, adata: AnnData) -> EncoderInput:
        return input_of_others(self._cells(modality), adata, self.setups[modality])
