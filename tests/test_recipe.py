"""The whole recipe: repeatable, and resumed from anywhere as if it had never stopped."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from omicsglue.data.modality import ModalityData, resolve
from omicsglue.data.pairing import Pairing, match_keys
from omicsglue.data.setup import read_setup
from omicsglue.errors import OptionError
from omicsglue.graph import GuidanceGraph
from omicsglue.nn.build import build_network
from omicsglue.nn.network import Network
from omicsglue.recipe import Outcome, PretrainedStore, Recipe, embed, follow, run_digest
from omicsglue.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from omicsglue.training.device import make_fabric, threads_limited
from omicsglue.training.loop import Stage
from omicsglue.training.progress import Silent
from omicsglue.training.stopping import PlateauConfig
from small import NETWORK, quick_recipe, same_history, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

Modalities = dict[str, ModalityData]
STEPS = [(stage, step) for stage in ("pretrain", "train") for step in (1, 5, 7, 10, 12, 15)]
# Five steps an epoch, fifteen a stage; every schedule at work, and a cut of the rate before the third epoch
RECIPE = quick_recipe(
    3,
    warmup=3,
    decay=0.5,
    burn_in=8,
    ema=0.9,
    plateau=PlateauConfig(grace=0, plateau=5, patience=50, tolerance=0.9),
)


class Stopped(Exception):  # noqa: N818
    """Training was stopped by a test."""


@pytest.fixture(scope="module")
def graph(small_pair: dict[str, AnnData]) -> GuidanceGraph:
    return small_graph(small_pair)


@pytest.fixture(scope="module")
def data(small_pair: dict[str, AnnData], graph: GuidanceGraph) -> Modalities:
    found = {}
    for name, adata in small_pair.items():
        features = list(adata.var_names[adata.var_names.isin(graph.vertices)])
        found[name] = resolve(name, adata, read_setup(adata, name), features)
    return found


class Run:
    """Follows a recipe on a fresh network, and stops where it is told to."""

    def __init__(
        self, data: Modalities, graph: GuidanceGraph, recipe: Recipe, pairing: Pairing | None = None
    ) -> None:
        self.data, self.graph, self.recipe, self.pairing = data, graph, recipe, pairing
        self.network: Network = build_network(data, graph, NETWORK, types=0, seed=recipe.seed)
        self.saved: Path | None = None

    def __call__(
        self,
        *,
        stop: tuple[str, int] | None = None,
        folder: Path | None = None,
        resume: Checkpoint | None = None,
        pretrained: PretrainedStore | None = None,
    ) -> Outcome:
        def on_step(stage: Stage) -> None:
            if stop == (stage.name, stage.state.step):
                self.saved = save_checkpoint(folder, stage.checkpoint())
                raise Stopped

        fabric = make_fabric("cpu")
        return follow(
            self.network,
            self.data,
            self.graph,
            self.recipe,
            fabric,
            Silent(),
            on_step=on_step,
            resume=resume,
            pretrained=pretrained,
            pairing=self.pairing,
        )


@pytest.fixture(scope="module")
def pairing(data: Modalities) -> Pairing:
    """Two thirds of the cells are joint cells."""
    return match_keys(
        {
            "rna": data["rna"].cells,
            "atac": np.where(np.arange(len(data["atac"])) % 3, data["atac"].cells, None),
        }
    )


@pytest.fixture(scope="module")
def whole(data: Modalities, graph: GuidanceGraph) -> tuple[Run, Outcome]:
    run = Run(data, graph, RECIPE)
    return run, run()


def assert_same(one: tuple[Run, Outcome], two: tuple[Run, Outcome]) -> None:
    states = [run.network.state_dict() for run, _ in (one, two)]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert same_history(one[1].history, two[1].history)
    for name, weight in one[1].weights.items():
        assert np.array_equal(weight, two[1].weights[name])


def test_one_seed_gives_one_result(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome]
) -> None:
    again = Run(data, graph, RECIPE)
    assert_same(whole, (again, again()))


def test_the_rate_is_cut_before_the_third_epoch(whole: tuple[Run, Outcome]) -> None:
    rates = [row["learning_rate"] for row in whole[1].history if row["stage"] == "train"]
    assert rates[2] < 0.05 * rates[1]  # so that what is resumed depends on the state of the rules too


def test_balancing_leaves_the_number_of_threads(data: Modalities, graph: GuidanceGraph) -> None:
    seen: dict[str, int] = {}
    run, fabric = Run(data, graph, RECIPE), make_fabric("cpu")

    def on_step(stage: Stage) -> None:
        seen[stage.name] = stage.compute.threads if stage.compute else torch.get_num_threads()

    with threads_limited(3):
        follow(run.network, data, graph, RECIPE, fabric, Silent(), on_step=on_step)
    assert seen == {"pretrain": 3, "train": 3}


def test_another_seed_gives_another(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome]
) -> None:
    other = Run(data, graph, replace(RECIPE, seed=1))
    outcome = other()
    assert not same_history(whole[1].history, outcome.history)
    table = "graph.table"
    assert not torch.equal(other.network.state_dict()[table], whole[0].network.state_dict()[table])


@pytest.mark.parametrize(("stage", "step"), STEPS)
def test_a_resumed_run_equals_an_uninterrupted_one(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome], tmp_path: Path, stage: str, step: int
) -> None:
    first = Run(data, graph, RECIPE)
    with pytest.raises(Stopped):
        first(stop=(stage, step), folder=tmp_path)
    second = Run(data, graph, RECIPE)
    outcome = second(resume=load_checkpoint(first.saved))
    assert_same(whole, (second, outcome))
    for name, cells in data.items():
        for found, expected in zip(
            embed(second.network, name, cells.inputs),
            embed(whole[0].network, name, cells.inputs),
            strict=True,
        ):
            assert np.array_equal(found, expected)


def test_a_run_resumed_twice_equals_an_uninterrupted_one(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome], tmp_path: Path
) -> None:
    saved = None
    for stop in (("pretrain", 7), ("train", 2)):
        run = Run(data, graph, RECIPE)
        with pytest.raises(Stopped):
            run(stop=stop, folder=tmp_path, resume=saved)
        saved = load_checkpoint(run.saved)
    last = Run(data, graph, RECIPE)
    assert_same(whole, (last, last(resume=saved)))


@pytest.mark.parametrize("stop", [("pretrain", 7), ("train", 5), ("train", 12)])
def test_a_run_with_pairs_resumes_bit_for_bit(
    data: Modalities,
    graph: GuidanceGraph,
    pairing: Pairing,
    whole: tuple[Run, Outcome],
    tmp_path: Path,
    stop: tuple[str, int],
) -> None:
    run = Run(data, graph, RECIPE, pairing)
    uninterrupted = run, run()
    first = Run(data, graph, RECIPE, pairing)
    with pytest.raises(Stopped):
        first(stop=stop, folder=tmp_path)
    second = Run(data, graph, RECIPE, pairing)
    assert_same(uninterrupted, (second, second(resume=load_checkpoint(first.saved))))
    assert not same_history(uninterrupted[1].history, whole[1].history)
    row = uninterrupted[1].history[-1]
    assert {"joint_nll_rna", "cross_nll_atac", "cosine", "val_joint_nll_atac", "val_cosine"} <= set(row)
    assert all(row[name] > 0 for name in ("joint_nll_rna", "val_cross_nll_atac", "val_cosine"))


@pytest.mark.parametrize("stop", [("pretrain", 4), ("train", 5)])
def test_pretraining_on_metacells_resumes_bit_for_bit(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome], tmp_path: Path, stop: tuple[str, int]
) -> None:
    recipe = replace(RECIPE, metacells=70)
    run = Run(data, graph, recipe)
    uninterrupted = run, run()
    first = Run(data, graph, recipe)
    with pytest.raises(Stopped):
        first(stop=stop, folder=tmp_path)
    second = Run(data, graph, recipe)
    assert_same(uninterrupted, (second, second(resume=load_checkpoint(first.saved))))
    steps = {row["stage"]: row["steps"] for row in uninterrupted[1].history}
    assert steps == {"pretrain": 2, "train": 5}  # 63 metacells and 144 cells, of which 32 a step
    assert len(uninterrupted[1].weights["rna"]) == len(data["rna"])


def test_metacells_are_positive() -> None:
    with pytest.raises(OptionError, match="metacells is -1"):
        Recipe(metacells=-1)


def test_time_before_an_interruption_counts(data: Modalities, graph: GuidanceGraph, tmp_path: Path) -> None:
    first = Run(data, graph, RECIPE)
    with pytest.raises(Stopped):
        first(stop=("train", 7), folder=tmp_path)
    saved = load_checkpoint(first.saved)
    spent = saved.state["counters"]["elapsed"]
    saved.state["counters"]["elapsed"] = {**spent, "train": 1000.0}
    seconds = Run(data, graph, RECIPE)(resume=saved).seconds
    assert set(seconds) == {"pretrain", "balance", "train"}
    assert seconds["pretrain"] == spent["pretrain"]
    assert 1000 < seconds["train"] < 1100


def test_no_generator_of_others_is_touched(data: Modalities, graph: GuidanceGraph) -> None:
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    run = Run(data, graph, RECIPE)
    run()
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert random.getstate() == states[2]


def test_generators_of_others_do_not_matter(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome]
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        run = Run(data, graph, RECIPE)
        assert_same(whole, (run, run()))


def test_pretraining_keeps_its_noise_and_training_anneals_it(data: Modalities, graph: GuidanceGraph) -> None:
    levels: dict[str, list[float]] = {}
    run = Run(data, graph, RECIPE)
    fabric = make_fabric("cpu")
    follow(
        run.network,
        data,
        graph,
        RECIPE,
        fabric,
        Silent(),
        on_step=lambda stage: levels.setdefault(stage.name, []).append(stage.noise_level()),
    )
    assert levels["pretrain"] == [1.5] * 15
    assert levels["train"][0] == pytest.approx(1.5 * 7 / 8)
    assert levels["train"][7:] == [0.0] * 8


def test_without_balancing_there_is_one_stage(data: Modalities, graph: GuidanceGraph) -> None:
    outcome = Run(data, graph, replace(RECIPE, balancing=None))()
    assert {row["stage"] for row in outcome.history} == {"train"}
    assert all((weight == 1).all() for weight in outcome.weights.values())


def test_training_starts_from_the_pretrained_weights_with_balancing_weights(
    data: Modalities, graph: GuidanceGraph
) -> None:
    ends: dict[str, torch.Tensor] = {}
    seen: dict[str, np.ndarray] = {}

    def on_step(stage: Stage) -> None:
        if stage.name == "pretrain" and stage.state.finished:
            ends["average"] = stage.average.average["graph.table"].clone()
        if stage.name == "train" and stage.state.step == 1:
            seen.update({name: cells.weight for name, cells in stage.data.modalities.items()})
            # of the first step the average forgets nine tenths: what is left is where it began
            live = stage.network.state_dict()["graph.table"]
            ends["start"] = (stage.average.average["graph.table"] - 0.9 * live) / 0.1

    run = Run(data, graph, RECIPE)
    outcome = follow(run.network, data, graph, RECIPE, make_fabric("cpu"), Silent(), on_step=on_step)
    torch.testing.assert_close(ends["start"], ends["average"], atol=1e-5, rtol=1e-3)
    for name, weight in outcome.weights.items():
        assert np.array_equal(seen[name], weight)
        assert weight.mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_member_that_begins_with_what_is_kept_is_the_member_trained_alone(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome], tmp_path: Path, on_disk: bool
) -> None:
    shared = PretrainedStore(tmp_path if on_disk else None)
    assert shared.load() is None
    first = Run(data, graph, RECIPE)
    assert_same(whole, (first, first(pretrained=shared)))
    alone, second = (Run(data, graph, replace(RECIPE, member=1)) for _ in range(2))
    steps = {"pretrain": 0, "train": 0}

    def count(stage: Stage) -> None:
        steps[stage.name] += 1

    outcome = follow(
        second.network,
        data,
        graph,
        second.recipe,
        make_fabric("cpu"),
        Silent(),
        on_step=count,
        pretrained=shared,
    )
    assert steps == {"pretrain": 0, "train": 15}
    assert_same((alone, alone()), (second, outcome))
    assert not same_history(outcome.history, whole[1].history)
    assert outcome.history[:3] != []
    assert same_history(outcome.history[:3], whole[1].history[:3])
    again = Run(data, graph, RECIPE)
    assert_same(whole, (again, again(pretrained=shared)))  # training changes nothing of what is kept


def test_what_is_kept_is_used_where_a_run_was_stopped_before_its_first_step(
    data: Modalities, graph: GuidanceGraph, whole: tuple[Run, Outcome], tmp_path: Path
) -> None:
    first = Run(data, graph, RECIPE)
    with pytest.raises(Stopped):
        first(stop=("pretrain", 15), folder=tmp_path)
    shared = PretrainedStore()
    Run(data, graph, RECIPE)(pretrained=shared)
    last = Run(data, graph, RECIPE)
    assert_same(whole, (last, last(resume=load_checkpoint(first.saved), pretrained=shared)))


def test_members_are_counted_from_0() -> None:
    with pytest.raises(OptionError, match="member is -1"):
        replace(RECIPE, member=-1)


def test_embedding_in_blocks_equals_embedding_at_once(
    data: Modalities, whole: tuple[Run, Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = whole[0].network
    at_once = embed(network, "rna", data["rna"].inputs)
    monkeypatch.setattr("omicsglue.recipe.EMBEDDING_BLOCK", 7)
    for found, expected in zip(embed(network, "rna", data["rna"].inputs), at_once, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (at_once[1] > 0).all()


def test_a_digest_tells_runs_apart(data: Modalities, graph: GuidanceGraph, pairing: Pairing) -> None:
    digest = run_digest(data, graph, RECIPE, "cpu")
    assert digest == run_digest(dict(data), graph, replace(RECIPE), "cpu")
    counts = data["rna"].counts.copy()
    counts.data[-1] += 1
    inputs = data["atac"].inputs.copy()
    inputs[3, 4] += 1
    flipped = graph.sign.copy()
    flipped[0] *= -1
    others = [
        run_digest({**data, "rna": replace(data["rna"], counts=counts)}, graph, RECIPE, "cpu"),
        run_digest({**data, "atac": replace(data["atac"], inputs=inputs)}, graph, RECIPE, "cpu"),
        run_digest(data, replace(graph, sign=flipped), RECIPE, "cpu"),
        run_digest(data, graph, replace(RECIPE, seed=1), "cpu"),
        run_digest(data, graph, RECIPE.limited(9), "cpu"),
        run_digest(data, graph, RECIPE, "cuda"),
        run_digest(data, graph, RECIPE, "cpu", pairing),
        run_digest(data, graph, RECIPE, "cpu", Pairing(dict(reversed(pairing.joint.items())), pairing.count)),
    ]
    assert len({digest, *others}) == len(others) + 1
