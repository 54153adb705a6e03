from __future__ import annotations

from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from scipy import sparse

from links_table import make_links
from omicsglue import pl
from omicsglue.errors import InputError, OptionError
from omicsglue.pl.gene_models import _label_place, lanes_of
from omicsglue.pl.locus import Locus, accessibility_by_group, locus_of
from omicsglue.pl.tracks import NEGATIVE, POSITIVE

NOTHING = {
    "elements": None,
    "genes": None,
    "evidence": None,
    "window": None,
    "min_score": 0.1,
    "q_value": 0.1,
}


def look(links: pd.DataFrame, gene: str | None = None, region: str | None = None, **options: object) -> Locus:
    return locus_of(links, gene, region, **{**NOTHING, **options})


def arcs_of(axes) -> LineCollection:
    (found,) = [each for each in axes.get_children() if isinstance(each, LineCollection)]
    return found


def test_arcs_reach_from_start_to_element_and_are_as_high_as_the_score():
    links = make_links()
    figure = pl.links(links, "B gene")
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    drawn = arcs_of(figure.axes[0])
    mine = links[links["source"] == "B gene"].sort_values("score")
    for path, row in zip(drawn.get_segments(), mine.itertuples(), strict=True):
        middle = (row.target_start + row.target_end) / 2
        assert sorted([path[0, 0], path[-1, 0]]) == sorted([29_999.0, middle])
        assert path[:, 1].max() == pytest.approx(row.score)
        assert path[[0, -1], 1] == pytest.approx([0, 0], abs=1e-12)
    colours = [mpl.colors.to_hex(each).upper() for each in drawn.get_colors()]
    assert colours == [POSITIVE, NEGATIVE]
    solid = [dashes is None for _, dashes in drawn.get_linestyles()]
    assert solid == [False, True]
    assert drawn.get_colors()[0, 3] < drawn.get_colors()[1, 3]
    assert drawn.get_linewidths()[0] < drawn.get_linewidths()[1]
    said = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert said == ["positive", "negative", "not significant (q ≥ 0.1)"]
    assert figure.axes[0].get_title(loc="left") == "B gene · 1 link at q < 0.1"


def test_settings_of_matplotlib_are_left_alone():
    settings = dict(mpl.rcParams)
    pl.links(make_links(), "NA").draw_without_rendering()
    assert dict(mpl.rcParams) == settings


def test_view_holds_gene_and_its_links_or_the_window():
    links = make_links()
    locus = look(links, "NA")
    assert locus.chrom == "chr2"
    assert locus.start == 0
    assert locus.end > 60_500
    assert len(locus.arcs) == 2  # the third scores too little
    narrow = look(links, "NA", window=3000)
    assert (narrow.start, narrow.end) == (0, 12_000)
    lone = look(links, "C", min_score=0.5)
    assert lone.span >= 10_000
    assert lone.arcs.empty
    pl.links(links, "C", min_score=0.5).draw_without_rendering()


def test_a_region_holds_links_with_both_ends_in_it():
    links = make_links()
    for region in ("chr2:0-20,000", "2:0-20000", "chr2-0-20000"):
        locus = look(links, None, region, min_score=0.0)
        assert sorted(zip(locus.arcs["source"], locus.arcs["target"], strict=True)) == [
            ("C", "chr2:100-600"),
            ("C", "chr2:700-1200"),
            ("NA", "chr2:200-700"),
            ("NA", "chr2:5000-5500"),
        ]
        assert list(locus.genes.index) == ["C", "NA"]
        assert list(locus.elements["start"]) == [100, 200, 700, 5000]
    pl.links(links, region="chr2:0-20,000").draw_without_rendering()


def test_other_genes_and_elements_are_shown():
    links = make_links()
    genes = pd.DataFrame(
        {"chrom": ["2", "2", "9", np.nan], "start": [3000, 500_000, 10, -1], "end": [4000, 600_000, 20, -1]},
        index=["near", "far", "elsewhere", "nowhere"],
    ).assign(strand="+")
    elements = pd.DataFrame({"chrom": "chr2", "start": [10, 8000], "end": [400, 8200]}, index=["x", "y"])
    locus = look(links, "NA", genes=genes, elements=elements)
    assert list(locus.genes.index) == ["C", "NA", "near"]
    assert locus.genes.loc["near", "tss"] == 3000
    assert list(locus.genes["focus"]) == [False, True, False]
    assert list(locus.elements.index) == ["x", "y"]
    figure = pl.links(links, "NA", genes=genes, elements=elements)
    names = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert [name for name in names if name] == ["C", "NA", "near"]


@given(
    st.lists(
        st.tuples(
            st.integers(-50_000, 99_000),
            st.integers(100, 200_000),
            st.sampled_from("+-."),
            st.integers(1, 12),
        ),
        min_size=1,
        max_size=25,
    )
)
def test_genes_of_one_lane_do_not_lie_upon_each_other(rows):
    genes = pd.DataFrame(
        [(max(low, 0), low + length, strand) for low, length, strand, _ in rows if low + length > 0],
        columns=["start", "end", "strand"],
    )
    genes.index = ["G" * rows[0][3] + str(number) for number in range(len(genes))]
    genes = genes.sort_values("start").assign(
        tss=lambda each: each["start"].where(each["strand"] == "+", each["end"])
    )
    locus = Locus("chr1", 0, 100_000, genes, pd.DataFrame(), pd.DataFrame(), {})
    lanes = np.array(lanes_of(locus))
    for lane in set(lanes):
        ends = []
        for name, gene in genes[lanes == lane].iterrows():
            left, right = _label_place(name, gene, locus)
            ends.append((min(left, gene["start"]), max(right, min(gene["end"], 100_000))))
        ends.sort()
        assert all(right < left for (_, right), (left, _) in pairwise(ends))


@pytest.mark.parametrize(
    ("strand", "start", "end"), [("-", 100, 3000), ("+", 97_000, 99_900), ("+", 40_000, 50_000)]
)
def test_names_keep_clear_of_arrows(strand, start, end):
    genes = pd.DataFrame({"start": [start], "end": [end], "strand": [strand]}, index=["GENE12"])
    genes["tss"] = start if strand == "+" else end - 1
    locus = Locus("chr1", 0, 100_000, genes, pd.DataFrame(), pd.DataFrame(), {})
    left, right = _label_place("GENE12", genes.iloc[0], locus)
    tip = genes["tss"].iloc[0] + (2400 if strand == "+" else -2400)
    arrow = sorted([genes["tss"].iloc[0], tip])
    assert right < arrow[0] or arrow[1] < left
    assert left >= 0
    assert right <= 100_000


def test_evidence_is_drawn_as_arcs():
    links = make_links().assign(evidence_eqtl=pd.array([None, False, True, *[None] * 4], dtype="boolean"))
    assert {name: len(pairs) for name, pairs in look(links, "NA").evidence.items()} == {"hic": 2, "eqtl": 1}
    assert look(links, "B gene").evidence == {}
    assert list(look(links, "B gene", evidence=["evidence_hic"]).evidence) == ["hic"]
    assert look(links, "NA", evidence=[]).evidence == {}
    table = pd.DataFrame(
        {
            "chrom1": ["2", "2", "chr3"],
            "start1": [1000, 2000, 1000],
            "end1": [3000, 3000, 3000],
            "chrom2": ["2", "2", "chr3"],
            "start2": [40_000, 9_000_000, 40_000],
            "end2": [42_000, 9_100_000, 42_000],
        }
    )
    pairs = look(links, "NA", evidence={"capture": table}).evidence["capture"]
    assert pairs.to_numpy().tolist() == [[2000, 41_000]]
    figure = pl.links(links, "NA", evidence={"capture": table, "none": table.iloc[:0]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["score", "capture", "none", "genes", "elements"]
    assert len(arcs_of(figure.axes[1]).get_segments()) == 1
    figure.draw_without_rendering()


def make_cells(dense: bool = False) -> AnnData:
    counts = np.random.default_rng(0).poisson(2.0, (30, 7)).astype(np.float32)
    cells = AnnData(counts if dense else sparse.csr_matrix(counts))
    cells.obs["cell type"] = pd.Categorical(["b", "a", None] * 10, categories=["b", "unused", "a"])
    cells.var_names = make_links()["target"]
    return cells


@pytest.mark.parametrize("dense", [True, False])
def test_accessibility_is_the_mean_of_counts_in_ten_thousand(dense):
    cells = make_cells(dense)
    wanted = [cells.var_names[4], cells.var_names[1], "unknown"]
    table = accessibility_by_group(cells, "cell type", wanted)
    counts = np.asarray(make_cells(dense=True).X)
    expected = 1e4 * counts / counts.sum(axis=1, keepdims=True)
    assert list(table.index) == ["b", "a"]
    assert list(table.columns) == [cells.var_names[1], cells.var_names[4]]
    for name in "ab":
        mine = (cells.obs["cell type"] == name).to_numpy()
        np.testing.assert_allclose(table.loc[name], expected[mine][:, [1, 4]].mean(axis=0), rtol=1e-5)


def test_accessibility_has_one_row_a_cell_type():
    links = make_links()
    figure = pl.links(links, "NA", accessibility=make_cells(), groupby="cell type")
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[-1].get_yticklabels()] == ["b", "a"]
    assert figure.axes[-1].get_xlabel() == "chr2 (kb)"
    table = pd.DataFrame(np.eye(3, 7), index=["x", "y", "z"], columns=links["target"])
    figure = pl.links(links, "NA", accessibility=table)
    rows = [each for each in figure.axes[-1].collections if isinstance(each, PolyCollection)]
    tops = [[path.vertices[:, 1].max() for path in row.get_paths()] for row in rows]
    shown = [0, 1, 2, 5, 6]  # elements of chr2, in the order of the table
    expected = 0.88 * np.eye(3, 7)[:, shown] + [[2], [1], [0]]
    np.testing.assert_allclose(tops, expected)
    pl.links(links, "NA", accessibility=table * 0).draw_without_rendering()


def test_ticks_far_out_are_in_megabases():
    links = make_links()
    moved = [f"{side}_{end}" for side in ("source", "target") for end in ("start", "end")]
    figure = pl.links(links.assign(**{name: links[name] + 120_000_000 for name in moved}), "B gene")
    figure.draw_without_rendering()
    assert figure.axes[-1].get_xlabel() == "chr10 (Mb)"
    ticks = [text.get_text() for text in figure.axes[-1].get_xticklabels()]
    assert len(set(ticks)) == len(ticks) >= 3
    assert {len(tick) for tick in ticks} == {len(ticks[0])}
    assert all(tick.startswith("120.0") for tick in ticks)


def test_what_cannot_be_drawn_is_named():
    links = make_links()
    with pytest.raises(InputError, match=r"no link has the gene 'b_gene'; did you mean 'B gene'"):
        pl.links(links, "b_gene")
    with pytest.raises(OptionError, match="give one of the two"):
        pl.links(links)
    with pytest.raises(OptionError, match="both are given"):
        pl.links(links, "NA", region="chr2:1-5")
    with pytest.raises(InputError, match=r"neither a gene nor an element lies in chr9:1-5[\s\S]*chr10, chr2"):
        pl.links(links, region="chr9:1-5")
    with pytest.raises(InputError, match="'chr2' is no place"):
        pl.links(links, region="chr2")
    with pytest.raises(InputError, match="no column source_strand"):
        pl.links(links.drop(columns="source_strand"), "NA")
    with pytest.raises(InputError, match=r"evidence_hci; did you mean 'hic'"):
        pl.links(links, "NA", evidence=["hci"])
    with pytest.raises(InputError, match=r"evidence 'x': no column chrom1"):
        pl.links(links, "NA", evidence={"x": links})
    with pytest.raises(InputError, match="genes: no column chrom"):
        pl.links(links, "NA", genes=links[["source"]])
    with pytest.raises(InputError, match=r"no column 'celltype'; did you mean 'cell type'"):
        pl.links(links, "NA", accessibility=make_cells(), groupby="celltype")
    with pytest.raises(InputError, match="groupby is not given"):
        pl.links(links, "NA", accessibility=make_cells())
    with pytest.raises(InputError, match="none of the elements shown"):
        pl.links(links, "NA", accessibility=pd.DataFrame({"peak1": [1.0]}))
