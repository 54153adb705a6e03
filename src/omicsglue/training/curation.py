"""What becomes of the data before a stage trains on them: labels that are borne out, cells made metacells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from omicsglue.data.aggregate import aggregated
from omicsglue.data.labels import supported_labels
from omicsglue.data.modality import ModalityData
from omicsglue.training.progress import Reporter
from omicsglue.training.state import StageData


def with_supported_labels(
    modalities: Mapping[str, ModalityData], neighbours: int, reporter: Reporter
) -> dict[str, ModalityData]:
    """Return the modalities without labels that a cell's neighbours speak against.

    Parameters
    ----------
    modalities
        The data.
    neighbours
        As for :func:`~omicsglue.data.labels.supported_labels`.
    reporter
        Hears how many labels are left out.
    """
    found = {}
    for name, cells in modalities.items():
        label = supported_labels(cells.label, cells.inputs, neighbours)
        before, after = (int((codes >= 0).sum()) for codes in (cells.label, label))
        if after < before:
            reporter.message(
                f"{name}: {before - after:,} of {before:,} labels are not borne out by the nearest labelled "
                "cells, and are left out"
            )
        found[name] = cells if label is cells.label else replace(cells, label=label)
    return found


def on_metacells(data: StageData, number: int, validation: float, seed: int) -> StageData:
    """Return metacells of the cells that train, as data of a stage of their own.

    They are the same for the same seed, so that a run that goes on from a checkpoint makes them anew. The
    cells held out are in none of them. Pairs of cells are lost: a metacell has no partner.

    Parameters
    ----------
    data
        Cells, and which of them train.
    number
        Metacells of each modality at most; 0 returns the data as they are.
    validation
        Share of the metacells held out.
    seed
        Seed of the grouping and of what is held out.
    """
    if not number:
        return data
    modalities = {
        name: aggregated(cells, number, seed, rows=data.splits[name].train)[0]
        for name, cells in data.modalities.items()
    }
    return StageData.split(modalities, data.graph, validation, seed)
