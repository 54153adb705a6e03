"""Simulated data that are written as they are drawn: the same as those drawn in memory."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from omicsglue.datasets import SimulationOptions, draw_truth, simulate_from, write_streamed
from omicsglue.datasets import cells as drawing
from omicsglue.errors import OptionError


@pytest.mark.parametrize("modalities", [("rna", "atac"), ("rna", "methylation", "protein")])
def test_streamed_files_hold_what_is_drawn_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modalities: tuple[str, ...]
) -> None:
    monkeypatch.setattr(drawing, "BLOCK", 64)
    options = SimulationOptions(
        cells=150, genes=60, peaks=200, types=4, rare_share=0.1, modalities=modalities, paired=0.6, batches=2
    )
    truth = draw_truth(options)
    kept = simulate_from(truth).write(tmp_path / "kept")
    streamed = write_streamed(tmp_path / "streamed", truth)
    assert {path.name for path in kept.iterdir()} == {path.name for path in streamed.iterdir()}
    for name in modalities:
        a, b = (ad.read_h5ad(folder / f"{name}.h5ad") for folder in (kept, streamed))
        assert a.X.dtype == b.X.dtype
        assert (a.X != b.X).nnz == 0
        pd.testing.assert_frame_equal(a.obs, b.obs)
        pd.testing.assert_frame_equal(a.var, b.var)
        assert list(a.layers) == list(b.layers)
        for layer in a.layers:
            assert (a.layers[layer] != b.layers[layer]).nnz == 0
    truths = [json.loads((folder / "truth.json").read_text()) for folder in (kept, streamed)]
    assert truths[0] == truths[1]
    pd.testing.assert_frame_equal(*(pd.read_parquet(f / "links.parquet") for f in (kept, streamed)))


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(OptionError, match="it is a file"):
        write_streamed(tmp_path / "x", draw_truth(SimulationOptions(cells=20, genes=10, peaks=20, types=2)))


def test_nothing_is_left_of_a_stream_that_breaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omicsglue.datasets import stream

    def broken(_truth: object) -> object:
        raise MemoryError

    monkeypatch.setattr(stream, "iterate_blocks", broken)
    with pytest.raises(MemoryError):
        write_streamed(tmp_path / "x", draw_truth(SimulationOptions(cells=20, genes=10, peaks=20, types=2)))
    assert list((tmp_path / "x").iterdir()) == []
