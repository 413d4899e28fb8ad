"""What puts the sky of the whole camera in the place of the background of a frame: made, and applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import astropy.units as u
import numpy as np
from lsst.images import BackgroundMap
from lsst.images.fields import ProductField, SplineField, SumField

from skyloom.errors import BadFrameError

from .mesh import add_border
from .render import render_field

if TYPE_CHECKING:
    from lsst.images.fields import Field

    from skyloom.images.exposure import Exposure

    from .focal_plane import VisitSky

__all__ = ["CORRECTION", "SKY", "apply_sky_correction", "make_sky_correction", "sky_field"]

SKY, CORRECTION = "sky", "sky_correction"
"""Names in the stored map: the sky of the camera on the detector; that less the background subtracted before."""
_APPLIED = "LSST SKY CORRECTION APPLIED"


def sky_field(sky: VisitSky, detector: int) -> SplineField:
    """The sky of a visit on one detector, electrons: smooth sky, pattern, and the detector's own level."""
    one = sky.detectors[detector]
    cells, box = one.cells, one.cells.box
    pattern = np.zeros(cells.level.shape) if one.frame is None else sky.strength * one.frame.on(cells)
    rows, columns = ((side.min - 0.5, side.max + 0.5) for side in (box.y, box.x))
    if min(pattern.shape) > 1:
        nodes, y, x = add_border(pattern, cells.y, cells.x, rows, columns)
    else:  # a row of cells has no slope to go on with
        y, x = (np.array([low, *at, high]) for (low, high), at in ((rows, cells.y), (columns, cells.x)))
        nodes = np.pad(pattern, 1, mode="edge")
    grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
    smooth = sky.smooth(*cells.placement.focal_plane(grid_x, grid_y))
    return SplineField(box, nodes + smooth + one.offset, y=y, x=x, unit=u.electron)


def make_sky_correction(
    sky: VisitSky, detector: int, *, background: Field | None = None, scaling: Field | None = None
) -> BackgroundMap:
    """What is to be subtracted from a calibrated frame so that its sky is that of the whole camera.

    Parameters
    ----------
    sky
        Of the visit.
    detector
        Id of the detector, one of the sky's.
    background
        What was subtracted from the frame, in the unit of the frame; None where nothing was.
    scaling
        nJy an electron, of a frame in nJy; None of a frame in electrons.

    Returns
    -------
    correction
        ``sky_correction``: the sky less ``background``; subtracted from the frame, it puts the one in place of the
        other; it is the one that the map calls subtracted.  ``sky``: the sky, which is what has then been subtracted
        in all.  Both in the unit of the frame.

    Raises
    ------
    BadFrameError
        If the background is not in the unit of the frame.
    """
    field: Field = sky_field(sky, detector)
    if scaling is not None:
        field = _scaled(field, scaling)
    if background is not None and background.unit != field.unit:
        raise BadFrameError(
            f"the background of the frame is in {background.unit}, its sky in {field.unit}.",
            cure="Give the photometric scaling of frames in nJy, and none of frames in electrons.",
        )
    correction = field if background is None else SumField([field, background * -1.0])
    result = BackgroundMap()
    words = "Sky of the camera less the background of the frame: to be subtracted."
    result.add(CORRECTION, correction, words, is_subtracted=True)
    result.add(SKY, field, "Sky of the camera on this detector.")
    return result


def apply_sky_correction(
    exposure: Exposure, correction: BackgroundMap, *, flat_ratio: np.ndarray | None = None
) -> None:
    """Put the sky of the whole camera in the place of the background of a frame: subtract the correction, in place.

    Parameters
    ----------
    exposure
        A calibrated frame or a part of one, its own background subtracted.  Image and `backgrounds` change.
    correction
        That of its detector and visit, as `make_sky_correction` makes it.
    flat_ratio
        ``[y, x]`` of the exposure's box: what the frame was divided by after flat fielding, where it was; the sky
        is that of the frame before.

    Raises
    ------
    BadFrameError
        If this is no sky correction, it is of another unit or another part of the detector, or was applied already.
    """
    if CORRECTION not in correction or SKY not in correction:
        raise BadFrameError("this is no sky correction.", cure="Give the dataset sky_correction.")
    field = correction[CORRECTION].field
    if field.unit != exposure.unit:
        raise BadFrameError(f"the sky correction is in {field.unit}, the frame in {exposure.unit}.")
    if not field.bounds.bbox.contains(exposure.bbox):
        raise BadFrameError(f"the sky correction is of {field.bounds.bbox}, the frame of {exposure.bbox}.")
    if exposure.metadata.get(_APPLIED):
        raise BadFrameError("the sky of the frame is corrected already.", cure="Give the frame as it was calibrated.")
    pixels = render_field(field, exposure.bbox)
    if flat_ratio is not None:
        pixels /= flat_ratio
    exposure.image.array[...] -= pixels
    exposure.backgrounds = BackgroundMap()
    exposure.backgrounds.add(SKY, correction[SKY].field, correction[SKY].description, is_subtracted=True)
    exposure.metadata[_APPLIED] = True


def _scaled(field: Field, scaling: Field) -> Field:
    """A field in electrons in the unit of the frame."""
    if not scaling.is_constant or scaling.unit is None:
        return ProductField([field, scaling])
    box = scaling.bounds.bbox
    factor = float(scaling(x=np.array(float(box.x.start)), y=np.array(float(box.y.start))))
    return cast("Field", field * u.Quantity(factor, scaling.unit))
