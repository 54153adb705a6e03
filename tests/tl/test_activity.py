from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from linked import linked_data
from omicsglue.errors import InputError
from omicsglue.tl import link_activity


def test_activity_follows_the_accessibility_of_the_element() -> None:
    data = linked_data(1_500)
    counts = data.atac.X.toarray()
    strong = np.argsort(-counts.sum(axis=0))[:60]
    links = pd.DataFrame(
        {
            "source": "g",
            "target": data.atac.var_names[strong],
            "effect": np.where(np.arange(60) % 2, 0.5, -0.5),
        }
    )
    activity = link_activity(links, data.rna, data.atac, "cell_type")
    assert list(activity.columns) == sorted(data.atac.obs["cell_type"].unique())
    assert activity.index.get_level_values("target").tolist() == links["target"].tolist()
    share = pd.DataFrame(
        counts[:, strong] / counts.sum(axis=1, keepdims=True), index=data.atac.obs["cell_type"]
    )
    by_type = (
        np.log(share.groupby(level=0, observed=True).mean() + 1e-6).T.loc[:, activity.columns].to_numpy()
    )
    by_type -= by_type.mean(axis=1, keepdims=True)
    common = activity.columns.get_indexer([f"type{i}" for i in range(1, 6)])
    agreement = [
        np.corrcoef(a, b)[0, 1]
        for a, b in zip(activity.to_numpy()[:, common], by_type[:, common], strict=True)
    ]
    assert np.median(np.array(agreement)[1::2]) > 0.9
    assert np.median(np.array(agreement)[::2]) < -0.9  # a negative effect lowers where the element is open


def test_labels_may_be_in_one_modality_and_missing() -> None:
    data = linked_data()
    del data.atac.obs["cell_type"]
    data.rna.obs["cell_type"] = data.rna.obs["cell_type"].astype(object).where(np.arange(800) > 99)
    links = pd.DataFrame({"source": "g", "target": data.atac.var_names[:3], "effect": 1.0})
    activity = link_activity(links, data.rna, data.atac, "cell_type")
    assert activity.shape == (3, data.rna.obs["cell_type"].nunique())
    assert np.isfinite(activity.to_numpy()).all()


def test_unknown_columns_and_elements_are_told() -> None:
    data = linked_data(100)
    links = pd.DataFrame({"source": "g", "target": ["chr9:1-2"], "effect": 1.0})
    with pytest.raises(InputError, match="not in the data: chr9:1-2"):
        link_activity(links, data.rna, data.atac, "cell_type")
    with pytest.raises(InputError, match=r"a column 'celltype'[\s\S]*cell_type"):
        link_activity(links.assign(target=data.atac.var_names[0]), data.rna, data.atac, "celltype")
