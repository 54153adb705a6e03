"""The files of a modality: one, or several that are read together, or a pattern that stands for them."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from anndata import AnnData

from omicsglue.data.inputs import read_modality, split_mudata
from omicsglue.errors import InputError, OptionError
from omicsglue.pipeline.together import names_of, together

if TYPE_CHECKING:
    from omicsglue.pipeline.options import IntegrateOptions

File: TypeAlias = str | Path
Source: TypeAlias = AnnData | File | tuple[File, ...]
"""What a modality is given as, after :func:`source_of`: an object, a file, or several."""


def source_of(name: str, given: object) -> Source:
    """Return what a modality is given as, with patterns replaced by the files that match.

    Parameters
    ----------
    name
        Name of the modality.
    given
        An AnnData, a file or pattern (``"plates/*.h5ad"``), or a list of them.

    Returns
    -------
    The object, the file, or a tuple of two or more files in order.

    Raises
    ------
    InputError
        If it is something else, no file is given, none matches, or one is given twice.
    """
    if isinstance(given, AnnData):
        return given
    listed = [given] if isinstance(given, str | Path) else given
    if not isinstance(listed, list | tuple):
        raise InputError(
            f"it is a {type(given).__name__}, neither AnnData nor the path of a file",
            where=name,
            remedy="give an AnnData, the path of an .h5ad file, or a list of paths",
        )
    for each in listed:
        if not isinstance(each, str | Path):
            raise InputError(
                f"its list of files holds a {type(each).__name__}",
                where=name,
                remedy="give paths of files alone, or join objects with anndata.concat and give the one",
            )
    files = [file for each in listed for file in _matching(name, each)]
    if not files:
        raise InputError("no file is given", where=name, remedy="name the files, or leave the modality out")
    _check_none_twice(name, files)
    return files[0] if len(files) == 1 else tuple(files)


def files_of(source: object) -> tuple[File, ...]:
    """Return the files of an input; none of an object or of what was not given."""
    if isinstance(source, str | Path):
        return (source,)
    return source if isinstance(source, tuple) else ()


def paths_of(source: object) -> list[Path]:
    """Return where the files of an input lie, without names of modalities in them."""
    return [split_mudata(file)[0] for file in files_of(source)]


def open_files(name: str, source: Source, options: IntegrateOptions) -> AnnData:
    """Return the file or files of a modality as one AnnData.

    Matrices stay on disk, but for those of a single file that no option lets stay there.

    Parameters
    ----------
    name
        Name of the modality.
    source
        What :func:`source_of` returned, not an object.
    options
        Whether names of files are wanted in ``obs`` and before the names of cells; whether data may stay on
        disk.

    Raises
    ------
    InputError
        If a file cannot be read, or several do not go together.

    Warns
    -----
    OmicsGlueWarning
        Of what not all files have.
    """
    files = files_of(source)
    backed = len(files) > 1 or options.backed != "never"
    opened = [read_modality(file, name=name, backed=backed) for file in files]
    names = names_of(files)
    for adata in opened:
        _check_free(adata, options.file_key, name)
    if len(files) > 1:
        try:
            return together(
                dict(zip(names, opened, strict=True)),
                who=name,
                prefix_with="--file-prefix",
                label=options.file_key,
                prefix=options.file_prefix,
            )
        except InputError as error:
            raise InputError(error.what, where=f"{name}, {error.where}", remedy=error.remedy) from error
    return named_cells(opened[0], names[0], options)


def named_cells(adata: AnnData, file: str, options: IntegrateOptions) -> AnnData:
    """Write the name of its one file into the tables of a modality where that is asked for."""
    if options.file_prefix:
        adata.obs_names = [f"{file}:{cell}" for cell in adata.obs_names]
    if options.file_key is not None:
        adata.obs[options.file_key] = file
    return adata


def _check_free(adata: AnnData, column: str | None, name: str) -> None:
    if column is not None and column in adata.obs:
        raise InputError(
            f"obs has a column {column!r} already",
            where=name,
            remedy="give another name with --file-key, or leave it out and use the column that there is",
        )


def _matching(name: str, file: File) -> list[File]:
    """Return the files that a pattern matches, sorted; any other file as it is."""
    path, modality = split_mudata(file)
    if not glob.has_magic(str(path)) or path.exists():
        return [file]
    found = sorted(glob.glob(str(path)))  # noqa: PTH207 - leaves out hidden files, as a shell does
    if not found:
        raise InputError(
            f"no file matches {path}", where=name, remedy="check the pattern and the folder, and quote it"
        )
    return [each if modality is None else f"{each}:{modality}" for each in found]


def _check_none_twice(name: str, files: Sequence[File]) -> None:
    seen = set()
    for file in files:
        path, modality = split_mudata(file)
        if (path.resolve(), modality) in seen:
            raise OptionError(
                f"the file {file} is given twice for {name}",
                where="--modality",
                remedy="give each file once; other files of the modality with further --modality options",
            )
        seen.add((path.resolve(), modality))
