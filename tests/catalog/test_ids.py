from __future__ import annotations

import numpy as np
import pytest

from skyloom.catalog.ids import COUNTER_BITS, IdGenerator
from skyloom.errors import BadFrameError


def test_ids_are_unique_over_visits_and_detectors_and_count_from_one() -> None:
    frames = [
        IdGenerator(visit, detector, detector_max=3).ids(5) for visit in (0, 1, 41926300) for detector in range(4)
    ]
    ids = np.concatenate(frames)
    assert ids.dtype == np.int64
    assert np.unique(ids).size == ids.size
    assert (ids > 0).all()
    assert IdGenerator(0, 0).ids(3).tolist() == [1, 2, 3]


def test_the_upper_bits_name_the_frame() -> None:
    ids = IdGenerator(7, 2, detector_max=9).ids(2, start=10)
    assert (ids >> COUNTER_BITS).tolist() == [72, 72]
    assert (ids & ((1 << COUNTER_BITS) - 1)).tolist() == [10, 11]


def test_what_does_not_fit_is_an_error() -> None:
    with pytest.raises(BadFrameError, match="visit"):
        IdGenerator(20260101123456, 0)
    with pytest.raises(ValueError, match="Detector 4"):
        IdGenerator(1, 4, detector_max=3)
    with pytest.raises(ValueError, match="ids"):
        IdGenerator(1, 0).ids(1 << COUNTER_BITS)
