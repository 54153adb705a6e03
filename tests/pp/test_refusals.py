"""What both representations refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.pp import lsi, pca

Representation = Callable[..., Any]
both = pytest.mark.parametrize("represent", [lsi, pca])


@pytest.fixture
def counts() -> np.ndarray:
    return np.random.default_rng(0).poisson(1.0, size=(30, 40)).astype(np.float32)


@both
@pytest.mark.parametrize(
    ("value", "said"), [(-1.0, "negative values, down to -1"), (np.nan, "NaN"), (np.inf, "infinite")]
)
def test_what_are_no_counts_is_refused(
    represent: Representation, counts: np.ndarray, value: float, said: str
) -> None:
    counts[4, 5] = value
    adata = ad.AnnData(sp.csr_matrix(counts))
    with pytest.raises(InputError, match=said):
        represent(adata)
    assert not adata.obsm


@both
def test_fewer_than_two_components_and_missing_layers_are_refused(
    represent: Representation, counts: np.ndarray
) -> None:
    with pytest.raises(OptionError, match="n_components is 1"):
        represent(ad.AnnData(counts), 1)
    with pytest.raises(InputError, match="nowhere"):
        represent(ad.AnnData(counts), layer="nowhere")
