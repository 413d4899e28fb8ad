"""What single steps of the signature removal ask of amplifiers, defects and overscans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from lsst.images import Box

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.statistics import clipped_mean

if TYPE_CHECKING:
    from lsst.images import Image
    from lsst.images.cameras import Amplifier, AmplifierRawGeometry, Detector

__all__ = ["boxes_of", "nominal_levels", "overscan_scatter", "raw_geometry", "table_of", "trimmed_regions"]


def raw_geometry(amp: Amplifier) -> AmplifierRawGeometry:
    """Where the pixels of an amplifier lie in the raw frame; `BadFrameError` where that is not known."""
    geometry = amp.assembled_raw_geometry or amp.unassembled_raw_geometry
    if geometry is None:
        raise BadFrameError(
            f"it is not known where the pixels of amplifier {amp.name} lie in the raw frame.",
            cure="Describe them in the camera's file.",
        )
    return geometry


def nominal_levels(amp: Amplifier) -> Any:
    """Gain, read noise and levels of an amplifier; `BadFrameError` where they are not known."""
    if amp.nominal_calibrations is None:
        raise BadFrameError(
            f"nothing is known of the levels of amplifier {amp.name}.", cure="State them in the camera's file."
        )
    return amp.nominal_calibrations


def boxes_of(defects: Table | Sequence[Box] | None) -> list[Box]:
    """Defects, given in either form, as boxes."""
    if defects is None or not isinstance(defects, Table):
        return list(defects or [])
    return [
        Box.from_shape((int(row["height"]), int(row["width"])), start=(int(row["y0"]), int(row["x0"])))
        for row in defects
    ]


def table_of(boxes: Sequence[Box]) -> Table:
    """Boxes as a table of ``x0``, ``y0``, ``width``, ``height``."""
    rows = [(box.x.start, box.y.start, box.x.size, box.y.size) for box in boxes]
    return Table(rows=rows or None, names=("x0", "y0", "width", "height"), dtype=(int, int, int, int))


def trimmed_regions(detector: Detector) -> list[tuple[slice, slice]]:
    """Where the amplifiers lie on the trimmed detector."""
    y0, x0 = detector.bbox.start
    return [
        (slice(one.bbox.y.start - y0, one.bbox.y.stop - y0), slice(one.bbox.x.start - x0, one.bbox.x.stop - x0))
        for one in detector.amplifiers
    ]


def overscan_scatter(overscan: Exposure | Image | np.ndarray) -> float:
    """Clipped standard deviation of an overscan, without saturated and suspect pixels."""
    if isinstance(overscan, Exposure):
        values = overscan.image.array[(overscan.bits & bitmask("SAT", "SUSPECT")) == 0]
    else:
        values = np.asarray(overscan if isinstance(overscan, np.ndarray) else overscan.array).ravel()
    return float(clipped_mean(values[np.isfinite(values)].astype(np.float64), 3.0, 3)[1])
