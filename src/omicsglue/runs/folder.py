"""The run folder: where its files are, how they are written whole or not at all, and how they are read."""

from __future__ import annotations

import itertools
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from omicsglue import keys
from omicsglue.data import stores
from omicsglue.errors import InputError, RunFolderError, examples
from omicsglue.io import atomic_path, read_json, read_parquet, remove_partial, write_json, write_parquet
from omicsglue.runs.space import reserve, room_for

if TYPE_CHECKING:
    import h5py

RECORD_FORMAT: Final = 1  # of run.json


class RunFolder:
    """One run on disk.

    Making the object touches nothing; :meth:`create` prepares a folder for a new run and :meth:`open` checks
    that a finished one is there.

    Parameters
    ----------
    path
        The folder.

    Attributes
    ----------
    integrated, graph, model, ensemble, checkpoints, history_file, run_json, report, links
        Paths of the run's files and folders, whether or not they exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.integrated = self.path / "integrated.h5mu"
        self.graph = self.path / "graph.parquet"
        self.model = self.path / "model"
        self.ensemble = self.path / "ensemble"
        self.checkpoints = self.path / "checkpoints"
        self.history_file = self.path / "history.parquet"
        self.run_json = self.path / "run.json"
        self.report = self.path / "report.html"
        self.links = self.path / "links.parquet"

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    # Opening and preparing

    @property
    def parts(self) -> tuple[Path, ...]:
        """Every path that a run may write."""
        return (
            self.integrated,
            self.graph,
            self.model,
            self.ensemble,
            self.checkpoints,
            self.history_file,
            self.run_json,
            self.report,
            self.links,
        )

    def member_model(self, member: int) -> Path:
        """Return where the model of a member of an ensemble lies: of member 0 in ``model``."""
        return self.ensemble / str(member) if member else self.model

    def holds_a_run(self) -> bool:
        """Whether any file of a run is there."""
        return any(part.exists() for part in self.parts)

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Return the folder of a finished run.

        Raises
        ------
        RunFolderError
            If there is no such folder, or it holds no finished run.
        """
        folder = cls(path)
        if not folder.path.is_dir():
            what = "it is a file" if folder.path.exists() else "there is no such folder"
            raise RunFolderError(
                what, where=str(path), remedy="give the folder that `omicsglue integrate` wrote"
            )
        if not folder.integrated.is_file():
            started = folder.run_json.is_file() or folder.checkpoints.is_dir()
            raise RunFolderError(
                f"it holds no {folder.integrated.name}"
                + (", but the beginning of a run that did not finish" if started else ""),
                where=str(path),
                remedy="finish it with `omicsglue integrate ... --resume`"
                if started
                else "give the folder that `omicsglue integrate` wrote",
            )
        return folder

    def check_free(self, *, overwrite: bool = False, resume: bool = False) -> None:
        """Check that a run may be written here, without touching anything.

        Raises
        ------
        RunFolderError
            If the path is a file or lies where nothing may be written, or holds a run and neither option is
            set.
        """
        if self.path.exists() and not self.path.is_dir():
            raise RunFolderError("it is a file", where=str(self.path), remedy="give the path of a folder")
        if self.holds_a_run() and not (overwrite or resume):
            raise RunFolderError(
                f"it holds another run ({examples(part.name for part in self.parts if part.exists())})",
                where=str(self.path),
                remedy="give another folder, go on with --resume, or replace the run with --overwrite",
            )
        above = next(each for each in (self.path, *self.path.parents, Path.cwd()) if each.exists())
        if not above.is_dir():
            raise RunFolderError(
                f"{above} is a file", where=str(self.path), remedy="give the path of a folder"
            )
        if not os.access(above, os.W_OK | os.X_OK):
            raise RunFolderError(
                f"you may not write to {above}",
                where=str(self.path),
                remedy="choose a folder in which you may write",
            )

    @classmethod
    def create(cls, path: str | Path, *, overwrite: bool = False, resume: bool = False) -> RunFolder:
        """Make a folder ready for a run; with ``overwrite`` the files of an earlier run are removed.

        Nothing but the files of a run, and what a killed process was writing, is ever removed.

        Raises
        ------
        RunFolderError
            If the path is a file, cannot be made, or holds a run and neither option is set.
        """
        folder = cls(path)
        folder.check_free(overwrite=overwrite, resume=resume)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            if overwrite and not resume:
                folder._clear()
            for place in (folder.path, folder.ensemble, folder.checkpoints):
                remove_partial(place)
        except OSError as error:
            raise RunFolderError(
                f"it cannot be written ({error.strerror or error})",
                where=str(path),
                remedy="choose a folder in which you may write",
            ) from error
        return folder

    def _clear(self) -> None:
        studies = (part for name in ("links", "explained", "unified") for part in self.path.glob(f"{name}.*"))
        for part in (*self.parts, *studies):
            if part.is_dir() and not part.is_symlink():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Remove the folder if nothing is in it."""
        with suppress(OSError):
            self.path.rmdir()

    # Writing

    def write_integrated(
        self, modalities: Mapping[str, AnnData], *, guard: Callable[[], None] | None = None
    ) -> Path:
        """Write ``integrated.h5mu`` whole or not at all; the objects given are not changed.

        Parameters
        ----------
        modalities
            AnnData of each modality by name; the order is kept, in the file's ``mod-order`` too.
        guard
            Called when the file is complete, before it gets its name; raises where it must not.

        Raises
        ------
        RunFolderError
            If the disk has no room for it, or the folder cannot be written.
        """
        from mudata import MuData, set_options

        with atomic_path(self.integrated) as temporary, set_options(pull_on_update=False), _quiet():
            shells = {name: shell(each) for name, each in modalities.items()}
            on_disk = {name: stores.take_from_disk(each) for name, each in shells.items()}
            reserve(temporary, room_for(shells) + sum(map(stores.bytes_of, on_disk.values())))
            MuData(shells).write_h5mu(temporary)
            stores.copy_all(on_disk, temporary)
            if guard is not None:
                guard()
        return self.integrated

    def write_history(self, history: pd.DataFrame) -> Path:
        """Write ``history.parquet``: one row a member, epoch and stage."""
        write_parquet(self.history_file, history)
        return self.history_file

    def write_record(self, record: Mapping[str, Any]) -> Path:
        """Write ``run.json``; paths, numpy scalars and arrays become plain JSON, NaN becomes null."""
        write_json(self.run_json, {"format": RECORD_FORMAT, **record})
        return self.run_json

    # Reading

    def names(self) -> list[str]:
        """Names of the modalities in the order of the run."""
        with self._file() as file:
            order = file["mod"].attrs.get("mod-order")
            return [str(name) for name in (file["mod"] if order is None else order)]

    def modalities(self) -> dict[str, AnnData]:
        """Read all modalities in full."""
        from mudata import read_h5mu, set_options

        with self._file():
            pass
        with set_options(pull_on_update=False), _quiet():
            together = read_h5mu(self.integrated)
        return {name: together.mod[name] for name in self.names()}

    def obs(self, modality: str) -> pd.DataFrame:
        """Read the table of the cells of one modality, without its counts."""
        table: pd.DataFrame = self._element(modality, "obs")
        return table

    def var(self, modality: str) -> pd.DataFrame:
        """Read the table of the features of one modality, without its counts."""
        table: pd.DataFrame = self._element(modality, "var")
        return table

    def members(self) -> list[str]:
        """Keys of the embeddings of the ensemble's members, in order; ``["X_glue"]`` of a single model."""
        with self._file() as file:
            first = next(iter(file["mod"].values()))
            held = set(first.get("obsm", ()))
        return list(itertools.takewhile(held.__contains__, map(keys.member_embedding, itertools.count())))

    def embedding(self, modality: str, key: str = keys.EMBEDDING) -> npt.NDArray[np.float32]:
        """Read the embedding of the cells of one modality, ``(n_cells, n_dims)``, by its key in ``obsm``."""
        found: npt.NDArray[np.float32] = np.asarray(self._element(modality, f"obsm/{key}"))
        return found

    def representations(self, modality: str) -> list[str]:
        """Names in ``obsm`` of one modality."""
        with self._file() as file:
            self._check(file, modality)
            return list(file["mod"][modality].get("obsm", ()))

    def feature_embedding(self, modality: str, key: str = keys.EMBEDDING) -> npt.NDArray[np.float32]:
        """Read the embedding of a modality's features, ``(n_features, n_dims)``; NaN outside the graph."""
        found: npt.NDArray[np.float32] = np.asarray(self._element(modality, f"varm/{key}"))
        return found

    def edges(self) -> pd.DataFrame:
        """Read the guidance graph as a table of edges."""
        self._exists(self.graph)
        return read_parquet(self.graph)

    def history(self, member: int = 0) -> pd.DataFrame:
        """Read how one member was trained: one row an epoch and stage, those of the shared stage included.

        Raises
        ------
        RunFolderError
            If there is no history.
        InputError
            If there is no such member.
        """
        self._exists(self.history_file)
        table = read_parquet(self.history_file)
        if "member" not in table:
            table.insert(0, "member", 0)
        if not table.empty and member not in table["member"].unique():
            raise InputError(
                f"the run holds no member {member}",
                where=str(self.history_file),
                remedy=f"choose a number from 0 to {table['member'].max()}",
            )
        mine = (table["member"] == member) | (table["stage"] == "pretrain")
        return table[mine].drop(columns="member").reset_index(drop=True)

    def record(self) -> dict[str, Any]:
        """Read ``run.json``."""
        self._exists(self.run_json)
        record = read_json(self.run_json)
        if not isinstance(record, dict):
            raise _damaged(self.run_json, "it is not a JSON object")
        return record

    def _exists(self, path: Path) -> None:
        if not path.is_file():
            raise RunFolderError(
                f"it holds no {path.name}",
                where=str(self.path),
                remedy="give the folder of a finished run, or integrate again",
            )

    @contextmanager
    def _file(self) -> Iterator[h5py.File]:
        import h5py

        self._exists(self.integrated)
        try:
            file = h5py.File(self.integrated, "r")
        except OSError as error:
            raise _damaged(self.integrated, error) from error
        with file:
            if "mod" not in file:
                raise _damaged(self.integrated, "it holds no modalities")
            yield file

    def _check(self, file: h5py.File, modality: str) -> None:
        if modality not in file["mod"]:
            raise InputError(
                f"the run holds no modality {modality!r}",
                where=str(self.path),
                remedy=f"choose one of: {', '.join(file['mod'])}",
            )

    def _element(self, modality: str, element: str) -> Any:
        from anndata.io import read_elem

        with self._file() as file:
            self._check(file, modality)
            group = file["mod"][modality]
            if element not in group:
                raise RunFolderError(
                    f"modality {modality!r} has no {element.replace('/', ' ')}",
                    where=str(self.integrated),
                    remedy="integrate again with this version of the package",
                )
            return read_elem(group[element])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep mudata's announcements of its own future away from the user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _damaged(path: Path, why: object) -> RunFolderError:
    return RunFolderError(
        f"it cannot be read ({why})",
        where=str(path),
        remedy="the file is damaged: restore it or integrate again",
    )


def shell(adata: AnnData) -> AnnData:
    """Return an AnnData of the same arrays whose tables may be changed without changing the user's.

    Matrices that are on disk stay there; of a backed object ``raw`` is left out.
    """
    raw = None if adata.isbacked else adata.raw
    return AnnData(
        X=adata.X,
        obs=adata.obs.copy(),
        var=adata.var.copy(),
        uns=dict(adata.uns),
        obsm=dict(adata.obsm),
        varm=dict(adata.varm),
        obsp=dict(adata.obsp),
        varp=dict(adata.varp),
        layers=dict(adata.layers),
        raw=None if raw is None else {"X": raw.X, "var": raw.var, "varm": dict(raw.varm)},
    )
