"""Which reference stars a frame asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from skyloom.errors import NoReferenceError
from skyloom.images.projection import pixel_scale, pixel_to_radec

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.images.exposure import Exposure

    from .frame import CalibratedFrame

__all__ = ["ReferenceLoader", "epoch_year", "load_references"]


class ReferenceLoader(Protocol):
    """What gives the reference stars of a circle on the sky."""

    def __call__(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None, /) -> Table:
        """Stars within ``radius_deg`` of a position, where they stand at the epoch (Julian year)."""
        ...


def load_references(frame: CalibratedFrame, loader: ReferenceLoader, margin_deg: float) -> Table:
    """The reference stars on a frame and ``margin_deg`` around it.

    Raises
    ------
    NoReferenceError
        If the catalogue has none there, or the frame has no projection to say where it points.
    """
    exposure = frame.exposure
    if exposure.projection is None:
        raise NoReferenceError(
            "The frame has no first guess of its position on the sky.",
            cure="Give the camera the header keywords of its pointing.",
        )
    box = exposure.bbox
    x, y = 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)
    ra, dec = (float(angle) for angle in pixel_to_radec(exposure.projection, x, y))
    half_diagonal = 0.5 * np.hypot(*box.shape) * float(pixel_scale(exposure.projection, x, y)) / 3600.0
    radius = float(1.05 * half_diagonal + margin_deg)
    reference = loader(ra, dec, radius, epoch_year(exposure))
    if len(reference) == 0:
        raise NoReferenceError(
            f"The reference catalogue holds no star within {radius:.3f} deg of RA {ra:.4f}, Dec {dec:+.4f} deg.",
            cure="Import a reference catalogue that covers the field, or correct the pointing.",
            ra_deg=ra,
            dec_deg=dec,
            radius_deg=radius,
        )
    return reference


def epoch_year(exposure: Exposure) -> float | None:
    """Julian year (TDB) of the middle of the exposure, or None where its date is not known."""
    info = exposure.obs_info
    if info is None or info.datetime_begin is None:
        return None
    begin = info.datetime_begin.tdb
    middle = begin if info.datetime_end is None else begin + 0.5 * (info.datetime_end.tdb - begin)
    return float(middle.jyear)
