"""Joint cells: found by name or column, refused or warned of, and located among rows."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.data.pairing import Pairing, cell_keys, pair_cells
from omicsglue.errors import InputError, OmicsGlueWarning


def cells(names: list[str], **columns: list[object]) -> ad.AnnData:
    return ad.AnnData(obs=pd.DataFrame(columns, index=names))


def test_a_mosaic_of_three_modalities_is_told_by_obs_names() -> None:
    found = pair_cells(
        {
            "rna": cells(["a", "b", "c", "d"]),
            "atac": cells(["c", "x", "a"]),
            "protein": cells(["d", "c", "y"]),
        }
    )
    joint = {name: number.tolist() for name, number in found.joint.items()}
    a, b, c, d = joint["rna"]
    assert found.count == 3
    assert b == -1
    assert sorted([a, c, d]) == [0, 1, 2]
    assert joint["atac"] == [c, -1, a]
    assert joint["protein"] == [d, c, -1]
    assert all(number.dtype == np.int64 for number in found.joint.values())


def test_a_column_pairs_cells_whatever_their_names_and_leaves_out_those_without_a_value() -> None:
    rna = cells(["a", "b", "c"], barcode=["AAA", None, "CCC"])
    atac = cells(["b", "p", "q"], barcode=[None, "CCC", ""])
    found = pair_cells({"rna": rna, "atac": atac}, "barcode")
    assert found.count == 1
    assert found.joint["rna"].tolist() == [-1, -1, 0]
    assert found.joint["atac"].tolist() == [-1, 0, -1]


def test_whole_numbers_are_one_key_whether_or_not_some_are_missing() -> None:
    keys = [
        cell_keys(cells(["a", "b"], key=values), "key", "rna").tolist()
        for values in ([7, 8], [7.0, np.nan], ["7", "8"])
    ]
    assert keys == [["7", "8"], ["7", None], ["7", "8"]]


def test_a_name_that_two_cells_bear_is_refused() -> None:
    with pytest.raises(InputError, match=r"rna: several cells have one value of obs\['key'\].*: 1\n"):
        pair_cells({"rna": cells(["a", "b"], key=[1, 1]), "atac": cells(["a"], key=[1])}, "key")


def test_a_missing_column_is_refused() -> None:
    with pytest.raises(InputError, match="barcode"):
        pair_cells({"rna": cells(["a"], barcode=["x"]), "atac": cells(["a"], barcodes=["x"])}, "barcode")


@pytest.mark.parametrize(
    ("rna", "atac", "hint"),
    [
        (["AAACGGTT-1", "CCACGGTT-1"], ["AAACGGTT", "GGACGGTT"], 'endings such as "-1"'),
        (["s1_AAACGGTT", "s1_CCACGGTT"], ["AAACGGTT", "GGACGGTT"], 'beginnings such as "sample_"'),
        (["s1#AAACGGTT-1"], ["AAACGGTT-2"], "barcodes alone"),
        (["Cell1"], ["cell1"], "upper and lower case"),
        (["a"], ["b"], "give the cells of a pair one name"),
    ],
)
def test_names_that_do_not_meet_are_refused_with_what_would_make_them(
    rna: list[str], atac: list[str], hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        pair_cells({"rna": cells(rna), "atac": cells(atac)})
    assert hint in caught.value.remedy
    assert rna[0] in caught.value.what
    assert atac[0] in caught.value.what


def test_a_few_pairs_among_many_cells_are_warned_of() -> None:
    many = [f"r{i}" for i in range(150)]
    with pytest.warns(OmicsGlueWarning, match="share only 1 cells by obs name, of 151 and 151"):
        pair_cells({"rna": cells([*many, "x"]), "atac": cells([name.upper() for name in many] + ["x"])})


def test_positions_of_joint_cells_among_rows() -> None:
    pairing = Pairing(
        {
            "rna": np.array([0, 1, -1, 2]),
            "atac": np.array([2, 0, -1]),
            "protein": np.array([1, 2]),
        },
        3,
    )
    rows = {"rna": np.array([3, 0, 2, 3]), "atac": np.array([1, 2, 0]), "protein": np.array([1, 0])}
    # joint cell 0 is in rna (position 1) and atac (0); 1 in protein alone of these rows; 2 in all three
    assert pairing.positions(rows).tolist() == [[1, 0, -1], [0, 2, 0]]
    none = {name: each[:0] for name, each in rows.items()}
    assert pairing.positions(none).shape == (0, 3)
    assert pairing.rows_of("atac", np.array([0, 2])).tolist() == [-1, -1, 0]
