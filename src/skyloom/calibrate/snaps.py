"""Two snaps of one visit as one frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from lsst.images import Image

from skyloom.errors import BadFrameError
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask, bits_of

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo

__all__ = ["combine_snaps"]


def combine_snaps(exposures: Exposure | Sequence[Exposure], *, bad_planes: tuple[str, ...] = ()) -> Exposure:
    """The sum of one or two exposures of the same pixels.

    A pixel that only one snap has measured gets that snap's value, scaled to the time of both.  What was interpolated
    in both (a finite value of infinite variance) stays so; a pixel without a value in either is NaN of infinite
    variance, with NO_DATA.  The mask joins those of the snaps that contribute, and of both where none does.

    Parameters
    ----------
    exposures
        An exposure, or one or two of them.  One is returned as it is; of two a new one is made, which has the sum of
        the exposure times, lasts from the beginning of the one to the end of the other, and has all else of the first.
    bad_planes
        Pixels with one of these mask planes do not contribute.

    Raises
    ------
    BadFrameError
        If there are none or more than two, something else than exposures, or their boxes or units differ.
    """
    snaps = [exposures] if isinstance(exposures, Exposure) else list(exposures)
    if not all(isinstance(snap, Exposure) for snap in snaps):
        raise BadFrameError(
            f"The snaps of a visit must be an exposure or a list of one or two, not {type(exposures).__name__}.",
            cure="Give exposures.",
        )
    if len(snaps) == 1:
        return snaps[0]
    if len(snaps) != 2:
        raise BadFrameError(
            f"{len(snaps)} exposures were given as the snaps of a visit; one or two can be joined.",
            cure="Define the visit with one exposure.",
            n_exposures=len(snaps),
        )
    first, second = snaps
    if first.bbox != second.bbox or first.unit != second.unit:
        raise BadFrameError(
            f"The two snaps do not agree: {first.bbox} in {first.unit} and {second.bbox} in {second.unit}.",
            cure="Give two snaps of the same detector.",
        )
    return _sum(first, second, bitmask(*bad_planes))


def _sum(first: Exposure, second: Exposure, bad: int) -> Exposure:
    """The two snaps as one, as `combine_snaps` says."""
    both = first.copy()
    shares = _time_shares(first, second)
    counts = _contributing(first, second, bad)
    image, variance = np.zeros_like(first.image.array), np.zeros_like(first.variance.array)
    bits, share = np.zeros_like(first.bits), np.zeros_like(first.image.array)
    for snap, part, counted in zip((first, second), shares, counts, strict=True):
        image += np.where(counted, snap.image.array, 0)
        variance += np.where(counted, snap.variance.array, 0)
        bits |= np.where(counted, snap.bits, 0)
        share += np.where(counted, np.float32(part), 0)
    nothing = ~(counts[0] | counts[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(counts[0] & counts[1], np.float32(1), 1 / share)
        image, variance = image * scale, variance * scale * scale
    image[nothing], variance[nothing] = np.nan, np.inf
    bits[nothing] = (first.bits | second.bits)[nothing] | bitmask("NO_DATA")
    both.image, both.variance = Image(image, bbox=first.bbox), Image(variance, bbox=first.bbox)
    bits_of(both.mask)[...] = bits
    if first.obs_info is not None and second.obs_info is not None:
        both.obs_info = _joined_observation(first.obs_info, second.obs_info)
    return both


def _contributing(first: Exposure, second: Exposure, bad: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each snap contributes, ``bool[y, x]``: where it was measured; where neither was, where it has a value."""
    known = [np.isfinite(snap.image.array) & ((snap.bits & bad) == 0) for snap in (first, second)]
    measured = [k & np.isfinite(snap.variance.array) for k, snap in zip(known, (first, second), strict=True)]
    neither = ~(measured[0] | measured[1])
    return measured[0] | (known[0] & neither), measured[1] | (known[1] & neither)


def _time_shares(first: Exposure, second: Exposure) -> tuple[float, float]:
    """Share of the total exposure time of each snap; a half each where a time is not known."""
    times = [_seconds(snap.obs_info) for snap in (first, second)]
    if not all(time > 0 for time in times):
        return 0.5, 0.5
    return times[0] / sum(times), times[1] / sum(times)


def _seconds(info: ObservationInfo | None) -> float:
    """Exposure time, 0 where it is not known."""
    return 0.0 if info is None or info.exposure_time is None else float(info.exposure_time.to_value("s"))


def _joined_observation(first: ObservationInfo, second: ObservationInfo) -> ObservationInfo:
    """The observation of both: from the first beginning to the last end, times added up; all else of the first.

    The middle of two snaps of the same length is thereby the mean of their dates.
    """
    with first.edit_copy() as joined:
        for name, choose in (("datetime_begin", min), ("datetime_end", max)):
            dates = [getattr(info, name) for info in (first, second)]
            if all(date is not None for date in dates):
                setattr(joined, name, choose(dates))
        for name in ("exposure_time", "dark_time"):
            times = [getattr(info, name) for info in (first, second)]
            if all(time is not None for time in times):
                setattr(joined, name, times[0] + times[1])
    return joined
