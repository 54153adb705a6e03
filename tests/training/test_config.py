"""Numbers out of range are refused when settings are made."""

from __future__ import annotations

from typing import Any

import pytest

from omicsglue.errors import OptionError
from omicsglue.objective import ObjectiveWeights
from omicsglue.recipe import Recipe
from omicsglue.training.config import StageConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 1},
        {"max_steps": 0},
        {"max_epochs": 0},
        {"learning_rate": 0.0},
        {"warmup": -1},
        {"decay": 1.5},
        {"burn_in": -1},
        {"burn_in_noise": -0.1},
        {"labels_from": -0.1},
        {"labels_from": 1.1},
        {"ema": 1.0},
        {"negatives": 0},
        {"graph_share": 0.0},
        {"longest_epoch": 0},
        {"validate_every": 0},
        {"most_positives": 0},
    ],
)
def test_stage_refuses(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(OptionError, match=name):
        StageConfig(**settings)


def test_labels_begin_to_count_when_alignment_is_under_way() -> None:
    config = StageConfig(weights=ObjectiveWeights(label=0.02))
    assert [config.label_weight(step, 1000) for step in (0, 100, 250)] == [0, 0, 0]
    assert config.label_weight(300, 1000) == pytest.approx(0.01)
    assert [config.label_weight(step, 1000) for step in (360, 999)] == [0.02, 0.02]
    assert StageConfig(weights=config.weights, labels_from=0).label_weight(0, 1000) == 0.02
    assert StageConfig(weights=config.weights, labels_from=1).label_weight(999, 1000) == 0


@pytest.mark.parametrize("cells", [75_000, 250_000, 1_000_000, 10**8])
@pytest.mark.parametrize("processes", [1, 4])
def test_the_steps_of_a_stage_do_not_grow_with_the_cells(cells: int, processes: int) -> None:
    recipe = Recipe.for_cells(cells)
    for config in (recipe.pretrain, recipe.train):
        length = config.epoch_length(cells - 8192, processes)
        assert length <= 500
        steps = length * config.epochs(length)
        assert config.max_steps <= steps < config.max_steps + length


def test_epochs_of_fewer_cells_pass_over_all_of_them() -> None:
    config = StageConfig()
    assert config.epoch_length(1) == 1
    assert config.epoch_length(64_000) == 500
    assert config.epoch_length(64_000, 4) == 125
    assert config.epoch_length(20_001) == 157
    assert StageConfig(longest_epoch=100).epoch_length(20_001) == 100


@pytest.mark.parametrize(
    "settings", [{"seed": -1}, {"seed": 2**32}, {"validation": 1.0}, {"validation": -0.1}]
)
def test_recipe_refuses(settings: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Recipe(**settings)


def test_a_limit_of_epochs_holds_for_both_stages() -> None:
    limited = Recipe().limited(3)
    assert (limited.pretrain.max_epochs, limited.train.max_epochs) == (3, 3)
    assert limited.pretrain.keep_noise
    assert not limited.train.keep_noise
