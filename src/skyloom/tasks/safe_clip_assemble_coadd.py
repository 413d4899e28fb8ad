"""`SafeClipAssembleCoaddTask`: a mean of warps without the artifacts that clipping finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lsst.images import Box
from lsst.pipe.base import Struct

from skyloom.coadd import (
    MIN_INPUTS,
    AlternateMasks,
    CoaddInput,
    DifferenceImage,
    SafeClipSettings,
    attribute_regions,
    big_footprints,
    build_difference_image,
    combine_masks,
    merged,
)
from skyloom.errors import NoOverlapError
from skyloom.images import MASK_SCHEMA, Exposure, SpanSet, bitmask

from .artifact_coadd import ArtifactCoaddTask
from .artifact_config import SafeClipAssembleCoaddConfig, SafeClipAssembleCoaddConnections
from .clip_detection import ClipDetectionTask
from .coadd_inputs import as_inputs

__all__ = [
    "ClippedWarp",
    "SafeClipAssembleCoaddConfig",
    "SafeClipAssembleCoaddConnections",
    "SafeClipAssembleCoaddTask",
]


@dataclass(eq=False)
class ClippedWarp:
    """What is masked in one warp, beside it."""

    warp: CoaddInput
    box: Box
    """Pixels of the patch."""
    planes: dict[str, SpanSet] = field(default_factory=dict)
    """Mask plane to pixels of the tract."""

    @property
    def visit(self) -> int:
        """The visit's number."""
        return self.warp.visit


class SafeClipAssembleCoaddTask(ArtifactCoaddTask):
    """Combine the warps of a patch into their mean, with whole artifacts masked in the visits that they come from.

    Regions where the mean and the clipped mean differ are attributed to visits by what these have detected; see
    `skyloom.coadd.safe_clip`.  With ``artifactDecision`` what PSF-matched warps show is masked, too.
    """

    ConfigClass = SafeClipAssembleCoaddConfig
    _DefaultName = "safeClipAssembleCoadd"
    config: SafeClipAssembleCoaddConfig
    clipDetection: ClipDetectionTask
    brightObjectBitmask: int = 0
    """The bit of the plane of bright objects; 0 without ``doMaskBrightObjects``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.makeSubtask("clipDetection")

    def run(  # type: ignore[override]
        self, dataRef: Any, selectDataList: Sequence[Any] = (), **kwargs: Any
    ) -> Struct | None:
        """Combine the warps of a patch: those that a repository has, or those that are given.

        Parameters
        ----------
        dataRef
            The patch with its band, as a `skyloom.tasks.data_reference.ButlerDataRef`: the coadd is made and written as
            `runDataRef` does.  Or, with ``box`` among the keywords, references to the warps.
        selectDataList
            With a patch: references to the calibrated frames whose visits are combined.
        **kwargs
            With warps: as of `ArtifactCoaddTask.run`.

        Returns
        -------
        Struct
            Of a patch what `runDataRef` returns, of warps what `ArtifactCoaddTask.run` does.
        """
        if "box" in kwargs:
            return super().run(dataRef, **kwargs)
        return self.runDataRef(dataRef, selectDataList)

    def assemble(  # type: ignore[override]
        self,
        skyInfo: Struct,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgModelList: Sequence[Any] | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Struct:
        """Find artifacts, and combine warps without them.

        With ``altMaskList`` or ``mask`` among the keywords it is `AssembleCoaddTask.assemble`: nothing is looked for.

        Parameters
        ----------
        skyInfo
            What `getSkyInfo` returns; ``bbox`` and ``wcs`` are used.
        tempExpRefList, imageScalerList, weightList
            What `prepareInputs` returns.
        bgModelList
            What `backgroundMatching` says of each warp; None adds nothing.
        *args, **kwargs
            Not used.

        Returns
        -------
        Struct
            ``coaddExposure`` and ``nImage``, and what else `AssembleCoaddTask.assemble` returns.  ``clipFootprints``,
            ``clipIndices``, ``bigFootprints``: what `detectClip` and `detectClipBig` found.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If there is no warp.
        skyloom.errors.PsfError
            If no warp has a PSF.
        """
        if {"altMaskList", "mask"} & set(kwargs):
            background = kwargs.pop("bgInfoList", bgModelList)
            return super().assemble(skyInfo, tempExpRefList, imageScalerList, weightList, background, *args, **kwargs)
        lists = (tempExpRefList, imageScalerList, weightList, bgModelList)
        found, big = Struct(clipFootprints=[], clipIndices=[], tempExpClipList=[]), list[SpanSet]()
        if 0 < len(tempExpRefList) < MIN_INPUTS:
            self.log.warning(
                "%d warps: with fewer than %d it cannot be told which one is wrong", len(tempExpRefList), MIN_INPUTS
            )
        elif tempExpRefList:
            difference = self.buildDifferenceImage(skyInfo, *lists)
            found = self.detectClip(
                difference, tempExpRefList, imageScalerList=imageScalerList, bgModelList=bgModelList
            )
            big = self.detectClipBig(
                found.tempExpClipList,
                found.clipFootprints,
                found.clipIndices,
                bitmask("CLIPPED"),
                bitmask("DETECTED", "DETECTED_NEGATIVE"),
            )
        masks: AlternateMasks = {warp.visit: warp.planes for warp in found.tempExpClipList if warp.planes}
        if self.config.compares() and tempExpRefList:
            masks = self._with_compared(skyInfo, as_inputs(*lists), masks)
        result = self.assembleMasked(skyInfo, *lists, masks)
        if self.config.doFlagAllClipped:
            coadd, regions = result.coaddExposure, merged([*found.clipFootprints, *big])
            coadd.bits[regions.to_mask(coadd.bbox)] |= bitmask("CLIPPED", "INEXACT_PSF")
        result.clipFootprints, result.clipIndices, result.bigFootprints = found.clipFootprints, found.clipIndices, big
        return result

    def buildDifferenceImage(
        self,
        skyInfo: Struct,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgModelList: Sequence[Any] | None = None,
    ) -> DifferenceImage:
        """The mean of the warps less their clipped mean.

        Parameters
        ----------
        skyInfo, tempExpRefList, imageScalerList, weightList, bgModelList
            As of `assemble`.

        Returns
        -------
        skyloom.coadd.DifferenceImage
            An exposure with the sum of the variances of both, and the PSF of the mean.

        Raises
        ------
        skyloom.errors.NoOverlapError
            If there is no warp.
        """
        inputs = as_inputs(tempExpRefList, imageScalerList, weightList, bgModelList)
        return build_difference_image(inputs, skyInfo.bbox, skyInfo.wcs, self.config.clip_settings())

    def detectClip(
        self,
        exp: Exposure,
        tempExpRefList: Sequence[Any],
        *,
        imageScalerList: Sequence[Any] | None = None,
        bgModelList: Sequence[Any] | None = None,
    ) -> Struct:
        """Find the regions of a difference image that one or two visits are to blame for.

        Parameters
        ----------
        exp
            What `buildDifferenceImage` returns; its planes DETECTED are made anew.
        tempExpRefList
            References to the warps.
        imageScalerList, bgModelList
            As of `assemble`: they matter to ``doConfirmClip``.

        Returns
        -------
        Struct
            ``clipFootprints``: a `skyloom.images.SpanSet` a region.  ``clipIndices``: for each the places of the warps
            to blame.  ``tempExpClipList``: a `ClippedWarp` a warp, with these regions in the plane CLIPPED.
            ``detectionFootprints``: all regions, as `skyloom.coadd.Regions`.
        """
        inputs = as_inputs(tempExpRefList, imageScalerList, [1.0] * len(tempExpRefList), bgModelList)
        regions = self.clipDetection.run(exp)
        notes: dict[int, str] = {}
        found = attribute_regions(inputs, regions, exp, self._clip_settings(), notes)
        for visit, note in notes.items():
            self.log.warning("visit %d: %s", visit, note)
        self.metadata["n_regions"], self.metadata["n_clipped_regions"] = len(regions), len(found.footprints)
        self.metadata["visits_without_detections"] = list(notes)
        clipped = [
            ClippedWarp(part, exp.bbox, {"CLIPPED": spans} if len(spans) else {})
            for part, spans in zip(inputs, found.spans, strict=True)
        ]
        return Struct(
            clipFootprints=found.footprints,
            clipIndices=[list(visits) for visits in found.visits],
            tempExpClipList=clipped,
            detectionFootprints=regions,
        )

    def detectClipBig(
        self,
        tempExpClipList: Sequence[ClippedWarp],
        clipFootprints: Sequence[SpanSet],
        clipIndices: Sequence[Sequence[int]],
        maskClipValue: int,
        maskDetValue: int,
    ) -> list[SpanSet]:
        """Clip footprints of visits, as a whole, of which more than ``minBigOverlap`` pixels are clipped.

        Parameters
        ----------
        tempExpClipList
            What `detectClip` returns; the footprints are added to the planes of their warps, in place.
        clipFootprints, clipIndices
            What it returns, too.
        maskClipValue
            Bits of the planes that the footprints are added to.
        maskDetValue
            Bits of the planes whose connected pixels are the footprints.

        Returns
        -------
        list of skyloom.images.SpanSet
            The footprints.
        """
        settings = replace(self._clip_settings().attribution, detected_planes=_names(maskDetValue))
        found = []
        for place, clipped in enumerate(tempExpClipList):
            own = [spans for spans, at in zip(clipFootprints, clipIndices, strict=True) if place in at]
            if not own:
                continue
            big = big_footprints(clipped.warp, merged(own), clipped.box, settings)
            if big:
                for name in _names(maskClipValue):
                    clipped.planes[name] = merged([clipped.planes.get(name, SpanSet.empty()), *big])
            found += big
        return found

    def _with_compared(self, skyInfo: Struct, inputs: Sequence[CoaddInput], masks: AlternateMasks) -> AlternateMasks:
        """Masks together with what PSF-matched warps show; visits without one keep theirs."""
        try:
            compared = self.compareWarps(skyInfo, inputs, self.config.compareWarp)
        except NoOverlapError:
            self.log.warning("there are no PSF-matched warps: what clipping finds is masked")
            return masks
        alone = {visit: masks[visit] for visit in compared.unmatched if visit in masks}
        return combine_masks(masks, compared.masks, self.config.artifactDecision) | alone

    def _clip_settings(self) -> SafeClipSettings:
        return self.config.clip_settings()


def _names(bits: int) -> tuple[str, ...]:
    """The mask planes of some bits."""
    return tuple(name for name in MASK_SCHEMA.names if bits & bitmask(name))
