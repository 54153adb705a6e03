"""Reading the modalities of a run: into memory, or so that their matrices stay on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from anndata import AnnData

from omicsglue.data import checks
from omicsglue.data.inputs import read_modality
from omicsglue.data.modality import can_stay_on_disk
from omicsglue.data.stacked import StackedRows
from omicsglue.data.stores import bytes_in_memory, in_memory, is_by_column, is_on_disk
from omicsglue.errors import InputError
from omicsglue.pipeline.files import Source, named_cells, open_files
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.together import names_of
from omicsglue.runs.folder import shell

MOST_BYTES: Final = 4 * 2**30
"""Matrices of all modalities that take more in memory stay on disk; the same on every machine."""


def read_all(modalities: Mapping[str, Source], options: IntegrateOptions) -> dict[str, AnnData]:
    """Return modalities as objects whose tables may be changed; the user's own are not touched.

    Parameters
    ----------
    modalities
        Objects, files, or several files that are read together, by name. Matrices of objects that are backed
        stay on disk, those of files as ``options.backed`` says. What has to be in memory (real values,
        coverage, other layers) is loaded.
    options
        Options of the run.

    Raises
    ------
    InputError
        If something cannot be read, several files do not go together, or a matrix that is to stay on disk is
        stored by column.
    """
    files = [name for name, given in modalities.items() if not isinstance(given, AnnData)]
    read = {
        name: shell(given) if isinstance(given, AnnData) else open_files(name, given, options)
        for name, given in modalities.items()
    }
    small = sum(bytes_in_memory(read[name]) for name in files) <= MOST_BYTES
    if options.backed == "never" or (options.backed == "auto" and small):
        for name in files:
            read[name] = _loaded(name, modalities[name], read[name], options)
    for name, adata in read.items():
        _load_the_rest(name, adata, options)
    return read


def _loaded(name: str, given: Source, opened: AnnData, options: IntegrateOptions) -> AnnData:
    """Return a modality with its matrices in memory: of one file all of it, of several what was joined."""
    if isinstance(given, AnnData | tuple) or options.backed == "never":
        return in_memory(opened)
    return named_cells(read_modality(given, name=name), names_of([given])[0], options)


def _load_the_rest(name: str, adata: AnnData, options: IntegrateOptions) -> None:
    """Load what cannot stay on disk."""
    setup = options.setup(name)
    checks.check_shape(adata, where=name)
    checks.check_likelihood(setup.likelihood, where=name)
    if setup.layer is not None:
        checks.check_key(adata, "layers", setup.layer, where=name)
    if not can_stay_on_disk(adata, setup, name):
        in_memory(adata)
        return
    modelled = checks.matrix_of(adata, setup.layer, where=name)
    if is_on_disk(modelled) and is_by_column(modelled):
        raise InputError(
            "the matrix is stored by column (CSC), of which single cells cannot be read from disk",
            where=f"{name}, {_by_column(modelled)}" if isinstance(modelled, StackedRows) else name,
            remedy="write it by row, with `omicsglue convert FILE --out NEW.zarr`, or add --backed never",
        )


def _by_column(matrix: StackedRows) -> str:
    """Return the names of the files that are stored by column."""
    named = zip(matrix.names, matrix.parts, strict=True)
    return " and ".join(name for name, part in named if is_by_column(part))
