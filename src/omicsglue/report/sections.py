"""The sections of the report: facts and pictures, each from what the run folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsglue import keys
from omicsglue.pl.cells import MODALITY, JointCells, umap_coordinates
from omicsglue.pl.curves import curve, panels_of
from omicsglue.pl.histograms import balancing_weights, edge_distances
from omicsglue.pl.scatter import Group, scatter
from omicsglue.report.figures import Picture, draw
from omicsglue.report.wording import flat, percent
from omicsglue.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_IDLE = 0.01  # balancing weight of cells that hardly count
_LISTED = 200  # names spelled out in a list that opens
_MODALITY_FACTS = ("features_in_graph", "cells", "features", "unmatched")


@dataclass(frozen=True)
class Modality:
    """What is said of one modality.

    Parameters
    ----------
    name
        Of the modality.
    cells, features
        Its size.
    in_graph
        Features in the guidance graph, where known.
    unmatched
        Names of features without coordinates or edges: how many, and the first of them.
    facts
        Further lines of name and value: likelihood, layer, representation.
    """

    name: str
    cells: int
    features: int
    in_graph: int | None
    unmatched: int
    unmatched_names: list[str]
    facts: list[tuple[str, str]]


def modalities(folder: RunFolder, record: Mapping[str, Any]) -> list[Modality]:
    """Return what is said of each modality, in the order of the run."""
    said = []
    for name in folder.names():
        told = record.get("modalities", {}).get(name, {})
        unmatched = [str(each) for each in told.get("unmatched") or []]
        said.append(
            Modality(
                name=name,
                cells=len(folder.obs(name)),
                features=len(folder.var(name)),
                in_graph=told.get("features_in_graph"),
                unmatched=len(unmatched),
                unmatched_names=unmatched[:_LISTED],
                facts=flat({key: value for key, value in told.items() if key not in _MODALITY_FACTS}),
            )
        )
    return said


def options(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the options as lines of name and value."""
    return flat(record.get("options", {}))


def maps(
    cells: JointCells, labels: pd.Series[Any] | None, batches: str | Mapping[str, str] | None, *, seed: int
) -> list[Picture]:
    """Draw the UMAP by modality, by label and by batch, as far as these are known."""
    if len(cells) < 5:
        return []
    coordinates = umap_coordinates(cells.embedding, seed=seed)
    wanted: list[tuple[str, str, pd.Series[Any]]] = [(MODALITY, "By modality", cells.column(MODALITY))]
    if labels is not None:
        wanted.append(("label", "By cell type", labels.astype(object)))
    if batches is not None:
        wanted.append(
            ("batch", "By batch", cells.column(batches).map(str, na_action="ignore").astype(object))
        )
    drawn = []
    for name, title, values in wanted:
        legend: list[Group] = []

        def make(values: pd.Series[Any] = values, legend: list[Group] = legend) -> Figure:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(5, 4.6), layout="constrained")
            axes = figure.subplots()
            legend += scatter(axes, coordinates, values, seed=seed)
            return figure

        alt = f"UMAP of {len(cells):,} cells coloured {title.lower()}"
        drawn.append(Picture(title, draw(f"map-{name}", alt, make), legend=legend))
    return drawn


def curves(folder: RunFolder) -> list[Picture]:
    """Draw the losses over the epochs, one picture a kind of loss; none where there is no history."""
    if not folder.history_file.is_file():
        return []
    history = folder.history()
    drawn: list[Picture] = []
    if history.empty:
        return drawn
    for number, panel in enumerate(panels_of(history)):

        def make(panel: Any = panel) -> Figure:
            from matplotlib.figure import Figure

            figure = Figure(figsize=(4.8, 3.0), layout="constrained")
            curve(figure.subplots(), history, panel)
            return figure

        alt = f"{panel.title} over {len(history)} epochs: {', '.join(panel.columns)}"
        drawn.append(Picture("", draw(f"curve-{number}", alt, make)))
    return drawn


def stages(folder: RunFolder) -> list[dict[str, Any]]:
    """Return how many epochs and steps each stage took, and how long."""
    if not folder.history_file.is_file():
        return []
    history = folder.history()
    return [
        {
            "name": str(name),
            "epochs": len(part),
            "steps": int(part["steps"].sum()) if "steps" in part else None,
            "seconds": float(part["seconds"].sum()) if "seconds" in part else None,
        }
        for name, part in history.groupby("stage", sort=False)
    ]


def graph(folder: RunFolder) -> dict[str, Any] | None:
    """Return what is said of the guidance graph; ``None`` where the run holds none."""
    if not folder.graph.is_file():
        return None
    edges = folder.edges()
    kind, sign = edges[keys.KIND].astype(str), np.where(edges[keys.SIGN] > 0, "+", "\u2212")
    lines = [
        {
            "kind": str(name[0]),
            "sign": str(name[1]),
            "edges": len(part),
            "weight": float(part[keys.WEIGHT].mean()),
            "distance": float(part[keys.DISTANCE].abs().median())
            if part[keys.DISTANCE].notna().any()
            else None,
        }
        for name, part in edges.groupby([kind, sign])
    ]
    apart = int((edges[keys.DISTANCE].abs() > 0).sum())
    picture = None
    if apart:
        alt = f"Histogram of the genomic distances that {apart:,} edges span"
        picture = Picture("", draw("distances", alt, lambda: edge_distances(edges)))
    return {
        "edges": len(edges),
        "vertices": len(pd.unique(pd.concat([edges[keys.SOURCE], edges[keys.TARGET]]).astype(str))),
        "lines": lines,
        "apart": apart,
        "picture": picture,
    }


def weights(folder: RunFolder) -> Picture | None:
    """Draw the balancing weights; ``None`` where the run holds none or all are alike."""
    found = {}
    for name in folder.names():
        table = folder.obs(name)
        if keys.BALANCING_WEIGHT in table:
            found[name] = table[keys.BALANCING_WEIGHT].to_numpy(dtype=float)
    if not found or all(np.ptp(each) < 1e-9 for each in found.values()):
        return None
    alt = "Histogram of the balancing weights of the cells of " + ", ".join(found)
    idle = ", ".join(f"{percent(float((each < _IDLE).mean()))} of {name}" for name, each in found.items())
    caption = f"Cells that hardly count, with a weight under {_IDLE}: {idle}."
    return Picture("", draw("weights", alt, lambda: balancing_weights(found)), caption=caption)
