"""The commands ``explain`` and ``unify``: what they print, write and return."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from command_line_cases import spoken
from linked_run import linked_run, small_linked_data
from omicsglue.cli.app import run as run_command
from omicsglue.errors import OptionError
from omicsglue.pipeline.studies import explain_run
from omicsglue.runs import RunFolder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    data = small_linked_data(cells=400, modalities=("rna", "atac", "methylation", "methylation_ch"))
    data.atac.obs["cluster"] = data.atac.obs["cell_type"].astype(str).replace({"type1": "c1", "type2": "c1"})
    return linked_run(tmp_path_factory.mktemp("run") / "RUN", data)


@pytest.fixture
def copied(finished: RunFolder, tmp_path: Path) -> RunFolder:
    shutil.copytree(finished.path, tmp_path / "RUN")
    return RunFolder.open(tmp_path / "RUN")


def test_explain_writes_a_table_a_summary_and_a_picture(copied: RunFolder) -> None:
    words = "--layers methylation,methylation_ch --permutations 3 --folds 4 --metacells 40 --drop-calm 0"
    code, out, told = spoken(["explain", str(copied.path), *words.split()])
    assert code == 0, told
    names = ["explained.tsv", "explained.summary.tsv", "explained.png"]
    assert out.splitlines()[:3] == [str(copied.path / name) for name in names]
    genes = pd.read_csv(copied.path / "explained.tsv", sep="\t", index_col="gene")
    summary = pd.read_csv(copied.path / "explained.summary.tsv", sep="\t", index_col="layers")
    combinations = ["methylation", "methylation_ch", "methylation + methylation_ch"]
    assert list(genes.columns) == combinations == list(summary.index)
    np.testing.assert_allclose(summary["mean_r2"], genes.mean(), rtol=1e-4, atol=1e-5)
    assert (summary["mean_r2"] > summary["permuted_high"]).all()
    assert (copied.path / "explained.png").read_bytes().startswith(b"\x89PNG")
    assert f"{len(genes)} of 100 genes in " in told
    assert f"{summary['mean_r2'].iloc[0]:.3f}" in out


def test_options_of_explain_reach_the_function(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {}

    def hear(_modalities: object, _graph: object, **options: object) -> None:
        heard.update(options)
        raise OptionError("enough", remedy="none")

    monkeypatch.setattr("omicsglue.pipeline.studies.expression_explained", hear)
    words = (
        "--expression rna --layers atac --metacells 30 --plain-rates --least-mean 0.2 --least-covered 5 "
        f"--drop-calm 0.1 --folds 3 --penalty 0 --permutations 2 --seed 7 --quiet --out {tmp_path / 'x.csv'}"
    )
    assert run_command(["explain", str(finished.path), *words.split()]) == 2
    assert heard.pop("counts") == dict.fromkeys(finished.names())
    assert heard.pop("coverage") == {}
    assert heard == {
        "expression": "rna",
        "layers": ("atac",),
        "metacells": 30,
        "log_rates": False,
        "least_mean": 0.2,
        "least_covered": 5,
        "drop_calm": 0.1,
        "folds": 3,
        "penalty": 0,
        "permutations": 2,
        "seed": 7,
    }
    assert not list(tmp_path.iterdir())


def test_unify_writes_cells_conflicts_and_agreement(copied: RunFolder) -> None:
    keys = ["--label-key", "rna=cell_type", "--label-key", "atac=cluster"]
    code, out, told = spoken(["unify", str(copied.path), *keys, "--neighbours", "10"])
    assert code == 0, told
    parts = ("", ".conflicts", ".confusion", ".agreement")
    assert out.splitlines()[:4] == [str(copied.path / f"unified{part}.tsv") for part in parts]
    assert "atac 'c1' covers " in out
    assert "1,600 cells with labels of rna; " in told
    cells = pd.read_csv(copied.path / "unified.tsv", sep="\t")
    assert list(cells["modality"].unique()) == copied.names()
    truth = copied.obs("methylation")["cell_type"].astype(str).to_numpy()
    assert (cells.loc[cells["modality"] == "methylation", "unified"].to_numpy() == truth).mean() > 0.8
    conflicts = pd.read_csv(copied.path / "unified.conflicts.tsv", sep="\t").set_index(["modality", "label"])
    assert conflicts.loc[("atac", "c1"), "relation"] == "merges"
    agreement = pd.read_csv(copied.path / "unified.agreement.tsv", sep="\t", index_col="modality")
    assert 0.5 < agreement.loc["rna", "atac"] < 1


def test_unify_from_another_reference_into_csv(finished: RunFolder, tmp_path: Path) -> None:
    keys = ["--label-key", "rna=cell_type", "--label-key", "atac=cluster", "--reference", "atac"]
    more = ["--ignore-label", "type3", "--out", str(tmp_path / "u.csv"), "--quiet"]
    code, _, told = spoken(["unify", str(finished.path), *keys, *more])
    assert (code, told) == (0, "")
    labels = set(pd.read_csv(tmp_path / "u.csv")["unified"])
    assert "c1" in labels
    assert not labels & {"type1", "type2", "type3"}


def test_a_run_that_replaces_another_takes_its_studies_away(copied: RunFolder) -> None:
    for name in ("explained.tsv", "unified.conflicts.tsv", "mine.tsv"):
        (copied.path / name).write_text("x", encoding="utf-8")
    RunFolder.create(copied.path, overwrite=True)
    assert [path.name for path in copied.path.glob("*.tsv")] == ["mine.tsv"]


def test_the_place_is_checked_before_anything_is_read(finished: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no format"):
        explain_run(finished, out=tmp_path / "x.parquet")
    with pytest.raises(OptionError, match="no such folder"):
        explain_run(finished, out=tmp_path / "no" / "x.tsv")


@pytest.mark.parametrize("command", ["explain", "unify"])
def test_help_names_every_option(command: str) -> None:
    code, out, _ = spoken([command, "--help"])
    assert code == 0
    options = {
        "explain": "expression layers out metacells plain-rates least-mean least-covered drop-calm folds "
        "penalty permutations seed quiet json-logs",
        "unify": "label-key reference out neighbours ignore-label quiet json-logs",
    }
    for option in options[command].split():
        assert f"--{option} " in out, option
