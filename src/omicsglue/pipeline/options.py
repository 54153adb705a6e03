"""Options of a run, checked and resolved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Final

from omicsglue.errors import OptionError
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from omicsglue.recipe import Recipe

BY_MODALITY: Final = ("likelihood", "layer", "representation", "batch_key", "label_key", "sign")
PAIRINGS: Final = ("obs_names", "none")
LIKELIHOOD: Final = "nb"

_LEAST: Final[Mapping[str, int]] = {
    "promoter": 0,
    "window": 0,
    "n_genes": 1,
    "n_components": 2,
    "max_epochs": 1,
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
    likelihood, layer, representation, batch_key, label_key, sign
        By modality; what is not named takes its default (``nb``, ``X``, computed, none, none, +1).
    pairing
        Whether cells of one name in two modalities are one cell (``"obs_names"``) or not (``"none"``); kept
        in the record, where the scores look it up.
    pairing_key
        Column of ``obs`` of all modalities by which cells are paired instead: cells of one value are one
        cell, cells without a value are unpaired.
    use_pairing
        Whether training uses the pairs. Not by default: it then treats all cells as unpaired.
    promoter, window
        Bases upstream of a gene that belong to it, and bases around it in which features are linked.
    n_genes
        Genes to model, the most variable ones.
    n_components
        Dimensions of the representations that are computed.
    max_epochs
        At most so many epochs in each stage.
    ensemble
        Models to train, which differ in the seed of the second stage.
    seed
        Seed of everything random.
    device, devices, threads
        Where to compute.
    checkpoint_minutes
        Time between checkpoints; 0 for one after every epoch.
    """

    likelihood: Mapping[str, str] = field(default_factory=dict)
    layer: Mapping[str, str] = field(default_factory=dict)
    representation: Mapping[str, str] = field(default_factory=dict)
    batch_key: Mapping[str, str] = field(default_factory=dict)
    label_key: Mapping[str, str] = field(default_factory=dict)
    sign: Mapping[str, int] = field(default_factory=dict)
    pairing: str | None = None
    pairing_key: str | None = None
    use_pairing: bool = False
    promoter: int = 2000
    window: int = 0
    n_genes: int = 2000
    n_components: int = 100
    max_epochs: int | None = None
    ensemble: int = 1
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    threads: int | None = None
    checkpoint_minutes: float = 1.0

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
                given[name] = _by_modality(name, given[name])
        for name, least in _LEAST.items():
            if name in given:
                given[name] = _whole(name, given[name], least)
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
        self._check_pairing()
        minutes = self.checkpoint_minutes
        if isinstance(minutes, bool) or not isinstance(minutes, Real) or not 0 <= minutes < math.inf:
            raise OptionError(
                f"checkpoint_minutes is {minutes!r}",
                where="--checkpoint-minutes",
                remedy="give 0 or more minutes",
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

    def recipe(self, cells: int) -> Recipe:
        """Return the settings of training for so many cells of the largest modality."""
        from omicsglue.recipe import Recipe

        return Recipe.for_cells(cells, self.seed).limited(self.max_epochs)

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
        values["likelihood"] = {name: self.likelihood.get(name, LIKELIHOOD) for name in known}
        return {"modalities": known, **values}


def flag(option: str) -> str:
    """Return how an option is spelled on the command line."""
    return "--" + option.replace("_", "-")


def _by_modality(option: str, value: object) -> dict[str, Any]:
    """Return an option that is given by modality, with its values checked."""
    example = "1" if option == "sign" else "NAME"
    if not isinstance(value, Mapping):
        raise OptionError(
            f"{value!r} names no modality",
            where=flag(option),
            remedy=f"give it by modality: {flag(option)} rna={example}, "
            f"or {option}: {{rna: {example}}} in a file",
        )
    given = {str(name): entry for name, entry in value.items() if entry is not None}
    if option == "sign":
        return {name: _sign(name, entry) for name, entry in given.items()}
    for name, entry in given.items():
        if not isinstance(entry, str) or not entry:
            raise OptionError(
                f"it is {entry!r} for {name}", where=flag(option), remedy="give a name, as text in quotes"
            )
    return given


def _sign(modality: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value not in (-1, 1):
        raise OptionError(
            f"the sign of {modality} is {value!r}",
            where="--sign",
            remedy=f"give {modality}=1 where features rise with the gene, or {modality}=-1 where they fall",
        )
    return int(value)


def _whole(option: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise OptionError(
            f"{option} is {value!r}",
            where=flag(option),
            remedy=f"give a whole number of at least {least}",
        )
    return int(value)
