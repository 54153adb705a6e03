"""Proteins find the genes that make them: by the table of markers, the user's table, columns and symbols."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest

from omicsglue.errors import InputError, OptionError
from omicsglue.genome import protein_genes, read_annotation, read_protein_table
from omicsglue.genome.antibody_names import is_isotype, plain
from omicsglue.genome.proteins import looks_like_panel, markers

HUMAN = [
    "CD3D",
    "CD3E",
    "CD3G",
    "CD4",
    "CD8A",
    "PTPRC",
    "FCGR3A",
    "NCAM1",
    "TRAC",
    "HLA-DRA",
    "PDCD1",
    "IGHD",
]


def rows() -> list[list[str]]:
    text = resources.files("omicsglue.genome").joinpath("surface_markers.tsv").read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


def test_the_table_of_markers_is_sound() -> None:
    header, *table = rows()
    assert header == ["protein", "genes", "aliases"]
    assert len(table) >= 250
    assert all(len(row) == 3 and row[0] and row[1] for row in table)
    keys = [plain(row[0]) for row in table]
    assert len(set(keys)) == len(keys)
    of_alias = {}
    for protein, genes, aliases in table:
        for alias in filter(None, aliases.split(";")):
            assert of_alias.setdefault(plain(alias), genes) == genes, f"{alias} of {protein}"
            if plain(alias) in keys:
                assert table[keys.index(plain(alias))][1] == genes, f"{alias} of {protein} is a marker itself"
        assert not is_isotype(protein)


@pytest.mark.data
@pytest.mark.parametrize("genome", ["hg38", "mm10"])
def test_genes_of_the_table_are_genes(shared_data: Path, genome: str) -> None:
    table = read_annotation(shared_data / "annotation" / f"{genome}.genes.gtf.gz")
    known = {plain(name) for name in table["gene_name"]}
    without = [row[0] for row in rows()[1:] if not known & {plain(gene) for gene in row[1].split(";")}]
    assert len(without) < 0.15 * (len(rows()) - 1), without
    if genome == "hg38":
        human = {gene for row in rows()[1:] for gene in row[1].split(";") if gene.isupper()}
        unknown = {gene for gene in human if plain(gene) not in known}
        assert {gene for gene in unknown if not gene.startswith(("IG", "TR", "H2", "KIR"))} == NOT_IN_THE_FILE


# The file holds protein-coding genes of the reference: no segments of receptors, and not every KIR. PIRB is
# a gene of the mouse, PVRL2 the old name of NECTIN2
NOT_IN_THE_FILE = {"CRLF2", "FCGR2C", "MRC1", "PIRB", "PVRL2"}


@pytest.mark.parametrize(
    ("protein", "genes"),
    [
        ("CD3", ("CD3E", "CD3D", "CD3G")),
        ("CD45RA", ("PTPRC",)),
        ("B220", ("PTPRC",)),
        ("CD16", ("FCGR3A",)),
        ("CD56 (NCAM)", ("NCAM1",)),
        ("TCRαβ", ("TRAC",)),
        ("HLA-DR", ("HLA-DRA",)),
        ("PD-1", ("PDCD1",)),
        ("CD279", ("PDCD1",)),
        ("CD8a_TotalSeqC", ("CD8A",)),
        ("IgD", ("IGHD",)),
    ],
)
def test_markers_find_their_genes(protein: str, genes: tuple[str, ...]) -> None:
    found = protein_genes([protein], HUMAN)
    assert found.genes == {protein: genes}
    assert found.matched_on == {protein: "marker table"}


def test_mouse_genes_are_found_in_their_own_case() -> None:
    mouse = ["Cd3e", "Ptprc", "Fcgr3", "Klrb1c", "H2-Ab1", "Adgre1", "Fcer2a", "Ly6a"]
    panel = ["CD3", "B220", "CD16", "NK-1.1", "I-A/I-E", "F4/80", "CD23", "Sca-1"]
    found = protein_genes(panel, mouse)
    assert [found.genes[protein] for protein in panel] == [(gene,) for gene in mouse]


def test_symbols_of_genes_are_the_last_resort() -> None:
    found = protein_genes(["anti-FOO1", "Nope", "CD7"], ["FOO1", "BAR"])
    assert found.genes == {"anti-FOO1": ("FOO1",)}
    assert found.matched_on == {"anti-FOO1": "gene symbol"}
    assert found.unmatched == ("Nope", "CD7")
    assert found.missing == {"CD7": ("CD7",)}


def test_the_users_table_extends_and_overrides() -> None:
    table = {"CD3": ["CD8A"], "novel": "CD4;PTPRC", "igg1 isotype": "NCAM1"}
    found = protein_genes(["adt_CD3", "Novel", "CD56", "IgG1 isotype"], HUMAN, table)
    assert found.genes == {
        "adt_CD3": ("CD8A",),
        "Novel": ("CD4", "PTPRC"),
        "CD56": ("NCAM1",),
        "IgG1 isotype": ("NCAM1",),
    }
    assert found.matched_on["Novel"] == "your table"


def test_a_gene_that_the_users_table_names_in_vain_is_not_replaced() -> None:
    found = protein_genes(["CD3", "CD4"], HUMAN, {"CD3": "CD247", "CD4": "CD4"})
    assert found.unmatched == ("CD3",)
    assert found.missing == {"CD3": ("CD247",)}
    assert "CD3 (CD247 not in the data)" in str(found)


def test_columns_of_the_panel_go_before_the_markers() -> None:
    columns = pd.DataFrame({"gene": ["PTPRC", "nan", "ENSG4"], "other": ["CD4", "CD8A", "x"]})
    found = protein_genes(
        ["CD3", "mine", "theirs"], {**{g: g for g in HUMAN}, "ENSG4": "CD4"}, columns=columns
    )
    assert found.genes == {"CD3": ("PTPRC",), "mine": ("CD8A",), "theirs": ("CD4",)}
    assert set(found.matched_on.values()) == {"column of var"}


def test_isotype_controls_are_never_linked() -> None:
    found = protein_genes(["IgG1", "Mouse IgG2a", "IgM", "CD4"], ["IGHG1", "IGHM", "CD4"])
    assert found.isotypes == ("IgG1", "Mouse IgG2a")
    assert found.genes == {"IgM": ("IGHM",), "CD4": ("CD4",)}
    assert found.n_features == 4
    assert "isotype controls, left out: IgG1, Mouse IgG2a" in str(found)


def test_the_report_names_near_misses() -> None:
    found = protein_genes(["CD4", "Integrin b77"], HUMAN)
    assert found.near["Integrin b77"][0] == "INTEGRINB7"
    assert "Integrin b77 (like INTEGRINB7?)" in str(found)
    assert str(found).startswith("1 of 2 proteins are linked to genes (1 by marker table)")


@pytest.mark.parametrize("separator", ["\t", ","])
@pytest.mark.parametrize("column", ["gene", "genes", "Gene"])
def test_tables_in_files(tmp_path: Path, separator: str, column: str) -> None:
    path = tmp_path / "table"
    lines = [
        ["Protein", "note", column],
        ["CD3", "x", "CD3E"],
        ["CD3", "y", "CD3D;CD3G"],
        ["anti-X", "", "Y"],
    ]
    path.write_text("# ours\n" * (separator == "\t") + "".join(separator.join(line) + "\n" for line in lines))
    assert read_protein_table(path) == {"cd3": ("CD3E", "CD3D", "CD3G"), "antix": ("Y",)}
    assert read_protein_table(str(path)) == read_protein_table(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"protein\tsymbol\nCD3\tCD3E\n", r"no column gene; columns are protein, symbol"),
        (b"a\tb\nCD3\tCD3E\n", r"no column protein and no column gene"),
        (b"protein\tgene\n", "names no protein with a gene"),
        (b"", "no table of text"),
        (bytes(range(128, 256)), "no table of text"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "table.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as refused:
        read_protein_table(path)
    assert str(path) in str(refused.value)


def test_a_table_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_protein_table(tmp_path / "none.tsv")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"CD99": "CD4"}, r"names none of the 2 proteins: it has cd99, the data have CD3, CD4"),
        ({"CD3": "cd247"}, r"genes that are not in the data: cd247 \(of CD3\)"),
    ],
)
def test_a_table_that_matches_nothing(table: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        protein_genes(["CD3", "CD4"], HUMAN, table)


def test_panels_are_told_from_genes() -> None:
    panel = ["CD3", "CD4", "CD8a", "CD45RA", "CD11c", "CD56", "IgG1 isotype", "unknown"]
    assert looks_like_panel(panel)
    assert looks_like_panel([f"adt_{i}" for i in range(10)])
    assert not looks_like_panel([*HUMAN, "CD19", "CD14", "MS4A1"])
    assert not looks_like_panel([gene.capitalize() for gene in HUMAN])
    assert not looks_like_panel([f"Gene{i}" for i in range(40)])
    assert not looks_like_panel(["chr1:1-100", "chr2:5-10"])
    assert not looks_like_panel(panel * 100)
    assert not looks_like_panel([])


@pytest.mark.data
def test_markers_of_blood_are_known(shared_data: Path) -> None:
    read = {name: ad.read_h5ad(shared_data / "teaseq_pbmc" / f"{name}.h5ad") for name in ("rna", "adt")}
    panel, genes = list(read["adt"].var_names), list(read["rna"].var_names)
    assert len(panel) == 46
    everything = {gene for made_by in markers().values() for gene in made_by}
    known = protein_genes(panel, everything)
    assert known.n_matched == 45
    assert known.isotypes == ("IgG1.K.Isotype.Control",)
    found = protein_genes(panel, genes)
    assert found.n_matched == 33  # the other twelve genes were filtered from the RNA
    assert len(found.missing) == 12
    assert looks_like_panel(panel)
    assert not looks_like_panel(genes[:400])
