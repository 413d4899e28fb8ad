"""What the tasks that make warps and coadds of a patch have in common as methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lsst.pipe.base import Struct

from skyloom.background import render_field
from skyloom.images import Exposure, bitmask
from skyloom.warp import add_background

from .frame_reference import FrameReference, PatchReference, as_references
from .warp_and_psf_match import DIRECT

if TYPE_CHECKING:
    from .frame_reference import DataReference

__all__ = ["PatchMethods"]


class PatchMethods:
    """The place of a patch, its frames, and the names of things."""

    if TYPE_CHECKING:
        config: Any

    def getSkyInfo(self, patchRef: PatchReference) -> Struct:
        """Where a patch is.

        Returns
        -------
        Struct
            ``skyMap``; ``tractInfo`` and ``patchInfo``, a `skyloom.skymap.Tract` and `skyloom.skymap.Patch`; ``wcs``,
            the sky projection of the tract; ``bbox``, the outer box of the patch.

        Raises
        ------
        IndexError
            If there is no such tract or patch.
        """
        sky_map, index = patchRef.get(), patchRef.dataId["patch"]
        if isinstance(index, str):
            index = tuple(map(int, index.split(",")))
        tract = sky_map.tract(int(patchRef.dataId["tract"]))
        patch = tract.patch(index)
        return Struct(skyMap=sky_map, tractInfo=tract, patchInfo=patch, wcs=tract.projection, bbox=patch.outer_bbox)

    def getCalExp(self, dataRef: FrameReference | DataReference | Exposure, bgSubtracted: bool) -> Exposure:
        """Read a calibrated frame.

        Parameters
        ----------
        dataRef
            The frame.
        bgSubtracted
            Whether it stays without its background; else that is put back.

        Returns
        -------
        Exposure
            A frame of its own: what the reference stands for does not change.

        Raises
        ------
        skyloom.errors.FrameError
            If its background is wanted and there is none.
        """
        (reference,) = as_references([dataRef])
        calexp: Exposure = reference.get()
        if not bgSubtracted:
            add_background(calexp, reference.read("background"), render_field)
        return calexp

    def getBadPixelMask(self) -> int:
        """The bits of the mask planes ``badMaskPlanes``."""
        return bitmask(*self.config.badMaskPlanes)

    def getCoaddDatasetName(self, warpType: str = "direct") -> str:
        """Documented name of the coadd of warps of a type: deepCoadd, deepCoaddPsfMatched."""
        return f"{self.config.coaddName}Coadd" + ("" if warpType == DIRECT else warpType[:1].upper() + warpType[1:])

    def getTempExpDatasetName(self, warpType: str = "direct") -> str:
        """Documented name of the warps of a type: deepCoadd_directWarp, deepCoadd_psfMatchedWarp.

        In pipelines the connections name the datasets.
        """
        return f"{self.config.coaddName}Coadd_{warpType}Warp"
