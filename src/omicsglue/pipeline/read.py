"""Reading the modalities of a run: into memory, or so that their matrices stay on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from omicsglue.data import checks
from omicsglue.data.inputs import read_modality
from omicsglue.data.modality import can_stay_on_disk
from omicsglue.data.stores import bytes_in_memory, in_memory, is_by_column, is_on_disk
from omicsglue.errors import InputError
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.runs.folder import shell

if TYPE_CHECKING:
    from anndata import AnnData

MOST_BYTES: Final = 4 * 2**30
"""Matrices of all modalities that take more in memory stay on disk; the same on every machine."""


def read_all(modalities: Mapping[str, AnnData | str | Path], options: IntegrateOptions) -> dict[str, AnnData]:
    """Return modalities as objects whose tables may be changed; the user's own are not touched.

    Parameters
    ----------
    modalities
        Objects or files by name. Matrices of objects that are backed stay on disk, those of files as
        ``options.backed`` says. What has to be in memory (real values, coverage, other layers) is loaded.
    options
        Options of the run.

    Raises
    ------
    InputError
        If something cannot be read, or a matrix that is to stay on disk is stored by column.
    """
    read = {
        name: read_modality(given, name=name, backed=options.backed != "never")
        if isinstance(given, str | Path)
        else shell(given)
        for name, given in modalities.items()
    }
    files = [name for name, given in modalities.items() if isinstance(given, str | Path)]
    if options.backed == "auto" and sum(bytes_in_memory(read[name]) for name in files) <= MOST_BYTES:
        for name in files:
            read[name] = read_modality(Path(str(modalities[name])), name=name)
    for name, adata in read.items():
        _load_the_rest(name, adata, options)
    return read


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
            where=name,
            remedy="write it by row, with `omicsglue convert FILE --out NEW.zarr`, or add --backed never",
        )
