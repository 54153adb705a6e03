from __future__ import annotations

import gzip
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.datasets import simulate
from omicsglue.errors import OptionError


def test_folder_holds_data_and_truth(tmp_path: Path) -> None:
    data = simulate(
        150,
        genes=60,
        peaks=300,
        types=4,
        modalities=("rna", "atac", "methylation", "protein"),
        proteins=8,
        missing={"atac": ["type3"]},
        batches=2,
    )
    folder = data.write(tmp_path / "a" / "sim")
    assert sorted(path.name for path in folder.iterdir()) == [
        "atac.h5ad",
        "genes.gtf.gz",
        "links.parquet",
        "methylation.h5ad",
        "protein.h5ad",
        "proteins.parquet",
        "rna.h5ad",
        "truth.json",
    ]
    for name, x in data.modalities.items():
        read = ad.read_h5ad(folder / f"{name}.h5ad")
        assert (read.X != x.X).nnz == 0
        pd.testing.assert_frame_equal(read.obs, x.obs)
        assert list(read.var_names) == list(x.var_names)
    coverage = ad.read_h5ad(folder / "methylation.h5ad").layers["coverage"]
    assert (coverage != data["methylation"].layers["coverage"]).nnz == 0
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "links.parquet"), data.links)
    truth = json.loads((folder / "truth.json").read_text())
    assert truth["options"]["genes"] == 60
    assert truth["seed"] == 0
    assert truth["modalities"]["atac"]["missing_types"] == ["type3"]
    assert truth["modalities"]["atac"]["cells_by_type"]["type3"] == 0
    assert sum(truth["types"].values()) == pytest.approx(1)
    assert truth["pairing"]["cells_in_all"] == data.atac.n_obs
    assert truth["links"] == len(data.links)


def test_links_name_features_and_tell_the_distance(tmp_path: Path) -> None:
    data = simulate(20, genes=60, peaks=500, types=3)
    data.write(tmp_path)
    links = pd.read_parquet(tmp_path / "links.parquet")
    assert list(links.columns) == ["source", "target", "sign", "effect", "distance"]
    assert set(links["source"]) <= set(data.rna.var_names)
    assert set(links["target"]) <= set(data.atac.var_names)
    assert set(links["sign"]) <= {-1, 1}
    assert (links["effect"] > 0).all()
    tss = data.genes.loc[links["source"], "tss"].to_numpy()
    start, end = links["target"].str.extract(r":(\d+)-(\d+)").astype(int).to_numpy().T
    np.testing.assert_array_equal(links["distance"], np.maximum(np.maximum(start - tss, tss - end + 1), 0))


def test_gtf_is_one_based_and_closed(tmp_path: Path) -> None:
    data = simulate(5, genes=30, peaks=60, types=2)
    data.write(tmp_path)
    with gzip.open(tmp_path / "genes.gtf.gz", "rt") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
    genes = [row for row in rows if row[2] == "gene"]
    assert {row[2] for row in rows} == {"gene", "transcript", "exon"}
    assert all(len(row) == 9 for row in rows)
    assert len(genes) == 30
    for row, (name, gene) in zip(genes, data.genes.iterrows(), strict=True):
        assert row[0] == gene["chrom"]
        assert (int(row[3]), int(row[4]), row[6]) == (gene["start"] + 1, gene["end"], gene["strand"])
        assert f'gene_name "{name}";' in row[8]
        assert f'gene_id "{gene["gene_id"]}.1";' in row[8]


def test_same_seed_gives_the_same_annotation_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        simulate(5, genes=30, peaks=60, types=2).write(tmp_path / name)
    assert (tmp_path / "a" / "genes.gtf.gz").read_bytes() == (tmp_path / "b" / "genes.gtf.gz").read_bytes()
    assert (tmp_path / "a" / "truth.json").read_bytes() == (tmp_path / "b" / "truth.json").read_bytes()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "sim").write_text("mine")
    with pytest.raises(OptionError, match="it is a file"):
        simulate(5, genes=30, peaks=60, types=2).write(tmp_path / "sim")
    assert (tmp_path / "sim").read_text() == "mine"


def test_null_simulation_writes_an_empty_table_of_links(tmp_path: Path) -> None:
    simulate(5, genes=30, peaks=60, types=2, regulation=0.0).write(tmp_path)
    links = pd.read_parquet(tmp_path / "links.parquet")
    assert len(links) == 0
    assert list(links.columns) == ["source", "target", "sign", "effect", "distance"]
