"""Genes are told from regions, features find their places, and the graph links what it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.datasets import SimulatedData
from omicsglue.errors import AnnotationError, GraphError, InputError, OmicsGlueWarning, OptionError
from omicsglue.genome import read_annotation
from omicsglue.graph import GuidanceGraph, from_table, write_graph
from omicsglue.pipeline.coordinates import annotate, coordinates_in_columns, kind_of
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, graph_of_all_features, prepare, read_inputs
from whole_runs import files_in, quick, small_data

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")


def prepared(
    modalities: dict[str, Any], annotation: object = None, graph: object = None, **options: Any
) -> Prepared:
    chosen = IntegrateOptions.from_values(options)
    return prepare(read_inputs(modalities, chosen), annotation, graph, chosen)  # type: ignore[arg-type]


def edge_set(graph: GuidanceGraph) -> set[tuple[str, str, int]]:
    table = graph.to_frame()
    return {(*sorted((str(row.source), str(row.target))), int(row.sign)) for row in table.itertuples()}  # type: ignore[misc]


def renamed(adata: ad.AnnData, prefix: str, **columns: Any) -> ad.AnnData:
    """The same data with features called prefix1 and so on, and columns of var."""
    copy = adata.copy()
    copy.var = pd.DataFrame(columns, index=[f"{prefix}{i + 1}" for i in range(copy.n_vars)])
    return copy


def places(simulated: SimulatedData, **names: str) -> dict[str, Any]:
    """Chromosome, start and end of the peaks, under these names."""
    table = simulated.truth.peaks
    return {names.get(key, key): table[key].to_numpy() for key in ("chrom", "start", "end")}


@pytest.fixture(scope="module")
def genes(folder: Path) -> pd.DataFrame:
    return read_annotation(folder / "genes.gtf.gz")


@pytest.fixture(scope="module")
def expected(simulated: SimulatedData, folder: Path) -> set[tuple[str, str, int]]:
    return edge_set(prepared(dict(simulated.modalities), folder / "genes.gtf.gz").graph)


def test_kinds_are_told_by_names_annotation_and_columns(
    simulated: SimulatedData, genes: pd.DataFrame
) -> None:
    assert kind_of(simulated.rna, genes) == "genes"
    assert kind_of(simulated.atac, genes) == "regions"
    assert kind_of(renamed(simulated.atac, "peak"), genes) == "genes"  # nothing tells
    for spelling in ({}, {"chrom": "seqnames"}, {"chrom": "Chromosome", "start": "Start", "end": "End"}):
        columns = places(simulated, **spelling)
        assert kind_of(renamed(simulated.atac, "peak", **columns), genes) == "regions"
    nearest = {"gene_name": np.resize(simulated.rna.var_names.to_numpy(), simulated.atac.n_vars)}
    assert kind_of(renamed(simulated.atac, "peak", **places(simulated), **nearest), genes) == "regions"
    located = small_data(coordinates=True)
    assert kind_of(located.rna, genes) == "genes"
    assert kind_of(located.rna) == "genes"
    assert kind_of(located.atac) == "regions"
    bare = simulated.rna.copy()
    bare.var = genes.set_index("gene_name").loc[bare.var_names, ["chrom", "start", "end"]]
    assert kind_of(bare, genes) == "genes"  # named in the annotation, though it has places without strand
    assert coordinates_in_columns(simulated.rna) is None


def test_looking_at_features_changes_nothing(simulated: SimulatedData, genes: pd.DataFrame) -> None:
    adata = renamed(simulated.atac, "peak", **places(simulated))
    before = adata.var.copy()
    kind_of(adata, genes)
    pd.testing.assert_frame_equal(adata.var, before)


def test_peaks_with_places_in_var_give_the_same_graph(
    simulated: SimulatedData, folder: Path, expected: set[tuple[str, str, int]]
) -> None:
    atac = renamed(simulated.atac, "peak", **places(simulated, chrom="seqnames"))
    found = prepared({"rna": simulated.rna, "atac": atac}, folder / "genes.gtf.gz").graph
    names = dict(zip(atac.var_names, simulated.atac.var_names, strict=True))
    again = {
        (*sorted((names.get(one, one), names.get(other, other))), sign)
        for one, other, sign in edge_set(found)
    }
    assert again == expected


def test_order_of_the_modalities_does_not_matter(
    simulated: SimulatedData, folder: Path, expected: set[tuple[str, str, int]]
) -> None:
    swapped = {"atac": simulated.atac, "rna": simulated.rna}
    found = prepared(swapped, folder / "genes.gtf.gz")
    assert edge_set(found.graph) == expected
    assert list(found.modalities) == ["atac", "rna"]
    assert found.modalities["atac"].uns["omicsglue"]["representation"] == "X_lsi"


def test_genes_named_by_ids_with_names_in_a_column(
    simulated: SimulatedData, folder: Path, expected: set[tuple[str, str, int]], tmp_path: Path
) -> None:
    ids = simulated.rna.var["gene_id"].to_numpy()
    rna = simulated.rna.copy()
    rna.var = pd.DataFrame({"gene_name": simulated.rna.var_names.to_numpy()}, index=ids)
    back = dict(zip(ids, simulated.rna.var_names, strict=True))
    for annotation in (folder / "genes.gtf.gz", without_ids(folder / "genes.gtf.gz")):
        found = prepared({"rna": rna, "atac": simulated.atac}, annotation)
        again = {
            (*sorted((back.get(one, one), back.get(other, other))), sign)
            for one, other, sign in edge_set(found.graph)
        }
        assert again == expected
        assert found.matches["rna"].n_matched == rna.n_vars


def without_ids(path: Path) -> pd.DataFrame:
    return read_annotation(path).drop(columns="gene_id")


def test_genes_that_have_their_places_need_no_annotation(
    folder: Path, expected: set[tuple[str, str, int]]
) -> None:
    located = small_data(coordinates=True)
    assert edge_set(prepared(dict(located.modalities)).graph) == expected


def test_without_places_annotation_and_graph_nothing_can_be_linked(simulated: SimulatedData) -> None:
    with pytest.raises(OptionError, match=r"--annotation: neither[\s\S]*genes of rna[\s\S]*--graph"):
        prepared(dict(simulated.modalities))


def test_two_sets_of_peaks_are_linked_each_with_its_sign(simulated: SimulatedData, folder: Path) -> None:
    half = simulated.atac.n_vars // 2
    modalities = {
        "atac": simulated.atac[:, :half].copy(),
        "rna": simulated.rna,
        "meth": simulated.atac[:, half:].copy(),
    }
    graph = prepared(modalities, folder / "genes.gtf.gz", sign={"meth": -1}).graph
    table = graph.to_frame()
    of_meth = table["target"].isin(modalities["meth"].var_names)
    assert 0 < of_meth.sum() < len(table)
    assert set(table["sign"][of_meth]) == {-1}
    assert set(table["sign"][~of_meth]) == {1}
    assert set(table["source"]) <= set(simulated.rna.var_names)


def test_other_measures_of_genes_are_linked_to_the_same_genes(folder: Path) -> None:
    data = small_data(modalities=("rna", "methylation", "atac", "protein"), proteins=10)
    given = {"rna": data.rna, "meth": data["methylation"], "atac": data.atac, "adt": data["protein"]}
    found = prepared(given, folder / "genes.gtf.gz", sign={"meth": -1})
    table = found.graph.to_frame()
    linked = {
        name: table[table["target"].isin(given[name].var_names)][["source", "target", "sign"]]
        for name in ("meth", "adt", "atac")
    }
    assert len(linked["meth"]) == data.rna.n_vars
    assert all(source + "_mCG" == target for source, target, _ in linked["meth"].itertuples(index=False))
    assert set(linked["meth"]["sign"]) == {-1}
    truth = dict(zip(data.proteins["protein"], data.proteins["gene"], strict=True))
    assert dict(zip(linked["adt"]["target"], linked["adt"]["source"], strict=True)) == truth
    assert set(linked["adt"]["sign"]) == {1}
    assert len(linked["atac"])
    assert found.modalities["meth"].uns["omicsglue"]["representation"] == "X_pca"


def test_genes_that_are_not_the_same_cannot_be_linked(simulated: SimulatedData, folder: Path) -> None:
    half = simulated.rna.n_vars // 2
    other = simulated.rna[:, half:].copy()
    with pytest.raises(GraphError, match="no gene of adt"):
        prepared({"rna": simulated.rna[:, :half].copy(), "adt": other}, folder / "genes.gtf.gz")


def test_regions_alone_cannot_be_linked(simulated: SimulatedData, folder: Path) -> None:
    half = simulated.atac.n_vars // 2
    both = {"a": simulated.atac[:, :half].copy(), "b": simulated.atac[:, half:].copy()}
    with pytest.raises(GraphError, match="no modality holds genes: a, b"):
        prepared(both, folder / "genes.gtf.gz")


def test_rules_choose_what_of_a_gene_counts(
    simulated: SimulatedData, folder: Path, expected: set[tuple[str, str, int]]
) -> None:
    given, genes = dict(simulated.modalities), folder / "genes.gtf.gz"
    found = {
        rule: edge_set(prepared(dict(given), genes, rule=rule).graph) for rule in ("gene_body", "promoter")
    }
    assert edge_set(prepared(dict(given), genes, rule="combined").graph) == expected
    assert all(edges < expected for edges in found.values())
    assert found["gene_body"] | found["promoter"] == expected
    with pytest.raises(OptionError, match="--rule: the rule promoter is for a graph that is built"):
        prepared(given, None, graph=prepared(dict(given), genes).graph, rule="promoter")


def test_signs_that_cannot_be_meant_are_refused(simulated: SimulatedData, folder: Path) -> None:
    given = dict(simulated.modalities)
    with pytest.raises(OptionError, match="rna holds the genes"):
        prepared(given, folder / "genes.gtf.gz", sign={"rna": -1})
    prepared(given, folder / "genes.gtf.gz", sign={"rna": 1, "atac": 1})


def test_a_given_graph_needs_no_annotation_and_no_places(
    simulated: SimulatedData, folder: Path, tmp_path: Path
) -> None:
    adt = renamed(simulated.atac, "marker")
    table = pd.DataFrame({"source": simulated.rna.var_names[:40], "target": adt.var_names[:40]})
    graph = from_table(table.assign(weight=0.5, sign=[1, -1] * 20))
    write_graph(graph, tmp_path / "edges.graphml.gz")
    for given in (graph, tmp_path / "edges.graphml.gz", str(tmp_path / "edges.graphml.gz")):
        for annotation in (None, folder / "genes.gtf.gz"):
            found = prepared({"rna": simulated.rna, "adt": adt}, annotation, given)
            assert edge_set(found.graph) == edge_set(graph)
    assert list(found.matches) == ["rna"]
    assert found.modalities["rna"].var["chrom"].notna().all()


def test_the_users_representation_is_used_and_nothing_is_computed(
    simulated: SimulatedData, folder: Path
) -> None:
    rna = simulated.rna.copy()
    rna.obsm["X_mine"] = np.random.default_rng(0).normal(size=(rna.n_obs, 7))
    result = quick(
        {"rna": rna, "atac": simulated.atac},
        annotation=folder / "genes.gtf.gz",
        representation={"rna": "X_mine"},
    )
    assert result.model.setups["rna"].representation == "X_mine"
    assert "X_pca" not in result.modalities["rna"].obsm
    assert "X_lsi" in result.modalities["atac"].obsm


def test_counts_in_a_layer(simulated: SimulatedData, folder: Path) -> None:
    rna = simulated.rna.copy()
    rna.layers["counts"] = rna.X.copy()
    rna.X = rna.X.log1p()
    with pytest.raises(InputError, match="layer 'counts' seems to hold the counts"):
        prepared({"rna": rna, "atac": simulated.atac}, folder / "genes.gtf.gz")
    in_layer = quick(
        {"rna": rna, "atac": simulated.atac}, annotation=folder / "genes.gtf.gz", layer={"rna": "counts"}
    )
    in_x = quick(files_in(folder), annotation=folder / "genes.gtf.gz")
    np.testing.assert_array_equal(
        in_layer.modalities["rna"].obsm["X_glue"], in_x.modalities["rna"].obsm["X_glue"]
    )


def test_a_selection_of_genes_limits_the_graph(simulated: SimulatedData, folder: Path) -> None:
    found = prepared(dict(simulated.modalities), folder / "genes.gtf.gz", n_genes=20)
    genes = set(found.graph.vertices) & set(simulated.rna.var_names)
    assert len(genes) == 20
    assert genes == set(found.modalities["rna"].var_names[found.modalities["rna"].var["highly_variable"]])
    everything, _ = graph_of_all_features(
        {name: adata.copy() for name, adata in simulated.modalities.items()},
        folder / "genes.gtf.gz",
        IntegrateOptions(),
    )
    assert len(set(everything.vertices) & set(simulated.rna.var_names)) == simulated.rna.n_vars


def test_errors_and_warnings_name_the_modality(simulated: SimulatedData, genes: pd.DataFrame) -> None:
    rna, atac = simulated.rna.copy(), simulated.atac.copy()
    rna.var_names = [f"x{name}" for name in rna.var_names]
    rna.var = rna.var.drop(columns="gene_id")
    with pytest.raises(AnnotationError, match="cells, annotation: none of the 80 genes"):
        annotate({"cells": rna, "atac": atac}, {"cells": "genes", "atac": "regions"}, genes, needed=True)
    found = annotate({"cells": rna, "atac": atac}, {"cells": "genes", "atac": "regions"}, genes, needed=False)
    assert list(found) == ["atac"]


def test_two_cells_are_too_few_and_some_more_are_enough(simulated: SimulatedData, folder: Path) -> None:
    def first(cells: int) -> dict[str, ad.AnnData]:
        return {name: adata[:cells].copy() for name, adata in simulated.modalities.items()}

    for cells in (1, 2):
        with pytest.raises(InputError, match="cell"):
            quick(first(cells), annotation=folder / "genes.gtf.gz")
    for cells in (3, 12):
        result = quick(first(cells), annotation=folder / "genes.gtf.gz", max_epochs=1)
        assert np.isfinite(result.modalities["rna"].obsm["X_glue"]).all()


def test_another_genome_build_and_lonely_vertices_are_warned_of(
    simulated: SimulatedData, folder: Path
) -> None:
    atac = simulated.atac.copy()
    table = simulated.truth.peaks
    atac.var_names = [
        f"{chrom}:{start + 300_000}-{end + 300_000}"
        for chrom, start, end in zip(table["chrom"], table["start"], table["end"], strict=True)
    ]
    with pytest.warns(OmicsGlueWarning) as caught:
        prepared({"rna": simulated.rna, "atac": atac}, folder / "genes.gtf.gz")
    said = [str(each.message) for each in caught]
    assert any("rna and atac are probably of different genome builds" in text for text in said)
    assert any("vertices have no edge" in text for text in said)
