"""The studies of ``links.py``: each takes the bench and returns a dictionary of what was measured."""

from __future__ import annotations

import json
import sys
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from links_runs import HERE, Bench, Bools, among, checked
from omicsglue.io import atomic_path
from omicsglue.pl.calibration import calibration as calibration_picture
from omicsglue.pl.calibration import ks_distance
from omicsglue.tl.baselines import METHODS, baseline_scores
from omicsglue.tl.baselines.cicero import is_installed
from omicsglue.tl.evaluation import evaluate_links
from speed import say

Row = dict[str, Any]
Floats = npt.NDArray[np.float64]
LEVELS = (0.05, 0.1, 0.2)  # of q
DISTANCES = (0, 1, 2_000, 5_000, 20_000, 50_000, 100_000, 150_001)
TOP = 1_000  # links that members of an ensemble are compared by
OURS, PUBLISHED = "omicsglue", "published"


def auroc(bench: Bench) -> Row:
    """Compare scores with known links: ours, baselines and scglue's, over the same candidate pairs."""
    found: Row = {}
    for run in bench.runs("10x-1", "10x-5", "snare-3"):
        links = bench.links(run).reset_index(drop=True)
        held = bench.folder(run).modalities()
        say(f"baselines on {run}")
        methods = [name for name in METHODS if name != "coaccessibility" or is_installed()]
        links = links.join(baseline_scores(links, held["rna"], held["atac"], methods=methods), rsuffix="_")
        links = links.rename(columns={"distance_": "nearness"})
        names = ["score", "cosine", "nearness", *(name for name in methods if name != "distance")]
        rival = bench.trained_by_scglue(run)
        if rival is not None:
            links["scglue"] = rival[0]["score"].to_numpy()
            names.append("scglue")
        common = links[names].notna().all(axis=1)
        found[run] = {
            part: {
                "pairs": len(pairs),
                "missing": links.loc[pairs.index, names].isna().sum().to_dict(),
                "rows": evaluate_links(pairs, bench.truth(run), scores=names, all_genes=True).to_dict(
                    "records"
                ),
            }
            for part, pairs in (("all", links), ("common", links[common]))
        }
        if rival is not None:
            found[run]["scglue"] = {"stages": rival[1], "rates": rates(rival[0]["q_value"], bench.true(run))}
    return found


def calibration(bench: Bench) -> Row:
    """Tell what p- and q-values are worth without regulation and with it, and what scglue's are."""
    without: Row = {}
    for run in bench.runs("null-0", "null-6"):
        links = bench.links(run)
        without[run] = {OURS: uniformity(links, links["p_value"], links["q_value"])}
        p_values = {OURS: links["p_value"]}
        published = bench.published(run)
        if published is not None:
            without[run][PUBLISHED] = uniformity(links, published["p_value"], published["q_value"])
            p_values["scglue's inference, same embeddings"] = published["p_value"]
        if run == "null-0":
            draw(p_values, bench.options.picture)
    regulated: Row = {}
    for run in bench.runs("10x-1", "10x-5", "snare-3", "ensemble"):
        true = bench.true(run)
        regulated[run] = {OURS: rates(bench.links(run)["q_value"], true)}
        published = bench.published(run)
        if published is not None:
            regulated[run][PUBLISHED] = rates(published["q_value"], true)
    return {"without": without, "regulated": regulated}


def guidance(bench: Bench) -> Row:
    """Tell what scores owe to the guidance graph: with half of its edges, and with random ones in it."""
    intact, found = bench.links("10x-1"), Row()
    true = bench.true("10x-1")
    for run in bench.runs("10x-1", "half", "corrupted-50", "corrupted-90", "window"):
        links = bench.links(run)
        found[run] = {
            "auroc": areas(links, true),
            "edges": int(among(links, bench.folder(run).edges()).sum()),
            "correlation": {name: spearman(intact[name], links[name]) for name in ("score", "cosine")},
            "rates": rates(links["q_value"], true),
        }
        if run == "half":
            found[run]["recovery"] = recovery(bench)
    return found


def recovery(bench: Bench) -> Row:
    """Tell how high pairs score whose edge was removed, among all pairs that have no edge.

    True edges are removed edges that are links. They are compared with false edges that were removed too,
    and with pairs that are no link and never had an edge; all of them among pairs that have a cosine in both
    runs.
    """
    links, intact = bench.links("half"), bench.links("10x-1")
    true, before = bench.true("10x-1"), among(intact, bench.folder("10x-1").edges())
    removed = before & ~among(links, bench.folder("half").edges())
    scores = {
        "score": links["score"],
        "cosine": links["cosine"],
        "distance": -links["distance"],
        "score, intact graph": intact["score"],
        "cosine, intact graph": intact["cosine"],
    }
    held = (links["cosine"].notna() & intact["cosine"].notna()).to_numpy()
    removed &= held
    others = {"removed false edges": removed & ~true, "pairs without edge": held & ~before & ~true}
    found: Row = {"removed": int(removed.sum()), "removed_true": int((removed & true).sum())}
    for name, other in others.items():
        chosen = other | (removed & true)
        found[name] = {
            "pairs": int(other.sum()),
            "auroc": {key: area(each[chosen], true[chosen]) for key, each in scores.items()},
            "like_distance": {
                key: alike(each[chosen], true[chosen], links["distance"][chosen])
                for key, each in scores.items()
            },
        }
    return found


def seeds(bench: Bench) -> Row:
    """Tell how far the members of an ensemble agree, and what their mean is worth."""
    if not bench.runs("ensemble"):
        return {}
    true, together = bench.true("ensemble"), bench.links("ensemble")
    members = [bench.links("ensemble", key) for key in bench.folder("ensemble").members()]
    both = list(combinations(members, 2))
    best = [set(each["score"].nlargest(TOP).index) for each in members]
    return {
        "members": len(members),
        "correlation": {name: [spearman(a[name], b[name]) for a, b in both] for name in ("score", "cosine")},
        "jaccard_top": [len(a & b) / len(a | b) for a, b in combinations(best, 2)],
        "score_sd": float(together["score_sd"].mean()),
        "auroc": {"one": [areas(each, true) for each in members], "ensemble": areas(together, true)},
        "rates": {"one": [rates(each["q_value"], true) for each in members]}
        | {"ensemble": rates(together["q_value"], true)},
    }


def scale(bench: Bench) -> Row:
    """Time a million candidate pairs."""
    size = ["--genes=600", "--peaks=25000", "--cells=1000"] if bench.options.small else []
    say("a million candidate pairs" if not size else "a hundred thousand candidate pairs")
    command = [sys.executable, HERE / "links_scale.py", f"--threads={bench.options.threads}", *size]
    found: Row = json.loads(checked(command).splitlines()[-1])
    return found


STUDIES = {
    "auroc": auroc,
    "calibration": calibration,
    "guidance": guidance,
    "seeds": seeds,
    "scale": scale,
}


def evaluated(links: pd.DataFrame, truth: pd.DataFrame, scores: list[str]) -> list[Row]:
    """Return AUROC and average precision of each score, overall and by distance."""
    rows: list[Row] = evaluate_links(links, truth, scores=scores, all_genes=True).to_dict("records")
    return rows


def uniformity(links: pd.DataFrame, p: pd.Series, q: pd.Series) -> Row:
    """Compare p-values with uniform ones, over all pairs and by distance, and count links."""
    p, q, distance = p.to_numpy(), q.to_numpy(), links["distance"].to_numpy()
    tested = ~np.isnan(p)
    by_distance = {}
    for low, high in pairwise(DISTANCES):
        here = tested & (distance >= low) & (distance < high)
        name = f"{low // 1000}-{high // 1000} kb" if low else "overlap"
        by_distance[name] = {"pairs": int(here.sum()), "ks": ks_distance(p[here]) if here.any() else None}
    return {
        "pairs": int(tested.sum()),
        "ks": ks_distance(p),
        "below": {str(level): float((p[tested] < level).mean()) for level in (0.001, 0.01, 0.05)},
        "links": {str(level): int((q < level).sum()) for level in LEVELS},
        "by_distance": by_distance,
    }


def rates(q: pd.Series, true: Bools) -> Row:
    """Return links, realised share of false ones and power at several q-values."""
    found = {}
    for level in LEVELS:
        linked = (q < level).to_numpy()
        right = int((linked & true).sum())
        found[str(level)] = {
            "links": int(linked.sum()),
            "fdr": 1 - right / linked.sum() if linked.any() else None,
            "power": right / true.sum() if true.any() else None,
        }
    return found


def area(score: pd.Series, true: Bools) -> float | None:
    """Return the AUROC of a score over the pairs that have one."""
    from sklearn.metrics import roc_auc_score

    known = score.notna().to_numpy()
    if len(np.unique(true[known])) < 2:
        return None
    return float(roc_auc_score(true[known], score[known]))


def areas(links: pd.DataFrame, true: Bools) -> Row:
    """Return the AUROC of the score over all pairs, and of score and cosine over those in the graph."""
    in_graph = links["cosine"].notna().to_numpy()
    return {
        "score": area(links["score"], true),
        "score in graph": area(links["score"][in_graph], true[in_graph]),
        "cosine in graph": area(links["cosine"], true),
    }


def alike(score: pd.Series, true: Bools, distance: pd.Series) -> float | None:
    """Return the AUROC among pairs of like distance: the mean over bins, which count by their links."""
    bins = np.digitize(distance, DISTANCES)
    areas = {each: area(score[bins == each], true[bins == each]) for each in np.unique(bins)}
    known = {each: value for each, value in areas.items() if value is not None}
    if not known:
        return None
    return float(np.average(list(known.values()), weights=[true[bins == each].sum() for each in known]))


def spearman(a: pd.Series, b: pd.Series) -> float:
    """Return the rank correlation over pairs that have both."""
    return float(a.reset_index(drop=True).corr(b.reset_index(drop=True), method="spearman"))


def draw(p_values: dict[str, pd.Series], path: Path) -> None:
    """Draw p-values of data without regulation."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = calibration_picture(p_values, title="Simulated without regulation")
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png")
    say(f"picture: {path}")
