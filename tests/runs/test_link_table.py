from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from links_table import make_links
from omicsglue.runs.link_table import gene_table, promoters


def test_gene_table_counts_by_hand():
    table = gene_table(make_links()).set_index("gene")
    assert list(table.index) == ["NA", "B gene", "C"]
    assert table["candidates"].tolist() == [3, 2, 2]
    assert table["links"].tolist() == [2, 1, 0]
    assert table["element"].tolist() == ["chr2:200-700", "chr10:31000-31500", "chr2:700-1200"]
    assert table["element_distance"].tolist() == [0, 0, 200]
    np.testing.assert_allclose(table["expected_regulators"], [1.8004, 1.0, 0.3])
    assert gene_table(make_links(), q_value=0.02).set_index("gene").loc["B gene", "links"] == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40))
def test_gene_table_agrees_with_a_loop(rows):
    links = pd.DataFrame(rows, columns=["source", "score", "q_value"])
    links = links.assign(
        target=[f"e{number}" for number in range(len(rows))], distance=range(len(rows)), sign=1
    )
    for row in gene_table(links).itertuples():
        mine = [each for each in links.itertuples() if each.source == row.gene]
        assert row.candidates == len(mine)
        assert row.links == sum(each.q_value < 0.1 for each in mine)
        assert row.element_score == max(each.score for each in mine)
        assert row.expected_regulators == pytest.approx(sum(each.score for each in mine))


def test_promoters_lie_upstream():
    start, end = promoters(make_links())
    assert list(zip(start, end, strict=True))[::3] == [(0, 1001), (29_999, 32_000), (400, 500)]
