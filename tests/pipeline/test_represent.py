"""Selection and representation of a run, of counts that stay on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from anndata.abc import CSRDataset

from counts_on_disk import FORMATS, named, on_disk
from omicsglue.pipeline.coordinates import GENES, REGIONS, Kind
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.represent import represent, select
from omicsglue.pp import blocks

CELLS, FEATURES = 200, 150


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("kind", "key", "passes"), [(GENES, "X_pca", 2 + 3), (REGIONS, "X_lsi", 6)])
def test_what_is_on_disk_is_prepared_like_what_is_in_memory(
    kind: Kind, key: str, passes: int, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    profile = (rng.gamma(0.4, 1.0, (4, FEATURES)) + 0.05)[np.arange(CELLS) % 4]
    memory = named(rng.poisson(2 * profile).astype(np.float32))
    options = IntegrateOptions(n_genes=60, n_components=10)
    select("one", memory, kind, options)
    assert represent("one", memory, kind, options) == key
    read: list[int] = []
    inner = blocks._read
    monkeypatch.setattr(blocks, "ON_DISK_BYTES", 0)
    monkeypatch.setattr(blocks, "_read", lambda *at: read.append(at[3] - at[2]) or inner(*at))
    with on_disk(memory, tmp_path, form) as stored:
        del stored.var["highly_variable"]
        select("one", stored, kind, options)
        assert represent("one", stored, kind, options) == key
        assert isinstance(stored.X, CSRDataset)
        found, selected = stored.obsm[key], stored.var["highly_variable"]
    assert sum(read) == passes * CELLS
    assert selected.equals(memory.var["highly_variable"])
    signs = np.sign((found * memory.obsm[key]).sum(axis=0))
    np.testing.assert_allclose(found * signs, memory.obsm[key], atol=0.03 * found.std())
