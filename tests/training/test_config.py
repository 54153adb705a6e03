"""Numbers out of range are refused when settings are made."""

from __future__ import annotations

from typing import Any

import pytest

from omicsglue.errors import OptionError
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
        {"ema": 1.0},
        {"negatives": 0},
        {"graph_share": 0.0},
        {"validate_every": 0},
        {"most_positives": 0},
    ],
)
def test_stage_refuses(settings: dict[str, Any]) -> None:
    (name,) = settings
    with pytest.raises(OptionError, match=name):
        StageConfig(**settings)


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
