from __future__ import annotations

import numpy as np
import pandas as pd


def make_links() -> pd.DataFrame:
    """Three genes (forward, backward, without strand) and seven pairs, the first gene's name a trap."""
    gene = ["NA", "NA", "NA", "B gene", "B gene", "C", "C"]
    body = {
        "NA": ("chr2", 1000, 9000, "+"),
        "B gene": ("chr10", 20_000, 30_000, "-"),
        "C": ("chr2", 400, 500, "."),
    }
    places = pd.DataFrame([body[each] for each in gene], columns=["chrom", "start", "end", "strand"])
    start = np.array([200, 5000, 60_000, 31_000, 1000, 100, 700])
    links = pd.DataFrame(
        {
            "source": gene,
            "target": [
                f"{chrom}:{low}-{low + 500}" for chrom, low in zip(places["chrom"], start, strict=True)
            ],
            **{f"source_{name}": places[name] for name in places},
            "target_chrom": places["chrom"],
            "target_start": start,
            "target_end": start + 500,
            "distance": [0, 3999, 58_999, 0, 28_499, 0, 200],
            "modality": "atac",
            "cosine": [1 / 3, np.nan, 0.1, -0.3, 0.2, 0.1, 0.1],
            "score": [0.9, 0.0004, 0.9, 0.75, 0.25, 0.1, 0.2],
            "score_sd": np.nan,
            "effect": [1.5, 0.1, 0.4, -0.8, 0.1, 0.1, 0.1],
            "sign": np.array([1, 1, 1, -1, 1, 1, 1], dtype=np.int8),
            "p_value": [0.001, 0.9, 0.01, 0.002, 0.4, 0.5, 0.6],
            "q_value": [0.01, 0.95, 0.05, 0.02, 0.6, 0.7, 0.8],
            "evidence_hic": [True, False, True, False, False, False, False],
        }
    )
    return links.astype({"target_start": "int64", "distance": "int64"})
