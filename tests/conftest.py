"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# Before the libraries are loaded: small things are slower on several threads
for variable in ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

settings.register_profile("any-machine", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("any-machine")

if TYPE_CHECKING:
    from anndata import AnnData

    from omicsglue import GLUE


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data sets kept beside the project, or skip."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the real data sets (../shared/data) are not on this machine")
    return folder


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Compute small things on one thread, also where a library has changed the number for the process."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def small_pair() -> dict[str, AnnData]:
    """Return set-up RNA and ATAC of 160 simulated cells; not to be changed."""
    import torch

    from small import small_modalities

    torch.set_num_threads(1)
    return small_modalities()


@pytest.fixture(scope="session")
def small_model(small_pair: dict[str, AnnData]) -> GLUE:
    """Return a model of the small pair, trained long enough to align it; not to be changed."""
    from small import quick_recipe, trained

    return trained(small_pair, quick_recipe(40))


@pytest.fixture(scope="session")
def brief_model(small_pair: dict[str, AnnData]) -> GLUE:
    """Return a model of the small pair, trained for an epoch; not to be changed."""
    from small import quick_recipe, trained

    return trained(small_pair, quick_recipe(1))
