"""What is said of a run that stops after it has started: what was saved, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from omicsglue.errors import OmicsGlueError, TrainingError
from omicsglue.runs.folder import RunFolder

FAILED = 3  # exit code of a run that failed after it started


@contextmanager
def started(folder: RunFolder | None) -> Iterator[None]:
    """Note on every failure in the block what was saved and how to resume.

    Parameters
    ----------
    folder
        The run folder; ``None`` where nothing is written.

    Raises
    ------
    OmicsGlueError
        With exit code 3; of an exhausted memory or a disk that fails, too.
    KeyboardInterrupt
        As it came, with a note.
    """
    try:
        yield
    except (OmicsGlueError, KeyboardInterrupt) as error:
        if isinstance(error, OmicsGlueError):
            error.exit_code = FAILED
        error.add_note(saved(folder))
        raise
    except (MemoryError, OSError) as error:
        told = _told(error)
        told.add_note(saved(folder))
        raise told from error
    except RuntimeError as error:
        if "out of memory" not in str(error).lower() and "can't allocate memory" not in str(error).lower():
            error.add_note(saved(folder))
            raise
        told = _told(error)
        told.add_note(saved(folder))
        raise told from error


def saved(folder: RunFolder | None) -> str:
    """Return what a stopped run has saved, and how to go on."""
    if folder is None:
        return "nothing was saved, since no run folder was given"
    found = list(folder.checkpoints.rglob("*.safetensors")) if folder.checkpoints.is_dir() else []
    if not found:
        return "nothing was saved yet; the same command with --resume starts from the beginning"
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    return f"saved: {newest}; go on with the same command and --resume"


def _told(error: BaseException) -> TrainingError:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return TrainingError(
            f"{place}{error.strerror or error}",
            where="integrate",
            remedy="check the disk, its free space and your permissions",
        )
    return TrainingError(
        f"the memory is exhausted ({error or type(error).__name__})",
        where="integrate",
        remedy="use a machine with more memory, fewer genes (--n-genes) or fewer cells",
    )
