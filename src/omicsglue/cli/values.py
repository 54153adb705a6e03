"""Options of the form NAME=VALUE, files of options, and reporters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omicsglue.errors import OptionError

if TYPE_CHECKING:
    from omicsglue.training.progress import Reporter

Number = TypeVar("Number", int, float)


def named(values: Sequence[str] | None, flag: str) -> dict[str, str]:
    """Return ``{"rna": "a.h5ad"}`` for ``["rna=a.h5ad"]``.

    Raises
    ------
    OptionError
        If a value has no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in values or ():
        name, separator, value = (part.strip() for part in text.partition("="))
        if not separator or not name or not value:
            raise OptionError(
                f"{text!r} is not of the form NAME=VALUE", where=flag, remedy=f"write it as {flag} rna=VALUE"
            )
        if name in found:
            raise OptionError(f"{name!r} is given twice", where=flag, remedy="give each modality once")
        found[name] = value
    return found


def several(values: Sequence[str] | None, flag: str) -> dict[str, list[str]]:
    """Return ``{"rna": ["a.h5ad", "b.h5ad"]}`` for ``["rna=a.h5ad", "rna=b.h5ad"]``.

    Raises
    ------
    OptionError
        If a value has no name.
    """
    found: dict[str, list[str]] = {}
    for text in values or ():
        for name, value in named([text], flag).items():
            found.setdefault(name, []).append(value)
    return found


def numbers(values: dict[str, str], flag: str, kind: Callable[[str], Number]) -> dict[str, Number]:
    """Return the values as numbers.

    Parameters
    ----------
    values
        What :func:`named` returned.
    flag
        The option, for messages.
    kind
        ``int`` or ``float``.

    Raises
    ------
    OptionError
        If one is no number.
    """
    found = {}
    for name, value in values.items():
        try:
            found[name] = kind(value)
        except ValueError as error:
            raise OptionError(
                f"{value!r} is no {'whole ' if kind is int else ''}number",
                where=flag,
                remedy=f"write it as {flag} {name}=1",
            ) from error
    return found


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the options in a YAML file; ``n_genes`` may be spelled ``n-genes``, as on the command line.

    Raises
    ------
    OptionError
        If the file is missing or not a YAML mapping.
    """
    if path is None:
        return {}
    import yaml

    where = f"--config {path}"
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        what = f"it cannot be read ({error.strerror})"
        raise OptionError(what, where=where, remedy="check the path and its permissions") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise OptionError(
            f"it is not YAML: {reason}", where=where, remedy="write lines such as 'seed: 1'"
        ) from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise OptionError(
            "it is not a mapping of options", where=where, remedy="write lines such as 'seed: 1'"
        )
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def reporter(*, quiet: bool, json_logs: bool) -> Reporter:
    """Return what the user wants to hear.

    Raises
    ------
    OptionError
        If both are asked for.
    """
    from omicsglue.training.progress import JsonLines, LiveBar, Silent

    if quiet and json_logs:
        raise OptionError(
            "--quiet and --json-logs exclude each other", where="omicsglue", remedy="give one of them"
        )
    return Silent() if quiet else JsonLines() if json_logs else LiveBar()
