"""What the tasks that make warps and coadds of a patch have in common as methods."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pipe.base import Struct

from skyloom.background import render_field
from skyloom.images import Exposure, bitmask
from skyloom.warp import add_background

from .classic_warps import frames_on_tract
from .frame_reference import FrameReference, PatchReference, as_references
from .warp_and_psf_match import DIRECT

if TYPE_CHECKING:
    from lsst.pipe.base import TaskMetadata
    from lsst.utils.logging import LsstLogAdapter

    from .frame_reference import DataReference
    from .select_images import WcsSelectImagesTask

__all__ = ["PatchMethods"]


class PatchMethods:
    """The place of a patch, its frames, and the names of things."""

    if TYPE_CHECKING:
        config: Any
        metadata: TaskMetadata
        log: LsstLogAdapter
        select: WcsSelectImagesTask

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

    def selectExposures(
        self, patchRef: PatchReference, skyInfo: Struct | None = None, selectDataList: Sequence[Any] = ()
    ) -> list[FrameReference]:
        """Choose the frames that are of use on a patch, by the subtask ``select``; the metadata name the others.

        Parameters
        ----------
        patchRef
            The patch.
        skyInfo
            What `getSkyInfo` returns, if it is known.
        selectDataList
            References to the frames to choose from.

        Returns
        -------
        list of FrameReference
            By visit and detector.
        """
        sky = skyInfo or self.getSkyInfo(patchRef)
        frames = as_references(frames_on_tract(patchRef, selectDataList))
        data_ids: list[Any] = [patchRef.dataId, *(frame.dataId for frame in frames[:1])]
        band = next((str(data_id["band"]) for data_id in data_ids if "band" in data_id), None)
        chosen = self.select.run(frames, sky.patchInfo.region, band)
        for (visit, detector), reason in chosen.left_out.items():
            self.log.info("visit %d, detector %d is not selected: %s", visit, detector, reason)
        self.metadata["not_selected"] = [f"{visit}/{one}: {reason}" for (visit, one), reason in chosen.left_out.items()]
        selected: list[FrameReference] = chosen.frames
        return selected

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
