"""`VisitWarp`: the detectors of one visit gathered on the pixels of a patch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from lsst.images import Box, Image, SkyProjection

from skyloom.errors import NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent

from .exposure import empty_exposure, warp_overlap
from .inputs import input_row, inputs_table
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
    companions
        Images that are filled beside the warp, pixel by pixel from the same detectors: name to how to resample.
    steps
        Steps of the mappings' grids by detector, where they are known from an earlier warp of the visit; then nothing
        is recorded of the inputs but their pixels.
    """

    def __init__(
        self,
        visit: int,
        box: Box,
        projection: SkyProjection[Any],
        settings: WarpSettings | None = None,
        *,
        companions: Mapping[str, WarpSettings] | None = None,
        steps: Mapping[int, int] | None = None,
    ) -> None:
        self._visit = visit
        self._box = box
        self._projection = projection
        self._settings = settings or WarpSettings()
        self._how = dict(companions or {})
        self._warp: Exposure | None = None
        self._images: dict[str, np.ndarray] = {}
        self._components: list[CoaddPsfComponent] = []
        self._rows: list[dict[str, Any]] = []
        self._errors: list[float] = []
        self._record = steps is None
        self.steps: dict[int, int] = dict(steps or {})

    def add(self, detector: int, exposure: Exposure, companions: Mapping[str, Exposure] | None = None) -> int:
        """Warp a detector's frame and take over the pixels that are still free; how many those were.

        Parameters
        ----------
        detector
            Detector id.
        exposure
            The frame, or the part of it that falls on the patch.
        companions
            For each companion image of the warp, the frame of the same pixels that is to fill it.

        Raises
        ------
        ValueError
            If the frame's unit is not that of the frames before.
        AstrometryError
            If the frame has no usable sky projection.
        """
        try:
            step = self.steps.get(detector)
            part = warp_overlap(exposure, self._box, self._projection, self._settings, step)
        except NoOverlapError:
            return 0
        free = self._take(part)
        count = int(free.sum())
        self.steps[detector] = step = int(part.metadata["warp_grid_step_px"])
        for name, other in (companions or {}).items():
            beside = warp_overlap(other, self._box, self._projection, self._how[name], step)
            self._fill(name, part.bbox, free, beside)
        if count and self._record:
            self._errors.append(float(part.metadata["warp_mapping_error_px"]))
            self._rows.append(input_row(self._visit, detector, count, exposure, self._settings.order - 1))
            self._add_psf(detector, exposure)
        return count

    def finish(self) -> Exposure:
        """The warp, with a row an input (see `skyloom.warp.inputs`), and with the PSF of the inputs.

        It is cut to the smallest box outside of which every pixel is simply missing.

        Raises
        ------
        NoOverlapError
            If no detector has a pixel on the patch.
        """
        if self._warp is None or not self._rows:
            raise NoOverlapError(f"No detector of visit {self._visit} has a pixel in {self._box}.")
        warp = self._warp
        warp.inputs = inputs_table(self._rows)
        warp.metadata["warp_kernel"] = self._settings.kernel
        warp.metadata["warp_mapping_error_px"] = float(np.max(self._errors))
        if len(self._components) == len(self._rows):
            warp.psf = CoaddPsf(self._components, self._projection, self._box)
        return warp[_extent(warp)]

    def companion(self, name: str, box: Box) -> Image:
        """A companion image over a box, NaN where the warp is missing."""
        image = self._images.get(name)
        if image is None:
            image = np.full(self._box.shape, np.nan, np.float32)
        return Image(image[box.slice_within(self._box)], bbox=box)

    def planes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, variance and mask bits ``[y, x]`` of the whole box as they are by now."""
        warp = self._warp or empty_exposure(self._box, unit=None)
        return warp.image.array, warp.variance.array, warp.bits

    def _take(self, part: Exposure) -> np.ndarray:
        """Fill free pixels; bool over the part's box of those that it filled."""
        if self._warp is None:
            self._warp = empty_exposure(
                self._box,
                unit=part.unit,
                projection=self._projection,
                band=part.band,
                obs_info=part.obs_info,
                photo_calib=part.photo_calib,
            )
        if part.unit != self._warp.unit:
            raise ValueError(f"Frames in {self._warp.unit} and {part.unit} cannot share a warp.")
        warp = self._warp[part.bbox]
        free: np.ndarray = np.isnan(warp.image.array)
        free |= np.isinf(warp.variance.array) & np.isfinite(part.variance.array)
        free &= np.isfinite(part.image.array)
        for mine, other in (
            (warp.image.array, part.image.array),
            (warp.variance.array, part.variance.array),
            (warp.bits, part.bits),
        ):
            mine[free] = other[free]
        edge = np.isnan(warp.image.array) & np.isnan(part.image.array)
        warp.bits[edge] |= part.bits[edge]
        return free

    def _fill(self, name: str, box: Box, free: np.ndarray, beside: Exposure) -> None:
        """Take over a companion's pixels where the warp took over those of its detector."""
        if name not in self._images:
            self._images[name] = np.full(self._box.shape, np.nan, np.float32)
        pixels = np.full(box.shape, np.nan, np.float32)
        both = box.intersection(beside.bbox)
        pixels[both.slice_within(box)] = beside.image.array[both.slice_within(beside.bbox)]
        self._images[name][box.slice_within(self._box)][free] = pixels[free]

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
                valid=exposure.valid_polygon,
                warp_order=self._settings.order,
                aperture_corrections=exposure.aperture_corrections,
            )
        )


def _extent(warp: Exposure) -> Box:
    """The smallest box outside of which every pixel is simply missing."""
    held = warp.bits != bitmask("NO_DATA")
    rows, columns = np.flatnonzero(held.any(axis=1)), np.flatnonzero(held.any(axis=0))
    y0, x0 = warp.bbox.y.start, warp.bbox.x.start
    return Box.factory[y0 + rows[0] : y0 + rows[-1] + 1, x0 + columns[0] : x0 + columns[-1] + 1]
