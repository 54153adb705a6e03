"""The commands, and how errors become exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from omicsglue import __version__
from omicsglue.cli.convert import convert
from omicsglue.cli.data import demo, simulate
from omicsglue.cli.failure import Speaker, interruptible, run_guarded
from omicsglue.cli.graphs import graph_app
from omicsglue.cli.links import links
from omicsglue.cli.metacells import metacells
from omicsglue.cli.methylation import methylation
from omicsglue.cli.runs import integrate, report, score
from omicsglue.cli.studies import explain, unify

app = typer.Typer(
    name="omicsglue",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: no square bracket is taken for markup, and nothing heavy is loaded
    help="One embedding of single cells measured in different modalities, linked by a guidance graph.",
)
COMMANDS = (
    integrate,
    links,
    explain,
    unify,
    score,
    report,
    metacells,
    methylation,
    convert,
    simulate,
    demo,
)
for command in COMMANDS:
    app.command()(interruptible(command))
app.add_typer(graph_app, name="graph")


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"omicsglue {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        What stands after ``omicsglue`` on the command line.

    Returns
    -------
    The exit code: 0 done, 2 wrong input or option, 3 failed after it started, 130 interrupted.
    """
    speaker = Speaker(json_logs="--json-logs" in arguments, quiet="--quiet" in arguments)
    return run_guarded(
        lambda: app(args=list(arguments), prog_name="omicsglue", standalone_mode=False), speaker
    )
