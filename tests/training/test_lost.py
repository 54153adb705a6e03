"""Nobody waits for a process that is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from omicsglue import GLUE
from omicsglue.training import team as teams
from omicsglue.training.progress import Silent
from omicsglue.training.team import RankLostError
from small import quick_recipe, small_graph

if TYPE_CHECKING:
    from anndata import AnnData

pytestmark = pytest.mark.slow
Pair = Mapping[str, "AnnData"]
EPOCHS = 3


class KillsOthers(Silent):
    """Sends a process that was started a signal when the second epoch ends."""

    def __init__(self, signal: signal.Signals) -> None:
        self.signal = signal

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Send the signal."""
        if row["epoch"] == 2:
            os.kill(teams._OPEN[-1].started[0].pid, self.signal)


@pytest.mark.parametrize(
    ("number", "said"),
    [(signal.SIGKILL, "process 1 of 2 was killed by signal 9"), (signal.SIGSTOP, "ended or is silent")],
)
def test_a_lost_process_is_told_and_nobody_waits(
    small_pair: Pair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    said: str,
) -> None:
    monkeypatch.setattr(teams, "STEP_SECONDS", 30.0)
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(EPOCHS))
    with pytest.raises(RankLostError, match=said) as caught:
        model.train(
            device="cpu",
            devices=2,
            threads=1,
            checkpoints=tmp_path,
            checkpoint_minutes=0,
            reporter=KillsOthers(number),
        )
    assert caught.value.exit_code == 3
    assert "--resume" in caught.value.remedy
    assert [path.suffix for path in tmp_path.iterdir()] == [".safetensors"]
    assert not teams._OPEN
