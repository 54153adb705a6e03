"""How long a checkpoint takes: python benchmarks/saving.py --cells 1000000 --weights 4000000.

Two modalities of so many cells each, and a network of so many weights, of which a checkpoint holds three
copies (weights, averages, mean squares of gradients), once as they are and once more as the last good state.
Prints one JSON line with the seconds of saving, how many of them the processor works, and those of reading.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from omicsglue.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint


def main() -> None:
    """Save a checkpoint a few times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--weights", type=int, default=4_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    tensors = made(options.cells, options.weights)
    with tempfile.TemporaryDirectory() as folder:
        saving, reading, working = [], [], []
        for step in range(options.repeats):
            began, work = time.perf_counter(), time.process_time()
            path = save_checkpoint(Path(folder), Checkpoint(1, "train", step, tensors, {}))
            saving.append(time.perf_counter() - began)
            working.append(time.process_time() - work)
            began = time.perf_counter()
            load_checkpoint(path)
            reading.append(time.perf_counter() - began)
        size = path.stat().st_size
    rounded = {"saving": min(saving), "of_the_processor": min(working), "reading": min(reading)}
    rounded["mebibytes"] = size / 2**20
    print(json.dumps(vars(options) | {name: round(value, 3) for name, value in rounded.items()}))


def made(cells: int, weights: int) -> dict[str, torch.Tensor]:
    """Return the tensors of a checkpoint."""
    random = torch.Generator().manual_seed(0)
    found = {}
    for prefix in ("", "good/"):
        for part in ("network", "average", "optimizer"):
            found[f"{prefix}{part}/all"] = torch.randn(weights, generator=random)
        for name in ("rna", "atac"):
            found[f"{prefix}order/{name}"] = torch.randperm(cells, generator=random)
    return found | {f"weight/{name}": torch.rand(cells, generator=random) for name in ("rna", "atac")}


if __name__ == "__main__":
    main()
