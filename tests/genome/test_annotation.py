"""Annotation files of every habit, whole and damaged."""

# Lines of annotation files are as long as they are.
# ruff: noqa: E501

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from omicsglue.errors import AnnotationError
from omicsglue.genome import read_annotation

GENCODE_GTF = """##description: evidence-based annotation
chr1\tHAVANA\tgene\t11869\t14409\t.\t+\t.\tgene_id "ENSG00000290825.1"; gene_type "lncRNA"; gene_name "DDX11L2";
chr1\tHAVANA\ttranscript\t11869\t14409\t.\t+\t.\tgene_id "ENSG00000290825.1"; transcript_id "ENST1.1"; gene_name "D";
chrY\tHAVANA\tgene\t276322\t303356\t.\t+\t.\tgene_id "ENSG00000167393.18_PAR_Y"; gene_type "protein_coding"; gene_name "PPP2R3B"; tag "PAR";
"""
ENSEMBL_GTF = """#!genome-build GRCh38.p14
1\thavana\tgene\t11869\t14409\t.\t-\t.\tgene_id "ENSG00000223972"; gene_version "5"; gene_name "DDX11L1"; gene_biotype "pseudogene";
MT\tinsdc\tgene\t3307\t4262\t.\t+\t.\tgene_id "ENSG00000198888"; gene_version "2"; gene_biotype "protein_coding";
GL000194.1\tensembl\tgene\t53594\t115055\t.\t-\t.\tgene_id "ENSG00000277400"; gene_name "MAFIP; old"; gene_biotype "protein_coding";
"""
ENSEMBL_GFF3 = """##gff-version 3
1\tEnsembl\tchromosome\t1\t248956422\t.\t.\t.\tID=chromosome:1
1\thavana\tpseudogene\t11869\t14409\t.\t+\t.\tID=gene:ENSG00000223972;Name=DDX11L1;biotype=pseudogene;gene_id=ENSG00000223972;version=5
1\thavana\tncRNA_gene\t29554\t31109\t.\t+\t.\tID=gene:ENSG00000243485;Name=MIR1302%2D2HG;biotype=lncRNA;gene_id=ENSG00000243485
1\thavana\tlnc_RNA\t29554\t31097\t.\t+\t.\tID=transcript:ENST00000473358;Parent=gene:ENSG00000243485
"""
REFSEQ_GFF3 = """##gff-version 3
##sequence-region NC_000001.11 1 248956422
NC_000001.11\tRefSeq\tregion\t1\t248956422\t.\t+\t.\tID=NC_000001.11:1..248956422
NC_000001.11\tBestRefSeq\tgene\t69091\t70008\t.\t+\t.\tID=gene-OR4F5;Dbxref=GeneID:79501;Name=OR4F5;gene=OR4F5;gene_biotype=protein_coding
"""
REFSEQ_GTF = """NC_000001.11\tBestRefSeq\tgene\t11874\t14409\t.\t+\t.\tgene_id "DDX11L1"; transcript_id ""; db_xref "GeneID:100287102"; gene "DDX11L1"; gene_biotype "transcribed_pseudogene";
NC_000024.10\tBestRefSeq\tgene\t624344\t659411\t.\t+\t.\tgene_id "SHOX_1"; transcript_id ""; gene "SHOX"; gene_biotype "protein_coding";
"""
NO_GENE_LINES = """chr1\tsrc\ttranscript\t101\t400\t.\t+\t.\tgene_id "A"; transcript_id "A.1"; gene_name "Alpha";
chr1\tsrc\texon\t101\t150\t.\t+\t.\tgene_id "A"; transcript_id "A.1"; gene_name "Alpha";
chr1\tsrc\texon\t300\t500\t.\t+\t.\tgene_id "A"; transcript_id "A.2"; gene_name "Alpha";
chr1\tsrc\texon\t900001\t900100\t.\t+\t.\tgene_id "A"; transcript_id "A.3"; gene_name "Alpha";
chr2\tsrc\texon\t11\t20\t.\t-\t.\tgene_id "B"; transcript_id "B.1";
chr2\tsrc\texon\t31\t40\t.\t-\t.\tgene_id "B"; transcript_id "B.1";
"""
BED = "track name=genes\nchr1\t10\t20\tAlpha\t0\t-\n2\t5\t9\tBeta\t0\t+\n"


def rows(tmp_path: Path, text: str, name: str = "genes.gtf") -> list[tuple]:
    (tmp_path / name).write_text(text)
    return list(read_annotation(tmp_path / name).itertuples(index=False, name=None))


def test_gencode_gtf(tmp_path: Path) -> None:
    assert rows(tmp_path, GENCODE_GTF) == [
        ("chr1", 11868, 14409, "+", "ENSG00000290825.1", "DDX11L2", "lncRNA"),
        ("chrY", 276321, 303356, "+", "ENSG00000167393.18_PAR_Y", "PPP2R3B", "protein_coding"),
    ]


def test_ensembl_gtf(tmp_path: Path) -> None:
    assert rows(tmp_path, ENSEMBL_GTF) == [
        ("chr1", 11868, 14409, "-", "ENSG00000223972", "DDX11L1", "pseudogene"),
        ("chrM", 3306, 4262, "+", "ENSG00000198888", "ENSG00000198888", "protein_coding"),
        ("GL000194.1", 53593, 115055, "-", "ENSG00000277400", "MAFIP; old", "protein_coding"),
    ]


def test_ensembl_gff3(tmp_path: Path) -> None:
    assert rows(tmp_path, ENSEMBL_GFF3, "genes.gff3") == [
        ("chr1", 11868, 14409, "+", "ENSG00000223972", "DDX11L1", "pseudogene"),
        ("chr1", 29553, 31109, "+", "ENSG00000243485", "MIR1302-2HG", "lncRNA"),
    ]


def test_refseq_gff3_and_gtf(tmp_path: Path) -> None:
    assert rows(tmp_path, REFSEQ_GFF3) == [("chr1", 69090, 70008, "+", "OR4F5", "OR4F5", "protein_coding")]
    assert rows(tmp_path, REFSEQ_GTF)[1] == ("chrY", 624343, 659411, "+", "SHOX_1", "SHOX", "protein_coding")


def test_gff3_without_a_header_is_known_by_its_attributes(tmp_path: Path) -> None:
    assert rows(tmp_path, ENSEMBL_GFF3.split("\n", 1)[1], "genes.txt")[0][4] == "ENSG00000223972"


def test_sequences_after_gff3_features_are_passed_over(tmp_path: Path) -> None:
    assert len(rows(tmp_path, ENSEMBL_GFF3 + "##FASTA\n>1\nACGT\n", "genes.gff3")) == 2


def test_without_gene_lines_the_extent_of_parts_is_taken(tmp_path: Path) -> None:
    assert rows(tmp_path, NO_GENE_LINES) == [
        ("chr1", 100, 500, "+", "A", "Alpha", ""),
        ("chr1", 900000, 900100, "+", "A", "Alpha", ""),  # a copy, too far away for one gene
        ("chr2", 10, 40, "-", "B", "B", ""),
    ]


def test_gff3_without_gene_lines_uses_parents(tmp_path: Path) -> None:
    text = "##gff-version 3\n" + "".join(
        f"1\tx\tmRNA\t{start}\t{end}\t.\t+\t.\tID=transcript:T{start};Parent=gene:G1\n"
        for start, end in ((11, 20), (15, 40))
    )
    assert rows(tmp_path, text) == [("chr1", 10, 40, "+", "G1", "G1", "")]


def test_bed(tmp_path: Path) -> None:
    assert rows(tmp_path, BED, "genes.bed") == [
        ("chr1", 10, 20, "-", "Alpha", "Alpha", ""),
        ("chr2", 5, 9, "+", "Beta", "Beta", ""),
    ]
    assert rows(tmp_path, "chr1 10 20\n")[0] == ("chr1", 10, 20, ".", "chr1:10-20", "chr1:10-20", "")


def test_gzip_is_known_by_content_not_by_name(tmp_path: Path) -> None:
    plain = rows(tmp_path, GENCODE_GTF)
    for name in ("genes.gtf", "genes.gtf.gz"):
        (tmp_path / name).write_bytes(gzip.compress(GENCODE_GTF.encode()))
        assert list(read_annotation(tmp_path / name).itertuples(index=False, name=None)) == plain
    (tmp_path / "plain.gtf.gz").write_text(GENCODE_GTF)
    assert len(read_annotation(tmp_path / "plain.gtf.gz")) == 2


def test_windows_line_ends(tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_bytes(b"chr1\t10\t20\tAlpha\t0\t-\r\n")
    assert read_annotation(tmp_path / "genes.bed")["strand"].tolist() == ["-"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"# nothing\n", "only comments"),
        (b"gene,chrom\nA,chr1\n", "line 1 is neither"),
        (b"\x89HDF\r\n\x1a\n\0\0", "HDF5"),
        (b"PK\x03\x04zip", "zip"),
        (b"chr1\t1\0\t2\n", "binary"),
        (gzip.compress(b""), "empty"),
        (gzip.compress(GENCODE_GTF.encode())[:-20], "cut short"),
        (b"\x1f\x8b\x08\0garbage", "damaged"),
        (b"chr1\t10\t20\tA\nchr1\t30\t20\tB\n", "line 2"),
        (b"chr1\t10\t20\tA\nchr1\tx\t20\tB\n", "not a whole number"),
        (GENCODE_GTF[:-60].encode() + b"\nchr1\tHAVANA\tge", "line 5"),
        (b"chr1\tx\tgene\t1\t9\t.\t+\t.\tnote \"none\";\n", "neither id nor name"),
        (b"chr1\tx\tregion\t1\t9\t.\t+\t.\tgene_id \"A\";\n", "no gene"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_with_their_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "genes.gtf"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_annotation(path)
    assert str(path) in str(caught.value)
    assert "->" in str(caught.value)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gtf", tmp_path):
        with pytest.raises(AnnotationError, match="cannot be read"):
            read_annotation(path)


@pytest.mark.data
@pytest.mark.parametrize(("genome", "genes"), [("mm10", 21_580), ("hg38", 20_531)])
def test_gtf_and_bed_of_one_annotation_agree(shared_data: Path, genome: str, genes: int) -> None:
    gtf = read_annotation(shared_data / f"annotation/{genome}.genes.gtf.gz")
    bed = read_annotation(shared_data / f"annotation/{genome}.genes.bed.gz")
    assert len(gtf) == len(bed) == genes
    place = ["chrom", "start", "end", "strand", "gene_name"]
    assert gtf[place].sort_values(place).values.tolist() == bed[place].sort_values(place).values.tolist()
