r"""Regulatory links by scglue 0.4.1's published procedure, in an environment of its own.

    .venv-scglue/bin/python benchmarks/links_rival.py --data DIR --pairs PAIRS.parquet --out OUT.parquet

``links.py`` calls it. Genes are named as in the annotation, peaks ``chr1:100-600``; all genes are modelled,
or those of the column ``highly_variable`` where there is one. The steps are those of scglue's tutorials with
scglue's own defaults: PCA and LSI, a guidance graph of promoters and the peaks within 150 kb with power-decay
weights (``--graph overlap``: gene bodies with promoters, and the peaks that overlap them), ``fit_SCGLUE``
with NB decoders, and ``regulatory_inference`` on the pairs given. Half of ``--max-seconds`` is for each of
the two stages of training, and what the first leaves goes to the second; scglue then restores its own best
checkpoint where it has one, and else keeps the network as it is.

With ``--embeddings`` nothing is trained: the published inference alone is applied to these embeddings of
features, ``(n_features, n_dims)`` in the order of the data, NaN outside the graph, or, of an ensemble,
``(members, n_features, n_dims)``.

OUT holds ``source``, ``target``, ``score``, ``p_value`` and ``q_value`` in the order of the pairs, NaN where
a feature has no embedding; OUT with the suffix ``.json`` holds what it took. Needs scglue and pyarrow, and
bedtools where a graph is to be built.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anndata as ad
import networkx as nx
import numpy as np
import numpy.typing as npt
import pandas as pd
import scanpy as sc
import scglue
import torch
from ignite.engine import Engine, Events
from scglue.models.base import TrainingPlugin

from speed_worker import peak_memory, versions

MODALITIES = ("rna", "atac")
COMPONENTS = 100
LSI_ITERATIONS = 15  # the tutorial's
WINDOW = 150_000  # bases
PROMOTER = 2_000  # bases upstream of the transcription start
PEAK_NAME = r"^(?P<chrom>.+?)[:_-](?P<chromStart>\d+)[_-](?P<chromEnd>\d+)$"
RESULTS = {"score": "score", "pval": "p_value", "qval": "q_value"}

Data = dict[str, ad.AnnData]
Facts = dict[str, Any]
Embeddings = list[npt.NDArray[np.floating[Any]]]  # (n_features, n_dims), one a member of the ensemble


class Limit(TrainingPlugin):
    """Ends a stage of training when its time, in seconds, is over."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.allowed, self.seconds, self.cpu_seconds = seconds, 0.0, 0.0
        self.began = self.cpu_began = 0.0
        self.steps, self.max_epochs, self.epoch_length = 0, 0, 0
        self.ended = "by itself"

    def attach(self, **parts: Any) -> None:
        """Attach the hooks; scglue calls this when its own are in place."""
        self.epoch_length = len(parts["train_loader"].data_loaders[0])
        parts["train_engine"].add_event_handler(Events.STARTED, self._start)
        parts["train_engine"].add_event_handler(Events.ITERATION_COMPLETED, self._step)
        parts["train_engine"].add_event_handler(Events.COMPLETED, self._end)

    def _start(self, engine: Engine) -> None:
        self.began, self.cpu_began = time.perf_counter(), time.process_time()
        self.max_epochs = engine.state.max_epochs

    def _step(self, engine: Engine) -> None:
        self.steps = engine.state.iteration
        self._note_time()
        if self.seconds >= self.allowed:
            self.ended = "time over"
            engine.terminate()

    def _end(self, engine: Engine) -> None:
        self._note_time()
        if not all(torch.isfinite(loss).all() for loss in (engine.state.output or {}).values()):
            self.ended = "NaN"  # scglue stops here; so it does where balancing matches no clusters

    def _note_time(self) -> None:
        self.seconds = time.perf_counter() - self.began
        self.cpu_seconds = time.process_time() - self.cpu_began

    def facts(self) -> Facts:
        """Return what the stage took."""
        return {
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "steps": self.steps,
            "epochs": self.steps / self.epoch_length,
            "max_epochs": self.max_epochs,
            "ended": self.ended,
        }


def bounded_model(seconds: float, limits: list[Limit]) -> type:
    """Return scglue's model with so many seconds for its two stages; their limits are added to the list."""

    class BoundedModel(scglue.models.SCGLUEModel):
        """scglue's model; ``fit_SCGLUE`` has no other place for a plugin, and makes one for each stage."""

        def compile(self, **options: Any) -> None:
            super().compile(**options)
            limit = Limit(seconds - limits[0].seconds if limits else seconds / 2)
            limits.append(limit)
            self.trainer.fit = functools.partial(self.trainer.fit, plugins=[limit])

        def save(self, fname: object) -> None:
            """Keep no pickled model: the embeddings are all that is wanted."""

    return BoundedModel


def prepared(folder: Path, annotation: Path | None) -> Data:
    """Read the data, and give them coordinates and the representations that the encoders see."""
    data = {name: ad.read_h5ad(folder / f"{name}.h5ad") for name in MODALITIES}
    rna, atac = data["rna"], data["atac"]
    scglue.data.get_gene_annotation(rna, gtf=annotation or folder / "genes.gtf.gz", gtf_by="gene_name")
    data["rna"] = rna = rna[:, rna.var["chromStart"].notna().to_numpy()].copy()
    rna.var["highly_variable"] = rna.var.get("highly_variable", True)
    rna.layers["counts"] = rna.X.copy()
    sc.pp.normalize_total(rna)
    sc.pp.log1p(rna)
    sc.pp.scale(rna)
    sc.tl.pca(rna, n_comps=COMPONENTS, svd_solver="auto")
    atac.var = atac.var.assign(**atac.var_names.to_series().str.extract(PEAK_NAME))
    scglue.data.lsi(atac, n_components=COMPONENTS, use_highly_variable=False, n_iter=LSI_ITERATIONS)
    return data


def guidance(data: Data, rule: str) -> nx.MultiDiGraph:
    """Return the guidance graph of the features to be modelled; those of the peaks are marked by it."""
    options = {"gene_region": "promoter", "extend_range": WINDOW} if rule == "window" else {}
    graph = scglue.genomics.rna_anchored_guidance_graph(
        data["rna"],
        data["atac"],
        promoter_len=PROMOTER,
        extend_fn=scglue.genomics.dist_power_decay,
        **options,
    )
    modelled = [name for each in data.values() for name in each.var_names[each.var["highly_variable"]]]
    return graph.subgraph(modelled).copy()


def trained(data: Data, graph: nx.MultiDiGraph, seconds: float, seed: int) -> tuple[pd.DataFrame, Facts]:
    """Train scglue, and return the embedding of the features, and what each stage took."""
    scglue.models.configure_dataset(data["rna"], "NB", use_layer="counts", use_rep="X_pca")
    scglue.models.configure_dataset(data["atac"], "NB", use_rep="X_lsi")
    limits: list[Limit] = []
    with tempfile.TemporaryDirectory() as directory:
        model = scglue.models.fit_SCGLUE(
            data,
            graph,
            model=bounded_model(seconds, limits),
            init_kws={"random_seed": seed},
            fit_kws={"directory": directory},
        )
    embedding = pd.DataFrame(model.encode_graph(graph), index=model.vertices)
    return embedding, {name: limit.facts() for name, limit in zip(("pretrain", "train"), limits, strict=True)}


def inferred(pairs: pd.DataFrame, features: pd.Index, embeddings: Embeddings) -> pd.DataFrame:
    """Return scglue's score, P-value and Q-value of each pair; NaN where a feature has no embedding."""
    known = features[np.all([np.isfinite(each).all(axis=1) for each in embeddings], axis=0)]
    rows = features.get_indexer(known)
    possible = pairs[pairs["source"].isin(known) & pairs["target"].isin(known)]
    links = scglue.genomics.regulatory_inference(
        known,
        [each[rows] for each in embeddings],
        skeleton=nx.from_pandas_edgelist(possible, create_using=nx.DiGraph),
        random_state=0,
    )
    found = nx.to_pandas_edgelist(links)[["source", "target", *RESULTS]].rename(columns=RESULTS)
    return pairs[["source", "target"]].merge(found, how="left", on=["source", "target"])


def features_of(folder: Path) -> list[pd.Index]:
    """Return the names of the features of each modality."""
    return [ad.read_h5ad(folder / f"{name}.h5ad", backed="r").var_names for name in MODALITIES]


def trained_links(pairs: pd.DataFrame, options: argparse.Namespace) -> tuple[pd.DataFrame, Facts]:
    """Return the links of a model that is trained here, and what it took."""
    seconds: dict[str, float] = {}
    with timed(seconds, "prepare"):
        data = prepared(options.data, options.annotation)
    with timed(seconds, "graph"):
        graph = guidance(data, options.graph)
    with timed(seconds, "fit"):
        embedding, stages = trained(data, graph, options.max_seconds, options.seed)
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        for name, features in zip(MODALITIES, features_of(options.data), strict=True):
            np.save(options.keep / f"{name}_v.npy", embedding.reindex(features).to_numpy())
    with timed(seconds, "infer"):
        links = inferred(pairs, embedding.index, [embedding.to_numpy()])
    forward = sum(kind == "fwd" for *_, kind in graph.edges.data("type"))
    size = {"features": graph.number_of_nodes(), "edges": forward}
    return links, {"graph": options.graph, **size, "stages": stages, "seconds": seconds}


def given_links(pairs: pd.DataFrame, options: argparse.Namespace) -> tuple[pd.DataFrame, Facts]:
    """Return the links of the embeddings that are given, and what it took."""
    names, seconds = features_of(options.data), dict[str, float]()
    stacks = [np.load(file) for file in options.embeddings]
    stacks = [stack[None] if stack.ndim == 2 else stack for stack in stacks]
    for features, stack, file in zip(names, stacks, options.embeddings, strict=True):
        if stack.shape[1] != len(features):
            sys.exit(f"{file} has {stack.shape[1]} rows, but its modality has {len(features)} features")
    with timed(seconds, "infer"):
        links = inferred(pairs, names[0].append(names[1]), list(np.concatenate(stacks, axis=1)))
    return links, {"members": len(stacks[0]), "seconds": seconds}


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Note the seconds that a part takes."""
    began = time.perf_counter()
    yield
    seconds[part] = time.perf_counter() - began


def main() -> None:
    """Infer links, and write them and what it took."""
    options = parsed()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    scglue.config.CPU_ONLY = True
    pairs = pd.read_parquet(options.pairs, columns=["source", "target"])
    links, facts = (given_links if options.embeddings else trained_links)(pairs, options)
    facts |= {
        "pairs": len(pairs),
        "pairs_scored": int(links["score"].notna().sum()),
        "seed": options.seed,
        "threads": options.threads,
        "peak_bytes": peak_memory(),
        "versions": versions("scglue", "torch", "numpy", "scanpy", "anndata"),
    }
    links.to_parquet(options.out, index=False)
    options.out.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Regulatory links by scglue's published procedure.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of rna.h5ad, atac.h5ad and genes.gtf.gz")
    add("--annotation", type=Path, help="GTF file of the genes, where it is not in that folder")
    add("--pairs", type=Path, required=True, help="candidate pairs: source and target (Parquet)")
    add("--out", type=Path, required=True, help="where the scored pairs go (Parquet)")
    add("--embeddings", type=Path, nargs=2, metavar=("RNA", "ATAC"), help="infer only, from these")
    add("--graph", choices=("window", "overlap"), default="window", help="guidance graph")
    add("--max-seconds", type=float, default=math.inf, help="limit of the training's time")
    add("--keep", type=Path, help="folder in which to keep the feature embeddings")
    add("--threads", type=int, default=2, help="CPU threads")
    add("--seed", type=int, default=0, help="seed of the training")
    options = parser.parse_args()
    if options.embeddings is None and shutil.which("bedtools") is None:
        parser.error("scglue builds its graph with bedtools; install it (Debian: apt-get install bedtools)")
    return options


if __name__ == "__main__":
    main()
