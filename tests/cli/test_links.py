"""The command ``links``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from command_line_cases import links_with, made, spoken
from linked_run import bedpe_of, linked_run, sites_of, small_linked_data, stand_in_links
from omicsglue.datasets.simulate import SimulatedData
from omicsglue.io import read_json
from omicsglue.runs import RunFolder
from omicsglue.runs.link_files import read_links


@pytest.fixture(scope="module")
def data() -> SimulatedData:
    return small_linked_data()


@pytest.fixture(scope="module")
def finished(data: SimulatedData, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return linked_run(tmp_path_factory.mktemp("run") / "RUN", data)


@pytest.fixture
def heard(data: SimulatedData, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put what takes no time in the place of the inference; return what that is given."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("omicsglue.pipeline.links.regulatory_links", stand_in_links(data.links, given))
    return given


@pytest.fixture
def words(finished: RunFolder, tmp_path: Path) -> list[str]:
    """Return a command line that writes ``links.tsv``."""
    return ["links", str(finished.path), "--out", str(tmp_path / "links.tsv"), "--threads", "1"]


def test_links_of_a_run_beside_it(finished: RunFolder) -> None:
    code, out, told = spoken(["links", str(finished.path), "--threads", "1"])
    assert code == 0
    endings = ["parquet", "genes.tsv", "significant.bedpe.gz", "significant.interact.gz", "json"]
    assert out.splitlines() == [str(finished.path / f"links.{ending}") for ending in endings]
    lines = told.splitlines()
    table = read_links(finished.links)
    assert f"{len(table):,} candidate pairs of {table['source'].nunique():,} genes; " in lines[-3]
    assert lines[-1] == f"done: {finished.links}"


def test_every_option_reaches_the_inference(
    data: SimulatedData, words: list[str], heard: list[dict[str, Any]], tmp_path: Path
) -> None:
    data.links.to_csv(tmp_path / "known.csv", index=False)
    more = (
        "--window 100000 --promoter 1000 --elements atac --correction storey --seed 5 --label-key cell_type "
        f"--baseline distance --guide {tmp_path / 'known.csv'} --locus {data.links['source'].iloc[0]}"
    )
    code, out, told = spoken([*words, *more.split()])
    assert code == 0, told
    (given,) = heard
    assert {name: given[name] for name in ("window", "promoter", "correction", "seed", "threads")} == {
        "window": 100_000,
        "promoter": 1_000,
        "correction": "storey",
        "seed": 5,
        "threads": 1,
    }
    assert set(given["guides"]["kind"]) == {"known"}
    assert str(tmp_path / "links.activity.parquet") in out.splitlines()
    assert sum(line.endswith(".png") for line in out.splitlines()) == 1
    options = read_json(tmp_path / "links.json")["options"]
    assert (options["elements"], options["baselines"]) == (["atac"], ["distance"])


@pytest.mark.usefixtures("heard")
def test_the_evaluation_is_printed_beside_baselines(
    data: SimulatedData, words: list[str], tmp_path: Path
) -> None:
    data.links.to_csv(tmp_path / "truth.csv", index=False)
    loops = bedpe_of(data, tmp_path / "loops.bedpe")
    judges = ["--evidence", str(tmp_path / "truth.csv"), "--evidence", str(loops)]
    code, out, _ = spoken([*words, *judges, "--baseline", "distance", "--baseline", "spearman"])
    assert code == 0
    printed = out.splitlines()
    head = next(number for number, line in enumerate(printed) if line.split()[:1] == ["evidence"])
    assert printed[head].split()[:5] == ["evidence", "modality", "method", "n", "positives"]
    rows = [line.split() for line in printed[head + 1 :]]
    assert [row[0] for row in rows] == ["truth"] * 3 + ["bedpe"] * 3
    assert [" ".join(row[2:-4]) for row in rows[:3]] == ["score", "baseline distance", "baseline spearman"]
    assert rows[0][-2] == "1.000"  # the stand-in knows the truth
    assert str(tmp_path / "links.evaluation.tsv") in printed[:head]


@pytest.mark.usefixtures("heard")
def test_a_network_of_factors_whose_names_hold_more(
    data: SimulatedData, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omicsglue.tl.coexpression._TREES", 2)
    motifs = [f"SIM{number:04d}_HUMAN" for number in range(1, 13)]
    sites = str(sites_of(data, tmp_path / "sites.bed", factors=motifs))
    code, out, told = spoken([*words, "--tf-binding", sites, "--tf-pattern", "^([^_]+)_"])
    assert code == 0, told
    assert [line for line in out.splitlines() if ".network." in line] == [
        str(tmp_path / f"links.network.{ending}") for ending in ("parquet", "graphml", "tsv")
    ]
    assert told.count("warning: no TF has targets") == 1


@pytest.mark.usefixtures("heard")
def test_quiet_and_json_logs(words: list[str], tmp_path: Path) -> None:
    code, out, told = spoken([*words, "--quiet"])
    assert (code, told) == (0, "")
    assert out.splitlines()[0] == str(tmp_path / "links.tsv")  # what was asked for is no chatter
    code, again, told = spoken([*words, "--json-logs"])
    assert (code, again) == (0, out)
    objects = [json.loads(line) for line in told.splitlines()]
    assert [each["stage"] for each in objects if each["event"] == "stage"] == ["read", "links", "write"]
    assert objects[-1]["text"] == f"done: {tmp_path / 'links.tsv'}"
    code, _, told = spoken([*words, "--quiet", "--json-logs"])
    assert code == 2
    assert "exclude each other" in told


def test_a_refusal_in_json_and_in_quiet() -> None:
    with made():
        arguments = links_with("--evidence", "pairs.csv", "source,target\nGene1,peak1\n")
        code, out, told = spoken([*arguments, "--json-logs"])
        assert (code, out) == (2, "")
        *_, last = [json.loads(line) for line in told.splitlines()]
        assert last["event"] == "error"
        assert last["where"] == "pairs"
        assert last["remedy"].startswith("Name elements as the data do")
        code, out, told = spoken([*arguments, "--quiet"])
        assert (code, out) == (2, "")
        assert told.startswith("error: pairs: ")
        assert not Path("RUN/links.parquet").exists()


def test_an_option_of_the_command_that_is_unknown(words: list[str]) -> None:
    code, _, told = spoken([*words, "--evidences", "a.bed"])
    assert code == 2
    assert "--evidence" in told


def test_help_names_every_option() -> None:
    code, out, _ = spoken(["links", "--help"])
    assert code == 0
    options = (
        "out window promoter elements evidence guide tf-binding tf-pattern tf-top label-key baseline "
        "correction locus seed threads quiet json-logs"
    )
    for option in options.split():
        assert f"--{option} " in out, option
