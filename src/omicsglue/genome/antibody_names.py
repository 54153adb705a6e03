"""Names of antibodies, as panels spell them, brought to keys by which they can be looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator

_GREEK = str.maketrans(
    {"α": "a", "β": "b", "γ": "g", "δ": "d", "ε": "e", "κ": "k", "λ": "l", "ζ": "z", "µ": "m", "μ": "m"}
)
_LETTERS = (
    ("alpha", "a"),
    ("beta", "b"),
    ("gamma", "g"),
    ("delta", "d"),
    ("epsilon", "e"),
    ("kappa", "k"),
    ("lambda", "l"),
)
_BEFORE = re.compile(
    r"^(?:anti|adt|ab|abseq|antibody|prot|protein|hu|ms|rt|hums|humsrt|msrt|human|mouse|rat)[-_. :/]+"
)
_AFTER = re.compile(
    r"(?:[-_. ]*total[-_ ]?seq(?:[-_ ]?[abcd])?(?:[-_. ]?c?\d+)?"  # TotalSeq-B, _TotalSeqC
    r"|[-_. ](?:adt|prot|protein|ab|antibody|pabo|ts[abcd])"
    r"|[-_. ][acgt]{9,})$"  # the barcode of the antibody
)
_COPY = re.compile(r"[-_.]\d$")  # what makes names unique puts there
_BRACKETS = re.compile(r"[(\[]([^()\[\]]*)[)\]]")
_PARTS = re.compile(r"[|:;]")
_TOKENS = re.compile(r"[-_. /,]+")
_PLAIN = re.compile(r"[^a-z0-9]")

_SPECIES = r"(?:mouse|rat|hamster|armenian|syrian|rabbit|goat|sheep)"
_ISOTYPE = re.compile(
    rf"isotype"
    rf"|(?<![a-z]){_SPECIES}[-_. ]+(?:{_SPECIES}[-_. ]+)?ig[gam](?![a-z])"
    r"|(?<![a-z])igg(?:1|2[abc]?|3)?(?:[-_. ,]*[kl])?[-_. ]*(?:ctrl|control|ctl)"
    r"|(?<![a-z])igg(?:1|2[abc]?|3)(?![a-z0-9])"
    r"|(?<![a-z])igg2[abc](?![a-z])"
    r"|(?<![a-z])(?:mopc|mpc|rtk|htk)[-_. ]?\d+"  # clones that bind nothing
)
_ANTI = re.compile(r"^anti[-_. ]")


def plain(name: str) -> str:
    """Return the letters and digits of a name, in lower case and with Greek letters as Latin ones.

    Parameters
    ----------
    name
        Name of an antibody or gene.

    Examples
    --------
    >>> plain("TCR γ/δ"), plain("HLA-DR"), plain("TCR gamma delta")
    ('tcrgd', 'hladr', 'tcrgd')
    """
    return _PLAIN.sub("", _latin(name))


def is_isotype(name: str) -> bool:
    """Tell whether an antibody is an isotype control, which binds nothing on purpose.

    Antibodies against immunoglobulins on B cells (``IgD``, ``IgM``, ``IgG Fc``) are none.

    Parameters
    ----------
    name
        Name of the antibody.

    Examples
    --------
    >>> [is_isotype(name) for name in ("IgG1.K.Isotype.Control", "Mouse_IgG2a", "IgG2b_Ctrl", "MOPC-21")]
    [True, True, True, True]
    >>> [is_isotype(name) for name in ("IgD", "anti-mouse IgM", "IgG Fc", "CD3")]
    [False, False, False, False]
    """
    lower = _latin(name)
    if _ANTI.match(lower):
        return "isotype" in lower
    return _ISOTYPE.search(lower) is not None


def candidate_keys(name: str) -> Iterator[str]:
    """Yield keys under which an antibody may be known, the most literal first.

    Taken off are, one after the other: prefixes (``anti-``, ``adt_``, ``Hu.``), suffixes (``_TotalSeqB``,
    ``-AB``, barcodes, the ``.1`` of repeated names), brackets, and at last what follows a separator, such as
    the name of the clone.

    Parameters
    ----------
    name
        Name of the antibody.

    Yields
    ------
    Keys, see :func:`plain`; none twice.

    Examples
    --------
    >>> list(candidate_keys("adt_CD3-UCHT1"))
    ['adtcd3ucht1', 'cd3ucht1', 'cd3']
    """
    seen = {""}
    for spelling in _spellings(name):
        key = plain(spelling)
        if key not in seen:
            seen.add(key)
            yield key


def has_mark(name: str) -> bool:
    """Tell whether a name is marked as that of an antibody (``adt_``, ``TotalSeq``)."""
    lower = _latin(name)
    return re.match(r"(?:anti|adt|ab|abseq|prot|protein)[-_. :]", lower) is not None or bool(
        _AFTER.search(lower)
    )


def _latin(name: str) -> str:
    lower = str(name).strip().lower().translate(_GREEK)
    for word, letter in _LETTERS:
        lower = lower.replace(word, letter)
    return lower


def _spellings(name: str) -> Iterator[str]:
    whole = _latin(name)
    parts = [part.strip() for part in _PARTS.split(whole)]
    inside = [found.strip() for found in _BRACKETS.findall(whole)]
    bases = [whole, *(_BRACKETS.sub(" ", part).strip() for part in parts), *inside]
    stripped = [_stripped(base) for base in bases]
    yield from bases
    yield from (_BEFORE.sub("", base) for base in bases)  # TCR.AB ends like the name of an antibody
    yield from stripped
    yield from (_COPY.sub("", base) for base in stripped)
    for base in stripped:
        tokens = [token for token in _TOKENS.split(base) if token]
        for end in range(len(tokens) - 1, 0, -1):
            yield "".join(tokens[:end])


def _stripped(name: str) -> str:
    """Return a name without prefixes and suffixes, of which there may be several."""
    before = None
    while name != before:
        before = name
        name = _AFTER.sub("", _BEFORE.sub("", name)).strip(" -_.")
    return name
