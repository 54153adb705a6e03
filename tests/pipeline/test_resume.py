"""A run that is stopped goes on as if it had never been stopped."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from omicsglue.datasets import SimulatedData
from omicsglue.errors import OmicsGlueWarning, RunFolderError
from omicsglue.io import sha256_of
from omicsglue.pipeline import Integration
from omicsglue.runs import RunFolder
from omicsglue.training import loop
from omicsglue.training.checkpoint import load_checkpoint
from whole_runs import SignalAt, assert_same_embeddings, embeddings, files_in, quick

pytestmark = [
    pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning"),
    pytest.mark.usefixtures("no_report"),
]
OPTIONS = {"max_epochs": 5, "label_key": {"rna": "cell_type"}, "pairing": "obs_names"}


def again(folder: Path, out: Path, **options: Any) -> Integration:
    return quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=out, **(OPTIONS | options))


def stopped(folder: Path, out: Path, stage: str, epoch: int, number: int = signal.SIGINT) -> str:
    with pytest.raises(KeyboardInterrupt) as stop:
        again(folder, out, reporter=SignalAt(stage, epoch, number))
    assert not (out / "integrated.h5mu").exists()
    (note,) = stop.value.__notes__
    return str(note)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("stage", "epoch"), [("pretrain", 1), ("pretrain", 5), ("train", 3)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    stage: str, epoch: int, number: int, folder: Path, run: Integration, tmp_path: Path
) -> None:
    note = stopped(folder, tmp_path / "RUN", stage, epoch, number)
    assert note.startswith("saved: ")
    assert "--resume" in note
    heard = SignalAt("none", 0)
    resumed = again(folder, tmp_path / "RUN", resume=True, reporter=heard)
    assert (stage, epoch) not in heard.epochs
    assert run.folder is not None
    assert resumed.folder is not None
    assert_same_embeddings(embeddings(resumed.folder), embeddings(run.folder))
    timeless = [column for column in run.folder.history() if column != "seconds"]
    assert resumed.folder.history()[timeless].equals(run.folder.history()[timeless])
    record, other = resumed.folder.record(), run.folder.record()
    assert record["options"] == other["options"]
    assert set(record["seconds"]) == set(other["seconds"])


def test_stopped_twice_and_resumed_by_another_folder_name(
    folder: Path, run: Integration, tmp_path: Path
) -> None:
    out = tmp_path / "RUN"
    stopped(folder, out, "pretrain", 2)
    with pytest.raises(KeyboardInterrupt):
        again(folder, out, resume=True, reporter=SignalAt("train", 1))
    moved = out.rename(tmp_path / "MOVED")
    again(folder, moved, resume=True)
    assert run.folder is not None
    assert_same_embeddings(embeddings(moved), embeddings(run.folder))


def test_nothing_saved_yet_starts_from_the_beginning(folder: Path, run: Integration, tmp_path: Path) -> None:
    fresh = again(folder, tmp_path / "NEW", resume=True)
    assert run.folder is not None
    assert fresh.folder is not None
    assert_same_embeddings(embeddings(fresh.folder), embeddings(run.folder))


def test_a_damaged_checkpoint_is_passed_over(folder: Path, run: Integration, tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    stopped(folder, out, "train", 2)
    newest = max((out / "checkpoints").glob("1-train*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(OmicsGlueWarning, match="damaged"):
        again(folder, out, resume=True)
    assert run.folder is not None
    assert_same_embeddings(embeddings(out), embeddings(run.folder))


def test_what_a_killed_process_was_writing_is_removed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    stopped(folder, out, "train", 2)
    for place in (out, out / "checkpoints"):
        (place / ".partial-1234-half").write_bytes(b"half")
    again(folder, out, resume=True)
    assert not list(out.rglob(".partial-*"))


def test_a_finished_run_is_not_trained_again(folder: Path, tmp_path: Path) -> None:
    first = again(folder, tmp_path / "RUN")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "RUN").rglob("*")}
    heard = SignalAt("none", 0)
    messages: list[str] = []
    heard.message = messages.append  # type: ignore[method-assign]
    second = again(folder, tmp_path / "RUN", resume=True, reporter=heard)
    assert heard.epochs == []
    assert any("nothing to do" in text for text in messages)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "RUN").rglob("*")} == before
    assert first.folder is not None
    assert second.folder is not None
    assert_same_embeddings(embeddings(first.folder), embeddings(second.folder))
    for name in ("rna", "atac"):
        assert second.modalities[name].obsm["X_glue"].tobytes() == embeddings(first.folder)[name].tobytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"max_epochs": 6}, "max_epochs was 5, now 6"),
        ({"window": 1000}, "window was 0, now 1000"),
        ({"label_key": {}}, "label_key was"),
    ],
)
def test_other_options_are_refused(
    options: dict[str, Any], words: str, folder: Path, run: Integration, tmp_path: Path
) -> None:
    stopped(folder, tmp_path / "RUN", "pretrain", 1)
    assert run.folder is not None
    for out in (tmp_path / "RUN", run.folder.path):  # begun, and finished
        before = (out / "run.json").read_bytes()
        with pytest.raises(RunFolderError, match=words) as refusal:
            again(folder, out, resume=True, **options)
        assert refusal.value.exit_code == 2
        assert (out / "run.json").read_bytes() == before


def test_the_same_options_in_other_words_are_not_refused(folder: Path, tmp_path: Path) -> None:
    stopped(folder, tmp_path / "RUN", "pretrain", 1)
    other = {"likelihood": {"rna": "nb"}, "checkpoint_minutes": 0, "n_genes": 2000}
    again(folder, tmp_path / "RUN", resume=True, **other)


def test_other_inputs_are_refused(folder: Path, simulated: SimulatedData, tmp_path: Path) -> None:
    stopped(folder, tmp_path / "RUN", "pretrain", 1)
    rna = simulated.rna.copy()
    with pytest.raises(RunFolderError, match="the input rna has another content"):
        quick(
            {"rna": rna, "atac": folder / "atac.h5ad"},
            annotation=folder / "genes.gtf.gz",
            out=tmp_path / "RUN",
            resume=True,
            **OPTIONS,
        )
    with pytest.raises(RunFolderError, match="the input graph was not given"):
        again(folder, tmp_path / "RUN", resume=True, graph=edges(tmp_path, simulated))


def edges(path: Path, simulated: SimulatedData) -> Path:
    rows = zip(simulated.rna.var_names, simulated.atac.var_names, strict=False)
    text = "\n".join(["source\ttarget", *(f"{gene}\t{peak}" for gene, peak in rows)])
    (path / "edges.tsv").write_text(text, encoding="utf-8")
    return path / "edges.tsv"


def test_objects_in_memory_are_known_again(simulated: SimulatedData, folder: Path, tmp_path: Path) -> None:
    given = {name: adata.copy() for name, adata in simulated.modalities.items()}
    options = {"annotation": folder / "genes.gtf.gz", "out": tmp_path / "RUN", **OPTIONS}
    with pytest.raises(KeyboardInterrupt):
        quick(given, reporter=SignalAt("pretrain", 1), **options)
    other = {name: adata.copy() for name, adata in given.items()}
    other["atac"].X.data[7] += 1
    with pytest.raises(RunFolderError, match="the input atac has another content"):
        quick(other, resume=True, **options)
    other = {name: adata.copy() for name, adata in given.items()}
    other["rna"].obs["cell_type"] = list(other["rna"].obs["cell_type"])[::-1]
    with pytest.raises(RunFolderError, match="the input rna has another content"):
        quick(other, resume=True, **options)
    other = {name: adata.copy() for name, adata in given.items()}
    other["rna"].obs["note"] = "does not enter the run"
    quick(other, resume=True, **options)


def test_another_number_of_threads_is_a_warning(folder: Path, tmp_path: Path) -> None:
    stopped(folder, tmp_path / "RUN", "pretrain", 1)
    run = RunFolder(tmp_path / "RUN")
    record = run.record()
    record["options"]["threads"] = 2
    run.write_record(record)
    with pytest.warns(OmicsGlueWarning, match="threads was 2, is 1"):
        again(folder, run.path, resume=True)


def test_overwriting_starts_anew(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    stopped(folder, out, "train", 1)
    (out / "mine.txt").touch()
    again(folder, out, overwrite=True, seed=1)
    assert RunFolder.open(out).record()["seeds"] == {"seed": 1}
    assert (out / "mine.txt").exists()


def test_a_first_record_that_cannot_be_written_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RunFolderError("the disk is full", where="run.json", remedy="free some space")

    monkeypatch.setattr(RunFolder, "write_record", refuse)
    with pytest.raises(RunFolderError) as refusal:
        again(folder, tmp_path / "RUN")
    assert refusal.value.exit_code == 2
    assert not (tmp_path / "RUN").exists()


def test_status_is_running_until_all_is_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("omicsglue.report.write_report", stop)
    with pytest.raises(KeyboardInterrupt):
        again(folder, tmp_path / "RUN")
    assert json.loads((tmp_path / "RUN" / "run.json").read_text())["status"] == "running"
    monkeypatch.setattr("omicsglue.report.write_report", lambda run: run.report.touch())
    again(folder, tmp_path / "RUN", resume=True)
    assert RunFolder.open(tmp_path / "RUN").record()["status"] == "done"


class SignalIn(SignalAt):
    """Sends this process a signal when a stage begins."""

    def __init__(self, stage: str) -> None:
        super().__init__("none", 0)
        self.wanted = stage

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Send it where it is due."""
        if name == self.wanted:
            signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("read", "before anything was written"),
        ("prepare", "before anything was written"),
        ("pretrain", "nothing was saved yet"),
        ("balance", "0-pretrain-"),
        ("train", "0-pretrain-"),
        ("embed", "1-train-"),
        ("write", "1-train-"),
        ("report", "1-train-"),
    ],
)
def test_sigterm_is_heard_in_every_stage(
    stage: str, words: str, folder: Path, run: Integration, tmp_path: Path
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "RUN"
    with pytest.raises(KeyboardInterrupt) as stop:
        again(folder, out, reporter=SignalIn(stage))
    assert signal.getsignal(signal.SIGTERM) == before
    (note,) = stop.value.__notes__
    assert words in note
    assert out.exists() == (stage not in ("read", "prepare"))
    again(folder, out, resume=True)
    assert run.folder is not None
    assert_same_embeddings(embeddings(out), embeddings(run.folder))


def test_a_stop_that_a_library_swallowed_is_heeded_when_the_stage_ends(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deaf(path: str) -> str:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        return sha256_of(path)

    monkeypatch.setattr("omicsglue.pipeline.record.sha256_of", deaf)
    heard = SignalAt("none", 0)
    with pytest.raises(KeyboardInterrupt):
        again(folder, tmp_path / "RUN", reporter=heard)
    assert [name for name, *_ in heard.stages] == ["read"]


def test_a_validation_is_left_for_later_and_repeated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM in the middle of a validation, which takes minutes where there are many cells."""
    whole, blocks = loop.batch_of, []

    def signalled(*given: Any, **options: Any) -> Any:
        blocks.append(1)
        if len(blocks) == 4:  # the second block of the second stage, whose last epoch alone is validated
            signal.raise_signal(signal.SIGTERM)
        return whole(*given, **options)

    monkeypatch.setattr(loop, "VALIDATION_BLOCK", 10)
    monkeypatch.setattr(loop, "batch_of", signalled)
    out = tmp_path / "RUN"
    with pytest.raises(KeyboardInterrupt):
        again(folder, out)
    (path,) = (out / "checkpoints").glob("1-train*")
    counters = load_checkpoint(path).state["counters"]
    assert counters["epoch_steps"] > 0  # the epoch is still open
    assert len(blocks) == 4
    monkeypatch.setattr(loop, "batch_of", whole)
    resumed = again(folder, out, resume=True)
    other = again(folder, tmp_path / "WHOLE")
    assert resumed.folder is not None
    assert other.folder is not None
    assert_same_embeddings(embeddings(out), embeddings(other.folder))
    timeless = [column for column in other.folder.history() if column != "seconds"]
    assert resumed.folder.history()[timeless].equals(other.folder.history()[timeless])
