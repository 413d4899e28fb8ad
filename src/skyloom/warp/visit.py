"""`VisitWarp`: the detectors of one visit gathered on the pixels of a patch."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from lsst.images import Box, SkyProjection

from skyloom.errors import NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent

from .exposure import empty_exposure, warp_exposure
from .settings import WarpSettings

__all__ = ["VisitWarp"]


class VisitWarp:
    """The warp of a visit, to which its detectors are added one by one.

    Detectors hardly overlap; where they do, the pixel of the detector that came first stays, unless only the later
    one is measured.  Nothing is averaged, so that each pixel has the noise and the PSF of one frame.

    Parameters
    ----------
    visit
        The visit's number.
    box
        Pixels of the tract to fill: a patch's outer box.
    projection
        Sky projection of the tract.
    settings
        How to resample.
    """

    def __init__(
        self, visit: int, box: Box, projection: SkyProjection[Any], settings: WarpSettings | None = None
    ) -> None:
        self._visit = visit
        self._box = box
        self._projection = projection
        self._settings = settings or WarpSettings()
        self._warp: Exposure | None = None
        self._components: list[CoaddPsfComponent] = []
        self._rows: list[tuple[int, int, float, int]] = []

    def add(self, detector: int, exposure: Exposure) -> int:
        """Warp a detector's frame and take over the pixels that are still free; how many those were.

        Raises
        ------
        ValueError
            If the frame's unit is not that of the frames before.
        AstrometryError
            If the frame has no usable sky projection.
        """
        try:
            part = warp_exposure(exposure, self._box, self._projection, self._settings)
        except NoOverlapError:
            return 0
        count = self._take(part)
        if count:
            self._rows.append((self._visit, detector, 1.0, count))
            self._add_psf(detector, exposure)
        return count

    def finish(self) -> Exposure:
        """The warp, with a row an input (visit, detector, weight, n_pixels), and with the PSF of the inputs.

        It is cut to the smallest box outside of which every pixel is simply missing.

        Raises
        ------
        NoOverlapError
            If no detector has a pixel on the patch.
        """
        if self._warp is None or not self._rows:
            raise NoOverlapError(f"No detector of visit {self._visit} has a pixel in {self._box}.")
        warp = self._warp
        warp.inputs = Table(
            rows=self._rows,
            names=("visit", "detector", "weight", "n_pixels"),
            dtype=(np.int64, np.int32, np.float64, np.int64),
        )
        if len(self._components) == len(self._rows):
            warp.psf = CoaddPsf(self._components, self._projection, self._box)
        return warp[_extent(warp)]

    def _take(self, part: Exposure) -> int:
        if self._warp is None:
            self._warp = empty_exposure(
                self._box,
                unit=part.unit,
                projection=self._projection,
                band=part.band,
                obs_info=part.obs_info,
                photo_calib=part.photo_calib,
            )
        warp = self._warp
        if part.unit != warp.unit:
            raise ValueError(f"Frames in {warp.unit} and {part.unit} cannot share a warp.")
        free = np.isnan(warp.image.array) | (np.isinf(warp.variance.array) & np.isfinite(part.variance.array))
        free &= np.isfinite(part.image.array)
        for mine, other in (
            (warp.image.array, part.image.array),
            (warp.variance.array, part.variance.array),
            (warp.bits, part.bits),
        ):
            mine[free] = other[free]
        edge = np.isnan(warp.image.array) & np.isnan(part.image.array)
        warp.bits[edge] |= part.bits[edge]
        return int(free.sum())

    def _add_psf(self, detector: int, exposure: Exposure) -> None:
        """Record the frame's PSF for the pixels that the kernel does not lose at the border."""
        if exposure.psf is None or exposure.projection is None:
            return
        self._components.append(
            CoaddPsfComponent(
                visit=self._visit,
                detector=detector,
                weight=1.0,
                psf=exposure.psf,
                projection=exposure.projection,
                bbox=exposure.bbox.padded(1 - self._settings.order),
            )
        )


def _extent(warp: Exposure) -> Box:
    """The smallest box outside of which every pixel is simply missing."""
    held = warp.bits != bitmask("NO_DATA")
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    y0, x0 = warp.bbox.y.start, warp.bbox.x.start
    return Box.factory[y0 + rows[0] : y0 + rows[-1] + 1, x0 + columns[0] : x0 + columns[-1] + 1]
