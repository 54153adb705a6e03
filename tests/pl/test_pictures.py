"""Pictures: what is drawn, in which colours, and what is left as it was."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from omicsglue.errors import InputError
from omicsglue.pl import balancing_weights, edge_distances, training, umap
from omicsglue.pl.cells import gather, umap_coordinates
from omicsglue.pl.curves import panels_of
from omicsglue.pl.palette import COLOURS, MISSING, colours
from omicsglue.pl.scatter import groups_of, scatter
from synthetic_run import make_edges, make_history, make_modalities, make_run

MACHADO = {  # linear RGB, full severity
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
}


def oklab(linear: np.ndarray) -> np.ndarray:
    cone = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    opponent = [
        [0.2104542553, 0.793617785, -0.0040720468],
        [1.9779984951, -2.428592205, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.808675766],
    ]
    return np.cbrt(np.clip(linear, 0, None) @ np.transpose(cone)) @ np.transpose(opponent)


@pytest.mark.parametrize(("count", "apart"), [(6, 0.07), (24, 0.055)])
@pytest.mark.parametrize("sight", ["full", "protanopia", "deuteranopia"])
def test_colours_stay_apart_for_most_eyes(sight, count, apart):
    rgb = np.array([mpl.colors.to_rgb(each) for each in COLOURS[:count]])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = oklab(linear if sight == "full" else np.clip(linear @ np.transpose(MACHADO[sight]), 0, 1))
    between = np.sqrt(((seen[:, None] - seen[None]) ** 2).sum(-1)) + np.eye(count)
    assert between.min() > apart
    if sight == "full":
        assert ((seen[:, 0] > 0.45) & (seen[:, 0] < 0.9)).all()  # on white and on dark ground


def test_colours_repeat_when_used_up():
    assert colours(26)[24:] == colours(2)


def test_groups_are_in_natural_order_and_bear_numbers_when_many():
    few = groups_of(pd.Series(["type 10", "type 2", None, "type 2"]))
    assert [(each.name, each.cells, each.number) for each in few] == [
        ("type 2", 2, None),
        ("type 10", 1, None),
        ("no value", 1, None),
    ]
    assert few[-1].colour == MISSING
    assert [each.number for each in groups_of(pd.Series(list("abcdefghij")))] == list(range(1, 11))


def test_points_are_shuffled_and_rasterised():
    axes = Figure().subplots()
    values = pd.Series(np.repeat(["a", "b"], 100))
    coordinates = np.random.default_rng(0).normal(size=(200, 2))
    groups = scatter(axes, coordinates, values)
    (points,) = [each for each in axes.get_children() if isinstance(each, PathCollection)]
    assert points.get_rasterized()
    drawn = [mpl.colors.to_hex(each).upper() for each in points.get_facecolors()]
    assert drawn[:100].count(groups[0].colour) < 80
    by_place = {tuple(place): colour for place, colour in zip(points.get_offsets().data, drawn, strict=True)}
    for place, value in zip(coordinates, values, strict=True):
        assert by_place[tuple(place)] == groups["ab".index(value)].colour


def test_groups_that_lie_everywhere_bear_no_number():
    coordinates = np.random.default_rng(0).normal(size=(400, 2))
    values = pd.Series([f"plate {number % 12}" for number in range(400)])
    axes = Figure().subplots()
    assert all(group.number is None for group in scatter(axes, coordinates, values))
    assert not axes.texts
    coordinates[:, 0] += np.arange(400) % 12 * 20
    axes = Figure().subplots()
    assert [group.number for group in scatter(axes, coordinates, values)] == list(range(1, 13))
    assert len(axes.texts) == 12


def test_umap_has_one_panel_a_colouring_and_shows_nothing():
    modalities = make_modalities(types=12)
    coordinates = gather(modalities).embedding[:, :2]
    settings = dict(mpl.rcParams)
    figure = umap(modalities, ["modality", "cell_type", "depth"], coordinates=coordinates)
    assert isinstance(figure, Figure)
    assert dict(mpl.rcParams) == settings
    assert [axes.get_title() for axes in figure.axes[:3]] == ["modality", "cell_type", "depth"]
    legends = [axes.get_legend() for axes in figure.axes[:3]]
    assert [text.get_text() for text in legends[0].get_texts()] == ["rna", "atac"]
    assert [text.get_text() for text in legends[1].get_texts()][:2] == ["1  type 0", "2  type 1"]
    assert legends[2] is None
    figure.draw_without_rendering()


@pytest.mark.slow
def test_umap_keeps_groups_together_and_repeats_itself():
    cells = gather(make_modalities(cells=90, types=3))
    coordinates = umap_coordinates(cells.embedding, seed=1)
    np.testing.assert_array_equal(coordinates, umap_coordinates(cells.embedding, seed=1))
    label = cells.column("cell_type").to_numpy()
    apart = np.sqrt(((coordinates[:, None] - coordinates[None]) ** 2).sum(-1)) + 1e9 * np.eye(len(cells))
    assert (label[apart.argmin(axis=1)] == label).mean() > 0.95


def test_cells_are_gathered_from_a_run_as_from_memory(tmp_path):
    folder = make_run(tmp_path)
    there, here = gather(folder), gather(make_modalities())
    np.testing.assert_array_equal(there.embedding, here.embedding)
    assert list(there.modality) == list(here.modality)
    assert there.column("cell_type").tolist() == here.column("cell_type").tolist()
    few = gather(folder, max_cells=100, seed=2)
    assert few.total == 400
    assert list(few.modality).count("rna") == 60
    for name, table in few.tables.items():
        kept = folder.obs(name).index.get_indexer(table.index)
        np.testing.assert_array_equal(few.embedding[few.modality == name], folder.embedding(name)[kept])


def test_columns_of_one_modality_are_missing_in_the_other():
    modalities = make_modalities()
    del modalities["atac"].obs["cell_type"]
    values = gather(modalities).column("cell_type")
    assert values[:240].notna().all()
    assert values[240:].isna().all()


def test_what_cannot_be_drawn_is_named():
    modalities = make_modalities()
    with pytest.raises(InputError, match=r"no modality has the obs column 'kind'[\s\S]*modality, cell_type"):
        umap(modalities, "kind", coordinates=np.zeros((400, 2)))
    with pytest.raises(InputError, match=r"shape is \(3, 2\), there are 400 cells"):
        umap(modalities, coordinates=np.zeros((3, 2)))
    with pytest.raises(InputError, match="modality 'rna' has no 'X_other'"):
        umap(modalities, key="X_other")
    modalities["atac"].obsm["X_glue"] = modalities["atac"].obsm["X_glue"][:, :3]
    with pytest.raises(InputError, match="rna 8, atac 3"):
        umap(modalities)
    with pytest.raises(InputError, match="4 cells, 5 are needed"):
        umap_coordinates(np.zeros((4, 3)))


def test_every_loss_has_a_place():
    history = make_history().assign(surprise=1.0)
    panels = panels_of(history)
    shown = [name for panel in panels for name in panel.columns]
    assert sorted(shown) == sorted(set(history) - {"stage", "epoch", "steps", "seconds"})
    assert panels[0].columns == ("vae_loss", "val_vae_loss")
    assert panels[-1].columns == ("surprise",)


def test_training_marks_stages_and_dashes_validation():
    figure = training(make_history())
    first = figure.axes[0]
    by_label = {line.get_label(): line for line in first.get_lines()}
    assert by_label["vae loss (validation)"].get_linestyle() == "--"
    np.testing.assert_allclose(by_label["vae loss"].get_ydata(), make_history()["vae_loss"])
    assert [12.5, 12.5] in [list(line.get_xdata()) for line in first.get_lines()]
    assert {text.get_text() for text in first.texts} == {"pretrain", "train"}
    figure.draw_without_rendering()


def test_one_epoch_and_missing_values_are_drawn():
    history = make_history().iloc[:1].assign(val_vae_loss=np.nan)
    training(history).draw_without_rendering()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"loss": [1.0]}), "no stage, epoch"),
        (make_history().iloc[:0], "holds no epoch"),
        (pd.DataFrame({"stage": ["a"], "epoch": [1]}), "no loss"),
    ],
)
def test_what_is_no_history_is_refused(table, message):
    with pytest.raises(InputError, match=message):
        training(table)


def test_histograms_hold_all_values():
    figure = edge_distances(make_edges())
    figure.draw_without_rendering()
    (outline,) = figure.axes[0].patches
    assert outline.get_xy()[:, 1].max() <= 40
    with pytest.raises(InputError, match="no edge spans a distance"):
        edge_distances(make_edges().assign(distance=np.nan))
    weights = {"a": np.ones(10), "b": np.linspace(0, 2, 30)}
    figure = balancing_weights(weights)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["a", "b"]
    figure.draw_without_rendering()
