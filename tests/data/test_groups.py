"""Which batches modalities share, and which modalities have batches to align."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from omicsglue.data.groups import aligned_modalities, check_batch_options, membership, shared_batches
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError

BATCHES = {"rna": ("a", "b", "c"), "atac": ("c", "a"), "protein": ("all",)}


def test_batches_are_shared_by_name() -> None:
    assert shared_batches(BATCHES) == ("a", "c")
    assert shared_batches({"rna": ("a", "b"), "atac": ("c",)}) == ()
    assert shared_batches({"rna": ("all",), "atac": ("all",)}) == ()  # no column of batches in either


def test_a_batch_that_is_not_shared_is_nothing() -> None:
    found = membership(BATCHES["rna"], ("a", "c"))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[1, 0], [0, 0], [0, 1]])
    np.testing.assert_array_equal(membership(BATCHES["atac"], ("a", "c")), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(membership(BATCHES["protein"], ("a", "c")), [[0, 0]])


def test_all_modalities_with_several_batches_or_those_asked_for() -> None:
    assert aligned_modalities(BATCHES, ()) == ()
    assert aligned_modalities(BATCHES, ("all",)) == ("rna", "atac")
    assert aligned_modalities(BATCHES, ("atac", "rna")) == ("rna", "atac")


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (("rma",), OptionError, "'rma', which is not given; did you mean 'rna'"),
        (("rna", "protein"), InputError, "all cells of protein are of one batch"),
    ],
)
def test_what_cannot_be_aligned(asked: tuple[str, ...], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check_batch_options(BATCHES, shared=False, align=asked)


def test_all_of_none_cannot_be_aligned() -> None:
    with pytest.raises(InputError, match="no modality has two batches"):
        aligned_modalities({"rna": ("all",), "atac": ("a",)}, ("all",))


def test_a_modality_may_be_called_all() -> None:
    assert aligned_modalities({"all": ("a", "b"), "rna": ("a", "b")}, ("all",)) == ("all",)


def test_batches_that_are_not_shared_are_spoken_of() -> None:
    two = {"rna": ("a", "b", "c"), "atac": ("c", "a")}
    with pytest.warns(OmicsGlueWarning, match="rna: no other modality has the batches b;"):
        check_batch_options(two, shared=True, align=())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_batch_options(two, shared=False, align=("all",))
        check_batch_options({"rna": ("a", "b"), "atac": ("b", "a")}, shared=True, align=())


def test_sharing_needs_a_shared_batch() -> None:
    with pytest.raises(InputError, match=r"no batch is in two modalities \(rna has a, b; atac has A, B\)"):
        check_batch_options({"rna": ("a", "b"), "atac": ("A", "B")}, shared=True, align=())
