"""The command line: thin commands over the package's functions."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """Run the command line and exit: 0 done, 2 wrong input, 3 failed after it started, 130 interrupted."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also while the command line is loaded
    try:
        from omicsglue.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        print("interrupted: the command was stopped before it began", file=sys.stderr)
        code = 130
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the outcome is told by the exit code
    sys.exit(code)
