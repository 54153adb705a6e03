"""Options of a run, checked and resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from omicsglue.errors import OptionError
from omicsglue.recipe import Recipe
from omicsglue.suggest import did_you_mean, listed

BY_MODALITY = ("likelihood", "layer", "representation", "batch_key", "label_key", "sign")


@dataclass(frozen=True)
class IntegrateOptions:
    """Everything that can be chosen about a run.

    Attributes
    ----------
    likelihood, layer, representation, batch_key, label_key, sign
        By modality; what is not named takes its default (``nb``, ``X``, computed, none, none, +1).
    promoter, window
        Bases upstream of a gene that belong to it, and bases around it in which features are linked.
    n_genes
        Genes to model, the most variable ones.
    n_components
        Dimensions of the representations that are computed.
    max_epochs
        At most so many epochs in each stage.
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
    promoter: int = 2000
    window: int = 0
    n_genes: int = 2000
    n_components: int = 100
    max_epochs: int | None = None
    seed: int = 0
    device: str = "auto"
    devices: int = 1
    threads: int | None = None
    checkpoint_minutes: float = 1.0

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> IntegrateOptions:
        """Return options from keyword arguments or a configuration file.

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
                    remedy=f"choose among: {listed(known)}",
                )
        options = cls(**{name: value for name, value in values.items() if value is not None})
        options._check_numbers()
        return options

    def _check_numbers(self) -> None:
        lowest = {"promoter": 0, "window": 0, "n_genes": 1, "n_components": 2, "max_epochs": 1, "threads": 1, "seed": 0}
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise OptionError(
                    f"{name} is {value!r}", where=_flag(name), remedy=f"give a whole number of at least {least}"
                )
        for modality, sign in self.sign.items():
            if sign not in (-1, 1):
                raise OptionError(
                    f"the sign of {modality} is {sign!r}", where="--sign", remedy=f"give {modality}=1 or {modality}=-1"
                )
        if self.checkpoint_minutes < 0:
            raise OptionError(
                f"checkpoint_minutes is {self.checkpoint_minutes}", where="integrate", remedy="give 0 or more"
            )

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
                        f"it names the modality {modality!r}{did_you_mean(modality, known)}, which is not given",
                        where=_flag(option),
                        remedy=f"name one of: {', '.join(known)}",
                    )

    def recipe(self) -> Recipe:
        """Return the settings of training."""
        return replace(Recipe(), seed=self.seed)

    def record(self) -> dict[str, Any]:
        """Return the options as they are written to ``run.json``."""
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(self).items()}


def _flag(option: str) -> str:
    return "--" + option.replace("_", "-")
