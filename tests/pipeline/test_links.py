"""Links of a run: what is inferred from what, what is written where, and what is refused beforehand."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from command_line_cases import contents
from linked_run import bedpe_of, linked_run, sites_of, small_linked_data, stand_in_links
from omicsglue.data.setup import ModalitySetup
from omicsglue.datasets.simulate import SimulatedData
from omicsglue.errors import (
    GraphError,
    InputError,
    OmicsGlueError,
    OmicsGlueWarning,
    OptionError,
    RunFolderError,
)
from omicsglue.genome import read_evidence
from omicsglue.graph import read_graph
from omicsglue.io import read_json, read_parquet
from omicsglue.pipeline.link_outputs import LinkResults
from omicsglue.pipeline.link_roles import detected
from omicsglue.pipeline.links import links_of_run
from omicsglue.runs import RunFolder
from omicsglue.runs.link_files import read_links
from omicsglue.tl import regulatory_links
from omicsglue.training.progress import Silent

FACTORS = [f"Sim{number:04d}" for number in range(1, 13)]


def links_in(run: RunFolder | Path, **options: Any) -> LinkResults:
    return links_of_run(run, **({"reporter": Silent(), "threads": 1} | options))


@pytest.fixture(scope="module")
def data() -> SimulatedData:
    return small_linked_data(modalities=("rna", "atac", "methylation"))


@pytest.fixture(scope="module")
def pair(data: SimulatedData) -> SimulatedData:
    return SimulatedData({name: data[name] for name in ("rna", "atac")}, data.cells, data.truth)


@pytest.fixture(scope="module")
def files(pair: SimulatedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with evidence and binding sites; not to be changed."""
    folder = tmp_path_factory.mktemp("files")
    pair.links.to_csv(folder / "truth.csv", index=False)
    bedpe_of(pair, folder / "loops.bedpe")
    sites_of(pair, folder / "sites.bed", factors=FACTORS)
    return folder


@pytest.fixture(scope="module")
def finished(pair: SimulatedData, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a run with an ensemble of two; to be copied before links are written there."""
    return linked_run(tmp_path_factory.mktemp("pair") / "RUN", pair, members=2)


@pytest.fixture(scope="module")
def three(data: SimulatedData, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a run of three modalities; links go elsewhere."""
    return linked_run(tmp_path_factory.mktemp("three") / "RUN", data)


@pytest.fixture(scope="module")
def found(finished: RunFolder, pair: SimulatedData, files: Path, tmp_path_factory: Any) -> LinkResults:
    """Return links at the default place, with everything that can be asked for but a network."""
    place = tmp_path_factory.mktemp("links") / "RUN"
    shutil.copytree(finished.path, place)
    return links_in(
        place,
        evidence=[files / "truth.csv", str(files / "loops.bedpe")],
        baselines=["distance", "spearman"],
        label_key="cell_type",
        loci=[pair.links["source"].iloc[0]],
    )


@pytest.fixture
def heard(pair: SimulatedData, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Put what takes no time in the place of the inference; return what that is given."""
    given: list[dict[str, Any]] = []
    monkeypatch.setattr("omicsglue.pipeline.links.regulatory_links", stand_in_links(pair.links, given))
    return given


# What is inferred


def test_links_are_those_of_the_ensemble_and_the_graph(found: LinkResults, finished: RunFolder) -> None:
    modalities, edges = finished.modalities(), finished.edges()
    alone = regulatory_links(
        modalities["rna"],
        modalities["atac"],
        read_graph(finished.graph),
        embeddings=("X_glue", "X_glue_1"),
        threads=1,
    )
    columns = list(alone)
    pd.testing.assert_frame_equal(found.table[columns], alone)
    assert found.table["score_sd"].notna().all()  # of two members
    assert set(found.strata["guidance"]) == {"none", *edges["kind"].unique()}
    assert (found.strata["modality"] == "atac").all()
    assert (found.table["q_value"] < 0.1).sum() >= 5


def test_evidence_becomes_columns(found: LinkResults, pair: SimulatedData) -> None:
    truth = pd.MultiIndex.from_frame(pair.links[["source", "target"]])
    true = pd.MultiIndex.from_frame(found.table[["source", "target"]]).isin(truth)
    np.testing.assert_array_equal(found.table["evidence_truth"], true)
    assert found.table["evidence_bedpe"][true].all()  # the same pairs, and others as near to both ends


def test_the_evaluation_has_scores_and_baselines(found: LinkResults) -> None:
    table, evaluation = found.table, found.evaluation
    assert evaluation is not None
    assert set(evaluation["method"]) == {"score", "cosine", "baseline distance", "baseline spearman"}
    assert set(evaluation["evidence"]) == {"truth", "bedpe"}
    overall = evaluation[(evaluation["stratum"] == "all") & (evaluation["evidence"] == "truth")]
    true = table["evidence_truth"]
    known = table["source"].isin(table.loc[true, "source"])
    auroc = overall.set_index("method")["auroc"]
    assert auroc["score"] == pytest.approx(roc_auc_score(true[known], table.loc[known, "score"]))
    assert auroc["baseline distance"] == pytest.approx(roc_auc_score(true[known], -table["distance"][known]))


def test_activities_are_of_the_significant_links(found: LinkResults, pair: SimulatedData) -> None:
    assert found.activity is not None
    significant = found.table[found.table["q_value"] < 0.1]
    assert len(found.activity) == len(significant)
    assert list(found.activity)[:2] == ["source", "target"]
    assert set(list(found.activity)[2:]) == set(pair.rna.obs["cell_type"])


def test_layers_and_batches_are_those_of_the_setup(
    pair: SimulatedData, heard: list[dict[str, Any]], tmp_path: Path
) -> None:
    rna = pair.rna.copy()
    rna.layers["counts"], rna.X = rna.X, np.log1p(rna.X.toarray())
    rna.obs["donor"] = np.where(np.arange(rna.n_obs) % 2, "one", "two")
    changed = SimulatedData({"rna": rna, "atac": pair.atac}, pair.cells, pair.truth)
    setups = {"rna": ModalitySetup(layer="counts", batch_key="donor")}
    links_in(linked_run(tmp_path / "RUN", changed, setups=setups), seed=3, correction="bh", window=50_000)
    (given,) = heard
    assert given["layers"] == ("counts", None)
    assert given["batch_keys"] == ("donor", None)
    assert given["embeddings"] == ["X_glue"]
    assert (given["seed"], given["correction"], given["window"]) == (3, "bh", 50_000)


def test_guides_are_pairs_known_beforehand(
    finished: RunFolder, pair: SimulatedData, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    options = {"guide": [files / "truth.csv"], "evidence": [files / "loops.bedpe"]}
    found = links_in(finished, out=tmp_path / "a.tsv", **options)
    guides = heard[0]["guides"]
    assert list(guides) == ["source", "target", "kind"]
    assert set(guides["kind"]) == {"truth"}
    near = pair.links.merge(found.table[["source", "target"]])  # others are farther apart than the window
    assert 0 < len(near) < len(pair.links)
    assert set(map(tuple, guides[["source", "target"]].to_numpy())) == set(
        map(tuple, near[["source", "target"]].to_numpy())
    )
    assert read_json(tmp_path / "a.json")["options"]["guide"] == [str(files / "truth.csv")]


def test_evidence_may_have_been_read(
    finished: RunFolder, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    evidence = read_evidence(files / "loops.bedpe", name="contacts")
    found = links_in(finished, out=tmp_path / "a.tsv", evidence=[evidence], baselines=["distance"])
    assert "evidence_contacts" in found.table
    assert read_json(tmp_path / "a.json")["options"]["evidence"] == ["contacts"]


def test_files_of_one_kind_are_called_by_their_names(
    finished: RunFolder, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    for name in ("wide.bedpe", "narrow.bedpe.gz"):
        content = (files / "loops.bedpe").read_bytes()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    both = [tmp_path / "wide.bedpe", tmp_path / "narrow.bedpe.gz"]
    found = links_in(finished, out=tmp_path / "a.tsv", evidence=both, baselines=["distance"])
    assert found.evaluation is not None
    assert found.evaluation["evidence"].unique().tolist() == ["wide", "narrow"]


# Several modalities of elements


def test_every_modality_of_elements_has_links_of_its_sign(
    three: RunFolder, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    gene = "Sim0001"
    found = links_in(
        three,
        out=tmp_path / "links.tsv",
        evidence=[files / "truth.csv"],  # which knows peaks alone
        guide=[files / "loops.bedpe"],
        label_key="cell_type",
        loci=[gene],
        baselines=["distance"],
    )
    assert [each["names"] for each in heard] == [("rna", "atac"), ("rna", "methylation")]
    assert [each["sign"] for each in heard] == [1, -1]
    assert found.table["modality"].unique().tolist() == ["atac", "methylation"]
    assert found.strata["modality"].tolist() == ["atac", "methylation"]
    assert found.evaluation is not None
    assert set(found.evaluation["modality"]) == {"atac"}
    assert not found.table.loc[found.table["modality"] == "methylation", "evidence_truth"].any()
    assert (tmp_path / f"links.{gene}.png").read_bytes().startswith(b"\x89PNG")


def test_modalities_of_elements_are_chosen(
    three: RunFolder, heard: list[dict[str, Any]], tmp_path: Path
) -> None:
    found = links_in(three, out=tmp_path / "a.tsv", elements=["methylation"])
    assert set(found.table["modality"]) == {"methylation"}
    for wrong in ("rna", "protein"):
        with pytest.raises(OptionError, match=f"{wrong} cannot be elements") as caught:
            links_in(three, out=tmp_path / "b.tsv", elements=[wrong])
        assert caught.value.remedy == "choose among: atac, methylation"


@pytest.mark.slow
def test_methylation_falls_where_its_gene_rises(three: RunFolder, tmp_path: Path) -> None:
    found = links_in(three, out=tmp_path / "a.tsv", elements=["methylation"])
    own = found.table[found.table["target"] == found.table["source"] + "_mCG"]
    assert len(own) == 100
    assert own["sign"].mean() < -0.7


# Networks


def test_a_network_of_factors(
    finished: RunFolder,
    heard: list[dict[str, Any]],
    files: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("omicsglue.tl.coexpression._TREES", 5)
    with pytest.warns(OmicsGlueWarning, match="no TF has targets"):  # sites are anywhere
        found = links_in(finished, out=tmp_path / "a.tsv", tf_binding=files / "sites.bed")
    assert found.network is not None
    assert set(found.network.regulators["tf"]) <= set(FACTORS)
    assert set(found.network.genes) == set(found.table["source"])
    assert list(read_parquet(tmp_path / "a.network.parquet")) == list(found.network.edges)
    assert nx.read_graphml(tmp_path / "a.network.graphml").number_of_edges() == len(found.network.edges)
    assert (tmp_path / "a.network.tsv").read_text().startswith("source\ttarget\tweight\n")


@pytest.mark.usefixtures("heard")
def test_without_significant_links_there_is_no_network(
    finished: RunFolder, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omicsglue.pipeline.links.Q_VALUE", 0.001)
    with pytest.warns(OmicsGlueWarning, match="no link has a q-value below 0.001"):
        found = links_in(finished, out=tmp_path / "a.tsv", tf_binding=files / "sites.bed")
    assert found.network is None
    assert (tmp_path / "a.tsv").is_file()
    assert not list(tmp_path.glob("*.network.*"))
    monkeypatch.setattr("omicsglue.tl.coexpression._TREES", 5)
    with pytest.warns(OmicsGlueWarning, match="no TF has targets"):
        found = links_in(finished, out=tmp_path / "b.tsv", tf_binding=files / "sites.bed", tf_top=3)
    assert found.network is not None


def test_elements_are_matched_by_the_cells_in_which_they_are_seen(finished: RunFolder) -> None:
    atac = finished.modalities()["atac"]
    links = pd.DataFrame({"target": atac.var_names[[5, 2, 5]]})
    found = detected(atac, "atac", links)
    assert list(found.index) == list(atac.var_names[[5, 2]])
    expected = (atac.X.toarray()[:, [5, 2]] > 0).sum(axis=0)
    np.testing.assert_array_equal(found["n_cells"], expected)


# Files


def test_files_lie_beside_the_table(found: LinkResults, pair: SimulatedData) -> None:
    run = found.files[0].parent
    gene = pair.links["source"].iloc[0]
    assert [path.name for path in found.files] == [
        "links.parquet",
        "links.genes.tsv",
        "links.significant.bedpe.gz",
        "links.significant.interact.gz",
        "links.evaluation.tsv",
        "links.activity.parquet",
        f"links.{gene}.png",
        "links.json",
    ]
    assert all(path.parent == run and path.stat().st_size > 0 for path in found.files)
    assert RunFolder.open(run).links == found.files[0]
    pd.testing.assert_frame_equal(read_links(run / "links.parquet"), found.table)
    n_significant = int((found.table["q_value"] < 0.1).sum())
    with gzip.open(run / "links.significant.bedpe.gz", "rt") as file:
        assert len(file.readlines()) == n_significant + 1
    genes = pd.read_csv(run / "links.genes.tsv", sep="\t")
    assert genes["links"].sum() == n_significant
    assert len(pd.read_csv(run / "links.evaluation.tsv", sep="\t")) == len(found.evaluation)  # type: ignore[arg-type]
    assert (run / f"links.{gene}.png").read_bytes().startswith(b"\x89PNG")


def test_the_record_says_how_links_were_found(found: LinkResults, files: Path) -> None:
    record = read_json(found.files[-1])
    assert record["format"] == 1
    assert record["embeddings"] == ["X_glue", "X_glue_1"]
    assert (record["genes"], record["elements"]) == ("rna", ["atac"])
    options = record["options"]
    assert options["evidence"] == [str(files / "truth.csv"), str(files / "loops.bedpe")]
    assert (options["window"], options["promoter"], options["seed"]) == (150_000, 2_000, 0)
    assert options["baselines"] == ["distance", "spearman"]
    strata = pd.DataFrame(record["strata"])
    assert strata["pairs"].sum() == len(found.table)
    np.testing.assert_allclose(strata["null_share"], found.strata["null_share"])
    assert {"read", "links", "evaluate"} <= set(record["seconds"])
    assert record["versions"]["omicsglue"]


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("links.tsv", "links"),
        ("my.links.csv.gz", "my.links"),
        ("loops.bedpe", "loops"),
        ("loops.interact.gz", "loops"),
    ],
)
def test_the_ending_tells_the_format(finished: RunFolder, tmp_path: Path, name: str, stem: str) -> None:
    found = links_in(finished, out=tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in found.files}
    assert found.files[0] == tmp_path / name
    assert all(path.name.startswith(f"{stem}.") for path in found.files)
    if stem != "loops":
        table = read_links(tmp_path / name)
        assert table["source"].tolist() == found.table["source"].tolist()
    assert not finished.links.exists()


@pytest.mark.usefixtures("heard")
def test_older_links_are_replaced(finished: RunFolder, tmp_path: Path) -> None:
    links_in(finished, out=tmp_path / "a.tsv", window=20_000)
    first = (tmp_path / "a.tsv").read_bytes()
    links_in(finished, out=tmp_path / "a.tsv")
    assert len((tmp_path / "a.tsv").read_bytes()) > len(first)


# What is refused


REFUSED: list[tuple[dict[str, Any], type[OmicsGlueError], str]] = [
    ({"evidence": ["no.bedpe"]}, OptionError, "--evidence no.bedpe: there is no such file"),
    ({"guide": ["no.bedpe"]}, OptionError, "--guide no.bedpe: there is no such file"),
    ({"tf_binding": "no.bed"}, OptionError, "--tf-binding no.bed: there is no such file"),
    ({"evidence": ["truth.csv"], "guide": ["./truth.csv"]}, OptionError, "both guides the links and judges"),
    ({"evidence": ["truth.csv", "again/truth.csv"]}, OptionError, "several are called truth"),
    ({"evidence": ["far.bedpe"]}, InputError, "meets no candidate pair"),
    ({"guide": ["far.bedpe"]}, InputError, "meets no candidate pair"),
    ({"evidence": ["chr9.bedpe"]}, InputError, "shares no chromosome"),
    ({"evidence": ["tested.tsv"]}, InputError, "that it tested are without effect"),
    ({"tf_binding": "strange.bed"}, InputError, "none of the 1 TFs is among"),
    ({"tf_binding": "sites.bed", "tf_pattern": "("}, OptionError, "no regular expression"),
    ({"baselines": ["distanse"]}, OptionError, "no distanse; did you mean 'distance'"),
    ({"tf_top": 0}, OptionError, "--tf-top: it is 0"),
    ({"correction": "fdr"}, OptionError, "--correction: there is no fdr"),
    ({"label_key": "celltype"}, InputError, "--label-key: .*did you mean 'cell_type'"),
    ({"loci": ["Sim001"]}, InputError, "--locus: Sim001 is no gene of the run; did you mean 'Sim"),
    ({"loci": ["Sim0001"], "window": 0}, InputError, "--locus: Sim0001 has no element near it"),
    ({"window": -1}, OptionError, "window is -1"),
    ({"seed": -1}, OptionError, "--seed: it is -1"),
    ({"threads": 0}, OptionError, "--threads: it is 0"),
    ({"out": "links.xlsx"}, OptionError, "tells no format of links"),
    ({"out": "nowhere/links.tsv"}, OptionError, "there is no folder nowhere"),
    ({"out": "folder.tsv"}, OptionError, "it is a folder"),
]


@pytest.mark.parametrize(("options", "error", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_nothing_is_computed_or_written_where_input_is_wrong(
    finished: RunFolder,
    pair: SimulatedData,
    files: Path,
    heard: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    error: type[OmicsGlueError],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("truth.csv", "sites.bed"):
        shutil.copy(files / name, name)
    Path("again").mkdir()
    shutil.copy("truth.csv", "again/truth.csv")
    Path("folder.tsv").mkdir()
    bedpe_of(pair, Path("far.bedpe"), shift=400_000_000)
    bedpe_of(pair, Path("chr9.bedpe"), chrom="chr9")
    pair.links.assign(positive=False).to_csv("tested.tsv", sep="\t", index=False)
    sites_of(pair, Path("strange.bed"), factors=["GATA1_HUMAN"])
    before = contents(tmp_path)
    with pytest.raises(error, match=words) as caught:
        links_in(finished, **({"out": "links.tsv"} | options))
    assert caught.value.remedy
    assert heard == []
    assert contents(tmp_path) == before


def test_a_folder_that_is_read_only(
    finished: RunFolder, heard: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omicsglue.pipeline.link_outputs.os.access", lambda *_: False)
    with pytest.raises(OptionError, match="you may not write to"):
        links_in(finished, out=tmp_path / "links.tsv")
    assert heard == []


@pytest.mark.usefixtures("heard")
def test_a_picture_that_fails_leaves_nothing(
    finished: RunFolder, pair: SimulatedData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("omicsglue.pl.links", fail)
    with pytest.raises(MemoryError):
        links_in(finished, out=tmp_path / "a.tsv", loci=[pair.links["source"].iloc[0]])
    assert list(tmp_path.iterdir()) == []


def test_runs_that_are_damaged_or_not_there(
    finished: RunFolder, heard: list[dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(RunFolderError, match="there is no such folder"):
        links_in(tmp_path / "none")
    place = tmp_path / "RUN"
    shutil.copytree(finished.path, place)
    (place / "graph.parquet").unlink()
    with pytest.raises(GraphError, match=r"graph\.parquet"):
        links_in(place)
    whole = (place / "integrated.h5mu").read_bytes()
    (place / "integrated.h5mu").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunFolderError, match="it cannot be read"):
        links_in(place)
    (place / "integrated.h5mu").unlink()
    with pytest.raises(RunFolderError, match="did not finish"):
        links_in(place)
    assert heard == []


def test_features_without_places(pair: SimulatedData, tmp_path: Path) -> None:
    run = linked_run(tmp_path / "RUN", pair)
    bare = {name: adata.copy() for name, adata in run.modalities().items()}
    for adata in bare.values():
        adata.var = adata.var.drop(columns=["chrom", "start", "end"])
    run.write_integrated(bare)
    with pytest.raises(InputError, match="no coordinates") as caught:
        links_in(run)
    assert "--annotation" in caught.value.remedy


def test_genes_without_places_are_left_out(
    pair: SimulatedData, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    run = linked_run(tmp_path / "RUN", pair)
    modalities = run.modalities()
    lost = pair.links["source"].iloc[0]
    var = modalities["rna"].var.astype({"start": float, "end": float})
    var.loc[lost, ["chrom", "start", "end"]] = [None, np.nan, np.nan]
    modalities["rna"].var = var
    run.write_integrated(modalities)
    out = {"out": tmp_path / "a.tsv"}
    found = links_in(run, guide=[files / "truth.csv"], evidence=[files / "loops.bedpe"], **out)
    assert lost not in set(found.table["source"])
    assert lost not in set(heard[0]["guides"]["source"])
    with pytest.raises(InputError, match=f"{lost} has no element near it"):
        links_in(run, loci=[lost], **out)


def test_progress_is_told(
    finished: RunFolder, heard: list[dict[str, Any]], files: Path, tmp_path: Path
) -> None:
    class Listener(Silent):
        stages: list[str]
        said: list[str]

        def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
            self.stages.append(name)

        def message(self, text: str) -> None:
            self.said.append(text)

    listener = Listener()
    listener.stages, listener.said = [], []
    out = tmp_path / "a.tsv"
    found = links_in(
        finished, out=out, reporter=listener, evidence=[files / "truth.csv"], baselines=["distance"]
    )
    assert listener.stages == ["read", "links", "evaluate", "write"]
    n = int((found.table["q_value"] < 0.1).sum())
    assert listener.said[0].startswith(f"{len(found.table):,} candidate pairs of ")
    assert f"; {n:,} links of " in listener.said[0]
    assert listener.said[-1] == f"done: {out}"
    assert json.loads((tmp_path / "a.json").read_text())["options"]["threads"] == 1
