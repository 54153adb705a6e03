"""Which genes make a surface protein: a table of common markers, tables of the user, and names of genes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.antibody_names import candidate_keys, has_mark, is_isotype, plain
from omicsglue.suggest import did_you_mean, near

PROTEIN, GENES = "protein", "genes"
BY_COLUMN, BY_USER, BY_TABLE, BY_SYMBOL = "column of var", "your table", "marker table", "gene symbol"

Table = Mapping[str, str | Sequence[str]] | pd.DataFrame | str | Path
"""A user's proteins and genes: a mapping, a table with columns ``protein`` and ``gene``, or its file."""

_MARKERS = "surface_markers.tsv"
_SHORTEST = 3  # a gene symbol of two letters says too little


@dataclass(frozen=True)
class ProteinReport:
    """Which genes are taken to make the proteins of a panel.

    Attributes
    ----------
    genes
        Names of the genes (as they stand in the data) by protein, for those that have any there.
    matched_on
        How each of them was found: by a column of ``var``, your table, the marker table or the gene's symbol.
    isotypes
        Isotype controls; never linked.
    unmatched
        The other proteins without a gene, in the order of the panel.
    missing
        Of the unmatched ones, those whose genes are known but not in the data, with these genes.
    near
        Known names like an unmatched one, by protein.
    renamed
        New names of features that a gene had as well, by old name.
    """

    genes: dict[str, tuple[str, ...]]
    matched_on: dict[str, str]
    isotypes: tuple[str, ...]
    unmatched: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]
    near: dict[str, tuple[str, ...]]
    renamed: Mapping[str, str] | None = None

    @property
    def n_features(self) -> int:
        """Antibodies in the panel."""
        return self.n_matched + len(self.isotypes) + len(self.unmatched)

    @property
    def n_matched(self) -> int:
        """Proteins with a gene in the data."""
        return len(self.genes)

    def __str__(self) -> str:
        """Return the report as lines for people."""
        counts = pd.Series(list(self.matched_on.values()), dtype=object).value_counts()
        how = ", ".join(f"{number} by {name}" for name, number in counts.items())
        text = f"{self.n_matched:,} of {self.n_features:,} proteins are linked to genes ({how or 'none'})"
        if self.isotypes:
            text += f"\nisotype controls, left out: {examples(self.isotypes)}"
        if self.unmatched:
            text += f"\nwithout a gene in the data, seen by the encoder only: {self._described()}"
        if self.renamed:
            one, other = next(iter(self.renamed.items()))
            text += (
                f"\n{len(self.renamed):,} have the name of a gene and are called {other} for {one}, and so on"
            )
        return text

    def _described(self) -> str:
        told = []
        for name in self.unmatched:
            if name in self.missing:
                told.append(f"{name} ({', '.join(self.missing[name])} not in the data)")
            elif name in self.near:
                told.append(f"{name} (like {self.near[name][0]}?)")
            else:
                told.append(name)
        return examples(told)


def protein_genes(
    names: Iterable[str],
    genes: Iterable[str] | Mapping[str, str],
    table: Table | None = None,
    *,
    columns: pd.DataFrame | None = None,
) -> ProteinReport:
    """Find the genes that make the proteins of a panel.

    For each protein the first of these that names a gene in the data counts: the user's table, columns of its
    own with names or ids of genes, the table of common markers that comes with the package (human and mouse),
    and the symbols of the genes themselves. Case, separators, Greek letters, prefixes and suffixes of panels
    and names of clones do not matter.

    Parameters
    ----------
    names
        Proteins, as the panel calls them.
    genes
        Genes in the data; or a mapping from further names and ids to the names in the data.
    table
        Proteins and genes that extend and override the markers: ``{"CD3": ["CD3E", "CD3D"]}``, a table with
        the columns ``protein`` and ``gene`` (several rows, or genes separated by ``;``), or its file.
    columns
        For each protein, columns with names or ids of genes, rows in the order of `names`.

    Returns
    -------
    ProteinReport

    Raises
    ------
    InputError
        If the file cannot be read or lacks a column.
    OptionError
        If the user's table names none of the proteins, or none of the genes it gives them is in the data.

    Examples
    --------
    >>> found = protein_genes(["adt_CD8a", "CD56-NCAM16.2", "IgG1 isotype"], ["Cd8a", "Ncam1"])
    >>> found.genes, found.isotypes
    ({'adt_CD8a': ('Cd8a',), 'CD56-NCAM16.2': ('Ncam1',)}, ('IgG1 isotype',))
    """
    panel = [str(name) for name in names]
    known = _symbols(genes)
    own = read_protein_table(table) if table is not None else {}
    of_columns = columns.astype(str).to_numpy().tolist() if columns is not None else [[]] * len(panel)
    found: dict[str, tuple[str, ...]] = {}
    how: dict[str, str] = {}
    missing: dict[str, tuple[str, ...]] = {}
    unmatched, isotypes, asked = [], [], set()
    for name, entries in zip(panel, of_columns, strict=True):
        by_user = _first(name, own)
        if by_user is not None:
            asked.add(name)
        elif is_isotype(name):
            isotypes.append(name)
            continue
        offers = _offers(name, by_user, entries)
        linked = next(((by, hit) for by, wanted in offers if (hit := _present(wanted, known))), None)
        if linked is None:
            unmatched.append(name)
            if wanted := next((wanted for by, wanted in offers if by in (BY_USER, BY_TABLE)), ()):
                missing[name] = tuple(wanted)
            continue
        how[name], found[name] = linked
    report = ProteinReport(
        found,
        how,
        tuple(isotypes),
        tuple(unmatched),
        missing,
        {name: alike for name in unmatched if name not in missing and (alike := _near(name))},
    )
    if own:
        _check_used(own, asked, report, panel, list(known.values()))
    return report


def looks_like_panel(names: Sequence[str]) -> bool:
    """Tell whether features are antibodies by their names.

    They are where at least half of at most 500 names are known markers, isotype controls or marked as those
    of antibodies (``adt_``, ``TotalSeq``), and at least a fifth is nothing else: a panel of genes has names
    such as ``CD4`` too, but not ``CD3``, ``CD45RA`` or ``CD11c``.

    Parameters
    ----------
    names
        Names of features.
    """
    if not 0 < len(names) <= 500:
        return False
    table, symbols = markers(), _marker_symbols()
    known = sum(has_mark(name) or is_isotype(name) or _first(name, table) is not None for name in names)
    alone = sum(
        has_mark(name) or is_isotype(name) or (_first(name, table) is not None and plain(name) not in symbols)
        for name in names
    )
    return known >= 0.5 * len(names) and alone >= 0.2 * len(names)


@cache
def markers() -> dict[str, tuple[str, ...]]:
    """Return the genes of common surface markers by key (see ``antibody_names.plain``), aliases included."""
    text = resources.files("omicsglue.genome").joinpath(_MARKERS).read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines()[1:]:
        protein, genes, others = line.split("\t")
        made_by = tuple(genes.split(";"))
        found[plain(protein)] = made_by
        aliases |= {plain(alias): made_by for alias in others.split(";") if alias}
    return aliases | found


@cache
def _marker_symbols() -> frozenset[str]:
    return frozenset(plain(gene) for made_by in markers().values() for gene in made_by)


def read_protein_table(table: Table) -> dict[str, tuple[str, ...]]:
    """Return a user's table as genes by key of protein.

    Parameters
    ----------
    table
        See :func:`protein_genes`.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, or there is no row.
    """
    if isinstance(table, Mapping):
        pairs = [(name, gene) for name, made_by in table.items() for gene in _listed(made_by)]
        return _joined(pairs, "protein_genes")
    where = str(table) if isinstance(table, str | Path) else "protein_genes"
    rows = _rows(Path(table)) if isinstance(table, str | Path) else table
    column = {str(name).strip().lower(): name for name in rows.columns}
    chosen = [
        next((column[name] for name in names if name in column), None)
        for names in ((PROTEIN, "antibody"), ("gene", GENES))
    ]
    if None in chosen:
        missing = [name for name, found in zip((PROTEIN, "gene"), chosen, strict=True) if found is None]
        raise InputError(
            f"there is no column {' and no column '.join(missing)}{did_you_mean(missing[0], column)}; "
            f"columns are {', '.join(map(str, rows.columns)) or 'not named'}",
            where=where,
            remedy="give a table with the columns protein and gene, one row a pair, such as CD3 and CD3E",
        )
    proteins, genes = (rows[name].astype(str) for name in chosen)
    return _joined(
        [
            (protein, gene)
            for protein, made_by in zip(proteins, genes, strict=True)
            for gene in _listed(made_by)
        ],
        where,
    )


def _rows(path: Path) -> pd.DataFrame:
    """Read a table of text, separated by tabs or commas."""
    from omicsglue.genome.delimited import readable

    with readable(path):
        try:
            with path.open(encoding="utf-8-sig") as stream:
                first = next((line for line in stream if not line.startswith("#")), "")
            separator = "\t" if "\t" in first else ","
            return pd.read_csv(path, sep=separator, dtype=str, comment="#", keep_default_na=False)
        except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
            raise InputError(
                f"it is no table of text ({error})",
                where=str(path),
                remedy="give a .tsv or .csv file with the columns protein and gene",
            ) from error


def _joined(pairs: Iterable[tuple[str, str]], where: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for protein, gene in pairs:
        if plain(protein) and gene:
            found.setdefault(plain(protein), []).append(gene)
    if not found:
        raise InputError(
            "it names no protein with a gene", where=where, remedy="give at least one protein and its gene"
        )
    return {key: tuple(dict.fromkeys(genes)) for key, genes in found.items()}


def _listed(genes: str | Sequence[str]) -> list[str]:
    parts = genes.split(";") if isinstance(genes, str) else [str(gene) for gene in genes]
    return [part.strip() for part in parts]


def _symbols(genes: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    """Return names in the data by key; of names with one key the first counts."""
    pairs = genes.items() if isinstance(genes, Mapping) else ((name, name) for name in genes)
    found: dict[str, str] = {}
    for name, feature in pairs:
        found.setdefault(plain(str(name)), str(feature))
    return found


def _offers(
    name: str, by_user: tuple[str, ...] | None, entries: Sequence[str]
) -> list[tuple[str, Sequence[str]]]:
    """Return what may name the genes of a protein, the best first."""
    if by_user is not None:
        return [(BY_USER, by_user)]
    offers: list[tuple[str, Sequence[str]]] = [(BY_COLUMN, _listed(entry)) for entry in entries]
    made_by = _first(name, markers())
    if made_by is not None:
        offers.append((BY_TABLE, made_by))
    return [*offers, *((BY_SYMBOL, [key]) for key in candidate_keys(name) if len(key) >= _SHORTEST)]


def _first(name: str, table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...] | None:
    return next((table[key] for key in candidate_keys(name) if key in table), None)


def _present(wanted: Sequence[str], known: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(known[key] for gene in wanted if (key := plain(gene)) in known))


def _near(name: str) -> tuple[str, ...]:
    shortest = min(candidate_keys(name), key=len, default="")
    return tuple(key.upper() for key in near(shortest, markers(), limit=2))


def _check_used(
    own: Mapping[str, tuple[str, ...]],
    asked: set[str],
    report: ProteinReport,
    panel: Sequence[str],
    genes: Sequence[str],
) -> None:
    if not asked:
        raise OptionError(
            f"your table names none of the {len(panel):,} proteins: it has {examples(own, 3)}, "
            f"the data have {examples(panel, 3)}",
            where="--protein-genes",
            remedy="give the proteins the names that they have in the data",
        )
    absent = {name: report.missing[name] for name in report.unmatched if name in asked}
    if len(absent) == len(asked):
        wanted = [f"{gene} (of {name})" for name, made_by in absent.items() for gene in made_by]
        raise OptionError(
            f"your table gives proteins genes that are not in the data: {examples(wanted, 3)}; "
            f"genes there are called {examples(genes, 3)}",
            where="--protein-genes",
            remedy="give the genes the names or ids that they have in the data",
        )
