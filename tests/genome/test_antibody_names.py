"""Antibodies are known under whatever name a panel gives them, and isotype controls are told from markers."""

from __future__ import annotations

import pytest

from omicsglue.genome.antibody_names import candidate_keys, has_mark, is_isotype, plain


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CD3", "cd3"),
        ("CD3 (UCHT1)", "cd3"),
        ("CD3:UCHT1|CD3E|AHS0231|pAbO", "cd3"),
        ("Hu.CD3_UCHT1", "cd3"),
        ("HuMs.CD44", "cd44"),
        ("anti-human CD19", "cd19"),
        ("anti-CD4", "cd4"),
        ("adt_CD4", "cd4"),
        ("ADT-CD4.1", "cd4"),
        ("CD8a_TotalSeqB", "cd8a"),
        ("CD8a-TotalSeq-C", "cd8a"),
        ("CD8a_TotalSeq_A0080", "cd8a"),
        ("CD3-CTCATTGTAACTCCT", "cd3"),
        ("TCRγδ", "tcrgd"),
        ("TCR.a.b", "tcrab"),
        ("Hu.TCR.AB", "tcrab"),
        ("TCR alpha/beta", "tcrab"),
        ("CD197 (CCR7)", "cd197"),
        ("CD197 (CCR7)", "ccr7"),
        ("HLA.DR", "hladr"),
        ("PD-1", "pd1"),
        ("CD45R_B220", "cd45r"),
    ],
)
def test_names_of_panels_lead_to_the_marker(name: str, key: str) -> None:
    assert key in list(candidate_keys(name))


def test_the_literal_name_goes_before_what_is_taken_off() -> None:
    keys = list(candidate_keys("CD66a/c/e"))
    assert keys[0] == "cd66ace"
    assert keys.index("cd66ace") < keys.index("cd66a")
    assert next(iter(candidate_keys("PD-1"))) == "pd1"
    assert len(set(keys)) == len(keys)
    assert list(candidate_keys("--")) == []


@pytest.mark.parametrize(
    "name",
    [
        "IgG1.K.Isotype.Control",
        "Mouse IgG1, κ isotype Ctrl",
        "rat_IgG2b",
        "Armenian Hamster IgG",
        "IgG2a_TotalSeqB",
        "IgG1_control_TotalSeqB",
        "IgG2b-Ctrl",
        "Isotype_MOPC.21",
        "Isotype_RTK4174.HK",
        "MOPC-21",
        "anti-isotype",
    ],
)
def test_isotype_controls_are_known(name: str) -> None:
    assert is_isotype(name)


@pytest.mark.parametrize(
    "name",
    [
        "IgD",
        "IgM",
        "Ms.IgM",
        "anti-mouse IgM",
        "IgG Fc",
        "Ig light chain κ",
        "CD3",
        "CD16",
        "SIGLEC1",
        "IGHG1",
    ],
)
def test_markers_are_no_isotype_controls(name: str) -> None:
    assert not is_isotype(name)


def test_marks_of_antibodies() -> None:
    assert all(has_mark(name) for name in ("adt_X", "prot_Sim0001", "X_TotalSeqB", "anti-X", "X-ADT"))
    assert not any(has_mark(name) for name in ("ABCB1", "CD4", "Adtrp", "PROT1", "TSC1", "Abl1"))


def test_greek_letters_are_latin() -> None:
    assert plain("FcεRIα") == plain("FceRI alpha") == "fceria"
