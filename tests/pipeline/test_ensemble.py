"""An ensemble: member 0 is the run without one, the others share its beginning, and all of it resumes."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from omicsglue import GLUE
from omicsglue.datasets import SimulatedData
from omicsglue.errors import InputError, OmicsGlueWarning, RunFolderError
from omicsglue.pipeline import Integration
from omicsglue.runs import RunFolder
from omicsglue.training.progress import Silent
from whole_runs import files_in, quick

pytestmark = [
    pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning"),
    pytest.mark.usefixtures("no_report"),
]
MEMBERS = 3
KEYS = ["X_glue", "X_glue_1", "X_glue_2"]


class Listener(Silent):
    """Keeps what it hears, and sends a signal when an epoch of a member's second stage ends."""

    def __init__(self, member: int | None = None, epoch: int = 2, number: int = signal.SIGINT) -> None:
        self.at, self.number = (member, epoch), number
        self.now = 0
        self.said: list[str] = []
        self.stages: list[str] = []
        self.epochs: list[tuple[int, str, int]] = []

    def message(self, text: str) -> None:
        """Keep what was said, and the number of the member."""
        self.said.append(text)
        if text.startswith("member "):
            self.now = int(text.split()[1]) - 1

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Keep the name."""
        self.stages.append(name)

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Keep the row's place, and send the signal where it is due."""
        self.epochs.append((self.now, str(row["stage"]), int(row["epoch"])))
        if row["stage"] == "train" and (self.now, row["epoch"]) == self.at:
            signal.raise_signal(self.number)


def ensemble(folder: Path, out: Path | None, **options: Any) -> Integration:
    settings = {"ensemble": MEMBERS, "max_epochs": 3} | options
    return quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=out, **settings)


@pytest.fixture(scope="module")
def together(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, Listener]:
    """Return the folder of an ensemble that was never stopped, and what was heard; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omicsglue.report.write_report", lambda run: run.report.touch())
        run = ensemble(folder, tmp_path_factory.mktemp("ensemble") / "RUN", reporter=(heard := Listener()))
    assert run.folder is not None
    return run.folder, heard


def all_embeddings(run: RunFolder) -> dict[str, bytes]:
    """Return every embedding of cells and features, to the bit."""
    found = {}
    for name in run.names():
        for key in run.members():
            found[f"{name} cells {key}"] = run.embedding(name, key).tobytes()
            found[f"{name} features {key}"] = run.feature_embedding(name, key).tobytes()
    return found


def timeless(history: pd.DataFrame) -> pd.DataFrame:
    return history.drop(columns="seconds")


def test_member_0_is_the_run_without_an_ensemble(
    folder: Path, together: tuple[RunFolder, Listener], tmp_path: Path
) -> None:
    run, _ = together
    alone = ensemble(folder, tmp_path / "RUN", ensemble=1).folder
    assert alone is not None
    assert alone.members() == ["X_glue"]
    assert not alone.ensemble.exists()
    for name in ("rna", "atac"):
        assert run.embedding(name).tobytes() == alone.embedding(name).tobytes()
        assert run.feature_embedding(name).tobytes() == alone.feature_embedding(name).tobytes()
        assert run.obs(name)["glue_weight"].equals(alone.obs(name)["glue_weight"])
    assert timeless(run.history()).equals(timeless(alone.history()))
    weights = [place.model / "weights.safetensors" for place in (run, alone)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_members_differ_in_the_second_stage_alone(together: tuple[RunFolder, Listener]) -> None:
    run, heard = together
    assert run.members() == KEYS
    for name in run.names():
        cells = [run.embedding(name, key) for key in KEYS]
        features = [run.feature_embedding(name, key) for key in KEYS]
        assert len({values.tobytes() for values in cells}) == len({f.tobytes() for f in features}) == MEMBERS
        assert {values.dtype for values in cells + features} == {np.dtype(np.float32)}
        assert all(np.array_equal(np.isnan(f), np.isnan(features[0])) for f in features)
    assert heard.stages.count("pretrain") == heard.stages.count("balance") == 1
    assert heard.epochs == [(0, "pretrain", epoch) for epoch in (1, 2, 3)] + [
        (member, "train", epoch) for member in range(MEMBERS) for epoch in (1, 2, 3)
    ]
    assert [text for text in heard.said if text.startswith("member")] == [
        "member 1 of 3",
        "member 2 of 3",
        "member 3 of 3",
    ]


def test_record_and_history_tell_of_all_members(together: tuple[RunFolder, Listener]) -> None:
    run, _ = together
    record = run.record()
    assert record["options"]["ensemble"] == MEMBERS
    assert record["seeds"] == {"seed": 0, "ensemble": [0, 1, 2]}
    table = pd.read_parquet(run.history_file)
    assert table["member"].dtype == np.int64
    assert list(table["member"]) == [0] * 6 + [1] * 3 + [2] * 3
    assert list(table["stage"]) == ["pretrain"] * 3 + ["train"] * 9
    assert table["vae_loss"].notna().all()
    for member in range(MEMBERS):
        mine = run.history(member)
        assert list(mine["stage"]) == ["pretrain"] * 3 + ["train"] * 3
        assert mine["vae_loss"].iloc[3:].tolist() == table["vae_loss"].iloc[3 * member + 3 :].head(3).tolist()
    with pytest.raises(InputError, match="no member 3"):
        run.history(3)
    # the sum over the members, not the time of one of them
    assert record["seconds"]["train"] >= 0.9 * table.loc[table["stage"] == "train", "seconds"].sum()


def test_further_models_are_saved_and_are_those_of_the_embeddings(
    together: tuple[RunFolder, Listener],
) -> None:
    run, _ = together
    assert sorted(path.name for path in run.ensemble.iterdir()) == ["1", "2"]
    modalities = run.modalities()
    for member, key in enumerate(KEYS):
        model = GLUE.load(run.member_model(member), modalities)
        assert model.recipe.member == member
        assert model.get_latent_representation("rna").tobytes() == run.embedding("rna", key).tobytes()
        assert timeless(model.history).equals(timeless(run.history(member)))
        assert model.balancing_weights("atac").tolist() == run.obs("atac")["glue_weight"].tolist()


@pytest.mark.parametrize(("member", "epoch"), [(0, 2), (0, 3), (1, 2), (1, 3), (2, 1)])
def test_a_resumed_ensemble_equals_an_uninterrupted_one(
    member: int, epoch: int, folder: Path, together: tuple[RunFolder, Listener], tmp_path: Path
) -> None:
    run, _ = together
    out = tmp_path / "RUN"
    with pytest.raises(KeyboardInterrupt):
        ensemble(folder, out, reporter=Listener(member, epoch))
    heard = Listener()
    resumed = ensemble(folder, out, resume=True, reporter=heard).folder
    assert resumed is not None
    again = [place for place in heard.epochs if place[:2] == (member, "train")]
    assert again == [(member, "train", later) for later in range(epoch + 1, 4)]
    assert all(place[0] >= member for place in heard.epochs)  # finished members are not trained again
    assert "pretrain" not in heard.stages
    assert all_embeddings(resumed) == all_embeddings(run)
    columns = timeless(pd.read_parquet(run.history_file))
    assert timeless(pd.read_parquet(resumed.history_file)).equals(columns)
    assert not list(out.rglob(".partial-*"))


def test_lost_pretrained_weights_are_made_again(
    folder: Path, together: tuple[RunFolder, Listener], tmp_path: Path
) -> None:
    out = tmp_path / "RUN"
    with pytest.raises(KeyboardInterrupt):
        ensemble(folder, out, reporter=Listener(0, 3))
    (kept,) = (out / "checkpoints" / "pretrained").iterdir()
    kept.write_bytes(kept.read_bytes()[:-50])
    with pytest.warns(OmicsGlueWarning, match="damaged"):
        resumed = ensemble(folder, out, resume=True, reporter=(heard := Listener())).folder
    assert resumed is not None
    assert heard.stages.count("pretrain") == 1
    assert all_embeddings(resumed) == all_embeddings(together[0])


def test_an_ensemble_without_a_folder_is_the_same(folder: Path, together: tuple[RunFolder, Listener]) -> None:
    result = ensemble(folder, None)
    assert result.folder is None
    for name, adata in result.modalities.items():
        for key in KEYS:
            assert adata.obsm[key].tobytes() == together[0].embedding(name, key).tobytes()
            assert adata.varm[key].tobytes() == together[0].feature_embedding(name, key).tobytes()


def test_what_an_earlier_ensemble_left_in_the_inputs_is_replaced(
    folder: Path, together: tuple[RunFolder, Listener], tmp_path: Path
) -> None:
    given = f"{together[0].integrated}:rna"
    result = quick(
        {"rna": given, "atac": folder / "atac.h5ad"}, annotation=folder / "genes.gtf.gz", out=tmp_path / "RUN"
    )
    assert result.folder is not None
    assert result.folder.members() == ["X_glue"]
    assert [key for key in result.modalities["rna"].varm if key.startswith("X_glue")] == ["X_glue"]


def test_a_finished_ensemble_is_left_alone_and_another_size_refused(
    folder: Path, simulated: SimulatedData, tmp_path: Path
) -> None:
    out = tmp_path / "RUN"
    ensemble(folder, out, ensemble=2, max_epochs=1)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    ensemble(folder, out, ensemble=2, max_epochs=1, resume=True, reporter=(heard := Listener()))
    assert heard.epochs == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(RunFolderError, match="ensemble was 2, now 3"):
        ensemble(folder, out, max_epochs=1, resume=True)
    (out / "ensemble" / ".partial-12-1").mkdir()
    alone = ensemble(folder, out, ensemble=1, max_epochs=1, overwrite=True).folder
    assert alone is not None
    assert not alone.ensemble.exists()
    assert not (alone.checkpoints / "member-1").exists()
    assert alone.members() == ["X_glue"]
