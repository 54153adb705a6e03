"""The command line by the name of the package: ``python -m omicsglue``."""

from __future__ import annotations

from omicsglue.cli import main

if __name__ == "__main__":
    main()
