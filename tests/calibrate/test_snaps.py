"""Two snaps add up; anything else is refused with a reason."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from skyloom.calibrate import combine_snaps
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, bitmask


def snap(value: float, plane: str, x0: int = 0) -> Exposure:
    shape = (4, 5)
    bits = np.zeros(shape, np.int32)
    bits[0, 0] = bitmask(plane)
    return Exposure.from_arrays(np.full(shape, value), bits, np.full(shape, 2 * value), unit=u.electron, x0=x0)


def test_images_and_variances_add_and_masks_join() -> None:
    first, second = snap(10.0, "CR"), snap(7.0, "SAT")
    both = combine_snaps([first, second])
    assert np.all(both.image.array == 17.0)
    assert np.all(both.variance.array == 34.0)
    assert both.bits[0, 0] == bitmask("CR", "SAT")
    assert np.all(first.image.array == 10.0)
    assert first.bits[0, 0] == bitmask("CR")


def test_one_exposure_is_itself() -> None:
    only = snap(1.0, "CR")
    assert combine_snaps([only]) is only


def test_three_or_unlike_snaps_are_refused() -> None:
    with pytest.raises(BadFrameError, match="3 exposures"):
        combine_snaps([snap(1.0, "CR")] * 3)
    with pytest.raises(BadFrameError, match="do not agree"):
        combine_snaps([snap(1.0, "CR"), snap(1.0, "CR", x0=3)])
