"""Single steps of the assembly of coadds as methods of `AssembleCoaddTask`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import astropy.units as u
import numpy as np
from lsst.images import Image
from lsst.pipe.base import NoWorkFound, Struct

from skyloom.coadd import (
    CoaddSettings,
    Statistic,
    assemble_coadd,
    coadd_extent,
    combine_box,
    describe_coadd,
    mask_bright_objects,
    prepare_inputs,
    reason_of_place,
)
from skyloom.errors import BadFrameError
from skyloom.images import MASK_SCHEMA, Exposure, bitmask
from skyloom.warp import KERNELS

from .coadd_inputs import (
    as_alternate_masks,
    as_inputs,
    as_warp_handle,
    band_of,
    data_id_text,
    one_pixel,
    reason_of_pixels,
)
from .matched_sky import match_skies, reason_against
from .patch_methods import PatchMethods

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images import Box
    from lsst.pipe.base import TaskMetadata
    from lsst.utils.logging import LsstLogAdapter

    from skyloom.coadd import CoaddInput, ImageScaler, WarpHandle

    from .assemble_coadd_config import AssembleCoaddConfig
    from .input_map import HealSparseInputMapTask
    from .match_backgrounds import MatchBackgroundsTask
    from .scale_zero_point import ScaleZeroPointTask

__all__ = ["AssembleCoaddMethods"]

_MATCHING = (
    "Background matching: CTExp_SDQA1_i is the mean square of the pixels after matching over their variance, "
    "CTExp_SDQA2_i the rms of the levels after matching, nJy"
)


class AssembleCoaddMethods(PatchMethods):
    """What becomes of warps on the way to a coadd, and the names of things.

    A reference to a warp is a deferred handle, a `skyloom.coadd.ExposureHandle`, an `skyloom.images.Exposure`, or what
    else has ``dataId`` and ``get(component=..., parameters=...)``.  Lists that go with one of references are parallel
    to it.
    """

    if TYPE_CHECKING:
        config: AssembleCoaddConfig
        metadata: TaskMetadata
        log: LsstLogAdapter
        matchBackgrounds: MatchBackgroundsTask
        scaleZeroPoint: ScaleZeroPointTask
        inputMapper: HealSparseInputMapTask

    def prepareInputs(self, refList: Iterable[Any], skyInfo: Struct | None = None) -> Struct:
        """Weigh warps: 1 / clipped mean of the variance plane.

        Parameters
        ----------
        refList
            References to warps.  Those that cannot take part are left out: see ``skipped_visits`` of the metadata.
        skyInfo
            What `getSkyInfo` returns: warps on other pixels than its ``bbox`` and ``wcs`` cannot take part.

        Returns
        -------
        Struct
            ``tempExpRefList``: references, in their order.  ``weightList``: a weight a reference, 1 / unit^2 of the
            coadd.  ``imageScalerList``: a `skyloom.coadd.ImageScaler` each, None without ``doScaleZeroPoint``.

        Raises
        ------
        skyloom.errors.BadFrameError
            If two warps are of one visit, or one does not tell its visit.
        """
        settings, order = self.config.settings(), list[int]()
        scalers: dict[int, ImageScaler] = {}

        def handles() -> Iterator[WarpHandle]:
            for place, reference in enumerate(refList):
                handle = as_warp_handle(reference, place)
                order.append(int(handle.dataId["visit"]))
                yield handle

        def scale_of(handle: WarpHandle) -> float:
            scaler = self.scaleZeroPoint.computeImageScaler(one_pixel(handle))
            scalers[int(handle.dataId["visit"])] = scaler
            return scaler.scale

        inputs, skipped = prepare_inputs(
            handles(),
            settings.bad_planes,
            sigma_clip=settings.sigma_clip,
            clip_iter=settings.clip_iter,
            scale_of=scale_of if self.config.doScaleZeroPoint else None,
            reason_against=lambda handle: (
                None if skyInfo is None else reason_of_pixels(handle, skyInfo.bbox, skyInfo.wcs)
            ),
        )
        for visit, reason in skipped.items():
            self.log.warning("the warp of visit %d is left out: %s", visit, reason)
        self.metadata["skipped_visits"] = list(skipped)
        inputs.sort(key=lambda part: order.index(part.visit))
        return Struct(
            tempExpRefList=[part.handle for part in inputs],
            weightList=[part.weight for part in inputs],
            imageScalerList=[scalers.get(part.visit) for part in inputs],
        )

    def assemble(
        self,
        skyInfo: Struct,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgInfoList: Sequence[Any] | None = None,
        altMaskList: Any = None,
        mask: int | None = None,
        supplementaryData: Struct | None = None,
    ) -> Struct:
        """Combine warps.

        Parameters
        ----------
        skyInfo
            What `getSkyInfo` returns; ``bbox`` and ``wcs`` are used, and ``band`` where it has one.
        tempExpRefList, imageScalerList, weightList
            What `prepareInputs` returns.  The order of the warps does not matter.  Those beyond ``bbox`` are left out.
        bgInfoList
            What `backgroundMatching` says of each warp; None adds nothing.
        altMaskList
            What else is masked: for each warp mask planes to `skyloom.images.SpanSet`, or None; or
            `skyloom.coadd.AlternateMasks`.
        mask
            Mask bits that exclude a sample; those of ``badMaskPlanes`` where None.
        supplementaryData
            Not used.

        Returns
        -------
        Struct
            ``coaddExposure``: an `skyloom.images.Exposure` with the table of its inputs, their PSF and aperture
            corrections.  ``nImage``: number of warps in each pixel, uint16.  ``warpRefList``, ``imageScalerList``,
            ``weightList``, ``altMaskList``: as given.  ``inputMap``: None without ``doInputMap``.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If there is no warp.
        skyloom.errors.BadFrameError
            If the lists are not parallel, a warp without scaler is not in nJy or is on the pixels of another sky
            projection, a weight is not a positive number, or the frames were resampled with another kernel than
            ``coaddPsf`` names.
        """
        if not tempExpRefList:
            raise NoWorkFound("There are no warps to combine.")
        settings = self._settings(mask)
        inputs = as_inputs(tempExpRefList, imageScalerList, weightList, bgInfoList)
        masks = as_alternate_masks(inputs, altMaskList)
        inputs = self._on_the_patch(inputs, skyInfo.bbox)
        band = getattr(skyInfo, "band", None) or band_of(inputs[0].handle)
        coadd, n_image = assemble_coadd(inputs, skyInfo.bbox, skyInfo.wcs, settings, band=band, alternate_masks=masks)
        self._check_kernel(coadd)
        if any(scaler is not None for scaler in imageScalerList or ()):
            coadd.unit, coadd.photo_calib = u.ct, self.scaleZeroPoint.getPhotoCalib()
        return Struct(
            coaddExposure=coadd,
            nImage=Image(n_image.astype(np.uint16), bbox=coadd.bbox),
            warpRefList=list(tempExpRefList),
            imageScalerList=imageScalerList,
            weightList=list(weightList),
            altMaskList=altMaskList,
            inputMap=self.inputMapper.run(inputs, coadd, settings, masks) if self.config.doInputMap else None,
        )

    def assembleMetadata(
        self, coaddExposure: Exposure, tempExpRefList: Sequence[Any], weightList: Sequence[float]
    ) -> None:
        """Tell a coadd its passband, inputs, their PSF and aperture corrections, in place; no pixel is read.

        Parameters
        ----------
        coaddExposure
            The coadd.
        tempExpRefList, weightList
            Warps and weights.
        """
        inputs = as_inputs(tempExpRefList, None, weightList)
        describe_coadd(coaddExposure, inputs, self.config.settings())
        coaddExposure.band = band_of(inputs[0].handle)
        self._check_kernel(coaddExposure)

    def assembleSubregion(
        self,
        coaddExposure: Exposure,
        bbox: Box,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgInfoList: Sequence[Any] | None,
        altMaskList: Any,
        statsFlags: Statistic | str | None,
        statsCtrl: CoaddSettings | None,
        nImage: Image | None = None,
    ) -> None:
        """Combine the pixels of a box and put them into a coadd, in place.

        Parameters
        ----------
        coaddExposure
            The coadd.
        bbox
            Pixels to combine.
        tempExpRefList, imageScalerList, weightList, bgInfoList, altMaskList
            As for `assemble`.
        statsFlags
            The statistic; that of ``statsCtrl`` where None.
        statsCtrl
            How to combine; as configured where None.
        nImage
            Gets the number of warps in each pixel.

        Raises
        ------
        lsst.images.NoOverlapError
            If the box lies outside the coadd.
        """
        settings = statsCtrl or self.config.settings()
        if statsFlags is not None:
            settings = replace(settings, statistic=Statistic(statsFlags), online=False)
        inputs = as_inputs(tempExpRefList, imageScalerList, weightList, bgInfoList)
        masks = as_alternate_masks(inputs, altMaskList)
        inputs.sort(key=lambda part: part.visit)
        box = bbox.intersection(coaddExposure.bbox)
        at = box.slice_within(coaddExposure.bbox)
        reached = coadd_extent(inputs, coaddExposure.bbox)
        image, variance, bits, n_image = combine_box(inputs, box, reached, settings, masks)
        coaddExposure.image.array[at], coaddExposure.variance.array[at] = image, variance
        coaddExposure.bits[at] = bits
        if nImage is not None:
            nImage.array[box.slice_within(nImage.bbox)] = n_image

    def backgroundMatching(self, inputData: Struct, refExpDataRef: Any = None, refImageScaler: Any = None) -> Struct:
        """Bring warps to the sky of one of them; those that do not match well are left out.

        Parameters
        ----------
        inputData
            What `prepareInputs` returns, with ``skyMap``, the sky map.
        refExpDataRef
            The reference, one of the warps; None to have it chosen.
        refImageScaler
            Not used: warps that are matched are in nJy.

        Returns
        -------
        Struct
            ``tempExpRefList``, ``weightList``, ``imageScalerList`` of the warps that stay, with weights that count the
            error of the match: 1 / (1 / weight + rms^2).  ``backgroundInfoList``: see `match_skies`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If the sky map is not given, or the reference is not among the warps.
        """
        sky_map = getattr(inputData, "skyMap", None)
        if sky_map is None:
            raise BadFrameError("Warps cannot be matched without their sky map.", cure="Give it as inputData.skyMap.")
        reference = None if refExpDataRef is None else int(as_warp_handle(refExpDataRef).dataId["visit"])
        warps = inputData.tempExpRefList
        matches = match_skies(self.matchBackgrounds, warps, sky_map, reference)
        kept, left_out = list[int](), dict[int, str]()
        for place, match in enumerate(matches):
            reason = reason_against(match, self.config.maxMatchResidualRatio, self.config.maxMatchResidualRMS)
            if reason is None:
                kept.append(place)
            else:
                left_out[int(warps[place].dataId["visit"])] = reason
        for visit, reason in left_out.items():
            self.log.warning("the warp of visit %d is left out: %s", visit, reason)
        self.metadata["unmatched_visits"] = list(left_out)
        weights = [
            weight if match.isReference else 1.0 / (1.0 / weight + match.fitRMS**2)
            for weight, match in zip(inputData.weightList, matches, strict=True)
        ]
        return Struct(
            tempExpRefList=[warps[place] for place in kept],
            weightList=[weights[place] for place in kept],
            imageScalerList=[inputData.imageScalerList[place] for place in kept],
            backgroundInfoList=[matches[place] for place in kept],
        )

    def addBackgroundMatchingMetadata(
        self, coaddExposure: Exposure, tempExpRefList: Sequence[Any], backgroundInfoList: Sequence[Any]
    ) -> None:
        """Write to the metadata of a coadd how well its warps match, in place.

        Parameters
        ----------
        coaddExposure
            The coadd.
        tempExpRefList, backgroundInfoList
            What `backgroundMatching` returns.
        """
        metadata = coaddExposure.metadata
        metadata["CTExp_SDQA1_DESCRIPTION"] = _MATCHING
        for place, (reference, match) in enumerate(zip(tempExpRefList, backgroundInfoList, strict=True)):
            text = data_id_text(as_warp_handle(reference, place).dataId)
            if match.isReference:
                metadata["ReferenceExp_ID"] = text
                continue
            metadata[f"CTExp_ID_{place}"] = text
            metadata[f"CTExp_SDQA1_{place}"] = match.matchedMSE / match.diffImVar
            metadata[f"CTExp_SDQA2_{place}"] = match.fitRMS

    def setBrightObjectMasks(self, exposure: Exposure, dataId: Any, brightObjectMasks: Table | None) -> None:
        """Mask the surroundings of bright objects, in place.

        Parameters
        ----------
        exposure
            The coadd.
        dataId
            Its tract, patch and band: the metadata of the table should not say others.
        brightObjectMasks
            Table as `skyloom.coadd.mask_bright_objects` takes it; None masks nothing, with a warning.

        Raises
        ------
        skyloom.errors.BadFrameError
            If a box is turned.
        """
        if brightObjectMasks is None:
            self.log.warning("there is no catalogue of bright objects: none is masked")
            return
        for name in ("tract", "patch", "band"):
            own, other = _known(dataId, name), brightObjectMasks.meta.get(name)
            if own is not None and other is not None and str(own) != str(other):
                self.log.warning("the bright objects are of %s %s, the coadd of %s", name, other, own)
        bit = bitmask(self.config.brightObjectMaskName)
        for name, kind in mask_bright_objects(exposure, brightObjectMasks, bit).items():
            self.log.warning("bright object %s is a %s, neither circle nor box: it is left out", name, kind)

    def _on_the_patch(self, inputs: Sequence[CoaddInput], box: Box) -> list[CoaddInput]:
        """The warps that have pixels of the patch, by visit."""
        found = []
        for part in sorted(inputs, key=lambda part: part.visit):
            reason = reason_of_place(part.bbox, box)
            if reason is None:
                found.append(part)
            else:
                self.log.warning("the warp of visit %d is left out: %s", part.visit, reason)
        if not found:
            raise NoWorkFound(f"None of {len(inputs)} warps has pixels of the patch.")
        return found

    def _settings(self, mask: int | None) -> CoaddSettings:
        """The configured settings, with other bad planes if bits are given."""
        settings = self.config.settings()
        if mask is None:
            return settings
        return replace(settings, bad_planes=tuple(name for name in MASK_SCHEMA.names if mask & bitmask(name)))

    def _check_kernel(self, coadd: Exposure) -> None:
        """Refuse a PSF that was not resampled as is configured."""
        named = self.config.coaddPsf.warpingKernelName
        if named is None or coadd.psf is None:
            return
        orders = {part.warp_order for part in cast("Any", coadd.psf).components}
        if orders != {KERNELS[named]}:
            raise BadFrameError(
                f"The frames were resampled with kernels of order {sorted(orders)}, not with {named}.",
                cure="Leave coaddPsf.warpingKernelName unset.",
            )


def _known(data_id: Any, name: str) -> Any:
    """A value of a data id, None where it does not have it."""
    return data_id[name] if data_id is not None and name in data_id else None
