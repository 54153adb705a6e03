"""Methylation in a run: by rate, with signs, beside genes and regions."""

from __future__ import annotations

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.datasets import SimulatedData, simulate
from omicsglue.errors import GraphError, InputError
from omicsglue.pipeline.link_roles import detected, layers_of
from omicsglue.pipeline.methylation import is_methylation, layers_of_reads
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, build_graph, prepare, read_inputs
from omicsglue.pipeline.represent import represent, select
from omicsglue.pp import hypomethylation_score, methylation_pca, select_methylation
from whole_runs import quick

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")
GENES = ("gene_name", "chrom", "start", "end", "strand")


@pytest.fixture(scope="module")
def simulated() -> SimulatedData:
    return simulate(
        120, seed=1, types=3, rare_share=0.2, genes=60, peaks=150, modalities=("rna", "atac", "methylation")
    )


@pytest.fixture(scope="module")
def annotation(simulated: SimulatedData) -> pd.DataFrame:
    return simulated.truth.genes.rename_axis("gene_name").reset_index().assign(gene_type="protein_coding")


def options(**values: Any) -> IntegrateOptions:
    return IntegrateOptions.from_values(values)


def gene_bodies(simulated: SimulatedData, mark: str = "mCG", middle: str = "_", **columns: Any) -> ad.AnnData:
    """The simulated methylation, described as tables of calls are when they are added up."""
    adata = simulated.modalities["methylation"].copy()
    genes = [name.removesuffix("_mCG") for name in adata.var_names]
    adata.var = pd.DataFrame(
        {"gene_name": genes, "context": mark, "region": "gene_body", **columns},
        index=[f"{gene}{middle}{mark}" for gene in genes],
    )
    return adata


def prepared(annotation: pd.DataFrame, modalities: dict[str, ad.AnnData], **values: Any) -> Prepared:
    chosen = options(**values)
    return prepare(read_inputs(modalities, chosen), annotation, None, chosen)


def signs(found: Prepared, name: str) -> set[int]:
    edges = found.graph.to_frame()
    return set(edges.loc[edges["target"].isin(found.modalities[name].var_names), "sign"])


def test_methylation_is_known_by_likelihood_or_context(simulated: SimulatedData) -> None:
    plain, described = simulated.modalities["methylation"], gene_bodies(simulated)
    assert not is_methylation("meth", plain, options())
    assert is_methylation("meth", plain, options(likelihood={"meth": "betabinomial"}))
    assert is_methylation("meth", described, options())
    assert not is_methylation("meth", gene_bodies(simulated, context="tumour"), options())
    assert layers_of_reads("meth", plain, options()) is None
    assert layers_of_reads("meth", described, options()) == (None, "coverage")
    described.layers["score"] = 2 * described.layers["coverage"]
    assert layers_of_reads("meth", described, options(layer={"meth": "score"})) == (None, "coverage")
    beta = options(likelihood={"meth": "betabinomial"}, layer={"meth": "score"})
    assert layers_of_reads("meth", described, beta) == ("score", "coverage")


def test_contexts_and_promoters_are_linked_to_their_genes_with_sign_minus_one(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    bodies, promoters = gene_bodies(simulated), gene_bodies(simulated, middle="_promoter_", region="promoter")
    both = ad.concat([bodies, promoters], axis=1, merge="same")
    both.var = pd.concat([bodies.var, promoters.var])
    modalities = {
        "mcg": both,
        "rna": simulated.rna.copy(),
        "mch": gene_bodies(simulated, mark="mCH"),
        "atac": simulated.atac.copy(),
    }
    found = prepared(annotation, modalities)
    edges = found.graph.to_frame()
    rna = found.modalities["rna"]
    modelled = rna.var_names[rna.var["highly_variable"]]
    assert signs(found, "mcg") == signs(found, "mch") == {-1}
    assert signs(found, "atac") == {1}
    for name, linked in (("mcg", both), ("mch", modalities["mch"])):
        mine = edges[edges["target"].isin(linked.var_names)]
        assert len(mine) == linked.var["gene_name"].isin(modelled).sum() > 50
        assert (linked.var.loc[mine["target"], "gene_name"].to_numpy() == mine["source"].to_numpy()).all(), (
            name
        )
    said = "\n".join(found.notes)
    assert "mcg: 120 features have sign -1 and 0 have +1 (methylation falls where" in said
    assert "--likelihood mch=betabinomial takes coverage into account" in said
    assert found.modalities["mcg"].uns["omicsglue"]["representation"] == "X_pca"


def test_places_of_its_own_do_not_part_a_promoter_from_its_gene(simulated: SimulatedData) -> None:
    rna = simulated.rna.copy()
    places = simulated.truth.genes[["chrom", "start", "end", "strand"]]
    rna.var = places.loc[rna.var_names]
    promoters = gene_bodies(simulated, middle="_promoter_", region="promoter")
    own = places.loc[promoters.var["gene_name"]].assign(
        end=lambda table: table["start"], start=lambda table: np.maximum(table["start"] - 900, 0)
    )
    for column in own:
        promoters.var[column] = own[column].to_numpy()
    found = prepared(None, {"rna": rna, "meth": promoters})  # type: ignore[arg-type]
    edges = found.graph.to_frame()
    assert len(edges) > 50
    assert (edges["target"] == edges["source"] + "_promoter_mCG").all()


def test_bins_are_linked_by_place(simulated: SimulatedData, annotation: pd.DataFrame) -> None:
    bins = gene_bodies(simulated)
    table = simulated.truth.genes.iloc[: bins.n_vars]
    bins.var = pd.DataFrame(
        {"chrom": table["chrom"], "start": table["start"], "end": table["end"], "strand": "."}
        | {"context": "mCG", "region": "bin"}
    )
    bins.var_names = [f"{row.chrom}:{row.start}-{row.end}_mCG" for row in table.itertuples()]
    found = prepared(annotation, {"rna": simulated.rna.copy(), "meth": bins})
    edges = found.graph.to_frame()
    assert signs(found, "meth") == {-1}
    assert len(edges) >= bins.n_vars  # each lies on its own gene at least
    assert "X_pca" in found.modalities["meth"].obsm
    assert "X_lsi" not in found.modalities["meth"].obsm


def test_a_column_of_signs_and_the_option_come_before(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    rna = simulated.rna
    each = np.resize([1, -1], rna.n_vars)
    meth = gene_bodies(simulated, sign=each)
    found = prepared(annotation, {"rna": rna.copy(), "meth": meth.copy()})
    edges = found.graph.to_frame()
    assert (meth.var.loc[edges["target"], "sign"].to_numpy() == edges["sign"].to_numpy()).all()
    assert "have +1 (column sign of var)" in found.notes[0]
    chosen = prepared(annotation, {"rna": rna.copy(), "meth": meth.copy()}, sign={"meth": 1})
    assert signs(chosen, "meth") == {1}
    peaks = simulated.atac.copy()
    peaks.var["sign"] = -1
    assert signs(prepared(annotation, {"rna": rna.copy(), "atac": peaks}), "atac") == {-1}
    meth.var["sign"] = np.where(each == 1, 0, -1)
    with pytest.raises(InputError, match=r"meth.var\['sign'\]: 30 of 60 features have a sign other than 1"):
        prepared(annotation, {"rna": rna.copy(), "meth": meth})


def test_scores_of_hypomethylation_rise_with_the_gene(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    meth = gene_bodies(simulated)
    hypomethylation_score(meth, cutoff=1)
    layer = {"layer": {"meth": "hypomethylation"}}
    found = prepared(annotation, {"rna": simulated.rna.copy(), "meth": meth}, **layer)
    assert signs(found, "meth") == {1}
    # the encoder sees rates, the links are those of the scores
    assert layers_of_reads("meth", meth, options(**layer)) == (None, "coverage")
    assert layers_of(found.modalities["meth"], "meth") == ("hypomethylation", None)


def test_without_expression_accessibility_is_linked_to_methylation(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    found = prepared(annotation, {"meth": gene_bodies(simulated), "atac": simulated.atac.copy()})
    assert signs(found, "atac") == {-1}
    regions = {"meth": gene_bodies(simulated), "atac": simulated.atac}
    with pytest.raises(GraphError, match="no modality holds genes"):
        build_graph(regions, dict.fromkeys(regions, "regions"), options())


def test_beta_binomial_modalities_go_by_rates(simulated: SimulatedData) -> None:
    beta = options(likelihood={"meth": "betabinomial"}, n_genes=30)
    found, direct = (simulated.modalities["methylation"].copy() for _ in range(2))
    select("meth", found, "genes", beta)
    assert represent("meth", found, "genes", beta) == "X_pca"
    mask = select_methylation(direct, 30)
    assert np.array_equal(found.var["highly_variable"], mask)
    assert np.array_equal(found.obsm["X_pca"], methylation_pca(direct, 100, features=mask))
    del found.layers["coverage"]
    with pytest.raises(InputError, match="meth, select_methylation: there is no layer 'coverage'"):
        select("meth", found, "genes", beta)


def test_a_run_says_how_methylation_is_taken(
    simulated: SimulatedData, annotation: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    from omicsglue.training.progress import JsonLines

    done = quick(
        {"rna": simulated.rna, "meth": gene_bodies(simulated)},
        annotation=annotation,
        max_epochs=1,
        reporter=JsonLines(),
    )
    assert "meth: 60 features have sign -1" in capsys.readouterr().err
    assert np.isfinite(done.modalities["meth"].obsm["X_glue"]).all()


@pytest.mark.slow
def test_a_beta_binomial_run_ends_with_types_and_signs(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    meth = gene_bodies(simulated)
    beta = {"meth": "betabinomial"}
    done = quick({"rna": simulated.rna, "meth": meth}, annotation=annotation, likelihood=beta, max_epochs=10)
    edges = done.graph.to_frame()
    assert set(edges.loc[edges["target"].isin(meth.var_names), "sign"]) == {-1}
    assert done.modalities["meth"].uns["omicsglue"]["likelihood"] == "betabinomial"
    embedding = done.modalities["meth"].obsm["X_glue"]
    types = meth.obs["cell_type"].astype(str).to_numpy()
    distance = np.square(embedding[:, None] - embedding).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    chance = pd.Series(types).value_counts(normalize=True).max()
    assert (types[distance.argmin(axis=1)] == types).mean() > chance + 0.2


def test_links_of_a_run_take_the_reads_of_methylation(
    simulated: SimulatedData, annotation: pd.DataFrame
) -> None:
    meth = gene_bodies(simulated)
    found = prepared(annotation, {"rna": simulated.rna.copy(), "meth": meth})
    assert layers_of(found.modalities["meth"], "meth") == (None, "coverage")
    assert layers_of(found.modalities["rna"], "rna") == (None, None)
    covering = detected(found.modalities["meth"], "meth", pd.DataFrame({"target": meth.var_names[:5]}))
    expected = (meth.layers["coverage"][:, :5] > 0).sum(axis=0)
    assert covering["n_cells"].tolist() == np.asarray(expected).ravel().tolist()
