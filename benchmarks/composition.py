r"""Measure what unequal composition does to the alignment: one JSON line a setting.

    python benchmarks/composition.py
    python benchmarks/composition.py --study missing --setting default --seeds 0,1
    python benchmarks/composition.py --setting default --rival .venv-scglue/bin/python --rival-seconds 600

Studies, all simulated: `equal`; `missing`, where the commonest type is not measured in ATAC; `tenfold`,
where of two types of each modality a tenth is measured; `both`.

Settings: `default`; `unbalanced`, a single stage without balancing weights; `true`, whose weights are those
of the true composition. With ``--rival``, scglue is trained on the same edges too, with its own two stages
and balancing, for so many seconds at most.

Scores: label accuracy of ATAC cells by RNA cells, and its mean over types; FOSCTTM over the cells measured in
both; mixing; the share of the nearest RNA cells of ATAC cells that are of the missing type, each a false
match (``false_matches``); and how far weights depart from the true ones, in the mean (``weight_error``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import omicsglue as og
from omicsglue import recipe as recipes
from omicsglue.datasets import SimulatedData, simulate
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

MISSING = {"atac": {"type1": 0.0}}
TENFOLD = {"rna": {"type2": 0.1, "type5": 0.1}, "atac": {"type3": 0.1, "type4": 0.1}}
STUDIES: dict[str, dict[str, dict[str, float]]] = {
    "equal": {},
    "missing": MISSING,
    "tenfold": TENFOLD,
    "both": {"rna": TENFOLD["rna"], "atac": TENFOLD["atac"] | MISSING["atac"]},
}
SETTINGS = ("default", "unbalanced", "true")
LABEL = "cell_type"
NEIGHBOURS = 15

Arrays = dict[str, np.ndarray]


def main() -> None:
    """Run every study with every setting and seed."""
    options = parsed()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        for study in options.study or STUDIES:
            data = simulated(options, study, seed)
            graph = prepared(data)
            for setting in options.setting or SETTINGS[:2]:
                began = time.perf_counter()
                embeddings, weights = ours(data, graph, setting, seed, options.threads)
                facts = {"seconds": time.perf_counter() - began, "weight_error": weight_error(data, weights)}
                say({"study": study, "setting": setting, "seed": seed}, scores(data, embeddings), facts)
            if options.rival is not None:
                embeddings, facts = rival(options, data, graph, seed)
                found = scores(data, embeddings) if embeddings else {}
                say({"study": study, "setting": "scglue", "seed": seed}, found, facts)


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--study", action="append", choices=list(STUDIES))
    add("--setting", action="append", choices=SETTINGS)
    add("--seeds", default="0")
    add("--preset", default="10x")
    add("--cells", type=int, default=2000)
    add("--genes", type=int, default=1000)
    add("--peaks", type=int, default=8000)
    add("--types", type=int, default=6)
    add("--threads", type=int, default=1)
    add("--rival", type=Path, metavar="PYTHON", help="Python of an environment with scglue")
    add("--rival-seconds", type=float, default=3600, help="limit of scglue's training")
    return parser.parse_args()


def say(*parts: dict[str, Any]) -> None:
    """Print one JSON line."""
    row = {name: value for part in parts for name, value in part.items()}
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}), flush=True)


def simulated(options: argparse.Namespace, study: str, seed: int) -> SimulatedData:
    """Return cells of one study."""
    return simulate(
        options.cells,
        preset=options.preset,
        genes=options.genes,
        peaks=options.peaks,
        types=options.types,
        rare_share=0.05,
        composition=STUDIES[study],
        seed=seed,
        coordinates=True,
    )


def prepared(data: SimulatedData) -> og.graph.GuidanceGraph:
    """Compute representations, set modalities up, and return the guidance graph."""
    og.pp.pca(data.rna)
    og.pp.lsi(data.atac)
    for adata, key in ((data.rna, "X_pca"), (data.atac, "X_lsi")):
        og.GLUE.setup_anndata(adata, representation=key)
    return og.graph.from_genome(data.rna, data.atac, names=["rna", "atac"])


def ours(
    data: SimulatedData, graph: og.graph.GuidanceGraph, setting: str, seed: int, threads: int
) -> tuple[Arrays, Arrays]:
    """Return embeddings and balancing weights of a trained model."""
    recipe = Recipe.for_cells(max(adata.n_obs for adata in data.modalities.values()), seed)
    if setting == "unbalanced":
        recipe = replace(recipe, balancing=None)
    model = og.GLUE(data.modalities, graph, recipe)
    computed = recipes.balancing_weights
    if setting == "true":
        recipes.balancing_weights = lambda *_: true_weights(data)
    try:
        model.train(threads=threads, reporter=Silent())
    finally:
        recipes.balancing_weights = computed
    names = list(data.modalities)
    return (
        {name: np.asarray(model.get_latent_representation(name)) for name in names},
        {name: model.balancing_weights(name) for name in names},
    )


def rival(
    options: argparse.Namespace, data: SimulatedData, graph: og.graph.GuidanceGraph, seed: int
) -> tuple[Arrays, dict[str, Any]]:
    """Return scglue's embeddings, none where its losses became NaN, and what it took."""
    with tempfile.TemporaryDirectory() as directory:
        folder = data.write(Path(directory) / "data")
        edges = Path(directory) / "edges.tsv"
        graph.to_frame().to_csv(edges, sep="\t", index=False)
        script = Path(__file__).with_name("guidance_rival.py")
        words = {
            "data": folder,
            "annotation": folder / "genes.gtf.gz",
            "edges": edges,
            "out": directory,
            "max-seconds": options.rival_seconds,
            "threads": options.threads,
            "seed": seed,
        }
        more = [part for name, value in words.items() for part in (f"--{name}", str(value))]
        subprocess.run([str(options.rival), str(script), *more], check=True, stdout=subprocess.DEVNULL)
        facts = json.loads((Path(directory) / "facts.json").read_text())
        files = {name: Path(directory) / f"{name}.npy" for name in data.modalities}
        return {name: np.load(path) for name, path in files.items() if path.is_file()}, facts


def labels_of(adata: ad.AnnData) -> np.ndarray:
    """Return the true type of each cell."""
    return adata.obs[LABEL].astype(str).to_numpy()


def true_weights(data: SimulatedData) -> Arrays:
    """Return the weights that true types call for: ratios of shares to the power 1/2, mean 1."""
    labels = {name: labels_of(adata) for name, adata in data.modalities.items()}
    share = {
        name: {t: float((labels[name] == t).mean()) for t in set(np.concatenate(list(labels.values())))}
        for name in labels
    }
    found = {}
    for name, other in (("rna", "atac"), ("atac", "rna")):
        weight = np.array([np.sqrt(share[other][t] / share[name][t]) for t in labels[name]])
        found[name] = (weight / weight.mean()).astype(np.float32)
    return found


def weight_error(data: SimulatedData, weights: Arrays) -> float:
    """Return the mean absolute departure of weights from the true ones, over modalities."""
    truth = true_weights(data)
    return float(np.mean([np.abs(weights[name] - truth[name]).mean() for name in truth]))


def scores(data: SimulatedData, u: Arrays) -> dict[str, float]:
    """Return every score of embeddings."""
    rna, atac = labels_of(data.rna), labels_of(data.atac)
    both = data.rna.obs_names.intersection(data.atac.obs_names)
    pair = [u[name][adata.obs_names.get_indexer(both)] for name, adata in data.modalities.items()]
    accuracy = {
        t: og.metrics.label_transfer_accuracy(u["rna"], rna, u["atac"][atac == t], atac[atac == t])
        for t in np.unique(atac)
        if t in rna
    }
    missing = np.isin(rna, np.setdiff1d(rna, atac))
    return {
        "label_acc": og.metrics.label_transfer_accuracy(u["rna"], rna, u["atac"], atac),
        "type_acc": float(np.mean(list(accuracy.values()))),
        "foscttm": og.metrics.foscttm(*pair),
        "mixing": og.metrics.seurat_alignment_score(list(u.values())),
        "false_matches": float(missing[nearest(u["atac"], u["rna"])].mean()),
    }


def nearest(queries: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Return the nearest cells of each query, queries x neighbours."""
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=NEIGHBOURS).fit(cells).kneighbors(queries, return_distance=False)


if __name__ == "__main__":
    main()
