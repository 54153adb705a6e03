"""Random methylation calls, written as ALLC and Bismark write them, for tests of what reads them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

CONTEXTS = ("CGA", "CGT", "CAC", "CTT", "CCG", "CHN")


def random_calls(seed: int, sites: int = 400, chroms: tuple[str, ...] = ("chr1", "chr2")) -> pd.DataFrame:
    """Calls at distinct sites of two short chromosomes, sorted, positions from 1."""
    rng = np.random.default_rng(seed)
    parts = []
    for chrom in chroms:
        covered = rng.integers(1, 6, size=sites)
        part = {
            "chrom": chrom,
            "pos": np.sort(rng.choice(np.arange(1, 20_001), size=sites, replace=False)),
            "strand": rng.choice(["+", "-"], size=sites),
            "context": rng.choice(CONTEXTS, size=sites),
            "mc": rng.binomial(covered, rng.random(sites)),
            "cov": covered,
            "methylated": 1,
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def write_allc(path: Path, calls: pd.DataFrame, *, header: bool = False) -> Path:
    """Write calls as an ALLC table, gzip where the name ends so."""
    text = calls.to_csv(sep="\t", index=False, header=header)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_bismark(path: Path, calls: pd.DataFrame) -> Path:
    """Write calls as a coverage file of Bismark, which names no context."""
    plain = pd.DataFrame(
        {
            "chrom": calls["chrom"],
            "start": calls["pos"],
            "end": calls["pos"],
            "percent": 100 * calls["mc"] / calls["cov"],
            "mc": calls["mc"],
            "unmethylated": calls["cov"] - calls["mc"],
        }
    )
    plain.to_csv(path, sep="\t", index=False, header=False)
    return path


def write_report(path: Path, calls: pd.DataFrame) -> Path:
    """Write calls as a cytosine report of Bismark, with a site that no read covers."""
    kind = np.where(calls["context"].str.startswith("CG"), "CG", "CHH")
    report = calls[["chrom", "pos", "strand", "mc"]].assign(
        unmethylated=calls["cov"] - calls["mc"], kind=kind, three=calls["context"].str.replace("N", "A")
    )
    bare = report.iloc[:1].assign(pos=20_500, mc=0, unmethylated=0)
    pd.concat([report, bare]).to_csv(path, sep="\t", index=False, header=False)
    return path
