"""What scores mean, in words, and numbers as people write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Score:
    """One score and how to read it.

    Parameters
    ----------
    key
        In the object that ``omicsglue score`` prints.
    title
        In the table.
    meaning
        One sentence.
    worst, best
        Ends of its scale.
    """

    key: str
    title: str
    meaning: str
    worst: float = 0.0
    best: float = 1.0


SCORES: Final = (
    Score(
        "foscttm",
        "FOSCTTM",
        "Share of the other modality's cells that lie closer to a cell than its own "
        "counterpart. 0 is perfect, 0.5 is chance; lower is better.",
        worst=0.5,
        best=0.0,
    ),
    Score(
        "label_acc",
        "Label-transfer accuracy",
        "Share of cells whose type is told rightly by their 15 nearest neighbours in the other modality.",
    ),
    Score(
        "mixing",
        "Seurat alignment score",
        "Whether a cell's neighbours come from all modalities alike. 0 apart, 1 mixed.",
    ),
    Score("ilisi", "iLISI", "Effective number of modalities around a cell, scaled: 0 one, 1 all alike."),
    Score(
        "batch_ilisi",
        "iLISI of batches",
        "Effective number of batches around a cell, scaled: 0 one, 1 all alike.",
    ),
    Score(
        "mean_average_precision",
        "Mean average precision",
        "How purely a cell's nearest neighbours are of its own type, the nearest counting most.",
    ),
    Score(
        "cell_type_asw", "Cell-type silhouette", "How far types stand apart: 0.5 means no more than chance."
    ),
    Score(
        "neighbour_conservation",
        "Neighbour conservation",
        "How many of a cell's neighbours within its own modality stay its neighbours after integration.",
    ),
    Score("omics_layer_asw", "Omics-layer silhouette", "How well modalities mix within each type."),
    Score("graph_connectivity", "Graph connectivity", "Share of each type's cells that hang together."),
    Score(
        "biology_summary",
        "Biology, summary",
        "Mean of average precision, cell-type silhouette and neighbour conservation.",
    ),
    Score(
        "mixing_summary",
        "Mixing, summary",
        "Mean of omics-layer silhouette, graph connectivity and Seurat alignment score.",
    ),
    Score(
        "overall",
        "Overall",
        "0.6 biology + 0.4 mixing, without the scaling over methods that a comparison adds.",
    ),
)


@dataclass(frozen=True)
class ScoreRow:
    """One line of the table of scores.

    Parameters
    ----------
    score
        Which.
    values
        One a column, ``None`` where it could not be computed.
    position
        Of the first value between worst (0) and best (100), for the bar.
    """

    score: Score
    values: list[float | None]
    position: float


def score_rows(scores: Mapping[str, Any]) -> tuple[list[str], list[ScoreRow]]:
    """Return the columns (empty for two modalities) and the lines of the table of scores."""
    pairs: Mapping[str, Mapping[str, float]] = scores.get("pairs", {})
    rows = []
    for score in SCORES:
        if score.key not in scores:
            continue
        values = [float(scores[score.key]), *(pair.get(score.key) for pair in pairs.values())]
        position = 100 * (float(scores[score.key]) - score.worst) / (score.best - score.worst)
        rows.append(ScoreRow(score, values, min(max(position, 0.0), 100.0)))
    return (["mean", *pairs] if pairs else []), rows


def verdicts(scores: Mapping[str, Any], commonest: float | None = None) -> list[str]:
    """Say in a few sentences whether the modalities were aligned.

    Parameters
    ----------
    scores
        As ``omicsglue score`` gives them.
    commonest
        Share of the commonest type among the cells whose label is told: what a constant guess would reach.
    """
    names = scores.get("modalities", [])
    several = " (mean over pairs of modalities)" if len(names) > 2 else ""
    said = []
    if "mixing" in scores:
        said.append(_of_mixing(float(scores["mixing"])) + several + ".")
    if "foscttm" in scores:
        said.append(_of_matches(float(scores["foscttm"])) + several + ".")
    else:
        said.append(
            "No cell bears the same name in two modalities, so how near true counterparts lie cannot be "
            "measured; mixing alone does not prove that the right cells were matched."
        )
    if "label_acc" in scores:
        guess = f"; always guessing the commonest type would reach {percent(commonest)}" if commonest else ""
        said.append(
            f"Labels carry over for {percent(scores['label_acc'])} of the labelled cells{several}, by a vote "
            f"of each cell's neighbours in the other modality{guess}."
        )
    return said


def _of_mixing(value: float) -> str:
    if value >= 0.9:
        lead = "The modalities are well mixed"
    elif value >= 0.7:
        lead = "The modalities are mixed in part"
    else:
        lead = (
            "The modalities lie apart: see whether training had converged and whether the guidance graph fits"
        )
    return f"{lead} (Seurat alignment score {value:.2f}; 0 is apart, 1 is mixed)"


def _of_matches(value: float) -> str:
    if value < 0.05:
        lead = "Counterparts lie very close"
    elif value < 0.15:
        lead = "Counterparts lie close"
    elif value < 0.35:
        lead = "Counterparts lie nearer than chance, yet not side by side"
    else:
        lead = "Counterparts lie hardly nearer than chance"
    return (
        f"{lead}: {percent(value)} of the other modality's cells are nearer to the average cell than the "
        "cell of its own name (chance is 50 %)"
    )


def percent(value: float) -> str:
    """Write a share in per cent.

    Examples
    --------
    >>> percent(0.2096), percent(0.0002)
    ('21.0 %', 'under 0.1 %')
    """
    if 0 < value < 0.0005:
        return "under 0.1 %"
    return f"{100 * value:.1f} %"


def size(count: float) -> str:
    """Write a number of bytes.

    Examples
    --------
    >>> size(3 * 2**30)
    '3.0 GiB'
    """
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def duration(seconds: float) -> str:
    """Write a time.

    Examples
    --------
    >>> duration(3725), duration(75.2), duration(2.34)
    ('1 h 2 min', '1 min 15 s', '2.3 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def flat(options: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Write nested options as lines of name and value.

    Examples
    --------
    >>> flat({"a": {"b": 1}, "c": None, "d": [1, 2]})
    [('a.b', '1'), ('c', 'not set'), ('d', '1, 2')]
    """
    lines: list[tuple[str, str]] = []
    for key, value in options.items():
        if isinstance(value, Mapping) and value:
            lines += flat(value, f"{prefix}{key}.")
        else:
            lines.append((f"{prefix}{key}", _written(value)))
    return lines


def _written(value: Any) -> str:
    if value is None or value == {}:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_written(each) for each in value) or "none"
    return f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
