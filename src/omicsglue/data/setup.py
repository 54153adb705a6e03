"""What a modality is: the versioned record that ``GLUE.setup_anndata`` leaves in ``uns``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from anndata import AnnData

from omicsglue import keys
from omicsglue.data import checks
from omicsglue.errors import InputError

FORMAT = 1


@dataclass(frozen=True)
class ModalitySetup:
    """How one modality enters the model.

    Attributes
    ----------
    likelihood
        Name of the likelihood of the modelled data.
    layer
        Layer that holds the modelled data; ``None`` is ``X``.
    representation
        ``obsm`` key of the encoder's input; ``None`` lets the encoder see log-normalised data.
    batch_key
        ``obs`` column of experimental batches.
    labels_key
        ``obs`` column of known cell types, for semi-supervised training.
    coverage
        Layer that says how much of each entry was measured: entries of which it holds 0 are missing. For
        ``betabinomial`` it holds the covered counts, and ``None`` is the layer ``coverage``.
    unknown_labels
        Labels in it that mean that the type is not known.
    """

    likelihood: str = "nb"
    layer: str | None = None
    representation: str | None = None
    batch_key: str | None = None
    labels_key: str | None = None
    coverage: str | None = None
    unknown_labels: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the record as stored: the format's number, and plain strings, ``""`` for what is not set."""
        values = {key: "" if value is None else value for key, value in asdict(self).items()}
        values["unknown_labels"] = json.dumps(self.unknown_labels) if self.unknown_labels else ""
        return {"format": FORMAT, **values}

    @classmethod
    def from_record(cls, record: dict[str, Any], where: str) -> ModalitySetup:
        """Read a stored record.

        Raises
        ------
        InputError
            If the record is of a format that this version does not know.
        """
        if int(record.get("format", -1)) != FORMAT:
            raise InputError(
                f"setup record of format {record.get('format')}, expected {FORMAT}",
                where=where,
                remedy="run GLUE.setup_anndata again with this version of omicsglue",
            )
        added = {"coverage": "", "unknown_labels": ""}  # since the first version of the format
        known = added | record
        unknown = str(known["unknown_labels"])
        named = [field.name for field in fields(cls) if field.name != "unknown_labels"]
        values: dict[str, Any] = {name: str(known[name]) or None for name in named}
        values["likelihood"] = values["likelihood"] or "nb"
        values["unknown_labels"] = tuple(json.loads(unknown)) if unknown else ()
        return cls(**values)


def write_setup(adata: AnnData, setup: ModalitySetup, where: str = "adata") -> None:
    """Check that everything a setup names is there and usable, then store the record in ``adata.uns``."""
    checks.check_setup(adata, setup, where)
    setup = replace(setup, coverage=checks.coverage_key(adata, setup, where))
    adata.uns[keys.SETUP] = setup.record()


def read_setup(adata: AnnData, where: str) -> ModalitySetup:
    """Return the setup of a modality.

    Raises
    ------
    InputError
        If ``GLUE.setup_anndata`` has not been called on it.
    """
    if keys.SETUP not in adata.uns:
        raise InputError(
            "the modality has not been set up",
            where=where,
            remedy="call omicsglue.GLUE.setup_anndata(adata, likelihood=..., representation=...) first",
        )
    return ModalitySetup.from_record(dict(adata.uns[keys.SETUP]), where)
