"""``explain`` and ``unify``: studies of a finished run over all of its modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from omicsglue.data.setup import read_setup
from omicsglue.errors import OptionError
from omicsglue.graph import read_graph
from omicsglue.io import atomic_path
from omicsglue.runs.folder import RunFolder
from omicsglue.tl.explained import ExpressionExplained, expression_explained
from omicsglue.tl.unified import UnifiedLabels, unify_labels
from omicsglue.training.progress import LiveBar, Reporter

ENDINGS: Final = {".tsv": "\t", ".csv": ","}


def explain_run(
    run: str | Path | RunFolder,
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> tuple[ExpressionExplained, list[Path]]:
    """Tell how much of expression the layers of a finished run explain, and write it.

    Parameters
    ----------
    run
        Run folder.
    out
        Table of R2 by gene, ``.tsv`` or ``.csv``; ``explained.tsv`` of the run folder by default. The summary
        lies beside it as ``NAME.summary.tsv``, the picture as ``NAME.png``.
    reporter
        Hears of the progress; a live bar by default.
    **options
        As for :func:`omicsglue.tl.expression_explained`.

    Returns
    -------
    What was found, and the paths that were written.

    Raises
    ------
    OmicsGlueError
        If the run, an option or a file cannot be used; nothing has been written then.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    place = checked_place(out, folder.path / "explained.tsv")
    reporter = reporter or LiveBar()
    try:
        reporter.stage("read")
        modalities, graph = folder.modalities(), read_graph(folder.graph)
        setups = {name: read_setup(adata, name) for name, adata in modalities.items()}
        counts = {name: setup.layer for name, setup in setups.items()} | dict(
            options.pop("counts", None) or {}
        )
        covered = {name: setup.coverage for name, setup in setups.items() if setup.coverage}
        covered |= options.pop("coverage", None) or {}
        reporter.stage("explain")
        found = expression_explained(modalities, graph, counts=counts, coverage=covered, **options)
        used = 1 + max(int(code.max()) for code in found.metacells.values())
        reporter.message(
            f"{len(found.genes):,} of {found.filters.iloc[0]:,} genes in {used} metacells; {found.dropped} "
            "metacells lacked cells of a modality"
        )
        reporter.stage("write")
        genes = found.genes.rename_axis("gene").reset_index()
        files = _write({"": genes, ".summary": found.summary.reset_index()}, place)
        files.append(_picture(found, place.with_suffix(".png")))
        reporter.message(f"done: {place}")
        return found, files
    finally:
        reporter.close()


def unify_run(
    run: str | Path | RunFolder,
    label_key: Mapping[str, str],
    *,
    out: str | Path | None = None,
    reporter: Reporter | None = None,
    **options: Any,
) -> tuple[UnifiedLabels, list[Path]]:
    """Unify the annotations of a finished run, and write them.

    Parameters
    ----------
    run
        Run folder.
    label_key
        ``obs`` column of the annotation by modality.
    out
        Table of cells, ``.tsv`` or ``.csv``; ``unified.tsv`` of the run folder by default. Beside it lie
        ``NAME.conflicts.tsv``, ``NAME.confusion.tsv`` and ``NAME.agreement.tsv``.
    reporter
        Hears of the progress; a live bar by default.
    **options
        As for :func:`omicsglue.tl.unify_labels`.

    Returns
    -------
    What was found, and the paths that were written.

    Raises
    ------
    OmicsGlueError
        If the run, an option or a file cannot be used; nothing has been written then.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    place = checked_place(out, folder.path / "unified.tsv")
    reporter = reporter or LiveBar()
    try:
        reporter.stage("read")
        modalities = folder.modalities()
        reporter.stage("unify")
        found = unify_labels(modalities, label_key, **options)
        reporter.message(
            f"{len(found.cells):,} cells with labels of {found.reference}; "
            f"{found.cells['contradictory'].sum():,} contradict their own"
        )
        reporter.stage("write")
        tables = {
            "": found.cells,
            ".conflicts": found.conflicts,
            ".confusion": found.confusion.reset_index(),
            ".agreement": found.agreement.rename_axis("modality").reset_index(),
        }
        files = _write(tables, place)
        reporter.message(f"done: {place}")
        return found, files
    finally:
        reporter.close()


def checked_place(out: str | Path | None, default: Path) -> Path:
    """Return where a table goes, after checking its ending and its folder.

    Raises
    ------
    OptionError
        If the ending is unknown or the folder is not there.
    """
    place = default if out is None else Path(out)
    if place.suffix not in ENDINGS:
        raise OptionError(
            f"{place.suffix or 'no ending'!r} is no format of this table",
            where=f"--out {place}",
            remedy=f"let the name end in {' or '.join(ENDINGS)}",
        )
    if not place.parent.is_dir():
        raise OptionError("there is no such folder", where=f"--out {place}", remedy="make the folder first")
    return place


def _write(tables: Mapping[str, pd.DataFrame], place: Path) -> list[Path]:
    files = []
    for part, table in tables.items():
        path = place.with_name(f"{place.stem}{part}{place.suffix}")
        with atomic_path(path) as temporary:
            table.to_csv(temporary, sep=ENDINGS[place.suffix], index=False, float_format="%.6g")
        files.append(path)
    return files


def _picture(found: ExpressionExplained, path: Path) -> Path:
    from omicsglue.pl.explained import explained

    with atomic_path(path) as temporary:
        explained(found).savefig(temporary, format="png")
    return path


def parts(text: str | None) -> Sequence[str]:
    """Return the names in a list with commas.

    Examples
    --------
    >>> parts("atac, methylation")
    ('atac', 'methylation')
    >>> parts(None)
    ()
    """
    return tuple(each.strip() for each in (text or "").split(",") if each.strip())
