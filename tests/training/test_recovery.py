"""A loss that is no longer finite: back to a good state, on with half the learning rate, thrice at most."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.setup import read_setup
from omicsglue.errors import OmicsGlueWarning, TrainingError
from omicsglue.nn.build import build_network
from omicsglue.training import loop, recovery
from omicsglue.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from omicsglue.training.device import make_fabric, threads_limited
from omicsglue.training.loop import Stage
from omicsglue.training.progress import Silent
from omicsglue.training.state import Engine, StageData
from small import NETWORK, quick_recipe, same_history, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

Make = Callable[..., Stage]


@pytest.fixture(scope="module")
def data(small_pair: dict[str, AnnData]) -> dict[str, ModalityData]:
    graph = small_graph(small_pair)
    found = {}
    for name, adata in small_pair.items():
        features = list(adata.var_names[adata.var_names.isin(graph.vertices)])
        found[name] = resolve(name, adata, read_setup(adata, name), features)
    return found


@pytest.fixture
def make(
    small_pair: Mapping[str, AnnData], data: dict[str, ModalityData], monkeypatch: pytest.MonkeyPatch
) -> Make:
    """Make stages of five steps an epoch, looked at every two steps and kept every four."""
    monkeypatch.setattr(loop, "FINITE_EVERY", 2)
    monkeypatch.setattr(recovery, "APART", 4)
    graph = small_graph(small_pair)

    def stage(**settings: Any) -> Stage:
        network = build_network(data, graph, NETWORK, types=0, seed=0)
        split = StageData.split(data, graph, 0.1, 0)
        config = replace(quick_recipe(4).train, **settings)
        return Stage("train", 0, Engine.start(make_fabric("cpu"), network), split, config, 0)

    return stage


def poison(stage: Stage) -> None:
    """Make a weight of the network infinite, as a gradient that overflows does."""
    with torch.no_grad():
        stage.network.encoders["rna"].head.loc.weight[0, 0] = math.inf


def poisoned_at(*steps: int) -> Callable[[Stage], None]:
    """Return a hook that poisons a stage at each step in turn; the state tells how often it went back."""

    def hook(stage: Stage) -> None:
        todo = steps[stage.state.rollbacks :]
        if todo and stage.state.step == todo[0]:
            poison(stage)

    return hook


def ignore(stage: Stage) -> None:
    """Do nothing between steps."""


def same(one: Stage, two: Stage) -> bool:
    weights = one.network.state_dict()
    equal = all(torch.equal(value, weights[name]) for name, value in two.network.state_dict().items())
    return equal and same_history(one.state.history, two.state.history)


def finite(stage: Stage) -> bool:
    return all(
        bool(torch.isfinite(v).all()) for v in stage.network.state_dict().values() if v.is_floating_point()
    )


@pytest.mark.parametrize("compiled", [True, False])
def test_training_goes_back_halves_the_rate_says_so_and_ends_well(make: Make, compiled: bool) -> None:
    stage = make(compiled=compiled)
    with pytest.warns(
        OmicsGlueWarning, match=r"stage train, step \d+: .*back to step 9 .*half.*\(1 of 3"
    ) as said:
        stage.run(Silent(), poisoned_at(11))
    assert len(said) == 1
    assert finite(stage)
    rows = stage.state.history
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]  # none twice
    assert stage.state.step == 20
    rate = stage.config.learning_rate
    assert [row["learning_rate"] for row in rows] == [rate, rate / 2, rate / 2, rate / 2]
    assert stage.state.notes == [str(said[0].message)]


def test_the_weights_after_going_back_are_those_of_then(make: Make) -> None:
    trained: dict[int, list[dict[str, torch.Tensor]]] = {}

    def watch(stage: Stage) -> None:
        weights = {name: value.clone() for name, value in stage.network.state_dict().items()}
        trained.setdefault(stage.state.step, []).append(weights)
        poisoned_at(8)(stage)

    with pytest.warns(OmicsGlueWarning):
        make().run(Silent(), watch)
    once, twice = trained[3], trained[4]  # step 4 is the last good one: the hook sees it once more, put back
    assert (len(once), len(twice)) == (1, 2)
    assert all(torch.equal(value, twice[1][name]) for name, value in twice[0].items())
    assert not torch.equal(trained[5][0]["graph.table"], trained[5][1]["graph.table"])  # a smaller step


def test_nothing_changes_where_nothing_is_wrong(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with_it, without = make(), make()
    with_it.run(Silent(), ignore)
    monkeypatch.setattr(loop.Recovery, "begin", lambda *_: None)  # keeps nothing from the start
    without.run(Silent(), ignore)
    assert without.recovery.kept is None
    assert with_it.recovery.kept is not None
    assert same(with_it, without)


@pytest.mark.parametrize("threads", [1, 2])
def test_two_runs_with_the_same_trouble_are_the_same(make: Make, threads: int) -> None:
    made = []
    for _ in range(2):
        stage = make()
        with threads_limited(threads), warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            stage.run(Silent(), poisoned_at(8, 13))
        assert stage.state.rollbacks == 2
        made.append(stage)
    assert same(*made)


class Stopped(Exception):  # noqa: N818
    """A stage was stopped by a test."""


@pytest.mark.parametrize("at", [3, 5, 7, 8, 9, 12])  # before, between and after: the poison comes at 8 and 13
def test_a_run_resumed_anywhere_goes_back_to_the_same_state(make: Make, at: int, tmp_path: Any) -> None:
    trouble = poisoned_at(8, 13)
    saved: list[Checkpoint] = []

    def stop(stage: Stage) -> None:
        trouble(stage)
        if stage.state.step == at and (stage.state.rollbacks or at <= 9):
            saved.append(load_checkpoint(save_checkpoint(tmp_path, stage.checkpoint())))
            raise Stopped

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(Stopped):
            make().run(Silent(), stop)
        resumed, whole = make(), make()
        resumed.restore(saved[0])
        resumed.run(Silent(), trouble)
        whole.run(Silent(), trouble)
    assert resumed.state.rollbacks == whole.state.rollbacks == 2
    assert same(resumed, whole)
    assert resumed.state.notes == whole.state.notes
    assert {str(each.message) for each in said} == set(whole.state.notes)


def test_what_befell_an_earlier_part_is_said_again(make: Make) -> None:
    stage = make()
    stage.state.notes.append("stage pretrain went back")
    with pytest.warns(OmicsGlueWarning, match="stage pretrain went back"):
        stage.run(Silent(), ignore)
    following = stage.state.next_stage()
    assert (following.notes, following.rollbacks) == (["stage pretrain went back"], 0)


def test_after_three_times_training_gives_up_and_tells_what_it_tried(make: Make) -> None:
    stage = make(learning_rate=0.08)
    with (
        pytest.warns(OmicsGlueWarning) as said,
        pytest.raises(TrainingError, match=r"data_nll_rna.* after going back 3 times .* to 0.01") as failed,
    ):
        stage.run(Silent(), lambda each: poison(each) if each.state.step == 8 else None)
    assert len(said) == 3
    assert failed.value.exit_code == 3
    assert failed.value.where == "stage train, step 9"
    assert "extreme values" in failed.value.remedy


def test_a_value_too_large_for_single_precision_in_the_data(
    make: Make, data: dict[str, ModalityData], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = make()
    bad = stage.data.modalities["rna"].inputs.copy()
    bad[stage.data.splits["rna"].train[3]] = np.float32(3e38)
    modalities = {**stage.data.modalities, "rna": replace(stage.data.modalities["rna"], inputs=bad)}
    stage.data = replace(stage.data, modalities=modalities)
    stage.loader.data = modalities
    with pytest.warns(OmicsGlueWarning), pytest.raises(TrainingError, match="also after going back 3 times"):
        stage.run(Silent(), ignore)


def test_a_state_with_infinite_weights_is_not_kept(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step of an epoch overflows: its loss was finite, its weights are not."""
    stage = make()
    whole = loop.CompiledStep.take
    steps = []

    def overflow(step: loop.CompiledStep) -> None:
        whole(step)
        steps.append(1)
        if len(steps) == 9:
            poison(stage)

    monkeypatch.setattr(loop.CompiledStep, "take", overflow)
    with pytest.warns(OmicsGlueWarning, match=r"\(weights\).*step 4 "):
        stage.run(Silent(), ignore)
    assert finite(stage)


def test_a_checkpoint_holds_the_good_state_only_where_it_is_another(make: Make) -> None:
    held: dict[int, bool] = {}

    def look(stage: Stage) -> None:
        found = copy.deepcopy(stage.checkpoint())
        held[stage.state.step] = any(name.startswith("good/") for name in found.tensors)
        assert held[stage.state.step] == ("good" in found.state)

    make().run(Silent(), look)
    assert [step for step, there in held.items() if not there] == [4, 9, 14, 19]
