"""Which reference stars a frame asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from skyloom.errors import NoReferenceError
from skyloom.images.projection import corner_polygon, pixel_scale, pixel_to_radec

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo
    from astropy.table import Table

    from skyloom.images.exposure import Exposure

    from .frame import CalibratedFrame

__all__ = ["ReferenceLoader", "epoch_year", "frame_circle", "load_references", "match_metadata"]


class ReferenceLoader(Protocol):
    """What gives the reference stars of a circle on the sky."""

    def __call__(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None, /) -> Table:
        """Stars within ``radius_deg`` of a position, where they stand at the epoch (Julian year)."""
        ...


def load_references(frame: CalibratedFrame, loader: ReferenceLoader, margin_deg: float) -> Table:
    """The reference stars on a frame and ``margin_deg`` around it; what was asked for is in the table's metadata.

    Raises
    ------
    NoReferenceError
        If the catalogue has none there, or the frame has no projection to say where it points.
    """
    exposure = frame.exposure
    ra, dec, radius = frame_circle(exposure, margin_deg)
    reference = loader(ra, dec, radius, epoch_year(exposure.obs_info))
    if len(reference) == 0:
        gone = reference.meta.get("unreadable_shards", [])
        raise NoReferenceError(
            f"The reference catalogue holds no star within {radius:.3f} deg of RA {ra:.4f}, Dec {dec:+.4f} deg."
            + (f" Its shards {', '.join(map(str, gone))} cannot be read." if gone else ""),
            cure="Import a reference catalogue that covers the field, or correct the pointing.",
            ra_deg=ra,
            dec_deg=dec,
            radius_deg=radius,
        )
    reference = reference.copy(copy_data=False)
    reference.meta["match"] = match_metadata(exposure, margin_deg)
    return reference


def frame_circle(exposure: Exposure, margin_deg: float) -> tuple[float, float, float]:
    """Centre (ra, dec) and radius, degree, of the circle that holds a frame and ``margin_deg`` around it.

    Raises
    ------
    NoReferenceError
        If the frame has no projection to say where it points.
    """
    if exposure.projection is None:
        raise NoReferenceError(
            "The frame has no first guess of its position on the sky.",
            cure="Give the camera the header keywords of its pointing.",
        )
    box = exposure.bbox
    x, y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    ra, dec = (float(angle) for angle in pixel_to_radec(exposure.projection, x, y))
    half_diagonal = 0.5 * np.hypot(*box.shape) * float(pixel_scale(exposure.projection, x, y)) / 3600.0
    return ra, dec, float(1.05 * half_diagonal + margin_deg)


def match_metadata(exposure: Exposure, margin_deg: float, filter_name: str | None = None) -> dict[str, Any]:
    """What the references of a frame were asked for: enough to load the same ones again.

    Parameters
    ----------
    exposure
        The frame, with its projection.
    margin_deg
        What was added around it, degree.
    filter_name
        The reference filter.

    Returns
    -------
    metadata
        Centre and radius of the circle, degree; the corners of the frame as lists in the order of `corner_polygon`;
        the epoch as a Julian year (None: that of the catalogue) and its time system; filter and version.
    """
    ra, dec, radius = frame_circle(exposure, margin_deg)
    assert exposure.projection is not None  # frame_circle raises without one
    corners = corner_polygon(exposure.projection, exposure.bbox)
    return {
        "version": 2,
        "ra_deg": ra,
        "dec_deg": dec,
        "radius_deg": radius,
        "corners_ra_deg": corners[0].tolist(),
        "corners_dec_deg": corners[1].tolist(),
        "epoch_year": epoch_year(exposure.obs_info),
        "time_system": "TDB",
        "filter": filter_name,
    }


def epoch_year(info: ObservationInfo | None) -> float | None:
    """Julian year (TDB) of the middle of an exposure, or None where its date is not known."""
    if info is None or info.datetime_begin is None:
        return None
    begin = info.datetime_begin.tdb
    middle = begin if info.datetime_end is None else begin + 0.5 * (info.datetime_end.tdb - begin)
    return float(middle.jyear)
