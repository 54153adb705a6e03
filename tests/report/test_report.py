"""The report: one page that holds everything, and says so where something is missing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from omicsglue.errors import InputError, RunFolderError
from omicsglue.report import sections, write_report
from omicsglue.report.wording import SCORES, flat, score_rows, verdicts
from omicsglue.runs import RunFolder
from synthetic_run import make_edges, make_history, make_modalities, make_record, make_run

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Collects what the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def values(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.attributes if attributes.get(name)]


@pytest.fixture(autouse=True)
def quick_layout(monkeypatch):
    """Lay cells out by two of their dimensions: what UMAP does is not tested here."""
    monkeypatch.setattr(
        sections, "umap_coordinates", lambda embedding, **_: np.array(embedding[:, :2], dtype=float)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> RunFolder:
    return make_run(tmp_path_factory.mktemp("run"), types=12)


def page_of(folder: RunFolder, **options) -> Page:
    path = write_report(folder, **options)
    assert path == folder.report
    page = Page(path.read_text(encoding="utf-8"))
    assert page.open == []
    return page


def test_the_page_needs_nothing_else(run):
    page = page_of(run, label_key="cell_type", batch_key="batch")
    for name in ("href", "src", "xlink:href"):
        assert all(value.startswith(("#", "data:image/png;base64,")) for value in page.values(name))
    text = run.report.read_text()
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert not {tag for tag, _ in page.attributes} & {"script", "link", "iframe", "object"}


def test_names_in_the_page_are_unique_and_links_lead_somewhere(run):
    page = page_of(run, label_key="cell_type", batch_key="batch")
    names = page.values("id")
    assert len(names) == len(set(names))
    targets = [
        value[1:] for key in ("href", "xlink:href") for value in page.values(key) if value.startswith("#")
    ]
    targets += re.findall(r"url\(#([^)]*)\)", run.report.read_text())
    assert set(targets) <= set(names)
    assert len(targets) > 7


def test_every_drawing_says_what_it_shows(run):
    page = page_of(run, label_key="cell_type")
    drawings = [attributes for tag, attributes in page.attributes if tag == "svg"]
    assert len(drawings) >= 9
    assert all(each["role"] == "img" and len(each["aria-label"]) > 15 for each in drawings)
    assert "#010203" not in run.report.read_text()


def test_the_page_tells_what_the_run_holds(run):
    page = page_of(run, label_key="cell_type", batch_key="batch")
    for told in (
        "240 cells",
        "160 cells",
        "60 edges",
        "36.0 s in all",
        "700 MiB of memory",
        "well mixed",
        "By modality",
        "By cell type",
        "By batch",
        "1 warning during the run",
        "3 genes were not found in the annotation",
        "rna.h5ad",
        "0" * 64,
        "X_lsi",
        "3 features without a match",
        "name match",
        "train.noise",
        "pretrain 12 240 18.0 s",
    ):
        assert told in page.text, told
    for score in SCORES:
        assert score.title in page.text


def test_what_users_wrote_is_text_and_never_markup(run, tmp_path):
    page = page_of(run)
    assert "<b>odd</b>" in page.text
    modalities = make_modalities()
    for adata in modalities.values():
        adata.obs["cell_type"] = "<script>alert(1)</script>" + adata.obs["cell_type"]
    folder = RunFolder.create(tmp_path / "run")
    folder.write_integrated(modalities)
    folder.write_record({**make_record(modalities), "warnings": ["<img src=x>"]})
    page = page_of(folder)
    assert "<script>alert(1)</script>type 0" in page.text
    assert "<img src=x>" in page.text
    assert "script" not in {tag for tag, _ in page.attributes}
    assert "img" not in {tag for tag, _ in page.attributes}


def test_cell_types_of_the_usual_name_are_found(run):
    assert "By cell type" in page_of(run).text


def test_columns_named_in_the_record_are_used(tmp_path):
    modalities = make_modalities()
    for name, adata in modalities.items():
        adata.obs = adata.obs.rename(columns={"cell_type": f"{name}_kind"})
    folder = RunFolder.create(tmp_path)
    folder.write_integrated(modalities)
    record = make_record(modalities)
    record["options"] |= {
        "label_key": {"rna": "rna_kind", "atac": "atac_kind"},
        "batch_key": {"rna": "batch"},
    }
    folder.write_record(record)
    page = page_of(folder)
    assert "By cell type" in page.text
    assert "By batch" in page.text


def test_a_bare_run_has_a_page_too(tmp_path):
    modalities = make_modalities()
    for name, adata in modalities.items():
        adata.obs = adata.obs[[]]
        adata.obs_names = [f"{name}-{cell}" for cell in adata.obs_names]
        del adata.obsm["X_pca" if name == "rna" else "X_lsi"]
    folder = RunFolder.create(tmp_path)
    folder.write_integrated(modalities)
    page = page_of(folder)
    for told in (
        "No cell types were given",
        "No batches were given",
        "No cell bears the same name in two modalities",
        "The run holds no history",
        "The run holds no guidance graph",
        "All cells count alike",
        "names no input file",
        "no record of its options",
        "neighbour_conservation left out",
    ):
        assert told in page.text, told


def test_three_modalities_have_a_column_a_pair(tmp_path):
    page = page_of(make_run(tmp_path, modalities=("rna", "atac", "adt")))
    assert "Score mean rna-atac rna-adt atac-adt" in page.text
    assert "(mean over pairs of modalities)" in page.text


def test_a_column_asked_for_must_be_there(run):
    before = run.report.read_bytes() if run.report.exists() else None
    with pytest.raises(InputError, match="no column 'kind'"):
        write_report(run, label_key="kind")
    assert (run.report.read_bytes() if run.report.exists() else None) == before
    with pytest.raises(RunFolderError, match="no such folder"):
        write_report(run.path / "nowhere")


def test_the_page_is_the_same_each_time(run):
    first = write_report(run).read_text()
    assert write_report(run).read_text() == first


def test_many_cells_are_drawn_in_part(run):
    page = page_of(run, max_cells=100)
    assert "100 of 400 cells drawn at random" in page.text
    assert "of 400 cells, drawn at random" in page.text


def test_a_graph_without_distances_says_so(tmp_path):
    folder = make_run(tmp_path)
    make_edges().assign(distance=np.nan).to_parquet(folder.graph)
    assert "None of them spans a distance" in page_of(folder).text


def test_an_odd_history_does_not_stop_the_page(tmp_path):
    folder = make_run(tmp_path)
    folder.write_history(make_history().iloc[:0])
    assert "holds no history" in page_of(folder).text


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ({"mixing": 0.95, "foscttm": 0.02}, ["well mixed", "very close"]),
        ({"mixing": 0.8, "foscttm": 0.1}, ["in part", "lie close"]),
        ({"mixing": 0.2, "foscttm": 0.21}, ["lie apart", "nearer than chance, yet"]),
        ({"mixing": 0.2, "foscttm": 0.45}, ["lie apart", "hardly nearer than chance"]),
        ({"label_acc": 0.48}, ["does not prove", "48.0 %"]),
    ],
)
def test_words_follow_the_scores(scores, words):
    said = " ".join(verdicts(scores))
    for word in words:
        assert word in said


def test_bars_run_from_worst_to_best():
    _, rows = score_rows({"foscttm": 0.1, "label_acc": 0.3})
    assert [row.position for row in rows] == pytest.approx([80, 30])


def test_options_are_written_for_people():
    assert flat({"a": True, "n": 20_000, "x": [], "y": {}, "z": {"q": [1, None]}}) == [
        ("a", "yes"),
        ("n", "20,000"),
        ("x", "none"),
        ("y", "not set"),
        ("z.q", "1, not set"),
    ]
