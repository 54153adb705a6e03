"""The command line: thin commands over the package's functions."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 3 failed after it started, 130 interrupted."""
    from omicsglue.cli.app import run

    sys.exit(run(sys.argv[1:]))
