"""Networks against known targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from omicsglue.errors import InputError, OptionError
from omicsglue.tl.tf_network import TFNetwork
from omicsglue.tl.tf_validation import read_tf_targets, validate_network


def known(rng: np.random.Generator) -> pd.DataFrame:
    pairs = [(f"T{t}", f"g{g}") for t in range(5) for g in rng.choice(60, 8, replace=False)]
    table = pd.DataFrame(pairs, columns=["tf", "target"])
    return table.assign(sign=rng.choice([-1, 0, 1], len(table)))


def network(rng: np.random.Generator, reference: pd.DataFrame, n_true: int, n_false: int) -> pd.DataFrame:
    true = reference.sample(n_true, random_state=1)
    false = pd.DataFrame({"tf": "T1", "target": [f"g{g}" for g in rng.choice(60, n_false, replace=False)]})
    edges = pd.concat([true, false]).drop_duplicates(["tf", "target"]).reset_index(drop=True)
    weight = np.where(edges["sign"].fillna(1) < 0, -1, 1) * (0.1 + 0.9 * rng.random(len(edges)))
    return edges.assign(weight=weight, support=np.where(edges.index < 10, "links", "promoter"))


def test_figures_are_those_of_the_judged_pairs() -> None:
    rng = np.random.default_rng(0)
    reference = known(rng)
    edges = network(rng, reference, 20, 10)
    genes = [f"g{g}" for g in range(60)]
    found = validate_network(edges, reference, tfs=[f"T{t}" for t in range(7)], genes=genes).set_index(
        "edges"
    )
    targets = sorted(set(reference["target"]))
    truth = pd.crosstab(reference["tf"], reference["target"]).reindex(columns=targets)
    weight = edges.pivot_table(index="tf", columns="target", values="weight")
    weight = weight.reindex(index=truth.index, columns=targets).fillna(0).abs().to_numpy()
    truth = truth.to_numpy() > 0
    row = found.loc["network"]
    n_true = int((truth & (weight > 0)).sum())
    assert row["n_edges"] == (weight > 0).sum()
    assert row["n_true"] == n_true
    assert row["precision"] == pytest.approx(n_true / (weight > 0).sum())
    assert row["recall"] == pytest.approx(n_true / truth.sum())
    assert row["aupr"] == pytest.approx(average_precision_score(truth.ravel(), weight.ravel()))
    table = pd.crosstab(truth.ravel(), weight.ravel() > 0).to_numpy()
    expected = stats.fisher_exact(table, alternative="greater")
    assert row["odds_ratio"] == pytest.approx(expected.statistic)
    assert row["p_value"] == pytest.approx(expected.pvalue)
    joined = edges.merge(reference, on=["tf", "target"]).query("sign_y != 0")
    assert row["sign_agreement"] == pytest.approx((np.sign(joined["weight"]) == joined["sign_y"]).mean())
    assert found.loc[["links", "promoter"], "n_edges"].sum() == row["n_edges"]
    assert np.isnan(found.loc["both", "precision"])


def test_random_networks_have_the_same_number_of_targets_for_each_tf() -> None:
    rng = np.random.default_rng(1)
    reference = known(rng)
    edges = network(rng, reference, 0, 40)  # all of T1: at random, a known target is met as often as they are
    row = validate_network(edges, reference, tfs=[f"T{t}" for t in range(5)], draws=1000).iloc[0]
    targets = set(reference["target"]) & set(edges["target"])
    share = len(set(reference.query("tf == 'T1'")["target"]) & targets) / len(targets)
    assert row["random_precision"] == pytest.approx(share, abs=0.01)
    assert row["random_recall"] == pytest.approx(
        row["random_precision"] * row["n_edges"] / row["n_true"] * row["recall"]
    )


def test_a_random_network_is_no_better_than_random() -> None:
    rng = np.random.default_rng(2)
    reference = known(rng)
    edges = pd.DataFrame([(f"T{t}", f"g{g}") for t in range(5) for g in rng.choice(60, 20, replace=False)])
    edges = edges.set_axis(["tf", "target"], axis=1).assign(weight=rng.random(100))
    row = validate_network(edges, reference).iloc[0]
    assert row["p_value"] > 0.01
    assert row["aupr"] == pytest.approx(row["random_aupr"], rel=0.3)


def test_names_of_man_and_mouse_meet() -> None:
    reference = pd.DataFrame({"tf": ["SPI1", "SPI1"], "target": ["NCF2", "LYZ"]})
    edges = pd.DataFrame({"tf": ["Spi1"], "target": ["Ncf2"], "weight": [0.5]})
    regulators = pd.DataFrame({"tf": ["Spi1", "Gata1"]})
    row = validate_network(TFNetwork(edges, regulators, ("Ncf2", "Lyz", "Actb")), reference).iloc[0]
    assert row[["n_edges", "n_true", "precision", "recall"]].tolist() == [1, 1, 1, 0.5]
    assert np.isnan(row["sign_agreement"])


def test_what_cannot_be_used(tmp_path: Path) -> None:
    edges = pd.DataFrame({"tf": ["A"], "target": ["b"], "weight": [1.0]})
    with pytest.raises(InputError, match="none of the 1 known pairs"):
        validate_network(edges, pd.DataFrame({"tf": ["X"], "target": ["b"]}))
    with pytest.raises(InputError, match="network: no column weight"):
        validate_network(edges.drop(columns="weight"), edges)
    with pytest.raises(OptionError, match="draws"):
        validate_network(edges, edges, draws=0)
    (tmp_path / "one.tsv").write_text("A\nB\n")
    with pytest.raises(InputError, match="one column"):
        read_tf_targets(tmp_path / "one.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        read_tf_targets(tmp_path / "none.tsv")


def test_modes_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text(
        "A\tx\tActivation\t1\nA\ty\tRepression\t1\nA\tx\tUnknown\t2\nB\tx\tActivation\t1\nB\tx\tRepression\t2\n"
    )
    found = read_tf_targets(path)
    assert found.to_numpy().tolist() == [["A", "x", 1], ["A", "y", -1], ["B", "x", 0]]
    path.write_text("A\tx\n")
    assert read_tf_targets(path)["sign"].tolist() == [0]


@pytest.mark.data
def test_trrust_is_read(shared_data: Path) -> None:
    found = read_tf_targets(shared_data / "evidence" / "trrust_v2_mouse.tsv.gz")
    assert not found.duplicated(["tf", "target"]).any()
    assert 6000 < len(found) < 7057
    assert set(found["sign"]) == {-1, 0, 1}
    assert len(found.query("tf == 'Spi1' and target == 'Csf1r' and sign == 1")) == 1
