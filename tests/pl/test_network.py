from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection

from omicsglue import pl
from omicsglue.errors import InputError, OptionError
from omicsglue.pl.network import NEGATIVE, POSITIVE


def make_edges() -> pd.DataFrame:
    edges = pd.DataFrame(
        {
            "tf": ["SPI1"] * 6 + ["CEBPA", "CEBPA", "GATA1"],
            "target": ["NCF2", "CD14", "CEBPA", "GATA1", "LYZ", "SPI1", "LYZ", "MPO", "GATA1"],
            "weight": [3.0, 1.0, 2.0, -2.5, 0.5, 1.0, 1.0, 2.0, 1.0],
            "support": ["both", "links", "promoter", "both", "links", "links", "both", "both", "both"],
        }
    )
    return edges.assign(sign=np.sign(edges["weight"]).astype(int))


def collections_of(axes, kind) -> list:
    return [each for each in axes.get_children() if type(each) is kind]


@pytest.mark.parametrize("layout", ["ring", "force"])
def test_targets_are_drawn_by_sign_weight_and_support(layout):
    figure = pl.tf_network(make_edges(), "SPI1", layout=layout)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "SPI1: 5 targets; regulates itself"
    between, own = collections_of(axes, LineCollection)
    assert len(between.get_segments()) == 1  # CEBPA to LYZ: MPO is no target of SPI1, GATA1 its own
    names = [text.get_text() for text in axes.texts if text.get_text() != "SPI1"]
    assert names == ["NCF2", "CEBPA", "CD14", "LYZ", "GATA1"]
    colours = [mpl.colors.to_hex(each).upper() for each in own.get_colors()]
    assert colours == [POSITIVE] * 4 + [NEGATIVE]
    assert np.argsort(-np.array(own.get_linewidths())).tolist() == [0, 4, 1, 2, 3]
    assert all((line[0] == 0).all() for line in own.get_segments())
    (nodes,) = collections_of(axes, PathCollection)
    fill = [mpl.colors.to_hex(each) for each in nodes.get_facecolors()]
    assert fill[0] == fill[4] != fill[1] != fill[2] == fill[3]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend[:3] == ["activates", "represses", "between targets"]


def test_the_strongest_are_drawn():
    figure = pl.tf_network(make_edges(), "SPI1", most=2)
    assert "5 targets, the strongest 2 shown" in figure.axes[0].get_title(loc="left")
    assert {text.get_text() for text in figure.axes[0].texts} == {"SPI1", "NCF2", "GATA1"}


def test_names_of_a_full_ring_do_not_overlap():
    names = [f"LONGNAME{number}" for number in range(60)]
    edges = pd.DataFrame({"tf": "SPI1", "target": names, "weight": np.linspace(-1, 1, 60)})
    figure = pl.tf_network(edges, "SPI1", most=60)
    figure.draw_without_rendering()
    texts = [text for text in figure.axes[0].texts if text.get_text() != "SPI1"]
    ends = np.array([text.get_transform().transform(text.get_position()) for text in texts])
    apart = np.linalg.norm(ends - np.roll(ends, 1, axis=0), axis=1)
    line = texts[0].get_fontsize() / 72 * figure.dpi
    assert apart.min() > line
    frame = figure.axes[0].get_window_extent()
    for text in texts:
        box = text.get_window_extent()
        assert frame.x0 - 2 <= box.x0
        assert box.x1 <= frame.x1 + 2


def test_a_force_layout_repeats_itself():
    first, second = (pl.tf_network(make_edges(), "SPI1", layout="force", seed=3) for _ in range(2))
    places = [collections_of(each.axes[0], PathCollection)[0].get_offsets() for each in (first, second)]
    np.testing.assert_array_equal(*places)


def test_the_least_table_is_enough():
    edges = pd.DataFrame({"tf": ["A", "A"], "target": ["B", "B"], "weight": [0.0, 0.0]})
    pl.tf_network(edges, "A").draw_without_rendering()


def test_what_cannot_be_drawn_is_named():
    with pytest.raises(InputError, match=r"no target of 'SPI'; did you mean 'SPI1'[\s\S]*CEBPA, GATA1, SPI1"):
        pl.tf_network(make_edges(), "SPI")
    with pytest.raises(InputError, match="no target of 'GATA1'"):  # but itself
        pl.tf_network(make_edges(), "GATA1")
    with pytest.raises(InputError, match="no column weight"):
        pl.tf_network(make_edges().drop(columns="weight"), "SPI1")
    with pytest.raises(OptionError, match="'star' is unknown"):
        pl.tf_network(make_edges(), "SPI1", layout="star")
    with pytest.raises(OptionError, match="0 targets"):
        pl.tf_network(make_edges(), "SPI1", most=0)
