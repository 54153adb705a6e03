"""Modalities of surface proteins: known from the data, named apart from genes, and linked to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

import numpy as np
import pandas as pd

from omicsglue.errors import OptionError
from omicsglue.genome.names import unversioned
from omicsglue.genome.proteins import ProteinReport, looks_like_panel, protein_genes
from omicsglue.keys import HIGHLY_VARIABLE
from omicsglue.pipeline.coordinates import GENES, NAME_COLUMNS, PROTEINS, Kind, kind_of
from omicsglue.pipeline.option_values import flag
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pp.features import detection

if TYPE_CHECKING:
    import numpy.typing as npt
    from anndata import AnnData

T = TypeVar("T")
_FEATURE_TYPES: Final = "feature_types"
_ANTIBODIES: Final = ("antibody capture", "protein", "ab", "adt")
DIVERGENCE: Final = 0.5  # weight of the divergence from the prior where only proteins are linked to genes
_MIXTURE: Final = "nbmixture"  # the likelihood that is made for proteins
_MOST: Final = 0.5


def kinds_of(
    modalities: Mapping[str, AnnData], genes: pd.DataFrame | None, options: IntegrateOptions
) -> dict[str, Kind]:
    """Return what the features of each modality are.

    Parameters
    ----------
    modalities
        By name.
    genes
        The annotation, where there is one.
    options
        Options of the run; what they say goes first.
    """
    return {
        name: cast("Kind", options.kind.get(name))
        or (PROTEINS if holds_proteins(name, adata, options) else kind_of(adata, genes))
        for name, adata in modalities.items()
    }


def holds_proteins(name: str, adata: AnnData, options: IntegrateOptions) -> bool:
    """Tell whether a modality holds surface proteins.

    It does where ``kind`` says so, and unless that says something else: where its likelihood is the mixture
    that is made for proteins; where most of its features are ``Antibody Capture`` in
    ``var["feature_types"]``; or where their names read as those of a panel, see
    ``omicsglue.genome.proteins.looks_like_panel``.

    Parameters
    ----------
    name
        Of the modality.
    adata
        Its data.
    options
        Options of the run.
    """
    if name in options.kind:
        return options.kind[name] == PROTEINS
    if options.likelihood.get(name) == _MIXTURE:
        return True
    if _FEATURE_TYPES in adata.var:
        types = adata.var[_FEATURE_TYPES].astype(str).str.lower()
        return bool(types.isin(_ANTIBODIES).mean() >= _MOST)
    return looks_like_panel([_own_name(name, feature) for feature in adata.var_names])


def apart(modalities: Mapping[str, AnnData], options: IntegrateOptions) -> None:
    """Give proteins that have the name of another modality's feature a name of their own, ``adt:CD4``.

    Parameters
    ----------
    modalities
        Changed in place; the user's objects must not be among them.
    options
        Options of the run.
    """
    for name, adata in modalities.items():
        if not holds_proteins(name, adata, options):
            continue
        others = [other.var_names for title, other in modalities.items() if title != name]
        shared = (
            adata.var_names.isin(np.concatenate(others)) if others else np.zeros(adata.n_vars, dtype=bool)
        )
        if shared.any():
            adata.var_names = [
                f"{name}:{feature}" if clash else feature
                for feature, clash in zip(adata.var_names, shared, strict=True)
            ]


def find_genes(
    modalities: Mapping[str, AnnData], kinds: Mapping[str, Kind], options: IntegrateOptions
) -> dict[str, ProteinReport]:
    """Return the genes of each modality of proteins, by its name.

    Parameters
    ----------
    modalities, kinds
        The data, and what their features are. The first that holds genes is taken for expression.
    options
        Options of the run.

    Raises
    ------
    InputError, OptionError
        If the user's table cannot be read or matches nothing.
    """
    expression = next((name for name, kind in kinds.items() if kind == GENES), None)
    if expression is None:
        return {}
    known = _names_of_genes(modalities[expression])
    return {
        name: _report(name, modalities[name], known, options)
        for name, kind in kinds.items()
        if kind == PROTEINS
    }


def model_genes(
    modalities: Mapping[str, AnnData],
    kinds: Mapping[str, Kind],
    proteins: Mapping[str, ProteinReport],
    options: IntegrateOptions,
) -> dict[str, npt.NDArray[np.bool_]]:
    """Model the genes of the proteins, however little they vary; beside proteins alone, no others.

    A few dozen edges among thousands of genes would hardly count: where nothing but proteins is linked to the
    genes, the other ones are seen by the encoder only.

    Parameters
    ----------
    modalities
        With a selection in ``var["highly_variable"]``, which is changed.
    kinds
        What their features are.
    proteins
        What :func:`find_genes` returned.
    options
        Options of the run, which name the layer with the counts.

    Returns
    -------
    Which genes the encoder sees, shape ``(genes,)``, by modality, where not those that are modelled.
    """
    wanted = {gene for report in proteins.values() for made_by in report.genes.values() for gene in made_by}
    expression = next((name for name, kind in kinds.items() if kind == GENES), None)
    if not wanted or expression is None:
        return {}
    adata = modalities[expression]
    linked = adata.var_names.isin(wanted) & (detection(adata, options.layer.get(expression)) > 0)
    both = adata.var[HIGHLY_VARIABLE].to_numpy() | linked
    alone = linked.any() and all(kind == PROTEINS for name, kind in kinds.items() if name != expression)
    adata.var[HIGHLY_VARIABLE] = linked if alone else both
    return {expression: both} if alone else {}


def check_protein_genes(graph: object, options: IntegrateOptions) -> None:
    """Check that the table of proteins is a file where it is given as one, and can be used.

    Raises
    ------
    OptionError
        If the file is missing, or there is a graph that says already what is linked.
    """
    table = options.protein_genes
    if table is None:
        return
    if graph is not None:
        raise OptionError(
            "it is given beside a guidance graph, which says already what proteins are linked to",
            where=flag("protein_genes"),
            remedy="leave one of them out",
        )
    if isinstance(table, str) and not Path(table).is_file():
        what = "it is a folder, not a file" if Path(table).is_dir() else "there is no such file"
        raise OptionError(what, where=f"{flag('protein_genes')} {table}", remedy="check the path")


def _report(name: str, adata: AnnData, known: Mapping[str, str], options: IntegrateOptions) -> ProteinReport:
    """Return the genes of one panel, under the names that its features have now."""
    own = {_own_name(name, feature): str(feature) for feature in adata.var_names}
    columns = [column for column in NAME_COLUMNS if column in adata.var]
    found = protein_genes(own, known, options.protein_genes, columns=adata.var[columns] if columns else None)

    def now(names: Mapping[str, T]) -> dict[str, T]:
        return {own[each]: value for each, value in names.items()}

    return replace(
        found,
        genes=now(found.genes),
        matched_on=now(found.matched_on),
        isotypes=tuple(own[each] for each in found.isotypes),
        unmatched=tuple(own[each] for each in found.unmatched),
        missing=now(found.missing),
        near=now(found.near),
        renamed={each: feature for each, feature in own.items() if each != feature},
    )


def _own_name(modality: str, feature: str) -> str:
    return str(feature).removeprefix(f"{modality}:")


def _names_of_genes(adata: AnnData) -> dict[str, str]:
    """Return names and ids of genes, each with the name of its feature; of several of one name the first."""
    found = {str(name): str(name) for name in adata.var_names}
    for column in NAME_COLUMNS:
        if column in adata.var:
            entries = unversioned(adata.var[column].astype(str).to_numpy(dtype=object))
            for entry, name in zip(entries, adata.var_names, strict=True):
                found.setdefault(str(entry), str(name))
    return found
