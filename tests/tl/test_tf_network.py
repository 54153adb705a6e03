"""Networks of TFs on data whose regulation is known."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError
from omicsglue.genome.binding import BindingSites
from omicsglue.io import read_parquet
from omicsglue.tl.coexpression import Coexpression
from omicsglue.tl.tf_modules import Pruned, coexpressed, edge_table, prune
from omicsglue.tl.tf_network import EDGE_COLUMNS, TFNetwork, tf_target_network

N_GENES, N_FACTORS, PER_GENE = 90, 30, 6
UP, DOWN, LURE = "Tf0", "Tf1", "Tf2"  # activator, repressor, and one that is coexpressed but binds anywhere


@dataclass(frozen=True)
class Problem:
    """Genes 0-23 are targets of UP (of these, 16-23 by their promoter), 24-47 of DOWN, 48-71 follow LURE."""

    links: pd.DataFrame
    expression: pd.DataFrame
    binding: BindingSites
    genes: list[str]


def link_table(rng: np.random.Generator, genes: list[str]) -> pd.DataFrame:
    source = np.repeat(np.arange(len(genes)), PER_GENE)
    body = 100_000 + 1_000_000 * source
    place = np.tile(np.arange(PER_GENE), len(genes))
    start = body + 5_000 + 10_000 * place
    linked = place < 2  # the first two elements of each gene regulate it
    return pd.DataFrame(
        {
            "source": np.array(genes, dtype=object)[source],
            "target": [f"peak{i}" for i in range(len(source))],
            "source_chrom": "chr1",
            "source_start": body,
            "source_end": body + 3_000,
            "source_strand": "+",
            "target_chrom": "chr1",
            "target_start": start,
            "target_end": start + rng.integers(300, 900, len(source)),
            "score": np.where(linked, 0.9, 0.1) + 0.05 * rng.random(len(source)),
            "q_value": np.where(linked, 0.01, 0.8),
        }
    )


def sites(rng: np.random.Generator, links: pd.DataFrame) -> BindingSites:
    element = links["target_start"].to_numpy()
    tss = links["source_start"].to_numpy()[::PER_GENE]
    rows = []
    for factor in range(N_FACTORS):
        anywhere = element[rng.random(len(element)) < 0.06]
        rows.append(pd.DataFrame({"start": anywhere + 100, "tf": f"TF{factor}"}))  # spelled as in man
        rows.append(pd.DataFrame({"start": tss[rng.random(N_GENES) < 0.06] + 50, "tf": f"TF{factor}"}))
    for factor, targets in ((0, range(16)), (1, range(24, 48))):
        planted = np.array([element[PER_GENE * gene + gene % 2] for gene in targets])
        rows.append(pd.DataFrame({"start": planted + 40, "tf": f"TF{factor}"}))
    near = np.concatenate([tss[16:24] - 100, tss[16:24] - 200])
    rows.append(pd.DataFrame({"start": near, "tf": "TF0"}))
    table = pd.concat(rows, ignore_index=True)
    table = table.assign(end=table["start"] + 12, chrom="1").astype({"tf": "category", "chrom": "category"})
    table["chrom"] = table["chrom"].cat.rename_categories(["chr1"])
    return BindingSites(table, "motifs")


def simulated(seed: int = 0, n_metacells: int = 80) -> Problem:
    rng = np.random.default_rng(seed)
    genes = [f"gene{i}" for i in range(N_GENES)]
    factors = rng.normal(size=(n_metacells, N_FACTORS))
    values = rng.normal(size=(n_metacells, N_GENES))
    values[:, :24] = 1.5 * factors[:, [0]] + 0.7 * values[:, :24]
    values[:, 24:48] = -1.5 * factors[:, [1]] + 0.7 * values[:, 24:48]
    values[:, 48:72] = 1.5 * factors[:, [2]] + 0.7 * values[:, 48:72]
    links = link_table(rng, genes)
    names = [*(f"Tf{i}" for i in range(N_FACTORS)), *genes]
    table = pd.DataFrame(np.hstack([factors, values]), columns=names)
    return Problem(links, table, sites(rng, links), genes)


@pytest.fixture(scope="module")
def problem() -> Problem:
    return simulated()


@pytest.fixture(scope="module")
def network(problem: Problem) -> TFNetwork:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omicsglue.tl.coexpression._TREES", 30)  # enough for strong effects
        return tf_target_network(problem.links, problem.expression, problem.binding, share=0.3, seed=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the square of the correlation stand for the importance, which takes no time."""

    def correlated(expression: np.ndarray, factors: np.ndarray, genes: np.ndarray, **_: int) -> Coexpression:
        correlation = np.corrcoef(expression.T)[np.ix_(factors, genes)]
        return Coexpression(correlation**2, correlation)

    monkeypatch.setattr("omicsglue.tl.tf_network.coexpression", correlated)


def targets(network: TFNetwork, tf: str) -> set[int]:
    return {int(name[4:]) for name in network.edges.query("tf == @tf")["target"]}


def test_known_targets_are_recovered(network: TFNetwork) -> None:
    found = targets(network, UP)
    assert len(found & set(range(24))) >= 18
    assert len(found - set(range(24))) <= 2
    found = targets(network, DOWN)
    assert len(found & set(range(24, 48))) >= 18
    assert len(found - set(range(24, 48))) <= 2


def test_coexpression_without_binding_makes_no_target(network: TFNetwork) -> None:
    assert targets(network, LURE) == set()
    others = set(network.edges["tf"]) - {UP, DOWN}
    assert len(others) <= 1
    tested = network.regulators.set_index("tf")["n_coexpressed"]
    assert tested[LURE] >= 20


def test_columns_say_what_supports_an_edge(network: TFNetwork) -> None:
    edges = network.edges
    assert list(edges.columns) == list(EDGE_COLUMNS)
    assert (edges.query("tf == @UP")["sign"] == 1).all()
    assert (edges.query("tf == @DOWN")["sign"] == -1).all()
    assert (np.sign(edges["weight"]) == edges["sign"]).all()
    assert edges["weight"].abs().max() <= 1
    assert (edges["nes"] >= 3).all()
    by_links = edges[edges["support"].isin(["links", "both"])]
    assert (by_links["n_bound"] >= 1).all()
    assert by_links["p_value"].between(0, 1, inclusive="right").all()
    support = edges.query("tf == @UP").set_index("target")["support"]
    assert {support[f"gene{i}"] for i in range(16, 24) if f"gene{i}" in support} <= {"promoter", "both"}
    assert not edges.duplicated(["tf", "target"]).any()
    for _, part in edges.groupby("tf"):
        assert part["weight"].abs().is_monotonic_decreasing
    assert network.genes == tuple(f"gene{i}" for i in range(N_GENES))


def test_shuffled_binding_finds_nothing(problem: Problem, quick: None) -> None:
    table = problem.binding.sites.copy()
    rng = np.random.default_rng(3)
    table["tf"] = pd.Categorical(rng.permutation(table["tf"].astype(str)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)
        found = tf_target_network(problem.links, problem.expression, BindingSites(table), share=0.3, seed=1)
    assert len(found.edges) <= 12


def test_files(network: TFNetwork, tmp_path: Path) -> None:
    network.to_parquet(tmp_path / "network.parquet")
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "network.parquet"), network.edges)
    missing = TFNetwork(network.edges.assign(p_value=np.nan), network.regulators, network.genes)
    missing.to_graphml(tmp_path / "network.graphml")
    graph = nx.read_graphml(tmp_path / "network.graphml")
    assert graph.number_of_edges() == len(network.edges)
    row = network.edges.iloc[0]
    edge = graph.edges[row["tf"], row["target"]]
    assert edge["weight"] == pytest.approx(row["weight"])
    assert edge["support"] == row["support"]
    assert "p_value" not in edge
    assert graph.nodes[row["tf"]]["kind"] == "tf"
    assert graph.nodes[row["target"]]["kind"] == "gene"


def test_decouplers_table(network: TFNetwork) -> None:
    table = network.to_decoupler()
    assert list(table.columns) == ["source", "target", "weight"]
    assert not table.duplicated(["source", "target"]).any()
    assert (table["weight"] == network.edges["weight"]).all()


# Parts


def test_modules_are_the_best_genes_of_either_direction() -> None:
    importance = np.array([[0.9, 0.8, 0.7, 0.6, 0.1, 0.0], [0, 0, 0, 0, 0, 0.2]])
    correlation = np.array([[1, -1, 1, -1, 1, 1], [1, 1, 1, 1, 1, -1.0]])
    modules = coexpressed(Coexpression(importance, correlation), 4 / 6, 1)
    assert modules.factor.tolist() == [0, 0, 1]
    assert modules.sign.tolist() == [1, -1, -1]
    assert modules.members.toarray().astype(int).tolist() == [
        [1, 0, 1, 0, 0, 0],
        [0, 1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert coexpressed(Coexpression(importance, correlation), 4 / 6, 2).factor.tolist() == [0, 0]


def test_edges_join_both_rankings() -> None:
    found = Coexpression(np.array([[0.1, 0.2, 0.3, 0.4]]), np.ones((1, 4)))
    modules = coexpressed(found, 1, 1)
    kept = np.array([[True, True, False, False]]), np.array([[False, True, True, False]])
    table = edge_table(modules, Pruned(np.array([5.0]), kept[0]), Pruned(np.array([4.0]), kept[1]), found)
    assert table["gene"].tolist() == [2, 1, 0]
    assert table["support"].tolist() == ["promoter", "both", "links"]
    assert table["nes"].tolist() == [4, 5, 5]


def test_nothing_is_kept_below_the_score() -> None:
    found = Coexpression(np.full((1, 40), 0.5), np.ones((1, 40)))
    modules = coexpressed(found, 1, 1)
    ranks = np.tile(np.arange(1.0, 41)[:, None], 5)
    assert not prune(modules, ranks, np.array([0]), 10, 3.0).kept.any()
    assert modules.members.shape == (1, 40)


# What cannot be used


def run(problem: Problem, **options: object) -> TFNetwork:
    given = {"links": problem.links, "expression": problem.expression, "binding": problem.binding, **options}
    return tf_target_network(**given)  # type: ignore[arg-type]  # faults are the point


@pytest.mark.parametrize(
    "option",
    [{"q_value": 0}, {"top_links": 0}, {"promoter": -1}, {"share": 2}, {"nes": 0}, {"min_targets": 0}],
)
def test_options(problem: Problem, option: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(option))):
        run(problem, **option)


def test_tables_that_do_not_fit(problem: Problem) -> None:
    with pytest.raises(InputError, match="no column q_value"):
        run(problem, links=problem.links.drop(columns="q_value"))
    with pytest.raises(InputError, match=r"q-value below 0\.001"):
        run(problem, q_value=0.001)
    with pytest.raises(InputError, match="none of the 90 genes"):
        run(problem, expression=problem.expression.add_suffix("x"))
    with pytest.raises(InputError, match="none of the 30 TFs"):
        run(problem, expression=problem.expression[problem.genes])
    with pytest.raises(InputError, match="twice: gene0"):
        run(problem, expression=problem.expression.rename(columns={"gene1": "gene0"}))
    with pytest.raises(InputError, match="no column gc"):
        run(problem, matching=["gc"])
    elements = pd.DataFrame({"chrom": "chr1", "start": [1], "end": [9]}, index=["peak0"])
    with pytest.raises(InputError, match="not in the table: peak1"):
        run(problem, elements=elements)
    with pytest.raises(OptionError, match="labels"):
        run(problem, expression=ad.AnnData(sparse.csr_matrix((3, 2))))


def test_too_few_tfs_to_tell(problem: Problem, quick: None) -> None:
    table = problem.binding.sites
    few = table[table["tf"].isin([f"TF{i}" for i in range(5)])].copy()
    few["tf"] = few["tf"].cat.remove_unused_categories()
    with pytest.warns(OmicsGlueWarning, match=r"5 of them none can be above 2\.00"):
        run(problem, binding=BindingSites(few))


def test_further_covariates_and_best_links(problem: Problem, quick: None) -> None:
    links = problem.links
    elements = pd.DataFrame(
        {
            "chrom": "chr1",
            "start": links["target_start"].to_numpy(),
            "end": links["target_end"].to_numpy(),
            "gc": np.random.default_rng(0).random(len(links)),
        },
        index=links["target"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)
        found = run(
            problem,
            links=links.drop(columns="q_value"),
            elements=elements,
            matching=["gc"],
            top_links=2,
            share=0.3,
        )
    assert len(targets(found, UP) & set(range(24))) > 10
