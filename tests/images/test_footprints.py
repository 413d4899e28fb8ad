"""Footprint sets: what they cover, and through an archive and back."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.serialization import read_archive, write_archive

from skyloom.images import PEAK_DTYPE, Footprint, FootprintSet, SpanSet

BOX = Box.factory[0:40, 0:60]


def footprints() -> FootprintSet:
    first = Footprint(SpanSet([3, 4], [10, 9], [14, 16]), np.array([(12, 4, 9.5), (10, 3, 2.0)], PEAK_DTYPE))
    second = Footprint(SpanSet([30], [50], [59]), np.array([(55, 30, 4.0)], PEAK_DTYPE))
    return FootprintSet([first, second], BOX, [2**40 + 1, 2**40 + 2])


def test_sequence():
    pair = footprints()
    assert len(pair) == 2
    assert [part.area for part in pair] == [11, 9]
    assert pair[1].bbox == Box.factory[30:31, 50:59]
    assert list(pair[1:].ids) == [2**40 + 2]
    assert pair.to_mask().sum() == 20
    assert list(FootprintSet(list(pair), BOX).ids) == [1, 2]


def test_ids_must_match():
    with pytest.raises(ValueError, match="as many ids"):
        FootprintSet(list(footprints()), BOX, [1])


@pytest.mark.parametrize("suffix", ["fits", "json"])
@pytest.mark.parametrize("count", [0, 2])
def test_archive_there_and_back(tmp_path, suffix, count):
    before = footprints()[:count]
    path = str(tmp_path / f"footprints.{suffix}")
    write_archive(before, path)
    after = read_archive(path, FootprintSet)
    assert after == before
    assert after.ids.dtype == np.int64
