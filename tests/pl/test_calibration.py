from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from links_table import make_links
from omicsglue import pl
from omicsglue.errors import InputError, OptionError
from omicsglue.pl.activity import ordered
from omicsglue.pl.calibration import by_distance, ks_distance


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_ks_distance_is_that_of_scipy(values):
    assert ks_distance(values) == pytest.approx(stats.kstest(values, "uniform").statistic, abs=1e-12)


def test_calibration_draws_histogram_quantiles_and_band():
    values = np.random.default_rng(0).random(5000)
    figure = pl.calibration(np.append(values, np.nan), title="No regulation")
    figure.draw_without_rendering()
    left, right = figure.axes
    height = [each.get_height() for each in left.patches]
    assert len(height) == 20
    np.testing.assert_allclose(height, np.histogram(values, 20, (0, 1))[0] / 250)
    curve = right.get_lines()[-1]
    x, y = curve.get_data()
    assert y[0] == pytest.approx(-np.log10(values.min()))
    assert x[0] == pytest.approx(np.log10(10_000))
    assert (np.diff(x) < 0).all()
    assert (np.diff(y) <= 0).all()
    assert f"KS distance {ks_distance(values):.3f}" in curve.get_label()
    band = right.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() > x[0] > 3  # the smallest may be far smaller than expected


def test_several_sets_are_compared_and_tiny_values_stay_in_the_picture():
    rng = np.random.default_rng(1)
    figure = pl.calibration({"ours": rng.random(1000), "other": np.r_[rng.random(50) ** 3, 0.0]})
    figure.draw_without_rendering()
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert [label.partition(":")[0] for label in labels] == ["95 % of uniform", "ours", "other"]
    assert figure.axes[1].get_ylim()[1] < 12


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "there are none"),
        ([np.nan], "there are none"),
        ([0.2, 1.5], "from 0.2 to 1.5"),
        ({}, "there are none"),
    ],
)
def test_what_is_no_p_value_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        pl.calibration(values)


def test_no_bins_are_refused():
    with pytest.raises(OptionError, match="0 bins"):
        pl.calibration([0.5], bins=0)


def test_bins_of_distance_agree_with_a_loop():
    rng = np.random.default_rng(0)
    distance = np.r_[0, 0, 1999, 2000, 150_000, 150_001, rng.integers(0, 150_000, 500)]
    links = pd.DataFrame({"distance": distance, "score": rng.random(506), "q_value": rng.random(506)})
    bounds = [0, 1, 2000, 30_000, 150_000]
    table = by_distance(links, bins=bounds, q_value=0.3)
    assert list(table.index) == ["overlap", "0–2", "2–30", "30–150"]
    for row, low, high in zip(table.itertuples(), bounds, bounds[1:], strict=False):
        last = high == 150_000
        mine = links[(distance >= low) & ((distance <= high) if last else (distance < high))]
        assert row.pairs == len(mine)
        assert row.links == (mine["q_value"] < 0.3).sum()
        assert row.share == pytest.approx((mine["q_value"] < 0.3).mean())
        assert row.score == pytest.approx(mine["score"].mean())
        interval = stats.binomtest(int(row.links), int(row.pairs)).proportion_ci(method="wilson")
        assert (row.low, row.high) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_distances_are_drawn_also_where_bins_are_empty():
    figure = pl.link_distance(make_links(), bins=(0, 1, 10, 5000, 60_000))
    figure.draw_without_rendering()
    heights = [each.get_height() for each in figure.axes[0].patches]
    np.testing.assert_allclose(heights, [2 / 3, np.nan, 0, 1 / 2])
    assert [text.get_text() for text in figure.axes[0].texts] == ["3", "2", "2"]


def test_distances_that_cannot_be_drawn_are_refused():
    with pytest.raises(OptionError, match="do not rise"):
        pl.link_distance(make_links(), bins=(0, 5, 5))
    with pytest.raises(InputError, match="no pair lies 200,000 to 300,000 bases apart"):
        pl.link_distance(make_links(), bins=(200_000, 300_000))
    with pytest.raises(InputError, match="no column q_value"):
        pl.link_distance(make_links().drop(columns="q_value"))


def test_links_stand_below_the_cell_type_in_which_they_are_active():
    activity = pd.DataFrame(
        {"x": [0.1, 9, 0, 5, 1], "y": [8, 0, 0.2, 0, 1], "z": [0, np.nan, 3.0, 0, 1]},
        index=pd.MultiIndex.from_tuples([(f"g{number}", "e") for number in range(5)]),
    )
    assert [name for name, _ in ordered(activity, 5).index] == ["g1", "g3", "g4", "g0", "g2"]
    assert [name for name, _ in ordered(activity, 3).index] == ["g1", "g3", "g0"]
    figure = pl.link_activity(activity, most=4, title="Activity")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        f"g{number} – e" for number in (1, 3, 0, 2)
    ]
    assert axes.get_ylabel() == "4 of 5 links"
    image = axes.get_images()[0]
    assert image.get_clim() == (0, 9)
    np.testing.assert_array_equal(image.get_array()[2], [0.1, 8, 0])
    assert pl.link_activity(activity - 2).axes[0].get_images()[0].get_clim() == (-7, 7)


def test_many_links_bear_no_names_and_nothing_is_refused():
    rng = np.random.default_rng(0)
    figure = pl.link_activity(pd.DataFrame(rng.random((300, 3)), columns=list("abc")), most=200)
    assert figure.axes[0].get_yticklabels() == []
    assert figure.get_size_inches()[1] < 12
    for table in (pd.DataFrame({"a": ["x"]}), pd.DataFrame({"a": [np.nan]})):
        with pytest.raises(InputError, match="no link with numbers"):
            pl.link_activity(table)
    with pytest.raises(OptionError, match="0 links"):
        pl.link_activity(pd.DataFrame({"a": [1.0]}), most=0)
