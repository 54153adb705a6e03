"""Preparation: the guidance graph, feature selection and representations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from omicsglue import graph as guidance
from omicsglue.data import checks
from omicsglue.data.groups import check_batch_options
from omicsglue.data.pairing import pair_cells
from omicsglue.data.setup import write_setup
from omicsglue.errors import GraphError, OptionError, examples
from omicsglue.genome import MatchReport, ProteinReport, has_coordinates, read_annotation
from omicsglue.graph.proteins import protein_graph
from omicsglue.keys import CHROM, END, HIGHLY_VARIABLE, START, STRAND
from omicsglue.pipeline.coordinates import GENES, PROTEINS, REGIONS, Kind, annotate
from omicsglue.pipeline.files import Source
from omicsglue.pipeline.methylation import expression, genes_by_column, notes, with_signs
from omicsglue.pipeline.notices import named, quiet
from omicsglue.pipeline.option_values import flag
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.proteins import apart, check_protein_genes, find_genes, kinds_of, model_genes
from omicsglue.pipeline.read import read_all
from omicsglue.pipeline.represent import represent, select

if TYPE_CHECKING:
    from anndata import AnnData

FEWEST_CELLS = 2

Given = Mapping[str, Source]


@dataclass(frozen=True)
class Prepared:
    """Everything that the model needs.

    Attributes
    ----------
    modalities
        Set-up copies of the inputs that share their matrices; the inputs are unchanged.
    graph
        The guidance graph.
    matches
        How features were given coordinates, where they were, and proteins genes.
    notes
        What else the owner of the data should know.
    proteins_alone
        Whether nothing but proteins is linked to the genes.
    """

    modalities: dict[str, AnnData]
    graph: guidance.GuidanceGraph
    matches: dict[str, MatchReport | ProteinReport]
    notes: tuple[str, ...] = ()
    proteins_alone: bool = False


def read_inputs(modalities: Given, options: IntegrateOptions) -> dict[str, AnnData]:
    """Return the inputs as objects whose tables may be changed; the user's own are not touched.

    Parameters
    ----------
    modalities
        Objects, files, or several files, by name.
    options
        Options of the run; everything that they name is checked.

    Raises
    ------
    InputError, OptionError
        If something is missing or cannot be used.
    """
    options.check_modalities(modalities)
    read = read_all(modalities, options)
    apart(read, options)
    checks.check_modalities(read)
    for name, adata in read.items():
        checks.check_enough_cells(adata.n_obs, FEWEST_CELLS, where=name)
        setup = options.setup(name)
        checks.check_setup(adata, setup, name)
        if options.pairing_key is not None:
            checks.check_key(adata, "obs", options.pairing_key, where=name)
    with quiet():  # the model will speak of them
        batches = {
            name: checks.batch_codes(adata, options.batch_key.get(name), None, name)[1]
            for name, adata in read.items()
        }
        check_batch_options(batches, shared=options.shared_batches, align=options.aligned)
        if options.trained_pairing is not None:
            pair_cells(read, options.trained_pairing)
    return read


def prepare(
    modalities: dict[str, AnnData],
    annotation: str | Path | pd.DataFrame | None,
    graph: str | Path | guidance.GuidanceGraph | None,
    options: IntegrateOptions,
) -> Prepared:
    """Prepare inputs for the model.

    Parameters
    ----------
    modalities
        What :func:`read_inputs` returned; changed in place.
    annotation
        GTF, GFF3 or BED file, or a table of genes.
    graph
        A guidance graph or its file; built from coordinates where not given.
    options
        Options of the run.

    Raises
    ------
    OptionError
        If neither annotation nor graph is given and genes have no coordinates.
    AnnotationError, GraphError, InputError
        If something does not fit.
    """
    check_guidance(annotation, graph, options)
    genes = read_annotation(annotation) if isinstance(annotation, str | Path) else annotation
    given = guidance.read_graph(graph) if isinstance(graph, str | Path) else graph
    kinds = kinds_of(modalities, genes, options)
    matches: dict[str, MatchReport | ProteinReport] = {}
    matches |= annotate(modalities, kinds, genes, needed=given is None)
    proteins = find_genes(modalities, kinds, options) if given is None else {}
    for name, adata in modalities.items():
        select(name, adata, kinds[name], options)
    seen = model_genes(modalities, kinds, proteins, options)
    built = given if given is not None else build_graph(modalities, kinds, options, proteins)
    guidance.check(built, {name: adata.var_names for name, adata in modalities.items()})
    for name, adata in modalities.items():
        with named(name):
            representation = options.representation.get(name) or represent(
                name, adata, kinds[name], options, seen.get(name)
            )
        with quiet():  # the same checks have spoken already
            write_setup(adata, replace(options.setup(name), representation=representation), name)
    said = notes(modalities, options, _genes(modalities, kinds, options)) if given is None else []
    return Prepared(modalities, built, {**matches, **proteins}, tuple(said), bool(seen))


def graph_of_all_features(
    modalities: dict[str, AnnData], annotation: str | Path | pd.DataFrame, options: IntegrateOptions
) -> tuple[guidance.GuidanceGraph, dict[str, MatchReport | ProteinReport]]:
    """Build the guidance graph of all features that have coordinates or genes, without a selection of genes.

    Parameters
    ----------
    modalities
        By name; ``var`` is changed.
    annotation
        GTF, GFF3 or BED file, or a table of genes.
    options
        Rule, promoter, window, signs, and what is said of proteins.

    Returns
    -------
    The graph, and how features were given coordinates or genes.

    Raises
    ------
    OmicsGlueError
        As :func:`prepare`.
    """
    apart(modalities, options)
    checks.check_modalities(modalities)
    check_guidance(annotation, None, options)
    genes = read_annotation(annotation) if isinstance(annotation, str | Path) else annotation
    kinds = kinds_of(modalities, genes, options)
    matches: dict[str, MatchReport | ProteinReport] = {}
    matches |= annotate(modalities, kinds, genes, needed=True)
    proteins = find_genes(modalities, kinds, options)
    for adata in modalities.values():
        adata.var[HIGHLY_VARIABLE] = True
    return build_graph(modalities, kinds, options, proteins), {**matches, **proteins}


def check_guidance(annotation: object, graph: object, options: IntegrateOptions) -> None:
    """Check that annotation and graph are files where they are given as such, and that signs can be used.

    Raises
    ------
    OptionError
        If a file is missing, or signs are given for a graph that has its own.
    """
    for option, source in (("--annotation", annotation), ("--graph", graph)):
        if isinstance(source, str | Path) and not Path(source).is_file():
            what = "it is a folder, not a file" if Path(source).is_dir() else "there is no such file"
            raise OptionError(what, where=f"{option} {source}", remedy="check the path")
    if graph is not None and options.rule != "combined":
        raise OptionError(
            f"the rule {options.rule} is for a graph that is built, but one is given",
            where="--rule",
            remedy="leave out the rule or --graph",
        )
    if graph is not None and options.sign:
        raise OptionError(
            f"signs are given for {examples(options.sign)}, but the edges of a given graph have their own",
            where=flag("sign"),
            remedy="leave the option out, and give the signs in the column sign of the graph",
        )
    check_protein_genes(graph, options)


def build_graph(
    modalities: Mapping[str, AnnData],
    kinds: Mapping[str, Kind],
    options: IntegrateOptions,
    proteins: Mapping[str, ProteinReport] | None = None,
) -> guidance.GuidanceGraph:
    """Link the genes of one modality to the features of all others.

    Regions are linked by their place; genes measured in another way (methylation of gene bodies) to the same
    gene of the annotation; proteins to the genes that make them.

    Parameters
    ----------
    modalities
        With coordinates, and with the features that may be linked marked in ``var["highly_variable"]``.
    kinds
        What their features are. The first that holds genes is taken for expression, unless
        it is their methylation and another holds genes too.
    options
        Rule, promoter, window and signs.
    proteins
        Genes of the proteins, by modality.

    Raises
    ------
    GraphError
        If no modality holds genes, or none of a modality's features can be linked.
    OptionError
        If a sign is given for the genes.
    """
    genes = _genes(modalities, kinds, options)
    if genes is None:
        raise GraphError(
            f"no modality holds genes: {', '.join(kinds)} hold {_held(kinds)}",
            where="guidance graph",
            remedy="give a modality with gene expression, or the graph itself with --graph",
        )
    if options.sign.get(genes, 1) != 1:
        raise OptionError(
            f"{genes} holds the genes to which features are linked, so it has no sign of its own",
            where=flag("sign"),
            remedy="give the sign of the modality that is linked to them",
        )
    regions = [name for name, kind in kinds.items() if kind == REGIONS]
    by_place = any(kind != PROTEINS for name, kind in kinds.items() if name != genes)
    placed = [genes, *regions] if by_place else []
    tables = {name: _coordinates(modalities[name]) for name in placed}
    parts = []
    if regions:
        parts.append(
            guidance.from_genome(
                tables[genes],
                *(tables[name] for name in regions),
                promoter=0 if options.rule == "gene_body" else options.promoter,
                window=options.window,
                anchor="promoter" if options.rule == "promoter" else "gene",
                signs={name: options.sign.get(name, 1) for name in regions},
                names=[genes, *regions],
            )
        )
    for name, kind in kinds.items():
        if kind == GENES and name != genes:
            others = modalities[name].var
            others = others[has_coordinates(others)]  # all of them: those of the selected genes are linked
            parts.append(_same_genes(tables[genes], others, (genes, name), options.sign.get(name, 1)))
    selected = modalities[genes].var_names[modalities[genes].var[HIGHLY_VARIABLE].to_numpy()]
    for name, report in (proteins or {}).items():
        parts.append(protein_graph(selected, report, sign=options.sign.get(name, 1), where=name))
    built = guidance.compose(*parts) if len(parts) > 1 else parts[0]
    return with_signs(built, modalities, genes, options)


def _genes(
    modalities: Mapping[str, AnnData], kinds: Mapping[str, Kind], options: IntegrateOptions
) -> str | None:
    """Return the modality of expression: the first that holds genes, and not their methylation."""
    return expression(modalities, [name for name, kind in kinds.items() if kind == GENES], options)


def _held(kinds: Mapping[str, Kind]) -> str:
    words = {REGIONS: "regions of the genome", PROTEINS: "surface proteins"}
    return " and ".join(words[kind] for kind in dict.fromkeys(kinds.values()))


def _same_genes(
    genes: pd.DataFrame, others: pd.DataFrame, names: tuple[str, str], sign: int
) -> guidance.GuidanceGraph:
    """Link features of two modalities that are one gene of the annotation."""
    place = [CHROM, START, END, STRAND]
    left, right = (table[place].astype(str).agg(" ".join, axis=1) for table in (genes, others))
    first = pd.Series(left.index, index=left.to_numpy())
    first = first[~first.index.duplicated()]
    partners = {str(feature): str(gene) for feature, gene in right.map(first).dropna().items()}
    partners = genes_by_column(genes, others) | partners  # a promoter lies elsewhere than its gene
    if not partners:
        raise GraphError(
            f"no gene of {names[1]} ({examples(others.index, 3)}) is among the selected ones of {names[0]} "
            f"({examples(genes.index, 3)})",
            where="guidance graph",
            remedy="check the names of genes, raise --n-genes, or give the graph itself with --graph",
        )
    return guidance.by_name(list(genes.index), partners, sign=sign)


def _coordinates(adata: AnnData) -> pd.DataFrame:
    """Return the selected features that have coordinates."""
    var: pd.DataFrame = adata.var
    return var[var[HIGHLY_VARIABLE].to_numpy() & has_coordinates(var)]
