"""Two snaps add up; anything else is refused with a reason."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astro_metadata_translator import ObservationInfo
from astropy.time import Time

from skyloom.calibrate import combine_snaps, epoch_year
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


def test_what_only_one_snap_measured_is_scaled_to_both() -> None:
    first, second = snap(10.0, "CR"), snap(7.0, "SAT")
    first.bits[1, 1] = bitmask("CR")
    first.image.array[2, 2], first.variance.array[2, 2] = np.nan, np.inf
    both = combine_snaps([first, second], bad_planes=("CR",))
    for row, column in ((0, 0), (1, 1), (2, 2)):
        assert both.image.array[row, column] == 14.0
        assert both.variance.array[row, column] == 56.0
    assert both.bits[0, 0] == bitmask("SAT")
    assert both.bits[1, 1] == 0
    assert both.image.array[3, 3] == 17.0


def test_unlike_times_scale_by_their_share() -> None:
    first, second = snap(10.0, "CR"), snap(30.0, "SAT")
    first.obs_info, second.obs_info = (observation(t, 0.0) for t in (10.0, 30.0))
    both = combine_snaps([first, second], bad_planes=("CR",))
    assert both.image.array[0, 0] == pytest.approx(40.0)
    assert both.variance.array[0, 0] == pytest.approx(60.0 * (4 / 3) ** 2)


def test_no_data_in_either_is_nan_and_interpolated_in_both_stays() -> None:
    first, second = snap(10.0, "CR"), snap(7.0, "SAT")
    for one in (first, second):
        one.image.array[2, 2] = np.nan
        one.variance.array[2, 2:4] = np.inf
        one.bits[2, 3] = bitmask("INTRP")
    both = combine_snaps([first, second])
    assert np.isnan(both.image.array[2, 2])
    assert both.bits[2, 2] == bitmask("NO_DATA")
    assert both.image.array[2, 3] == 17.0
    assert both.bits[2, 3] == bitmask("INTRP")
    assert np.isinf(both.variance.array[2, 2:4]).all()


def observation(time_s: float, start_s: float) -> ObservationInfo:
    begin = Time("2024-03-01T02:00:00", scale="utc") + start_s * u.s
    return ObservationInfo.makeObservationInfo(
        instrument="simulated",
        visit_id=7,
        exposure_time=time_s * u.s,
        datetime_begin=begin,
        datetime_end=begin + time_s * u.s,
    )


def test_date_is_the_mean_and_times_add() -> None:
    first, second = snap(10.0, "CR"), snap(7.0, "SAT")
    first.obs_info, second.obs_info = observation(15.0, 0.0), observation(15.0, 20.0)
    both = combine_snaps([first, second])
    assert both.obs_info is not None
    assert both.obs_info.exposure_time == 30.0 * u.s
    mean = np.mean([epoch_year(first.obs_info), epoch_year(second.obs_info)])
    assert (epoch_year(both.obs_info) - mean) * 365.25 * 86400 == pytest.approx(0.0, abs=1e-2)
    assert both.obs_info.visit_id == 7
    assert first.obs_info.exposure_time == 15.0 * u.s


def test_exposure_alone_is_itself_and_no_or_odd_snaps_are_refused() -> None:
    only = snap(1.0, "CR")
    assert combine_snaps(only) is only
    with pytest.raises(BadFrameError, match="0 exposures"):
        combine_snaps([])
    with pytest.raises(BadFrameError, match="not str"):
        combine_snaps("ab")  # type: ignore[arg-type]
