"""`StreamedWarp`: the warp of a visit that is made anew, strip by strip, whenever its pixels are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lsst.images import Box, Image, Mask, SkyProjection

from skyloom.errors import AstrometryError
from skyloom.images import MASK_SCHEMA, Exposure, bits_of

from .settings import WarpSettings
from .visit import VisitWarp

__all__ = ["FrameSource", "StreamedWarp"]

type FrameSource = Callable[[Box], Iterable[tuple[int, Exposure]]]
"""Gives the detectors of a visit that fall on a box of the tract: their ids, and the parts of their frames."""


class StreamedWarp:
    """A warp in the form of a reference, as coadds take it, that holds no pixels.

    It is made once, whole, to learn what it covers, its inputs and its PSF, and for its weight; after that each strip
    is warped when it is read.  Its pixels are those of the stored warp to the last bit.

    Parameters
    ----------
    visit
        The visit's number.
    frames
        Where its frames come from; asked once a strip.
    box
        Pixels of the tract to fill: a patch's outer box.
    projection
        Sky projection of the tract.
    settings
        How to resample.

    Raises
    ------
    NoOverlapError
        If no detector has a pixel on the patch.
    AstrometryError
        If none of those that could have one has a usable WCS.
    """

    def __init__(
        self,
        visit: int,
        frames: FrameSource,
        box: Box,
        projection: SkyProjection[Any],
        settings: WarpSettings | None = None,
    ) -> None:
        self.dataId: Mapping[str, Any] = {"visit": visit}
        self.left_out: dict[int, str] = {}
        """Detector that could not be warped to the reason."""
        self._frames = frames
        self._projection = projection
        self._settings = settings or WarpSettings()
        warp, self._steps = self._fill(box)
        whole = warp.finish()
        self._known = {"bbox": whole.bbox, "inputs": whole.inputs, "psf": whole.psf, "unit": whole.unit}
        self._whole: Exposure | None = whole

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        """The warp, a component, or a dictionary of some, as `skyloom.coadd.WarpHandle` says.

        The first reading of pixels without a box lets go of those that were made to begin with.
        """
        parameters = parameters or {}
        if component in self._known:
            return self._known[component]
        exposure = self._exposure(parameters.get("bbox"))
        if component == "components":
            return {name: self._known.get(name, getattr(exposure, name)) for name in parameters["components"]}
        return exposure if component is None else getattr(exposure, component)

    def _exposure(self, box: Box | None) -> Exposure:
        """The warp, or a part of it."""
        whole, self._whole = self._whole, None
        if box is None and whole is not None:
            return whole
        box = box or self._known["bbox"]
        image, variance, bits = self._fill(box)[0].planes()
        mask = Mask(0, schema=MASK_SCHEMA, bbox=box)
        bits_of(mask)[...] = bits
        return Exposure(
            image=Image(image, bbox=box),
            mask=mask,
            variance=Image(variance, bbox=box),
            unit=self._known["unit"],
            projection=self._projection,
            psf=self._known["psf"],
            inputs=self._known["inputs"],
        )

    def _fill(self, box: Box) -> tuple[VisitWarp, dict[int, int]]:
        """Warp the frames onto a box; the steps of the mappings' grids by detector."""
        steps = getattr(self, "_steps", None)
        warp = VisitWarp(self.dataId["visit"], box, self._projection, self._settings, steps=steps)
        failure: AstrometryError | None = None
        for detector, exposure in self._frames(box):
            try:
                warp.add(detector, exposure)
            except AstrometryError as error:
                failure = error
                self.left_out[detector] = str(error)
        if failure is not None and not warp.steps:
            raise failure
        return warp, warp.steps
