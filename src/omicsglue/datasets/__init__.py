"""Data to try things on: simulated multi-omics cells with known truth."""

from __future__ import annotations

from omicsglue.datasets.options import PRESETS, SimulationOptions
from omicsglue.datasets.simulate import SimulatedData, demo_data, iterate_blocks, simulate, simulate_from
from omicsglue.datasets.stream import write_streamed
from omicsglue.datasets.truth import SimulationTruth, draw_truth

__all__ = [
    "PRESETS",
    "SimulatedData",
    "SimulationOptions",
    "SimulationTruth",
    "demo_data",
    "draw_truth",
    "iterate_blocks",
    "simulate",
    "simulate_from",
    "write_streamed",
]
