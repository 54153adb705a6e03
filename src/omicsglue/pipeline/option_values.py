"""Values of options, checked one by one: what is given by modality, names, whole numbers, signs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, Final

from omicsglue.errors import OptionError
from omicsglue.suggest import did_you_mean

KINDS: Final = ("genes", "regions", "proteins")


def flag(option: str) -> str:
    """Return how an option is spelled on the command line."""
    return "--" + option.replace("_", "-")


def by_modality(option: str, value: object) -> dict[str, Any]:
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
    if option == "batch_key":
        given = {
            name: joined_names(option, entry) if isinstance(entry, list | tuple) else entry
            for name, entry in given.items()
        }
    if option == "sign":
        return {name: _sign(name, entry) for name, entry in given.items()}
    for name, entry in given.items():
        if not isinstance(entry, str) or not entry:
            raise OptionError(
                f"it is {entry!r} for {name}", where=flag(option), remedy="give a name, as text in quotes"
            )
        if option == "kind" and entry not in KINDS:
            raise OptionError(
                f"there is no kind {entry!r} of features{did_you_mean(entry, KINDS)}",
                where=flag(option),
                remedy=f"choose one of: {', '.join(KINDS)}",
            )
    return given


def protein_genes(value: object) -> str | dict[str, list[str]]:
    """Return a file's name, or genes by protein."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {
            str(name): [made_by] if isinstance(made_by, str) else [str(gene) for gene in made_by or ()]
            for name, made_by in value.items()
        }
    raise OptionError(
        f"it is {value!r}",
        where=flag("protein_genes"),
        remedy="give a file with the columns protein and gene, or a mapping such as {CD3: [CD3E, CD3D]}",
    )


def names(value: object) -> tuple[str, ...]:
    """Return labels that were given as one text or several."""
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise OptionError(
            f"it is {value!r}", where="--unknown-label", remedy="give labels as text, or a list of them"
        )
    return tuple(dict.fromkeys(str(name) for name in given))


def joined_names(option: str, value: object) -> str:
    """Return names with commas between them, from such a text or a list."""
    parts = [value] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise OptionError(
            f"it is {value!r}", where=flag(option), remedy="give names, as text in quotes or a list of them"
        )
    names = [name.strip() for part in parts for name in part.split(",")]
    if not names or not all(names):
        raise OptionError(
            f"a name is missing in {value!r}", where=flag(option), remedy="write it as one,another"
        )
    return ",".join(dict.fromkeys(names))


def _sign(modality: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value not in (-1, 1):
        raise OptionError(
            f"the sign of {modality} is {value!r}",
            where="--sign",
            remedy=f"give {modality}=1 where features rise with the gene, or {modality}=-1 where they fall",
        )
    return int(value)


def whole(option: str, value: object, least: int) -> int:
    """Return a whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise OptionError(
            f"{option} is {value!r}",
            where=flag(option),
            remedy=f"give a whole number of at least {least}",
        )
    return int(value)
