"""Rules of plateau and patience, step by step."""

from __future__ import annotations

import math

import pytest

from omicsglue.training.stopping import Plateau, PlateauConfig

CONFIG = PlateauConfig(grace=100, plateau=40, factor=0.1, patience=80, tolerance=1e-2)


def fed(losses: list[float], config: PlateauConfig = CONFIG, *, first: int = 110) -> Plateau:
    plateau = Plateau(config)
    for i, loss in enumerate(losses):
        plateau.update(loss, first + 10 * i)
    return plateau


def test_nothing_counts_in_the_grace() -> None:
    plateau = Plateau(CONFIG)
    for step in range(0, 101, 10):
        plateau.update(1.0, step)
    assert plateau == Plateau(CONFIG)


def test_the_first_loss_after_the_grace_is_the_one_to_beat() -> None:
    plateau = fed([5.0])
    assert (plateau.best, plateau.best_step, plateau.rate, plateau.stop) == (5.0, 110, 1.0, False)


def test_an_improvement_under_the_tolerance_does_not_count() -> None:
    assert fed([1.0, 0.991]).best == 1.0
    assert fed([1.0, 0.989]).best == 0.989
    assert fed([-1.0, -1.009]).best == -1.0  # relative to the size of the loss, whatever its sign
    assert fed([-1.0, -1.011]).best == -1.011


def test_the_rate_is_cut_after_a_plateau_and_once() -> None:
    assert fed([1.0] * 4).rate == 1.0
    assert fed([1.0] * 5).rate == pytest.approx(0.1)
    assert fed([1.0] * 8).rate == pytest.approx(0.1)


def test_training_stops_after_the_patience_and_not_before() -> None:
    assert not fed([1.0] * 8).stop
    assert fed([1.0] * 9).stop


def test_an_improvement_starts_the_count_again() -> None:
    plateau = fed([1.0] * 8 + [0.5] + [0.5] * 7)
    assert not plateau.stop
    assert fed([1.0] * 8 + [0.5] + [0.5] * 8).stop


def test_a_saved_state_goes_on_as_if_nothing_had_happened() -> None:
    losses = [1.0, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.8, 0.8]
    for cut in range(len(losses)):
        first = fed(losses[:cut])
        second = Plateau(CONFIG)
        second.restore(first.state())
        for i, loss in enumerate(losses[cut:], start=cut):
            second.update(loss, 110 + 10 * i)
        assert second == fed(losses)


def test_a_fresh_state_can_be_saved() -> None:
    assert math.isinf(Plateau(CONFIG).state()["best"])
