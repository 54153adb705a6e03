from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from omicsglue.errors import InputError, OptionError
from omicsglue.tl.evaluation import evaluate_links


def problem(seed: int, n: int = 400) -> tuple[pd.DataFrame, pd.Series]:
    rng = np.random.default_rng(seed)
    links = pd.DataFrame(
        {
            "source": rng.choice([f"g{i}" for i in range(20)], n),
            "target": [f"e{i}" for i in range(n)],
            "distance": rng.integers(0, 150_001, n),
            "score": rng.normal(size=n).round(1),
        },
        index=rng.permutation(n) + 7,
    )
    return links, pd.Series(rng.random(n) < 0.3, index=links.index)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_overall_and_by_distance_as_sklearn_has_it(seed: int) -> None:
    links, truth = problem(seed)
    found = evaluate_links(links, truth, by_distance=(0, 50_000, 150_000), all_genes=True)
    assert found["stratum"].tolist() == ["all", "0-50 kb", "50-150 kb"]
    near = links["distance"] < 50_000
    for (_, row), at in zip(found.iterrows(), (near | True, near, ~near), strict=True):
        assert (row["n"], row["positives"]) == (at.sum(), truth[at].sum())
        assert row["auroc"] == pytest.approx(roc_auc_score(truth[at], links["score"][at]))
        expected = average_precision_score(truth[at], links["score"][at])
        assert row["average_precision"] == pytest.approx(expected)


def test_a_table_of_true_links_says_the_same_as_one_value_a_pair() -> None:
    links, truth = problem(1)
    table = links.loc[truth, ["source", "target"]].sample(frac=1, random_state=0)
    more = pd.concat([table, pd.DataFrame({"source": ["g1", "other"], "target": ["other", "e1"]})])
    pd.testing.assert_frame_equal(evaluate_links(links, truth), evaluate_links(links, more))


def test_genes_without_a_true_link_are_left_out_unless_asked_for() -> None:
    links, truth = problem(2)
    truth &= links["source"] != "g3"
    assert evaluate_links(links, truth)["n"].iloc[0] == (links["source"] != "g3").sum()
    assert evaluate_links(links, truth, all_genes=True)["n"].iloc[0] == len(links)


def test_pairs_that_were_not_tested_are_left_out() -> None:
    links, truth = problem(3)
    tested = truth.astype("boolean").mask(links["distance"] > 100_000)
    inside = links["distance"] <= 100_000
    found = evaluate_links(links, tested, all_genes=True)
    pd.testing.assert_frame_equal(
        found.iloc[:5], evaluate_links(links[inside], truth[inside], all_genes=True).iloc[:5]
    )
    assert found["n"].iloc[5] == 0


def test_pairs_without_score_rank_last_and_ties_count_half() -> None:
    links, truth = problem(4)
    assert evaluate_links(links.assign(score=1.0), truth)["auroc"].iloc[0] == 0.5
    lost = links.assign(score=links["score"].mask(truth))
    assert evaluate_links(lost, truth)["auroc"].iloc[0] == 0.0
    infinite = links.assign(score=np.where(truth, np.inf, -1.0))
    assert evaluate_links(infinite, truth)["auroc"].iloc[0] == 1.0


def test_strata_of_one_kind_have_no_score_and_limits_belong_to_one_stratum() -> None:
    links = pd.DataFrame(
        {"source": "g", "target": list("abcd"), "distance": [0, 10, 20, 30], "score": [4, 3, 2, 1]}
    )
    truth = pd.Series([True, False, False, False])
    found = evaluate_links(links, truth, by_distance=(0, 10, 30))
    assert found["n"].tolist() == [4, 1, 3]
    assert found["auroc"].isna().tolist() == [False, True, True]
    assert found["stratum"].tolist() == ["all", "0-0.01 kb", "0.01-0.03 kb"]


def test_several_scores_come_one_after_another() -> None:
    links, truth = problem(5)
    found = evaluate_links(
        links.assign(other=-links["score"]), truth, scores=("score", "other"), by_distance=()
    )
    assert found["method"].tolist() == ["score", "other"]
    assert found["auroc"].sum() == pytest.approx(1)


def test_refusals() -> None:
    links, truth = problem(6)
    with pytest.raises(InputError, match="did you mean 'score'"):
        evaluate_links(links, truth, scores=["scor"])
    with pytest.raises(InputError, match="another index"):
        evaluate_links(links, truth.reset_index(drop=True))
    with pytest.raises(InputError, match="none of the pairs"):
        evaluate_links(links, truth & False)
    with pytest.raises(InputError, match="none of the pairs"):
        evaluate_links(links, pd.DataFrame({"source": ["x"], "target": ["y"]}))
    with pytest.raises(InputError, match="no column target"):
        evaluate_links(links, pd.DataFrame({"source": ["x"]}))
    with pytest.raises(InputError, match="it holds"):
        evaluate_links(links, links["score"])
    with pytest.raises(OptionError, match="do not rise"):
        evaluate_links(links, truth, by_distance=(0, 5, 5))
