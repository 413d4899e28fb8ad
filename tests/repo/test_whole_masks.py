"""Masks are merged as lsst.images merges them, in one pass."""

import numpy as np
import pytest
from lsst.images import Mask, MaskPlane, MaskSchema

from skyloom.images import MASK_SCHEMA
from skyloom.repo.whole_masks import carry_masks_whole

BY_PLANE = getattr(Mask.update, "__wrapped__", Mask.update)


def random_mask(schema, seed, start=(3, 7)):
    """Pixels with random bits, those of no plane included."""
    bits = np.random.default_rng(seed).integers(0, 2**30, (20, 30, schema.mask_size)).astype(schema.dtype)
    return Mask(bits, schema=schema, yx0=start)


def planes(*names):
    """A schema with these planes; None leaves a bit out."""
    return MaskSchema([None if name is None else MaskPlane(name, name) for name in names], dtype=np.int32)


@pytest.mark.parametrize(
    ("left", "right", "start"),
    [
        (MASK_SCHEMA, MASK_SCHEMA, (3, 7)),
        (MASK_SCHEMA, MASK_SCHEMA, (8, 1)),
        (planes("A", None, "B"), planes("A", None, "B"), (3, 7)),
        (planes("A", "B"), planes("B", "A"), (3, 7)),
        (planes("A", "B", "C"), planes("C", "D"), (3, 7)),
    ],
    ids=["same", "shifted", "with gaps", "other order", "other planes"],
)
def test_merges_as_by_plane(left, right, start):
    carry_masks_whole()
    ours, theirs, other = random_mask(left, 1), random_mask(left, 1), random_mask(right, 2, start)
    ours.update(other)
    BY_PLANE(theirs, other)
    np.testing.assert_array_equal(ours.array, theirs.array)


def test_is_put_in_once():
    carry_masks_whole()
    before = Mask.update
    carry_masks_whole()
    assert Mask.update is before
