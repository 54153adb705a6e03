"""RNA and surface protein: known as such, linked by name, seen as log-ratios, named apart from genes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.datasets import SimulatedData
from omicsglue.errors import GraphError, InputError, OptionError
from omicsglue.genome import ProteinReport
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, graph_of_all_features, prepare, read_inputs
from omicsglue.pipeline.proteins import holds_proteins
from omicsglue.pp import clr, pca, select_features
from omicsglue.runs import RunFolder
from whole_runs import quick, small_data

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")

PANEL = ["CD3", "CD4", "CD8a", "CD45RA", "CD45RO", "CD19", "CD56", "IgG1 isotype", "novel"]
GENES = ["CD3E", "CD3D", "CD4", "CD8A", "PTPRC", "CD19", "NCAM1"]


@pytest.fixture(scope="module")
def blood() -> dict[str, ad.AnnData]:
    """RNA whose first genes make the proteins of a panel of nine antibodies."""
    data = small_data(modalities=("rna", "protein"), proteins=len(PANEL))
    rna, adt = data.rna.copy(), data["protein"].copy()
    rna.var = pd.DataFrame(index=[*GENES, *rna.var_names[len(GENES) :]])
    adt.var = pd.DataFrame(index=PANEL)
    return {"rna": rna, "adt": adt}


@pytest.fixture(scope="module")
def simulated_proteins() -> SimulatedData:
    return small_data(modalities=("rna", "protein"), proteins=12)


def prepared(modalities: dict[str, Any], annotation: object = None, **options: Any) -> Prepared:
    chosen = IntegrateOptions.from_values(options)
    return prepare(read_inputs(modalities, chosen), annotation, None, chosen)  # type: ignore[arg-type]


def edges(found: Prepared) -> set[tuple[str, str]]:
    table = found.graph.to_frame()
    return set(zip(table["source"], table["target"], strict=True))


def test_rna_and_protein_need_neither_annotation_nor_places(blood: dict[str, ad.AnnData]) -> None:
    found = prepared(blood)
    assert edges(found) == {
        ("CD3E", "CD3"),
        ("CD3D", "CD3"),
        ("CD4", "adt:CD4"),
        ("CD8A", "CD8a"),
        ("PTPRC", "CD45RA"),
        ("PTPRC", "CD45RO"),
        ("CD19", "adt:CD19"),
        ("NCAM1", "CD56"),
    }
    adt = found.modalities["adt"]
    assert adt.uns["omicsglue"]["representation"] == "X_clr"
    assert adt.obsm["X_clr"].shape == (adt.n_obs, len(PANEL) - 1)  # the encoder sees the novel one too
    report = found.matches["adt"]
    assert isinstance(report, ProteinReport)
    assert report.isotypes == ("IgG1 isotype",)
    assert report.unmatched == ("novel",)
    assert report.renamed == {"CD4": "adt:CD4", "CD19": "adt:CD19"}
    assert "2 have the name of a gene and are called adt:CD4 for CD4" in str(report)
    assert list(blood["adt"].var_names) == PANEL  # the user's own is unchanged
    assert "X_clr" not in blood["adt"].obsm


def test_the_genes_of_proteins_are_modelled_however_little_they_vary(blood: dict[str, ad.AnnData]) -> None:
    few = prepared(blood, n_genes=3)
    assert edges(few) == edges(prepared(blood))
    modelled = few.modalities["rna"].var_names[few.modalities["rna"].var["highly_variable"]]
    assert set(modelled) == set(GENES)  # and no others: the encoder alone sees them


def test_the_encoder_sees_variable_genes_that_are_not_modelled(blood: dict[str, ad.AnnData]) -> None:
    rna = blood["rna"].copy()
    genes = select_features(rna, 30) | rna.var_names.isin(GENES)
    expected = pca(rna, features=genes)
    found = prepared(blood, n_genes=30)
    np.testing.assert_array_equal(found.modalities["rna"].obsm["X_pca"], expected)
    assert set(found.graph.vertices) == {*GENES, *found.matches["adt"].genes}  # type: ignore[union-attr]


def test_annotation_changes_nothing_for_proteins(blood: dict[str, ad.AnnData], folder: Path) -> None:
    assert edges(prepared(blood, folder / "genes.gtf.gz")) == edges(prepared(blood))


def test_peaks_beside_proteins(folder: Path) -> None:
    data = small_data(modalities=("rna", "atac", "protein"), proteins=12)
    given = {"adt": data["protein"], "atac": data.atac, "rna": data.rna}
    found = prepared(given, folder / "genes.gtf.gz", sign={"adt": -1})
    table = found.graph.to_frame()
    of_protein = table["target"].isin(data["protein"].var_names)
    truth = dict(zip(data.proteins["protein"], data.proteins["gene"], strict=True))
    assert dict(zip(table["target"][of_protein], table["source"][of_protein], strict=True)) == truth
    assert set(table["sign"][of_protein]) == {-1}
    assert set(table["kind"]) == {"overlap", "protein"}
    without = prepared({"rna": data.rna, "atac": data.atac}, folder / "genes.gtf.gz")
    assert edges(without) == edges(found) - {(gene, protein) for protein, gene in truth.items()}


def test_kinds_are_told_and_can_be_said(blood: dict[str, ad.AnnData]) -> None:
    def told(adata: ad.AnnData, **options: Any) -> bool:
        return holds_proteins("adt", adata, IntegrateOptions(**options))

    rna, adt = blood["rna"], blood["adt"]
    assert told(adt)
    assert not told(adt, kind={"adt": "genes"})
    assert not told(rna)
    assert told(rna, kind={"adt": "proteins"})
    assert told(rna, likelihood={"adt": "nbmixture"})
    typed = rna.copy()
    typed.var["feature_types"] = "Antibody Capture"
    assert told(typed)
    typed = adt.copy()
    typed.var["feature_types"] = "Gene Expression"
    assert not told(typed)


def test_the_users_table_reaches_the_graph(blood: dict[str, ad.AnnData], tmp_path: Path) -> None:
    path = tmp_path / "table.tsv"
    path.write_text("protein\tgene\nnovel\tCD8A\nCD4\tPTPRC\n")
    for table in (path, str(path), {"novel": "CD8A", "CD4": ["PTPRC"]}):
        found = edges(prepared(blood, protein_genes=table))
        assert found >= {("CD8A", "novel"), ("PTPRC", "adt:CD4"), ("NCAM1", "CD56")}
        assert ("CD4", "adt:CD4") not in found


def test_columns_and_ids_are_looked_up(simulated_proteins: SimulatedData) -> None:
    rna, protein = simulated_proteins.rna.copy(), simulated_proteins["protein"].copy()
    genes = protein.var["gene"].to_numpy()
    expected = set(zip(genes, protein.var_names, strict=True))
    protein.var = protein.var[["gene"]]
    assert edges(prepared({"rna": rna, "adt": protein})) == expected
    protein.var = pd.DataFrame({"gene_id": rna.var.loc[genes, "gene_id"].to_numpy()}, index=protein.var_names)
    assert edges(prepared({"rna": rna, "adt": protein})) == expected
    rna.var = pd.DataFrame({"gene_name": rna.var_names}, index=rna.var["gene_id"].to_numpy())
    protein.var = pd.DataFrame(index=protein.var_names)  # called prot_Sim0001
    by_id = dict(zip(rna.var["gene_name"], rna.var_names, strict=True))
    assert edges(prepared({"rna": rna, "adt": protein})) == {(by_id[gene], name) for gene, name in expected}


def test_what_cannot_be_linked_is_refused(blood: dict[str, ad.AnnData], tmp_path: Path) -> None:
    other = blood["rna"].copy()
    other.var_names = [f"Other{i}" for i in range(other.n_vars)]
    with pytest.raises(
        GraphError, match=r"adt: none of the 9 proteins \(CD3, CD4, CD8a[\s\S]*--protein-genes"
    ):
        prepared({"rna": other, "adt": blood["adt"]})
    second = blood["adt"].copy()
    second.var_names = [f"{name}-2" for name in PANEL]
    with pytest.raises(GraphError, match="no modality holds genes: adt, more hold surface proteins"):
        prepared({"adt": blood["adt"], "more": second})
    with pytest.raises(OptionError, match=r"--protein-genes none\.tsv: there is no such file"):
        prepared(blood, protein_genes="none.tsv")
    with pytest.raises(OptionError, match="--protein-genes: it is 5"):
        prepared(blood, protein_genes=5)
    with pytest.raises(OptionError, match="--kind: there is no kind 'protein' of features; did you mean"):
        prepared(blood, kind={"adt": "protein"})
    with pytest.raises(OptionError, match="--protein-genes: your table names none"):
        prepared(blood, protein_genes={"CD99": "CD4"})
    (tmp_path / "table.tsv").write_text("protein\tx\nCD4\tCD4\n")
    with pytest.raises(InputError, match="no column gene"):
        prepared(blood, protein_genes=tmp_path / "table.tsv")
    graph = prepared(blood).graph
    options = IntegrateOptions.from_values({"protein_genes": {"CD3": "CD3E"}})
    with pytest.raises(OptionError, match="beside a guidance graph"):
        prepare(read_inputs(dict(blood), options), None, graph, options)


def test_a_given_graph_uses_the_new_names(blood: dict[str, ad.AnnData]) -> None:
    graph = prepared(blood).graph
    options = IntegrateOptions()
    found = prepare(read_inputs(dict(blood), options), None, graph, options)
    assert found.graph.equals(graph)
    assert found.modalities["adt"].uns["omicsglue"]["representation"] == "X_clr"
    assert not found.matches


def test_the_graph_of_all_features(blood: dict[str, ad.AnnData], folder: Path) -> None:
    copies = {name: adata.copy() for name, adata in blood.items()}
    graph, matches = graph_of_all_features(copies, folder / "genes.gtf.gz", IntegrateOptions())
    assert graph.n_edges == 8
    assert set(blood["rna"].var_names) <= set(graph.vertices)
    assert isinstance(matches["adt"], ProteinReport)


@pytest.mark.usefixtures("no_report")
def test_a_run_and_its_record(blood: dict[str, ad.AnnData], tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("protein,gene\nnovel,CD8A\n")
    result = quick(blood, out=tmp_path / "RUN", protein_genes=table)
    adt = result.modalities["adt"]
    np.testing.assert_array_equal(adt.obsm["X_clr"], clr(blood["adt"].copy()))
    record = RunFolder.open(tmp_path / "RUN").record()
    assert record["options"]["protein_genes"] == str(table)
    assert record["inputs"]["protein_genes"]["path"] == str(table)
    assert record["modalities"]["adt"]["unmatched"] == []
    assert record["modalities"]["adt"]["features_in_graph"] == 8
    embedded = np.isfinite(adt.varm["X_glue"]).all(axis=1)
    assert list(adt.var_names[~embedded]) == ["IgG1 isotype"]
    table.write_text("protein,gene\nnovel,CD4\n")
    with pytest.raises(Exception, match="input protein_genes has another content"):
        quick(blood, out=tmp_path / "RUN", protein_genes=table, resume=True)
