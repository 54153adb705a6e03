"""What can be asked of the simulator: presets, options and their checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Final

from omicsglue.errors import OptionError, examples

MODALITIES: Final = ("rna", "atac", "methylation", "protein", "methylation_ch")
SAME_READS: Final[Mapping[str, str]] = MappingProxyType({"methylation_ch": "methylation"})
"""Modalities that are read from the molecules of another one, and so from the same cells."""


@dataclass(frozen=True)
class Assay:
    """How one count modality of a preset looks.

    Attributes
    ----------
    depth
        Expected counts of a typical cell (median over cells).
    depth_sd
        Standard deviation of the logarithm of the depth.
    low_sd, high_sd
        Standard deviations of the logarithm of feature means below and above their median.
    dominant
        Share of all counts that goes to the strongest feature; 0 leaves it to chance.
    dispersion, dispersion_slope, dispersion_scatter
        Negative binomial dispersion phi (variance = mu + phi mu^2) of a feature of mean m is
        ``(dispersion + dispersion_slope / sqrt(m))`` times a log-normal of this scatter.
    background
        Share of the counts that carries no information on the cell (ambient molecules, open chromatin noise).
    double
        Share of the molecules counted twice (both cut sites of a fragment in the same peak).
    effect
        Scale of the differences between cell states (logarithm of the rate).
    """

    depth: float
    depth_sd: float
    low_sd: float
    high_sd: float
    dominant: float
    dispersion: float
    dispersion_slope: float
    dispersion_scatter: float
    background: float
    double: float
    effect: float


@dataclass(frozen=True)
class Preset:
    """A technology: sizes, peak widths and the two count modalities.

    Attributes
    ----------
    genes, peaks
        Numbers of features.
    peak_width, peak_width_sd
        Median (base pairs) and log standard deviation of the width of peaks.
    depth_correlation
        Correlation of the log depths of the modalities of a cell.
    rna, atac
        The count modalities.
    """

    genes: int
    peaks: int
    peak_width: float
    peak_width_sd: float
    depth_correlation: float
    rna: Assay
    atac: Assay


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "snare": Preset(
            genes=1_700,
            peaks=20_000,
            peak_width=320.0,
            peak_width_sd=0.5,
            depth_correlation=0.55,
            rna=Assay(255.0, 0.58, 1.6, 2.05, 0.23, 0.1, 0.24, 0.5, 0.10, 0.0, 1.7),
            atac=Assay(83.0, 0.56, 1.0, 1.2, 0.0, 0.3, 0.0, 0.3, 0.12, 0.0, 0.68),
        ),
        "10x": Preset(
            genes=2_000,
            peaks=30_000,
            peak_width=600.0,
            peak_width_sd=0.3,
            depth_correlation=0.5,
            rna=Assay(2_300.0, 0.45, 1.5, 2.3, 0.12, 0.2, 0.10, 0.5, 0.05, 0.0, 1.5),
            atac=Assay(5_000.0, 0.5, 1.2, 2.0, 0.0, 0.2, 0.0, 0.3, 0.15, 0.7, 0.75),
        ),
    }
)


@dataclass(frozen=True)
class SimulationOptions:
    """Everything that determines a simulated data set; `simulate` documents each field.

    Raises
    ------
    OptionError
        If a value is out of its range or names a type, batch or modality that does not exist.
    """

    cells: int = 3_000
    genes: int | None = None
    peaks: int | None = None
    types: int = 10
    preset: str = "10x"
    seed: int = 0
    modalities: tuple[str, ...] = ("rna", "atac")
    regulation: float = 0.8
    links_per_gene: float = 4.0
    signal: float = 1.0
    noise: float = 1.0
    depth: Mapping[str, float] = field(default_factory=dict)
    depth_correlation: float | None = None
    rare_share: float = 0.01
    continuum: float = 0.15
    programmes: int = 6
    programme_scale: float = 0.3
    batches: int = 1
    batch_effect: float = 0.3
    batch_shares: tuple[float, ...] | None = None
    private_types: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing_batches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    composition: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    paired: float = 1.0
    proteins: int = 30

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise OptionError(
                f"there is no preset {self.preset!r}",
                where="simulate(preset=...)",
                remedy=f"Use one of {', '.join(PRESETS)}.",
            )
        _check_ranges(self)
        _check_names(self)
        _check_something_left(self)

    @property
    def technology(self) -> Preset:
        """The preset that was asked for."""
        return PRESETS[self.preset]

    @property
    def n_genes(self) -> int:
        """Number of genes, the preset's unless given."""
        return self.technology.genes if self.genes is None else self.genes

    @property
    def n_peaks(self) -> int:
        """Number of peaks, the preset's unless given."""
        return self.technology.peaks if self.peaks is None else self.peaks

    @property
    def type_names(self) -> tuple[str, ...]:
        """Names of the cell types, from the commonest to the rarest."""
        return tuple(f"type{i + 1}" for i in range(self.types))

    @property
    def batch_names(self) -> tuple[str, ...]:
        """Names of the batches."""
        return tuple(f"batch{i + 1}" for i in range(self.batches))

    def depth_factor(self, modality: str) -> float:
        """Return what the preset's depth is multiplied by in a modality."""
        return float(self.depth.get(modality, 1.0))

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain JSON types, with the preset's sizes filled in."""
        return {**asdict(self), "genes": self.n_genes, "peaks": self.n_peaks}


def _check_ranges(o: SimulationOptions) -> None:
    _whole("cells", o.cells, 1)
    _whole("genes", o.n_genes, 10)
    _whole("peaks", o.n_peaks, 10)
    _whole("types", o.types, 2, 200)
    _whole("seed", o.seed, 0)
    _whole("batches", o.batches, 1)
    _whole("programmes", o.programmes, 0, 50)
    _within("regulation", o.regulation, 0.0, 1.0)
    _within("links_per_gene", o.links_per_gene, 0.1, 50.0)
    _within("signal", o.signal, 0.0, 5.0)
    _within("noise", o.noise, 0.0, 5.0)
    _within("rare_share", o.rare_share, 1e-4, 1.0)
    _within("continuum", o.continuum, 0.0, 1.0)
    _within("programme_scale", o.programme_scale, 0.0, 5.0)
    _within("batch_effect", o.batch_effect, 0.0, 5.0)
    _within("paired", o.paired, 0.0, 1.0)
    if o.depth_correlation is not None:
        _within("depth_correlation", o.depth_correlation, 0.0, 1.0)
    if "protein" in o.modalities:
        _whole("proteins", o.proteins, 1, o.n_genes)
    for modality, factor in o.depth.items():
        _within(f"depth[{modality!r}]", factor, 1e-3, 1e3)
    if o.batch_shares is not None:
        _check_shares(o.batch_shares, o.batches)


def _check_shares(shares: Sequence[float], batches: int) -> None:
    if len(shares) != batches:
        raise OptionError(
            f"{len(shares)} shares were given for {batches} batches",
            where="simulate(batch_shares=...)",
            remedy="Give one share for each batch.",
        )
    for share in shares:
        _within("batch_shares", share, 1e-6, math.inf)


def _check_names(o: SimulationOptions) -> None:
    _known("modalities", o.modalities, MODALITIES)
    if len(o.modalities) == 0 or len(set(o.modalities)) < len(o.modalities):
        raise OptionError(
            f"modalities are {list(o.modalities)}",
            where="simulate(modalities=...)",
            remedy=f"Name each of the modalities you want once, out of {', '.join(MODALITIES)}.",
        )
    for option, table in (
        ("depth", o.depth),
        ("missing", o.missing),
        ("missing_batches", o.missing_batches),
        ("composition", o.composition),
    ):
        _known(option, table, o.modalities)
    for types in o.missing.values():
        _known("missing", types, o.type_names)
    for names in o.missing_batches.values():
        _known("missing_batches", names, o.batch_names)
    _known("private_types", o.private_types, o.type_names)
    _known("private_types", o.private_types.values(), o.batch_names)
    for shares in o.composition.values():
        _known("composition", shares, o.type_names)
        for name, share in shares.items():
            _within(f"composition[...][{name!r}]", share, 0.0, 1.0)


def _check_something_left(o: SimulationOptions) -> None:
    for modality in o.modalities:
        gone = set(o.missing.get(modality, ()))
        gone |= {name for name, share in o.composition.get(modality, {}).items() if share == 0}
        if len(gone) == o.types or set(o.missing_batches.get(modality, ())) == set(o.batch_names):
            raise OptionError(
                f"no cell is left in modality {modality!r}",
                where="simulate(missing=..., missing_batches=..., composition=...)",
                remedy="Leave at least one cell type and one batch in each modality.",
            )


def _whole(option: str, value: object, low: int, high: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        upper = "" if high == math.inf else f" and at most {high:,}"
        raise OptionError(
            f"{option} is {value!r}",
            where=f"simulate({option}=...)",
            remedy=f"Give a whole number, at least {low:,}{upper}.",
        )


def _within(option: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= float(value) <= high:
        raise OptionError(
            f"{option} is {value!r}",
            where=f"simulate({option}=...)",
            remedy=f"Give a number between {low:g} and {high:g}.",
        )


def _known(option: str, names: Any, valid: Sequence[str]) -> None:
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise OptionError(
            f"unknown name(s): {examples(unknown)}",
            where=f"simulate({option}=...)",
            remedy=f"The names here are {examples(valid)}.",
        )
