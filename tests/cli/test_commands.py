"""The commands: what they print, write and return."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import omicsglue
from command_line_cases import spoken
from omicsglue.graph import read_graph
from omicsglue.runs import RunFolder
from whole_runs import embeddings, small_data


def test_help_and_version_load_nothing_heavy() -> None:
    program = (
        "import sys; from omicsglue.cli.app import run; code = [run([word]) for word in sys.argv[1:]];"
        "heavy = ('torch', 'scanpy', 'pandas', 'anndata', 'numpy', 'matplotlib', 'scipy');"
        "print(code, [name for name in heavy if name in sys.modules])"
    )
    for words in (["--help", "--version"], ["integrate"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1].endswith("[]"), words


def test_every_command_has_help() -> None:
    commands = ["integrate", "score", "report", "simulate", "demo"]
    for words in ([], *([name] for name in commands), *(["graph", name] for name in ("build", "check"))):
        code, out, told = spoken([*words, "--help"])
        assert (code, told) == (0, "")
        assert out.startswith("Usage: omicsglue")
    code, out, _ = spoken([])
    assert code == 0
    assert all(name in out for name in commands)
    assert spoken(["--version"])[1] == f"omicsglue {omicsglue.__version__}\n"


def test_python_runs_the_package_as_the_command() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "omicsglue", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"omicsglue {omicsglue.__version__}\n"


def test_every_option_of_the_interface_is_there() -> None:
    _, out, _ = spoken(["integrate", "--help"])
    options = (
        "modality annotation out graph config likelihood layer representation batch-key shared-batches "
        "align-batches label-key coverage kind protein-genes pairing pairing-key use-pairing unknown-label "
        "label-weight label-neighbours rule metacells "
        "sign window promoter n-genes batch-size max-epochs ensemble seed device devices threads resume "
        "overwrite quiet json-logs checkpoint-minutes file-key file-prefix"
    )
    for option in options.split():
        assert f"--{option} " in out, option


@pytest.mark.usefixtures("no_report")
def test_a_run_off_a_terminal_speaks_in_plain_lines(arguments: list[str], tmp_path: Path) -> None:
    code, out, told = spoken([*arguments, "--max-epochs", "20"])
    assert code == 0
    assert out == ""
    lines = told.splitlines()
    assert lines[-1] == f"done: {tmp_path / 'RUN'}"
    epochs = [line for line in lines if line.startswith("train  epoch ")]
    assert 2 <= len(epochs) <= 10
    assert all("loss" in line and line.endswith(" left") for line in epochs)
    assert epochs[0].startswith("train  epoch 2/20  loss ")
    (graph,) = [line for line in lines if line.startswith("guidance graph: ")]
    assert "features in the graph; rna - atac" in graph  # a long line is one line
    assert "\x1b" not in told


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("how", ["repeated", "pattern", "config"])
def test_several_files_of_a_modality_are_one(arguments: list[str], tmp_path: Path, how: str) -> None:
    (option,) = (word for word in arguments if word.startswith("--modality=rna="))
    whole = ad.read_h5ad(option.removeprefix("--modality=rna="))
    whole[:40].copy().write_h5ad(tmp_path / "plate1.h5ad")
    whole[40:].copy().write_h5ad(tmp_path / "plate2.h5ad")
    others = [word for word in arguments if word != option]
    given = {
        "repeated": [
            "--modality",
            f"rna={tmp_path}/plate1.h5ad",
            "--modality",
            f"rna={tmp_path}/plate2.h5ad",
        ],
        "pattern": ["--modality", f"rna={tmp_path}/plate*.h5ad"],
        "config": ["--config", str(tmp_path / "run.yaml")],
    }[how]
    (tmp_path / "run.yaml").write_text(
        f"modality: {{rna: [{tmp_path}/plate1.h5ad, {tmp_path}/plate2.h5ad]}}\n"
    )
    code, _, told = spoken([*others, *given, "--file-key", "plate", "--batch-key", "rna=plate", "--quiet"])
    assert (code, told) == (0, "")
    folder = RunFolder.open(tmp_path / "RUN")
    plates = folder.obs("rna")["plate"].value_counts()
    assert plates.to_dict() == {"plate1": 40, "plate2": whole.n_obs - 40}
    assert folder.record()["inputs"]["rna"]["path"] == [f"{tmp_path}/plate{i}.h5ad" for i in (1, 2)]


def test_quiet_says_nothing(arguments: list[str], tmp_path: Path) -> None:
    assert spoken([*arguments, "--quiet"]) == (0, "", "")
    assert RunFolder.open(tmp_path / "RUN").record()["status"] == "done"


@pytest.mark.usefixtures("no_report")
def test_json_logs_are_one_object_a_line(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("n-genes: 30\nlayer:\nmax_epochs: 7\nsign: {atac: -1}\n")
    code, out, told = spoken([*arguments, "--json-logs", "--config", str(tmp_path / "run.yaml")])
    assert code == 0
    assert out == ""
    objects = [json.loads(line) for line in told.splitlines()]
    assert {each["event"] for each in objects} >= {"stage", "epoch", "message"}
    epochs = [each for each in objects if each["event"] == "epoch"]
    assert [(each["stage"], each["epoch"]) for each in epochs] == [
        ("pretrain", 1),
        ("pretrain", 2),
        ("train", 1),
        ("train", 2),
    ]
    stages = [each["stage"] for each in objects if each["event"] == "stage"]
    assert stages == ["read", "prepare", "pretrain", "balance", "train", "embed", "write", "report"]
    options = RunFolder.open(tmp_path / "RUN").record()["options"]
    assert options["max_epochs"] == 2  # the command line wins
    assert options["n_genes"] == 30  # the file counts
    assert options["sign"] == {"atac": -1}


@pytest.mark.usefixtures("no_report")
def test_warnings_reach_every_kind_of_output(arguments: list[str], folder: Path, tmp_path: Path) -> None:
    rna = ad.read_h5ad(folder / "rna.h5ad")[:100].copy()
    rna.X = rna.X.multiply(np.arange(100)[:, None] != 5).tocsr()
    rna.write_h5ad(tmp_path / "rna.h5ad")
    arguments[1] = f"--modality=rna={tmp_path / 'rna.h5ad'}"
    _, _, told = spoken(arguments)
    assert "warning: rna: 1 of 100 cells have no counts at all" in told
    assert "warning: rna: there are 100 cells to train on, fewer than a batch" in told
    assert told.count("have no counts at all") == 1
    _, _, told = spoken([*arguments, "--overwrite", "--json-logs"])
    warned = [each["text"] for each in map(json.loads, told.splitlines()) if each["event"] == "warning"]
    assert any("have no counts at all" in text for text in warned)
    assert spoken([*arguments, "--overwrite", "--quiet"]) == (0, "", "")


@pytest.mark.usefixtures("no_report")
def test_an_ensemble_is_asked_for_on_the_line_or_in_a_file(arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("ensemble: 3\n")
    code, _, told = spoken([*arguments, "--ensemble", "2", "--config", str(tmp_path / "run.yaml")])
    assert code == 0
    assert [line for line in told.splitlines() if line.startswith("member")] == [
        "member 1 of 2",
        "member 2 of 2",
    ]
    assert RunFolder.open(tmp_path / "RUN").members() == ["X_glue", "X_glue_1"]
    quiet = [*arguments, "--overwrite", "--quiet", "--config", str(tmp_path / "run.yaml")]
    assert spoken(quiet) == (0, "", "")
    assert len(RunFolder.open(tmp_path / "RUN").members()) == 3
    code, _, told = spoken([*arguments, "--ensemble", "0", "--overwrite"])
    assert code == 2
    assert "ensemble is 0" in told
    assert RunFolder.open(tmp_path / "RUN").members() != []


def test_score_and_report_of_a_run(arguments: list[str], tmp_path: Path) -> None:
    place = str(tmp_path / "RUN")
    assert spoken([*arguments, "--pairing", "none"])[0] == 0
    code, out, told = spoken(["score", place, "--label-key", "cell_type", "--paired-by", "obs_names"])
    assert (code, told) == (0, "")
    scores = json.loads(out)
    assert 0 <= scores["foscttm"] <= 1
    assert {"label_acc", "mixing", "cell_type_asw", "overall"} <= set(scores)
    assert "foscttm" not in json.loads(spoken(["score", place])[1])  # as the run was told
    (tmp_path / "RUN" / "report.html").unlink()
    code, out, told = spoken(["report", place, "--label-key", "cell_type"])
    assert (code, out, told) == (0, f"{tmp_path / 'RUN' / 'report.html'}\n", "")
    assert (tmp_path / "RUN" / "report.html").stat().st_size > 10_000


@pytest.mark.usefixtures("no_report")
def test_a_finished_run_is_left_alone_by_resume(arguments: list[str], tmp_path: Path) -> None:
    spoken([*arguments, "--quiet"])
    before = embeddings(tmp_path / "RUN")["rna"].tobytes()
    code, _, told = spoken([*arguments, "--resume"])
    assert code == 0
    assert f"nothing to do: the run in {tmp_path / 'RUN'} is finished" in told
    assert "epoch" not in told
    assert embeddings(tmp_path / "RUN")["rna"].tobytes() == before
    assert spoken([*arguments, "--seed", "1"])[0] == 2
    assert spoken([*arguments, "--seed", "1", "--overwrite", "--quiet"]) == (0, "", "")
    assert embeddings(tmp_path / "RUN")["rna"].tobytes() != before


def test_simulate_writes_what_it_says(tmp_path: Path) -> None:
    words = "--cells 40 --genes 30 --peaks 60 --types 3 --batches 2 --depth atac=0.5 --seed 3 --proteins 5"
    names = ("rna", "atac", "protein")
    chosen = [f"--modality={name}" for name in names]
    missing = ["--missing", "atac=type2,type3"]
    out = tmp_path / "SIM"
    code, said, told = spoken(["simulate", *words.split(), *chosen, *missing, "--out", str(out)])
    assert (code, said, told) == (0, f"{out}\n", "")
    written = {path.name for path in out.iterdir()}
    assert {"rna.h5ad", "atac.h5ad", "protein.h5ad", "genes.gtf.gz", "links.parquet", "truth.json"} <= written
    rna, atac = (ad.read_h5ad(out / f"{name}.h5ad") for name in ("rna", "atac"))
    assert rna.shape == (40, 30)
    assert set(atac.obs["cell_type"]) == {"type1"}
    assert set(rna.obs["batch"]) == {"batch1", "batch2"}
    options = json.loads((out / "truth.json").read_text())["options"]
    assert options["depth"] == {"atac": 0.5}
    assert options["seed"] == 3


@pytest.mark.usefixtures("no_report")
def test_demo_replaces_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omicsglue.datasets.demo_data", lambda seed: small_data(seed=seed))
    words = ["demo", "--out", str(tmp_path / "demo"), "--max-epochs", "1", "--threads", "1", "--quiet"]
    for seed in ("0", "1"):
        code, out, told = spoken([*words, "--seed", seed])
        assert (code, out, told) == (0, f"report: {tmp_path / 'demo' / 'report.html'}\n", "")
        assert RunFolder.open(tmp_path / "demo").record()["seeds"] == {"seed": int(seed)}
    assert (tmp_path / "demo" / "data" / "rna.h5ad").is_file()
    (tmp_path / "file").touch()
    code, _, told = spoken(["demo", "--out", str(tmp_path / "file")])
    assert code == 2
    assert "it is a file" in told


def test_graphs_are_built_checked_and_corrupted(folder: Path, tmp_path: Path) -> None:
    inputs = [f"--modality={name}={folder / name}.h5ad" for name in ("atac", "rna")]
    edges = str(tmp_path / "edges.parquet")
    guide = ["--annotation", str(folder / "genes.gtf.gz"), "--window", "5000", "--sign", "atac=-1"]
    code, out, told = spoken(["graph", "build", *inputs, *guide, "--out", edges])
    assert code == 0, told
    graph = read_graph(edges)
    assert graph.n_edges > 50
    assert set(graph.sign) == {-1}
    assert "rna: 80 of 80 genes have coordinates" in told
    code, out, told = spoken(["graph", "check", edges, *inputs])
    assert code == 0
    assert f"{graph.n_edges:,} edges" in out
    other = str(tmp_path / "other.tsv")
    assert spoken(["graph", "corrupt", edges, "--rate", "0.5", "--out", other])[0] == 0
    table = pd.read_csv(other, sep="\t")
    assert len(table) == graph.n_edges
    pairs = set(zip(table["source"], table["target"], strict=True))
    before = graph.to_frame()
    kept = pairs & set(zip(before["source"], before["target"], strict=True))
    assert 0.3 < len(kept) / graph.n_edges < 0.7
    spoil = ["--drop", "0.5", "--flip-signs", "0.25"]
    assert spoken(["graph", "corrupt", edges, *spoil, "--out", other])[0] == 0
    spoilt = pd.read_csv(other, sep="\t")
    assert len(spoilt) == graph.n_edges - round(graph.n_edges / 2)
    assert (spoilt["sign"] > 0).sum() == round(0.25 * len(spoilt))
    promoters = [*guide, "--rule", "promoter", "--out", str(tmp_path / "promoters.parquet")]
    assert spoken(["graph", "build", *inputs, *promoters])[0] == 0
    assert 0 < read_graph(tmp_path / "promoters.parquet").n_edges < graph.n_edges


def test_a_defect_of_the_package_is_told_as_one(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of the package")

    monkeypatch.setattr("omicsglue.pipeline.run.prepare", fail)
    code, _, told = spoken(arguments)
    assert code == 3
    assert "error: ZeroDivisionError: of the package" in told
    assert "please report" in told
    assert "Traceback" in told
    code, _, told = spoken([*arguments, "--json-logs"])
    assert code == 3
    assert [json.loads(line) for line in told.splitlines()][-1]["event"] == "error"


@pytest.mark.usefixtures("no_report")
def test_the_warning_hooks_are_put_back(arguments: list[str]) -> None:
    import signal
    import warnings

    before = warnings.showwarning, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    spoken([*arguments, "--quiet"])
    assert before == (warnings.showwarning, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
