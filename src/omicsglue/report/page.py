"""The report of a run: everything in one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import pandas as pd

from omicsglue.data.columns import batch_values
from omicsglue.errors import OmicsGlueError
from omicsglue.io import atomic_path
from omicsglue.pl.cells import gather
from omicsglue.report import sections
from omicsglue.report.wording import duration, flat, percent, score_rows, size, verdicts
from omicsglue.runs.cells import recorded_unknown
from omicsglue.runs.folder import RunFolder
from omicsglue.runs.score import score_run

MAX_CELLS: Final = 20_000
_USUAL_LABELS: Final = ("cell_type", "celltype", "cell_types")

Key = str | Mapping[str, str]


def write_report(
    run: RunFolder | str | Path,
    *,
    label_key: Key | None = None,
    batch_key: Key | None = None,
    ignore_labels: Collection[str] = (),
    max_cells: int = MAX_CELLS,
    seed: int = 0,
) -> Path:
    """Write ``report.html`` of a finished run: one file that needs no other and no network.

    What the run does not hold (labels, paired cells, a history) is left out with a sentence that says so.

    Parameters
    ----------
    run
        The run or its folder.
    label_key, batch_key
        Columns of obs with cell types and batches, one name or a name by modality. Where not given, those of
        the run's record, else a column by the usual name for cell types.
    ignore_labels
        Labels to be treated as missing in the scores.
    max_cells
        Cells drawn at random for the pictures and the scores where there are more.
    seed
        Of the drawing and the layout.

    Returns
    -------
    pathlib.Path
        Of the page.

    Raises
    ------
    RunFolderError
        If the folder holds no finished run, or the page cannot be written.
    InputError
        If a column that was asked for is not there.
    """
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    context = _context(
        folder,
        label_key=label_key,
        batch_key=batch_key,
        ignore_labels=ignore_labels,
        max_cells=max_cells,
        seed=seed,
    )
    text = _render(context)
    with atomic_path(folder.report) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return folder.report


def _render(context: Mapping[str, Any]) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("omicsglue.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "size": size, "duration": duration}
    return environment.get_template("report.html.j2").render(context)


def _context(
    folder: RunFolder,
    *,
    label_key: Key | None,
    batch_key: Key | None,
    ignore_labels: Collection[str],
    max_cells: int,
    seed: int,
) -> dict[str, Any]:
    """Everything that the template shows."""
    record = folder.record() if folder.run_json.is_file() else {}
    cells = gather(folder, max_cells=max_cells, seed=seed)
    labels = label_key or _recorded(record, ("label_key", "labels_key")) or _usual(cells.tables)
    batches = batch_key or _recorded(record, ("batch_key",))
    # Only what the user names may fail; what was found may be of one modality alone.
    scores = _scores(
        folder, labels, batches, ignore_labels, max_cells, seed, asked=bool(label_key or batch_key)
    )
    columns, rows = score_rows(scores)
    labelled = cells.column(labels) if labels and _present(cells.tables, labels) else None
    ignored = ["", *ignore_labels, *recorded_unknown(folder)]
    if labelled is not None:
        labelled = labelled.where(~labelled.isin(ignored))
    return {
        "name": folder.path.resolve().name,
        "modalities": sections.modalities(folder, record),
        "dimensions": cells.embedding.shape[1],
        "drawn": len(cells),
        "total": cells.total,
        "verdicts": verdicts(scores, _commonest(labelled, cells.modality)),
        "score_columns": columns,
        "score_rows": rows,
        "score_notes": scores.get("notes", []),
        "paired": scores.get("paired"),
        "label_key": labels if labelled is not None else None,
        "batch_key": batches if batches and _present(cells.tables, batches) else None,
        "maps": sections.maps(
            cells, labelled, batches if _present(cells.tables, batches) else None, seed=seed
        ),
        "curves": sections.curves(folder),
        "stages": sections.stages(folder),
        "graph": sections.graph(folder),
        "weights": sections.weights(folder),
        "inputs": record.get("inputs", {}),
        "options": sections.options(record),
        "seeds": flat(record.get("seeds", {})),
        "versions": flat(record.get("versions", {})),
        "seconds": record.get("seconds", {}),
        "memory": record.get("peak_memory_bytes"),
        "warnings": record.get("warnings", []),
    }


def _recorded(record: Mapping[str, Any], names: tuple[str, ...]) -> Key | None:
    """Return the column that the run was told of, from its options or its modalities."""
    options = record.get("options", {})
    for name in names:
        found = options.get(name)
        if isinstance(found, str) and found:
            return found
        if isinstance(found, Mapping) and any(found.values()):
            return {modality: key for modality, key in found.items() if key}
    told = {
        modality: facts[name]
        for modality, facts in record.get("modalities", {}).items()
        for name in names
        if isinstance(facts, Mapping) and facts.get(name)
    }
    return told or None


def _usual(tables: Mapping[str, pd.DataFrame]) -> str | None:
    """Return the first usual name for cell types that every modality has."""
    return next((name for name in _USUAL_LABELS if all(name in table for table in tables.values())), None)


def _present(tables: Mapping[str, pd.DataFrame], key: Key | None) -> bool:
    if key is None:
        return False
    wanted = {name: key if isinstance(key, str) else key.get(name) for name in tables}
    return any(
        column is not None and batch_values(table, column) is not None
        for table, column in zip(tables.values(), wanted.values(), strict=True)
    )


def _scores(
    folder: RunFolder,
    labels: Key | None,
    batches: Key | None,
    ignored: Collection[str],
    max_cells: int,
    seed: int,
    *,
    asked: bool,
) -> dict[str, Any]:
    """Score the run; columns that were not asked for are left out where they do not serve."""
    try:
        return score_run(
            folder, label_key=labels, batch_key=batches, ignore_labels=ignored, max_cells=max_cells, seed=seed
        )
    except OmicsGlueError:
        if asked:
            raise
        return score_run(folder, max_cells=max_cells, seed=seed)


def _commonest(labels: pd.Series[Any] | None, modality: pd.Categorical) -> float | None:
    """Share of the commonest label in the second modality, where there are two."""
    if labels is None or len(modality.categories) != 2:
        return None
    second = labels[(modality == modality.categories[1])].dropna()
    return float(second.value_counts(normalize=True).iloc[0]) if len(second) else None
