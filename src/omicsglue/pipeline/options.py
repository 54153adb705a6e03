"""Options of a run, checked and resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import OptionError
from omicsglue.pipeline.option_values import by_modality, flag, joined_names, names, protein_genes, whole
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from omicsglue.recipe import Recipe

BY_MODALITY: Final = (
    "likelihood",
    "layer",
    "representation",
    "batch_key",
    "label_key",
    "coverage",
    "sign",
    "kind",
)
PAIRINGS: Final = ("obs_names", "none")
LIKELIHOOD: Final = "nb"
ALL: Final = "all"
BACKED: Final = ("auto", "always", "never")
RULES: Final = ("combined", "gene_body", "promoter")
_PROMOTER: Final = 2000  # bases

_LEAST: Final[Mapping[str, int]] = {
    "promoter": 0,
    "window": 0,
    "label_neighbours": 0,
    "n_genes": 1,
    "n_components": 2,
    "batch_size": 2,
    "max_epochs": 1,
    "metacells": 0,
    "ensemble": 1,
    "seed": 0,
    "devices": 1,
    "threads": 1,
}
_LARGEST_SEED: Final = 2**32 - 1  # what NumPy's older generators take, which scikit-learn uses


@dataclass(frozen=True)
class IntegrateOptions:
    """Everything that can be chosen about a run.

    Attributes
    ----------
    likelihood, layer, representation, batch_key, label_key, coverage, sign
        By modality; what is not named takes its default (``nb``, ``X``, computed, none, none, none or, for
        ``betabinomial``, ``coverage``, +1). A batch key may name several columns, with commas between them or
        in a list.
    kind
        By modality what its features are, ``genes``, ``regions`` (of the genome) or ``proteins``; told from
        the data where not given.
    protein_genes
        Which genes make which proteins, beyond the table of common markers: a text file with the columns
        ``protein`` and ``gene``, or a mapping such as ``{"CD3": ["CD3E", "CD3D"]}``.
    unknown_labels
        Labels that mean that the type of a cell is not known, such as ``"Unassigned"``.
    label_weight
        Weight of the known cell types in training; that of the recipe by default, 0 for none.
    label_neighbours
        Nearest labelled cells that must bear out a label for it to count; 0 trusts all labels, 20 by default.
    shared_batches
        Compare modalities within the batches that they share: the discriminator is told the batch of a cell.
    align_batches
        Modalities whose batches are aligned with each other, with commas between them or in a list, or
        ``"all"``.
    pairing
        Whether cells of one name in two modalities are one cell (``"obs_names"``) or not (``"none"``); kept
        in the record, where the scores look it up.
    pairing_key
        Column of ``obs`` of all modalities by which cells are paired instead: cells of one value are one
        cell, cells without a value are unpaired.
    use_pairing
        Whether training uses the pairs. Not by default: it then treats all cells as unpaired.
    rule
        What of a gene links it to features: body and promoter (``"combined"``), ``"gene_body"`` or
        ``"promoter"``.
    promoter, window
        Bases upstream of a gene that belong to it, and bases around it in which features are linked.
    n_genes
        Genes to model, the most variable ones.
    n_components
        Dimensions of the representations that are computed.
    batch_size
        Cells of each modality in a step, of each process; by default 128.
    max_epochs
        At most so many epochs in each stage: passes over the largest modality, or 500 steps where a pass is
        longer.
    metacells
        Metacells of each modality, at most, on which the first stage trains; 0 for cells.
    ensemble
        Models to train, which differ in the seed of the second stage.
    seed
        Seed of everything random.
    device, devices, threads
        Where to compute.
    checkpoint_minutes
        Time between checkpoints; 0 for one after every epoch.
    file_key
        ``obs`` column to add to every modality that is read from files, with the name of each cell's file, so
        that it can be named as ``batch_key``.
    file_prefix
        Put the name of its file and a colon before the name of each cell.
    backed
        Whether matrices of files stay on disk and are read when they are needed: ``"always"``, ``"never"``,
        or ``"auto"``, where those of all modalities would take more than 4 GB of memory.
    """

    likelihood: Mapping[str, str] = field(default_factory=dict)
    layer: Mapping[str, str] = field(default_factory=dict)
    representation: Mapping[str, str] = field(default_factory=dict)
    batch_key: Mapping[str, str] = field(default_factory=dict)
    label_key: Mapping[str, str] = field(default_factory=dict)
    coverage: Mapping[str, str] = field(default_factory=dict)
    sign: Mapping[str, int] = field(default_factory=dict)
    kind: Mapping[str, str] = field(default_factory=dict)
    protein_genes: str | Mapping[str, Any] | None = None
    unknown_labels: tuple[str, ...] = ()
    label_weight: float | None = None
    label_neighbours: int | None = None
    shared_batches: bool = False
    align_batches: str | None = None
    pairing: str | None = None
    pairing_key: str | None = None
    use_pairing: bool = False
    rule: str = "combined"
    promoter: int = _PROMOTER
    window: int = 0
    n_genes: int = 2000
    n_components: int = 100
    batch_size: int | None = None
    max_epochs: int | None = None
    metacells: int = 0
    ensemble: int = 1
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    threads: int | None = None
    checkpoint_minutes: float = 1.0
    file_key: str | None = None
    file_prefix: bool = False
    backed: str = "auto"

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> IntegrateOptions:
        """Return options from keyword arguments or a configuration file.

        Parameters
        ----------
        values
            By name; ``None`` takes the default.

        Raises
        ------
        OptionError
            If an option is unknown or has an impossible value.
        """
        known = [each.name for each in fields(cls)]
        for name in values:
            if name not in known:
                raise OptionError(
                    f"there is no option {name!r}{did_you_mean(name, known)}",
                    where="integrate",
                    remedy=f"choose among: {listed(known, limit=len(known))}",
                )
        given = {name: value for name, value in values.items() if value is not None}
        for name in BY_MODALITY:
            if name in given:
                given[name] = by_modality(name, given[name])
        if "protein_genes" in given:
            given["protein_genes"] = protein_genes(given["protein_genes"])
        if "align_batches" in given:
            given["align_batches"] = joined_names("align_batches", given["align_batches"])
        for name, least in _LEAST.items():
            if name in given:
                given[name] = whole(name, given[name], least)
        if "unknown_labels" in given:
            given["unknown_labels"] = names(given["unknown_labels"])
        options = cls(**given)
        options._check_rest()
        return options

    def _check_rest(self) -> None:
        if self.seed > _LARGEST_SEED:
            raise OptionError(f"seed is {self.seed}", where="--seed", remedy=f"give at most {_LARGEST_SEED}")
        if self.pairing not in (None, *PAIRINGS):
            raise OptionError(
                f"there is no pairing {self.pairing!r}",
                where="--pairing",
                remedy=f"choose one of: {', '.join(PAIRINGS)}",
            )
        if self.backed not in BACKED:
            raise OptionError(
                f"there is no {self.backed!r}{did_you_mean(str(self.backed), BACKED)}",
                where="--backed",
                remedy=f"choose one of: {', '.join(BACKED)}",
            )
        if self.file_key is not None and (not isinstance(self.file_key, str) or not self.file_key):
            raise OptionError(
                f"it is {self.file_key!r}", where="--file-key", remedy="give the name of the column to add"
            )
        if not isinstance(self.file_prefix, bool):
            raise OptionError(
                f"file_prefix is {self.file_prefix!r}", where="--file-prefix", remedy="give true or false"
            )
        self._check_rule()
        self._check_labels()
        if not isinstance(self.shared_batches, bool):
            raise OptionError(
                f"shared_batches is {self.shared_batches!r}",
                where="--shared-batches",
                remedy="give true or false",
            )
        self._check_pairing()
        minutes = self.checkpoint_minutes
        if isinstance(minutes, bool) or not isinstance(minutes, Real) or not 0 <= minutes < math.inf:
            raise OptionError(
                f"checkpoint_minutes is {minutes!r}",
                where="--checkpoint-minutes",
                remedy="give 0 or more minutes",
            )

    def _check_rule(self) -> None:
        if self.rule not in RULES:
            raise OptionError(
                f"there is no rule {self.rule!r}{did_you_mean(str(self.rule), RULES)}",
                where="--rule",
                remedy=f"choose one of: {', '.join(RULES)}",
            )
        if self.rule == "gene_body" and self.promoter not in (0, _PROMOTER):
            raise OptionError(
                f"the rule gene_body leaves promoters out, but {self.promoter:,} bases are asked for",
                where="--rule",
                remedy="leave --promoter out, or choose the rule combined or promoter",
            )

    def _check_labels(self) -> None:
        if self.unknown_labels and not self.label_key:
            raise OptionError(
                f"it names {listed(self.unknown_labels)}, but no column of labels is given",
                where="--unknown-label",
                remedy="name the column with --label-key, or leave the option out",
            )
        weight = self.label_weight
        if weight is None:
            return
        if isinstance(weight, bool) or not isinstance(weight, Real) or not 0 <= weight < math.inf:
            raise OptionError(
                f"label_weight is {weight!r}", where="--label-weight", remedy="give a number of 0 or more"
            )

    def _check_pairing(self) -> None:
        key = self.pairing_key
        if key is not None and (not isinstance(key, str) or not key):
            raise OptionError(
                f"it is {key!r}",
                where="--pairing-key",
                remedy="give the name of one column of obs that all modalities have",
            )
        if key is not None and self.pairing is not None:
            raise OptionError(
                f"cells are to be paired by {self.pairing} and by the column {key}",
                where="--pairing-key",
                remedy="give --pairing or --pairing-key, not both",
            )
        if not isinstance(self.use_pairing, bool):
            raise OptionError(
                f"use_pairing is {self.use_pairing!r}", where="--use-pairing", remedy="give true or false"
            )
        if self.use_pairing and self.pairing == "none":
            raise OptionError(
                "training is to use pairs, but --pairing says that there are none",
                where="--use-pairing",
                remedy="leave out --pairing none, or give --pairing-key",
            )

    @property
    def trained_pairing(self) -> str | None:
        """How the pairs that training uses are found: a column, ``"obs_names"``, or ``None`` for no pairs."""
        return (self.pairing_key or PAIRINGS[0]) if self.use_pairing else None

    def check_modalities(self, names: Iterable[str]) -> None:
        """Check that options given by modality name modalities that are there.

        Raises
        ------
        OptionError
            If one does not.
        """
        known = list(names)
        for option in BY_MODALITY:
            for modality in getattr(self, option):
                if modality not in known:
                    raise OptionError(
                        f"it names the modality {modality!r}, which is not given"
                        f"{did_you_mean(modality, known)}",
                        where=flag(option),
                        remedy=f"name one of: {', '.join(known)}",
                    )
        self._check_aligned(known)

    def _check_aligned(self, known: list[str]) -> None:
        """Check that modalities whose batches are to be aligned are there and have a batch key."""
        if self.align_batches == ALL and ALL not in known:
            if not self.batch_key:
                raise OptionError(
                    "no modality has a column of batches",
                    where=flag("align_batches"),
                    remedy="name the column, such as --batch-key rna=donor, or leave the option out",
                )
            return
        for modality in self.aligned:
            if modality not in known:
                raise OptionError(
                    f"it names the modality {modality!r}, which is not given{did_you_mean(modality, known)}",
                    where=flag("align_batches"),
                    remedy=f"name some of: {', '.join(known)}, or {ALL}",
                )
            if modality not in self.batch_key:
                raise OptionError(
                    f"{modality} has no column of batches to align",
                    where=flag("align_batches"),
                    remedy=f"name the column, such as --batch-key {modality}=donor, or leave {modality} out",
                )

    @property
    def aligned(self) -> tuple[str, ...]:
        """Names given for ``align_batches``."""
        return tuple(self.align_batches.split(",")) if self.align_batches else ()

    def setup(self, name: str) -> ModalitySetup:
        """Return how a modality of this name enters the model, as far as options say so."""
        return ModalitySetup(
            likelihood=self.likelihood.get(name, LIKELIHOOD),
            layer=self.layer.get(name),
            representation=self.representation.get(name),
            batch_key=self.batch_key.get(name),
            labels_key=self.label_key.get(name),
            coverage=self.coverage.get(name),
            unknown_labels=self.unknown_labels if name in self.label_key else (),
        )

    def recipe(self, cells: int) -> Recipe:
        """Return the settings of training for so many cells of the largest modality."""
        from omicsglue.recipe import Recipe

        recipe = Recipe.for_cells(cells, self.seed).limited(self.max_epochs).batched(self.batch_size)
        if self.label_weight is not None:
            recipe = recipe.weighted(label=float(self.label_weight))
        if self.label_neighbours is not None:
            recipe = replace(recipe, label_neighbours=self.label_neighbours)
        network = replace(recipe.network, shared_batches=self.shared_batches, align_batches=self.aligned)
        return replace(recipe, network=network, metacells=self.metacells)

    def seeds(self) -> dict[str, int | list[int]]:
        """Return the seed and, of an ensemble, the seeds of its members in the second stage."""
        if self.ensemble == 1:
            return {"seed": self.seed}
        return {"seed": self.seed, "ensemble": [self.seed + number for number in range(self.ensemble)]}

    def record(self, names: Iterable[str]) -> dict[str, Any]:
        """Return the options as they are written to ``run.json``, for modalities of these names."""
        known = list(names)
        values = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(self).items()
        }
        values["unknown_labels"] = list(self.unknown_labels)
        values["likelihood"] = {name: self.likelihood.get(name, LIKELIHOOD) for name in known}
        return {"modalities": known, **values}
