"""The commands, and how errors become exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from omicsglue import __version__
from omicsglue.cli.data import demo, simulate
from omicsglue.cli.graphs import graph_app
from omicsglue.cli.runs import integrate, report, score
from omicsglue.errors import OmicsGlueError, OmicsGlueWarning

app = typer.Typer(
    name="omicsglue",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="One embedding of single cells measured in different modalities, linked by a guidance graph.",
)
for command in (integrate, score, report, simulate, demo):
    app.command()(command)
app.add_typer(graph_app, name="graph")


def _version(value: bool) -> None:  # noqa: FBT001 (typer calls it with the value alone)
    if value:
        typer.echo(f"omicsglue {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: bool = typer.Option(  # noqa: ARG001,FBT001
        False, "--version", callback=_version, is_eager=True, help="Print the version."  # noqa: FBT003
    ),
) -> None:
    """Integrate single-cell multi-omics."""


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    import warnings

    warnings.showwarning = _show
    try:
        code = app(args=list(arguments), standalone_mode=False)
        return int(code or 0)
    except OmicsGlueError as error:
        _say(str(error), error)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; what was saved can be gone on with by --resume", file=sys.stderr)
        return 130
    except Exception as error:
        return _other(error)


def _say(text: str, error: BaseException) -> None:
    print(f"error: {text}", file=sys.stderr)
    for note in getattr(error, "__notes__", []):
        print(f"  {note}", file=sys.stderr)


def _other(error: Exception) -> int:
    """Return the exit code of a wrong option (typer's own message), or fail with the traceback of a defect."""
    show = getattr(error, "show", None)
    if show is not None:
        show()
        return int(getattr(error, "exit_code", 2))
    import traceback

    traceback.print_exception(error)
    print(
        "error: omicsglue failed in a way that it should not; please report the lines above", file=sys.stderr
    )
    return 3


def _show(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: object = None, line: str | None = None
) -> None:
    """Print warnings meant for the user; those of libraries are not."""
    if issubclass(category, OmicsGlueWarning):
        print(f"warning: {message}", file=sys.stderr)
