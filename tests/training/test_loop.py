"""One stage of training: its schedules, its history, its ends."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from omicsglue import objective
from omicsglue.data.batches import CellStream
from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.setup import read_setup
from omicsglue.errors import TrainingError
from omicsglue.nn import fused, graph_encoder
from omicsglue.nn.build import build_network
from omicsglue.nn.direct import features
from omicsglue.training import direct, loop, optimiser
from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.config import StageConfig
from omicsglue.training.device import make_fabric, threads_limited
from omicsglue.training.loop import Stage
from omicsglue.training.progress import Silent
from omicsglue.training.state import Engine, Row, StageData
from omicsglue.training.stopping import PlateauConfig
from small import NETWORK, WEIGHTS, quick_recipe, same_history, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

Modalities = dict[str, ModalityData]


@pytest.fixture(scope="module")
def data(small_pair: dict[str, AnnData]) -> Modalities:
    graph = small_graph(small_pair)
    found = {}
    for name, adata in small_pair.items():
        features = list(adata.var_names[adata.var_names.isin(graph.vertices)])
        found[name] = resolve(name, adata, read_setup(adata, name), features)
    return found


def first_cells(data: ModalityData, n: int) -> ModalityData:
    arrays = ("cells", "counts", "inputs", "library", "batch", "weight", "label")
    return replace(data, **{name: getattr(data, name)[:n] for name in arrays})


class Stages:
    """Makes stages on fresh networks."""

    def __init__(self, pair: Mapping[str, AnnData], data: Modalities) -> None:
        self.graph, self.data = small_graph(pair), data

    def __call__(
        self, *, validation: float = 0.1, data: Modalities | None = None, seed: int = 0, **settings: Any
    ) -> Stage:
        modalities = data or self.data
        network = build_network(modalities, self.graph, NETWORK, types=0, seed=0)
        split = StageData.split(modalities, self.graph, validation, 0)
        config = replace(quick_recipe().train, **settings)
        return Stage("train", 0, Engine.start(make_fabric("cpu"), network), split, config, seed)


@pytest.fixture
def stages(small_pair: dict[str, AnnData], data: Modalities) -> Stages:
    return Stages(small_pair, data)


def ignore(stage: Stage) -> None:
    """Do nothing between steps."""


def test_an_epoch_passes_over_the_largest_modality_once(stages: Stages, data: Modalities) -> None:
    stage = stages(max_steps=23, max_epochs=None)
    assert stage.epoch_length == math.ceil(144 / 32)
    assert stage.epochs == math.ceil(23 / 5)
    assert stages(max_steps=23, max_epochs=2).epochs == 2
    assert stages(max_steps=3, max_epochs=9).epochs == 1
    fewer = {"rna": first_cells(data["rna"], 40), "atac": data["atac"]}
    assert stages(data=fewer).epoch_length == 5


def test_an_epoch_that_ends_within_a_pass_is_gone_on_with_in_the_next(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, list[int]] = {"rna": [], "atac": []}
    draw = CellStream.draw

    def listening(stream: CellStream, rng: np.random.Generator) -> np.ndarray:
        rows = draw(stream, rng)
        drawn[name_of[id(stream)]].extend(rows.tolist())
        return rows

    monkeypatch.setattr(CellStream, "draw", listening)
    stage = stages(max_steps=12, max_epochs=None, longest_epoch=2, compiled=False, validate_every=4)
    name_of = {id(stream): name for name, stream in stage.loader.streams.items()}
    assert (stage.epoch_length, stage.epochs) == (2, 6)
    stage.run(Silent(), ignore)
    assert [row["steps"] for row in stage.state.history] == [2] * 6
    assert [row["epoch"] for row in stage.state.history if "val_vae_loss" in row] == [2, 4, 6]
    for name, rows in drawn.items():
        cells = stage.data.splits[name].train
        assert len(rows) == 12 * 32
        for start in range(0, len(rows) - len(cells), len(cells)):  # each once before any twice
            assert sorted(rows[start : start + len(cells)]) == cells.tolist()


def test_where_epochs_end_changes_nothing_of_what_is_trained(stages: Stages) -> None:
    short, whole = (stages(max_steps=10, max_epochs=None, longest_epoch=longest) for longest in (2, 500))
    for stage in (short, whole):
        stage.run(Silent(), ignore)
    assert len(short.state.history) == 5
    assert len(whole.state.history) == 2
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, short.network.state_dict()[name])


@pytest.mark.parametrize("step", [3, 4, 7])
def test_a_stage_of_cut_epochs_resumes_bit_for_bit(stages: Stages, step: int) -> None:
    saved: list[Checkpoint] = []
    settings = {"max_steps": 8, "max_epochs": None, "longest_epoch": 2}

    def on_step(stage: Stage) -> None:
        if stage.state.step == step:
            saved.append(copy.deepcopy(stage.checkpoint()))
            raise Stopped

    with pytest.raises(Stopped):
        stages(**settings).run(Silent(), on_step)
    resumed, whole = stages(**settings), stages(**settings)
    resumed.restore(saved[0])
    for stage in (resumed, whole):
        stage.run(Silent(), ignore)
    assert same_history(resumed.state.history, whole.state.history)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, resumed.network.state_dict()[name])


def test_history_has_a_row_an_epoch_with_every_loss(stages: Stages) -> None:
    stage = stages(max_epochs=3)
    stage.run(Silent(), ignore)
    rows = stage.state.history
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert all(row["steps"] == 5 for row in rows)
    terms = {"data_nll_rna", "data_kl_rna", "data_nll_atac", "data_kl_atac", "graph_nll", "graph_kl"}
    losses = terms | {"align", "discrepancy", "vae_loss"}
    expected = losses | {f"val_{name}" for name in losses}
    assert set(rows[0]) == expected | {"stage", "epoch", "steps", "seconds", "learning_rate"}
    assert all(row["seconds"] > 0 for row in rows)
    assert sum(row["seconds"] for row in rows) <= stage.state.elapsed["train"]


def test_short_epochs_are_validated_now_and_then_and_the_last_always(stages: Stages) -> None:
    stage = stages(max_epochs=8, validate_every=12)  # epochs of 5 steps
    stage.run(Silent(), ignore)
    rows = stage.state.history
    assert [row["epoch"] for row in rows if "val_vae_loss" in row] == [3, 6, 8]
    assert all("vae_loss" in row for row in rows)


def test_the_row_holds_the_mean_of_the_steps(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[torch.Tensor] = []

    def listening(*given: Any) -> objective.Breakdown:
        found = objective.evaluate(*given)
        heard.append(found.values())
        return found

    monkeypatch.setattr(loop, "evaluate", listening)
    stage = stages(max_epochs=1, validation=0.0, compiled=False)
    stage.run(Silent(), ignore)
    means = torch.stack(heard).mean(0).tolist()
    assert len(heard) == stage.epoch_length == 5
    assert [stage.state.history[0][name] for name in stage.names] == pytest.approx(means, rel=1e-6)


def test_noise_falls_to_nothing_over_the_burn_in(stages: Stages) -> None:
    levels = []
    stage = stages(burn_in=8, burn_in_noise=1.5, max_epochs=2)
    for step in range(11):
        stage.state.step = step
        levels.append(stage.noise_level())
    np.testing.assert_allclose(levels, 1.5 * np.maximum(1 - np.arange(11) / 8, 0))
    assert stages(burn_in=0, burn_in_noise=1.5).noise_level() == 0
    kept = stages(burn_in=8, keep_noise=True)
    kept.state.step = 100
    assert kept.noise_level() == 1.5


def test_learning_rate_warms_up_is_cut_and_decays(stages: Stages) -> None:
    stage = stages(learning_rate=1.0, warmup=4, decay=0.5, max_steps=20, max_epochs=None)
    rates = []
    for step in range(20):
        stage.state.step = step
        rates.append(stage.learning_rate())
    expected = [0.25, 0.5, 0.75] + [1.0] * 8 + [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    np.testing.assert_allclose(rates, expected)
    stage.plateau.rate = 0.1
    stage.state.step = 8
    assert stage.learning_rate() == pytest.approx(0.1)
    constant = stages(learning_rate=0.3, max_steps=20)
    constant.state.step = 19
    assert constant.learning_rate() == 0.3


def test_the_rate_of_the_row_is_the_one_that_was_used(stages: Stages) -> None:
    stage = stages(learning_rate=0.01, warmup=10, max_epochs=2)
    stage.run(Silent(), ignore)
    assert [row["learning_rate"] for row in stage.state.history] == pytest.approx([0.005, 0.01])


def test_a_plateau_stops_the_stage(stages: Stages) -> None:
    rules = PlateauConfig(grace=0, plateau=5, patience=10, tolerance=1e9)
    stage = stages(max_epochs=50, plateau=rules)
    stage.run(Silent(), ignore)
    assert stage.state.epoch == 3  # the first is the best, two more are ten steps
    assert stage.state.history[-1]["learning_rate"] == pytest.approx(2e-4)


def test_at_the_end_the_network_holds_the_average(stages: Stages) -> None:
    stage = stages(max_epochs=2, ema=0.9)
    live: list[torch.Tensor] = []
    stage.run(
        Silent(), lambda each: live.append(each.network.encoders["rna"].head.loc.weight.detach().clone())
    )
    weight = stage.network.encoders["rna"].head.loc.weight
    assert not torch.equal(weight, live[-1])
    assert torch.equal(stage.average.average["encoders.rna.head.loc.weight"], live[-1])
    assert not stage.module.training
    plain = stages(max_epochs=2, ema=0.0)
    plain.run(Silent(), ignore)
    assert torch.equal(plain.network.encoders["rna"].head.loc.weight, live[-1])


def test_the_strength_of_alignment_is_that_of_the_stage(stages: Stages) -> None:
    weights, aligns = [], []
    for strength in (0.0, 2.0):
        stage = stages(max_epochs=4, burn_in=0, weights=replace(WEIGHTS, align=strength))
        stage.run(Silent(), ignore)
        weights.append(stage.network.encoders["rna"].head.loc.weight.detach())
        aligns.append(stage.state.history[-1]["align"])
    assert not torch.equal(*weights)
    assert aligns[1] > aligns[0] + 0.02  # the discriminator is fooled where encoders work against it


def test_validation_leaves_no_trace(stages: Stages) -> None:
    without = stages(max_epochs=2, ema=0.0)
    splits = {name: replace(s, validation=s.validation[:0]) for name, s in without.data.splits.items()}
    without.data = replace(without.data, splits=splits)
    with_it = stages(max_epochs=2, ema=0.0)
    for stage in (without, with_it):
        stage.run(Silent(), ignore)
    assert "val_vae_loss" not in without.state.history[0]
    for name, value in with_it.network.state_dict().items():
        assert torch.equal(value, without.network.state_dict()[name]), name


def test_validation_is_judged_on_held_out_cells_without_noise(stages: Stages) -> None:
    stage = stages(max_epochs=1)
    stage.run(Silent(), ignore)
    stage.average.swap()  # as it was when the epoch closed
    one, two = stage._validate(), stage._validate()
    assert one == two
    row = stage.state.history[0]
    assert {f"val_{name}": value for name, value in one.items()} == {
        name: value for name, value in row.items() if str(name).startswith("val_")
    }


def test_validation_in_blocks_equals_validation_in_one(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stages(weights=replace(WEIGHTS, discrepancy=0.0))  # that depends on how many are compared
    whole = stage._validate()
    monkeypatch.setattr(loop, "VALIDATION_BLOCK", 4)  # 16 held-out cells of each
    assert stage._validate() == pytest.approx(whole, rel=1e-5)


def test_a_modality_with_fewer_held_out_cells_than_blocks(
    stages: Stages, data: Modalities, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "VALIDATION_BLOCK", 4)
    stage = stages(data={"rna": data["rna"], "atac": first_cells(data["atac"], 12)})
    assert len(stage.data.splits["atac"].validation) == 2
    losses = stage._validate()
    assert all(math.isfinite(value) for value in losses.values())


@pytest.mark.filterwarnings("ignore:stage train:omicsglue.errors.OmicsGlueWarning")
def test_a_loss_that_is_not_finite_ends_training_and_is_named(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> list[objective.Term]:
        return [objective.Term("odd_one", torch.tensor(math.nan), 1.0)]

    monkeypatch.setattr(objective, "TERMS", (*objective.TERMS, broken))
    with pytest.raises(TrainingError, match="odd_one") as caught:
        stages(max_epochs=2).run(Silent(), ignore)
    assert "data_nll" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.filterwarnings("ignore:stage train:omicsglue.errors.OmicsGlueWarning")
def test_a_rate_that_explodes_is_noticed_before_a_long_epoch_ends(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "FINITE_EVERY", 2)
    stage = stages(learning_rate=1e18, max_epochs=1)
    with pytest.raises(TrainingError, match="data_nll"):
        stage.run(Silent(), ignore)
    assert stage.state.step in (2, 4)


def test_two_stages_on_one_network_leave_no_hooks_behind(stages: Stages) -> None:
    stage = stages(max_epochs=1)
    engine = Engine(stage.fabric, stage.network, stage.module)
    stage.run(Silent(), ignore)
    second = Stage("again", 1, engine, stage.data, stage.config, 0)
    second.run(Silent(), ignore)
    assert second.module is stage.module
    for module in stage.network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert type(stage.module.module) is type(stage.network)


def test_default_settings_are_valid() -> None:
    assert StageConfig().batch_size >= 2


@pytest.fixture
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the small data into as many blocks of work as large data are cut into."""
    for module, name, size in (
        (graph_encoder, "VERTICES", 64),
        (graph_encoder, "EDGES", 128),
        (fused, "FEATURES", 64),
        (optimiser, "NUMBERS", 256),
        (features, "VERTICES", 64),
        (features, "EDGES", 128),
        (direct, "FEATURES", 64),
    ):
        monkeypatch.setattr(module, name, size)


def assert_same_stage(one: Stage, two: Stage) -> None:
    expected = two.network.state_dict()
    for name, value in one.network.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert same_history(one.state.history, two.state.history)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("threads", [2, 3])
def test_a_compiled_stage_gives_the_same_bits_with_any_number_of_threads(
    stages: Stages, threads: int
) -> None:
    made = []
    for number in (1, threads):
        stage = stages(max_epochs=3, compiled=True)
        with threads_limited(number):
            stage.run(Silent(), ignore)
        assert stage.compute is not None
        assert stage.compute.threads == number
        assert stage.direct is not None
        made.append(stage)
    assert_same_stage(*made)


def test_compiled_or_not_a_stage_gets_as_far(stages: Stages) -> None:
    # The two draw other random numbers, as two seeds do: the means over five seeds are to be within four of
    # their standard errors, which is less than the way that training goes in these epochs
    histories: dict[bool, list[list[Row]]] = {False: [], True: []}
    for compiled, found in histories.items():
        for seed in range(5):
            stage = stages(max_epochs=15, ema=0.9, compiled=compiled, seed=seed)
            stage.run(Silent(), ignore)
            assert (stage.compute is not None) == compiled
            found.append(stage.state.history)
    for name in ("vae_loss", "data_nll_rna", "data_nll_atac", "data_kl_rna", "graph_nll", "graph_kl"):
        first, plain, ours = (
            np.array([history[at][f"val_{name}"] for history in histories[compiled]])
            for compiled, at in ((False, 0), (False, -1), (True, -1))
        )
        error = np.sqrt((plain.var(ddof=1) + ours.var(ddof=1)) / 5)
        assert 4 * error < abs(plain.mean() - first.mean()), name  # else this could hardly fail
        assert abs(ours.mean() - plain.mean()) < 4 * error, name


class Stopped(Exception):  # noqa: N818
    """A stage was stopped by a test."""


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("step", [1, 4, 5, 7])  # of five an epoch
@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 1), (1, 2)])
def test_a_stage_resumes_bit_for_bit_though_a_batch_was_drawn_ahead(
    stages: Stages, step: int, before: int, after: int
) -> None:
    saved: list[Checkpoint] = []

    def on_step(stage: Stage) -> None:
        if stage.state.step == step:
            assert stage.ahead is not None
            if before > 1:
                stage.ahead.take()
                assert stage.rng.bit_generator.state != stage.ahead.rng  # it has been drawn
            saved.append(copy.deepcopy(stage.checkpoint()))
            raise Stopped

    with threads_limited(before), pytest.raises(Stopped):
        stages(max_epochs=2).run(Silent(), on_step)
    resumed, whole = stages(max_epochs=2), stages(max_epochs=2)
    resumed.restore(saved[0])
    with threads_limited(after):
        resumed.run(Silent(), ignore)
    whole.run(Silent(), ignore)
    assert_same_stage(resumed, whole)
