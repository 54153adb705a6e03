"""Pictures of how training went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, examples
from omicsglue.pl.palette import colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COUNTERS: Final = ("stage", "member", "epoch", "steps", "seconds")
_PANELS: Final = (
    ("Loss of encoders and decoders", ("vae_loss", "loss", "total")),
    ("Reconstruction of the data", ("data_nll", "nll")),
    ("Distance from the prior", ("data_kl", "kl")),
    ("Guidance graph", ("graph",)),
    ("Alignment (discriminator)", ("align", "discriminator")),
    ("Paired and supervised terms", ("joint", "cross", "cosine", "paired", "sup")),
    ("Learning rate", ("learning_rate",)),
)
_VALIDATION: Final = "val_"


@dataclass(frozen=True)
class Panel:
    """One panel of the history.

    Parameters
    ----------
    title
        What it shows.
    columns
        Columns of the history, validation beside training.
    """

    title: str
    columns: tuple[str, ...]


def panels_of(history: pd.DataFrame) -> list[Panel]:
    """Sort the columns of a history into panels; those of no known kind get a panel of their own.

    Raises
    ------
    InputError
        If the history lacks ``stage`` or ``epoch``, or holds no epoch or no loss.
    """
    lacking = [name for name in ("stage", "epoch") if name not in history]
    if lacking or not len(history):
        raise InputError(
            f"it has no {', '.join(lacking)}" if lacking else "it holds no epoch",
            where="history",
            remedy="give the table that a training run wrote: history.parquet or model.history",
        )
    left = [
        str(name)
        for name in history
        if name not in _COUNTERS
        and pd.api.types.is_numeric_dtype(history[name])
        and history[name].notna().any()
    ]
    if not left:
        raise InputError(
            f"no loss among its columns ({examples(history)})", where="history", remedy="train again"
        )
    panels = []
    for title, beginnings in _PANELS:
        mine = tuple(name for name in left if name.removeprefix(_VALIDATION).startswith(beginnings))
        left = [name for name in left if name not in mine]
        if mine:
            panels.append(Panel(title, mine))
    if left:
        panels.append(Panel("Other", tuple(left)))
    return panels


def training(history: pd.DataFrame, *, columns: int = 2) -> Figure:
    """Draw every loss over the epochs of all stages, validation dashed, stages divided by lines.

    Parameters
    ----------
    history
        One row an epoch and stage, as in ``history.parquet``.
    columns
        Panels side by side.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.

    Raises
    ------
    InputError
        If the table is not a history of training.
    """
    from matplotlib.figure import Figure

    panels = panels_of(history)
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.9 * rows), dpi=150, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for position, panel in enumerate(panels):
        curve(axes[position], history, panel)
    for empty in axes[len(panels) :]:
        empty.set_axis_off()
    return figure


def curve(axes: Axes, history: pd.DataFrame, panel: Panel) -> None:
    """Draw one panel of a history."""
    epoch = np.arange(1, len(history) + 1)
    names = list(dict.fromkeys(name.removeprefix(_VALIDATION) for name in panel.columns))
    paint = dict(zip(names, colours(len(names)), strict=True))
    shown = []
    for name in panel.columns:
        base, checked = name.removeprefix(_VALIDATION), name.startswith(_VALIDATION)
        values = history[name].to_numpy(dtype=float)
        known = np.isfinite(values)
        axes.plot(
            epoch[known],
            values[known],
            label=base.replace("_", " ") + (" (validation)" if checked else ""),
            color=paint[base],
            linestyle="--" if checked else "-",
            linewidth=1.4,
            marker="o" if known.sum() == 1 else "",
        )
        shown.append(values[known])
    _limit(axes, np.concatenate(shown))
    if panel.columns == ("learning_rate",):
        axes.set_yscale("log")
    _mark_stages(axes, history)
    axes.set_title(panel.title, fontsize=11, loc="left")
    axes.set_xlabel("epoch, all stages in turn", fontsize=9)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if len(panel.columns) > 1:
        axes.legend(fontsize=8.5, frameon=False)


def _limit(axes: Axes, values: npt.NDArray[np.float64]) -> None:
    """Let the bulk of a curve fill its panel where the first epochs tower above it."""
    low, high = float(values.min()), float(values.max())
    bulk = float(np.quantile(values, 0.95))
    if bulk > low and (high - low) > 4 * (bulk - low):
        pad = 0.08 * (bulk - low)
        axes.set_ylim(low - pad, bulk + 4 * pad)


def _mark_stages(axes: Axes, history: pd.DataFrame) -> None:
    """Draw a line where a new stage begins, and name the stages."""
    stage = history["stage"].astype(str).to_numpy()
    begins = np.flatnonzero(np.r_[True, stage[1:] != stage[:-1]])
    if len(begins) < 2:
        return
    for begin in begins:
        if begin:
            axes.axvline(begin + 0.5, color=MARK, linewidth=0.8, linestyle=":")
        axes.annotate(
            stage[begin],
            (begin + 1, 1),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=8.5,
            color=MARK,
        )


MARK: Final = "#808080"
