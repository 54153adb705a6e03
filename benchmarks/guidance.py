r"""How far an integration rests on its guidance graph: other rules, and graphs spoilt on purpose.

    omicsglue simulate --preset 10x --cells 600 --out sim
    python benchmarks/guidance.py --data sim --graphs rate=0,rate=0.9,drop=0.5,flip=0.5 \
        --rival .venv-scglue/bin/python --rival-seconds 600

A graph is ``rule=combined|gene_body|promoter`` or ``window=BASES``, or the default rule with a share of its
edges moved to random pairs (``rate``), left out (``drop``) or given the wrong sign (``flip``); several are
joined by ``+``. With ``--rival``, scglue is trained on the very same edges, for so many seconds at most. One
JSON line a run, with the same scores for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt

import omicsglue as og
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

REPRESENTATIONS = {"rna": "X_pca", "atac": "X_lsi"}
PROMOTER = 2000  # bases
SPOILS = {"drop": og.graph.drop_edges, "rate": og.graph.corrupt, "flip": og.graph.flip_signs}
Data = dict[str, ad.AnnData]
Embeddings = list[npt.NDArray[np.floating[Any]]]


def main() -> None:
    """Run every graph with every seed and print one JSON line each."""
    options = parsed()
    warnings.simplefilter("ignore")
    annotation = options.annotation or options.data / "genes.gtf.gz"
    data = prepared(options.data, annotation)
    for seed in map(int, options.seeds.split(",")):
        for name in options.graphs.split(","):
            graph = guidance(data, name, seed)
            head = {"graph": name, "edges": graph.n_edges, "seed": seed}
            if not options.rival_alone:
                began = time.perf_counter()
                found = ours(data, graph, seed, options.threads)
                facts = {"seconds": round(time.perf_counter() - began, 1)}
                say(head | {"method": "omicsglue"}, scores(found, data, options), facts)
            if options.rival is not None:
                found, facts = rival(options, annotation, graph, seed)
                say(head | {"method": "scglue"}, scores(found, data, options) if found else {}, facts)


def say(*parts: dict[str, Any]) -> None:
    """Print one JSON line."""
    print(json.dumps({key: value for part in parts for key, value in part.items()}), flush=True)


def prepared(folder: Path, annotation: Path) -> Data:
    """Return both modalities with coordinates and representations."""
    data = {name: ad.read_h5ad(folder / f"{name}.h5ad") for name in REPRESENTATIONS}
    og.pp.annotate_genes(data["rna"], annotation)
    og.pp.annotate_peaks(data["atac"])
    og.pp.pca(data["rna"])
    og.pp.lsi(data["atac"])
    for name, key in REPRESENTATIONS.items():
        og.GLUE.setup_anndata(data[name], representation=key)
    return data


def guidance(data: Data, name: str, seed: int) -> og.graph.GuidanceGraph:
    """Return the guidance graph of a name, which says its rule and how it is spoilt."""
    wanted = dict(part.split("=") for part in name.split("+"))
    rule = wanted.pop("rule", "combined")
    graph = og.graph.from_genome(
        data["rna"],
        data["atac"],
        promoter=0 if rule == "gene_body" else PROMOTER,
        anchor="promoter" if rule == "promoter" else "gene",
        window=int(wanted.pop("window", 0)),
        names=["rna", "atac"],
    )
    for spoil, function in SPOILS.items():
        graph = function(graph, float(wanted.pop(spoil, 0)), seed)
    if wanted:
        raise SystemExit(f"there is no such graph: {name}")
    return graph


def ours(data: Data, graph: og.graph.GuidanceGraph, seed: int, threads: int) -> Embeddings:
    """Return the embeddings of the cells by omicsglue."""
    recipe = Recipe.for_cells(max(len(adata) for adata in data.values()), seed)
    model = og.GLUE(data, graph, recipe)
    model.train(threads=threads, device="cpu", reporter=Silent())
    return [np.asarray(model.get_latent_representation(name)) for name in data]


def rival(
    options: argparse.Namespace, annotation: Path, graph: og.graph.GuidanceGraph, seed: int
) -> tuple[Embeddings, dict[str, Any]]:
    """Return the embeddings of the cells by scglue on the same edges (none: it failed), and what it took."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        graph.to_frame().to_csv(scratch / "edges.tsv", sep="\t", index=False)
        script = Path(__file__).with_name("guidance_rival.py")
        given = {
            "data": options.data,
            "annotation": annotation,
            "edges": scratch / "edges.tsv",
            "out": scratch,
            "max-seconds": options.rival_seconds,
            "threads": options.threads,
            "seed": seed,
        }
        more = [text for name, value in given.items() for text in (f"--{name}", str(value))]
        subprocess.run([str(options.rival), str(script), *more], check=True, stdout=subprocess.DEVNULL)
        facts = json.loads((scratch / "facts.json").read_text(encoding="utf-8"))
        files = [scratch / f"{name}.npy" for name in REPRESENTATIONS]
        return [np.load(file) for file in files if file.is_file()], facts


def scores(found: Embeddings, data: Data, options: argparse.Namespace) -> dict[str, Any]:
    """Return FOSCTTM, label accuracy and mixing of embeddings of the same cells in both modalities."""
    types = [adata.obs[options.label_key].astype(str).to_numpy() for adata in data.values()]
    kept = [~np.isin(names, options.ignore_label) for names in types]
    (u, v), (known, there) = found, kept
    accuracy = og.metrics.label_transfer_accuracy(u[known], types[0][known], v[there], types[1][there])
    return {
        "foscttm": round(og.metrics.foscttm(u, v), 4),
        "label_acc": round(accuracy, 4),
        "mixing": round(og.metrics.seurat_alignment_score([u, v]), 4),
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with rna.h5ad and atac.h5ad of the same cells")
    add("--annotation", type=Path, help="genes [default: genes.gtf.gz in that folder]")
    add("--graphs", default="rate=0,rate=0.5,rate=0.9,drop=0.5,flip=0.5")
    add("--seeds", default="0")
    add("--label-key", default="cell_type")
    add("--ignore-label", action="append", default=[])
    add("--threads", type=int, default=1)
    add("--rival", type=Path, metavar="PYTHON", help="Python of an environment with scglue")
    add("--rival-alone", action="store_true", help="train scglue only")
    add("--rival-seconds", type=float, default=3600, help="limit of scglue's training")
    return parser.parse_args()


if __name__ == "__main__":
    main()
