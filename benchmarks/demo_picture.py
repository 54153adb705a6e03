"""Draw the README's picture from the demo's run folder: ``make demo``, then this."""

from __future__ import annotations

import sys
from pathlib import Path

import omicsglue as og


def main(run: str = "demo") -> None:
    """Write ``docs/images/demo.png``."""
    figure = og.pl.umap(og.runs.RunFolder.open(run), ["modality", "cell_type"])
    figure.savefig(Path(__file__).parents[1] / "docs" / "images" / "demo.png", dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main(*sys.argv[1:])
