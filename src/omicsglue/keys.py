"""Every key that the package reads from or writes to AnnData and MuData, spelled once."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from typing import Final

# var: genome coordinates, 0-based and half-open
CHROM: Final = "chrom"
START: Final = "start"
END: Final = "end"
STRAND: Final = "strand"

# var: features whose counts are decoded (set by feature selection)
HIGHLY_VARIABLE: Final = "highly_variable"

# obsm: fixed representations that enter the encoders
PCA: Final = "X_pca"
LSI: Final = "X_lsi"
CLR: Final = "X_clr"

# results
EMBEDDING: Final = "X_glue"  # obsm (cells x D) and varm (features x D; NaN outside the graph)
MEMBER_EMBEDDING: Final = re.compile(rf"{EMBEDDING}(_[1-9]\d*)?")  # see member_embedding
BALANCING_WEIGHT: Final = "glue_weight"  # obs
METACELL: Final = "metacell"  # obs: the metacell of each cell
METACELL_SIZE: Final = "n_cells"  # obs of metacells

# layers
COVERAGE: Final = "coverage"  # covered reads of methylation, beside methylated ones in X

# uns
SETUP: Final = "omicsglue"  # the versioned setup record of a modality

# columns of edge tables
SOURCE: Final = "source"
TARGET: Final = "target"
WEIGHT: Final = "weight"
SIGN: Final = "sign"
KIND: Final = "kind"
DISTANCE: Final = "distance"
EDGE_COLUMNS: Final = (SOURCE, TARGET, WEIGHT, SIGN, KIND, DISTANCE)


def batch_columns(key: str, known: Container[object]) -> list[str]:
    """Return the columns of ``obs`` that a batch key names.

    Parameters
    ----------
    key
        One column, or several with commas between them.
    known
        Columns that are there: a column whose own name has a comma is found as it is.

    Examples
    --------
    >>> batch_columns("donor, plate", ["donor", "plate"])
    ['donor', 'plate']
    """
    if key in known:
        return [key]
    return list(dict.fromkeys(part.strip() for part in key.split(",")))


def joined_columns(key: str | Iterable[str] | None) -> str | None:
    """Return a batch key as it is recorded: columns with commas between them."""
    return key if key is None or isinstance(key, str) else ",".join(key) or None


def member_embedding(member: int) -> str:
    """Return the key of the embeddings of one member of an ensemble, in ``obsm`` and ``varm``.

    Parameters
    ----------
    member
        Number of the member, from 0.

    Examples
    --------
    >>> member_embedding(0), member_embedding(2)
    ('X_glue', 'X_glue_2')
    """
    return f"{EMBEDDING}_{member}" if member else EMBEDDING
