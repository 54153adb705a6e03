from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from omicsglue.errors import InputError, OptionError
from omicsglue.tl.candidates import Candidates, candidate_pairs, rotations, strata


def table(rows: list[tuple[str, int, int, str]], prefix: str) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["chrom", "start", "end", "strand"])
    frame.index = pd.Index([f"{prefix}{i}" for i in range(len(frame))], dtype=object)
    return frame


GENES = table([("1", 10_000, 20_000, "+"), ("1", 10_000, 20_000, "-"), ("2", 5_000, 6_000, ".")], "g")
PEAKS = table(
    [
        ("1", 8_500, 9_000, "."),
        ("1", 15_000, 15_500, "."),
        ("1", 21_000, 21_500, "."),
        ("2", 7_500, 8_000, "."),
    ],
    "p",
)


def named(found: Candidates) -> dict[tuple[str, str], int]:
    names = zip(found.genes.index[found.gene], found.elements.index[found.element], strict=True)
    return dict(zip(names, found.distance.tolist(), strict=True))


def test_distance_is_that_to_the_promoter_of_the_strand() -> None:
    assert named(candidate_pairs(GENES, PEAKS, window=6_000)) == {
        ("g0", "p0"): 0,  # in the 2 kb before the start
        ("g0", "p1"): 4_999,  # in the body, measured from the start
        ("g1", "p1"): 4_499,
        ("g1", "p2"): 0,
        ("g2", "p3"): 0,  # without a strand, both ends have a promoter
    }


def test_the_window_is_a_limit() -> None:
    assert ("g0", "p1") not in named(candidate_pairs(GENES, PEAKS, window=4_999))
    assert ("g0", "p1") in named(candidate_pairs(GENES, PEAKS, window=5_000))


def test_first_delimits_the_pairs_of_each_gene() -> None:
    found = candidate_pairs(GENES, PEAKS, window=6_000)
    assert found.first.tolist() == [0, 2, 4, 5]


def test_guidance_is_told_by_kind() -> None:
    guided = pd.DataFrame(
        {"source": ["g0", "g1", "gone"], "target": ["p1", "p2", "p0"], "kind": ["overlap", "hic", "hic"]}
    )
    found = candidate_pairs(GENES, PEAKS, window=6_000, guided=guided)
    kinds = [found.kinds[code] for code in found.guidance]
    assert dict(zip(named(found), kinds, strict=True)) == {
        ("g0", "p0"): "none",
        ("g0", "p1"): "overlap",
        ("g1", "p1"): "none",
        ("g1", "p2"): "hic",
        ("g2", "p3"): "none",
    }


@pytest.mark.parametrize("option", ["window", "promoter"])
def test_negative_lengths_are_refused(option: str) -> None:
    with pytest.raises(OptionError, match=f"{option} is -1"):
        candidate_pairs(GENES, PEAKS, **{option: -1})


def test_no_pair_is_told_with_the_chromosomes() -> None:
    with pytest.raises(InputError, match=r"no element lies within 10 bases .* 1, 2; elements on X"):
        candidate_pairs(GENES, PEAKS.assign(chrom="X"), window=10)


def pairs(distance: list[int], guidance: list[int] | None = None) -> Candidates:
    number = len(distance)
    codes = np.zeros(number, dtype=np.int64)
    return Candidates(
        GENES,
        PEAKS,
        codes,
        codes,
        np.array(distance),
        np.array(guidance or [0] * number),
        ("none", "overlap"),
    )


def test_strata_part_distance_and_guidance() -> None:
    code, described = strata(pairs([0] * 5 + [60_000] * 5, [0, 0, 1, 1, 1] * 2), fewest=2)
    assert described["pairs"].tolist() == [2, 2, 3, 3]
    assert described["guidance"].tolist() == ["none", "none", "overlap", "overlap"]
    assert described["nearest"].tolist() == [0, 60_000, 0, 60_000]
    assert code.tolist() == [0, 0, 2, 2, 2, 1, 1, 3, 3, 3]


def test_small_strata_join_the_nearer_one_and_small_kinds_count_as_none() -> None:
    _, described = strata(pairs([0] * 5 + [500] * 2 + [60_000] * 5, [1] + [0] * 11), fewest=3)
    assert described["pairs"].tolist() == [7, 5]
    assert set(described["guidance"]) == {"none"}


def many(number: int = 60, chromosomes: int = 3) -> Candidates:
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 50_000_000, size=number)
    genes = table([(str(i % chromosomes), s, s + 1_000, "+") for i, s in enumerate(starts.tolist())], "g")
    peaks = table([(c, s + 2_000, s + 2_500, ".") for c, s, *_ in genes.itertuples(index=False)], "p")
    return candidate_pairs(genes, peaks, window=10_000)


def test_a_rotation_moves_every_gene_once_and_far_away() -> None:
    found = many()
    for place, far in rotations(found, 3, 10_000):
        assert sorted(place) == list(range(len(found.genes)))
        other, element = found.genes.iloc[place[found.gene]], found.elements.iloc[found.element]
        gap = (other["start"].to_numpy() - element["start"].to_numpy()).astype(float)
        apart = (other["chrom"].to_numpy() != element["chrom"].to_numpy()) | (abs(gap) > 1_000_000)
        assert apart[far].all()
        assert far.mean() > 0.9


def test_a_rotation_keeps_neighbours() -> None:
    found = many()
    line = np.lexsort((found.genes["start"], found.genes["chrom"]))
    rank = np.empty(len(line), dtype=int)
    rank[line] = np.arange(len(line))
    (place, _), *_ = rotations(found, 1, 10_000)
    steps = (rank[place[line]] - np.arange(len(line))) % len(line)
    assert len(set(steps.tolist())) == 1


def test_few_genes_or_genes_in_one_place_cannot_tell_chance() -> None:
    with pytest.raises(InputError, match="3 genes with coordinates are too few"):
        list(rotations(candidate_pairs(GENES, PEAKS, window=6_000), 1, 6_000))
    close = table([("1", 1_000 * i, 1_000 * i + 500, "+") for i in range(30)], "g")
    with pytest.raises(InputError, match="all genes lie within"):
        list(rotations(candidate_pairs(close, PEAKS.iloc[:1], window=50_000), 2, 50_000))
