"""Options of the form NAME=VALUE, and reporters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omicsglue.errors import OptionError

if TYPE_CHECKING:
    from omicsglue.training.progress import Reporter


def named(values: Sequence[str] | None, flag: str) -> dict[str, str]:
    """Return ``{"rna": "a.h5ad"}`` for ``["rna=a.h5ad"]``.

    Raises
    ------
    OptionError
        If a value has no name, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in values or ():
        name, separator, value = text.partition("=")
        if not separator or not name or not value:
            raise OptionError(f"{text!r} is not NAME=VALUE", where=flag, remedy=f"write it as {flag} rna=VALUE")
        if name in found:
            raise OptionError(f"{name!r} is given twice", where=flag, remedy="give each modality once")
        found[name] = value
    return found


def numbers(values: dict[str, str], flag: str) -> dict[str, int]:
    """Return the values as whole numbers.

    Raises
    ------
    OptionError
        If one is not.
    """
    try:
        return {name: int(value) for name, value in values.items()}
    except ValueError as error:
        raise OptionError(f"{error}", where=flag, remedy=f"write it as {flag} rna=1") from error


def read_config(path: Path | None) -> dict[str, Any]:
    """Return the options in a YAML file.

    Raises
    ------
    OptionError
        If the file is missing or not a YAML mapping.
    """
    if path is None:
        return {}
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionError(
            f"it cannot be read: {error}", where=str(path), remedy="give a YAML file of options, such as 'seed: 1'"
        ) from error
    if not isinstance(values, dict):
        raise OptionError("it is not a mapping of options", where=str(path), remedy="write lines such as 'seed: 1'")
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
        raise OptionError("--quiet and --json-logs exclude each other", where="integrate", remedy="give one of them")
    return Silent() if quiet else JsonLines() if json_logs else LiveBar()
