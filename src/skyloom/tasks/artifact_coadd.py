"""`ArtifactCoaddTask`: coadds of warps in which artifacts are masked one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from lsst.images import Mask
from lsst.pipe.base import QuantumContext, Struct

from skyloom.coadd import (
    MIN_INPUTS,
    AlternateMasks,
    CoaddInput,
    CompareWarpResult,
    compare_warps,
    flag_lost_edges,
    masked_pixels,
    prepare_inputs,
)
from skyloom.images import MASK_SCHEMA, Exposure, bitmask, bits_of, to_coadd

from .artifact_config import ArtifactCoaddConfig, CompareWarpDecisionConfig
from .assemble_coadd import AssembleCoaddTask
from .coadd_inputs import as_warp_handle, reason_of_pixels

if TYPE_CHECKING:
    from lsst.images import Box

__all__ = ["ArtifactCoaddTask"]


class ArtifactCoaddTask(AssembleCoaddTask):
    """What coadds with masked artifacts have in common: PSF-matched warps beside the others, and masks to write."""

    ConfigClass = ArtifactCoaddConfig
    _DefaultName = "artifactCoadd"
    config: ArtifactCoaddConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._matched: Sequence[Any] = ()
        self._masks: AlternateMasks = {}
        self._template: Exposure | None = None

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the warps strip by strip; write the coadd, the number of its inputs, and what was masked in each."""
        masks, template = (getattr(outputRefs, name, None) for name in ("artifactMasks", "templateCoadd"))
        for name in ("artifactMasks", "templateCoadd"):
            if hasattr(outputRefs, name):
                delattr(outputRefs, name)  # the base class does not know them
        self._matched = cast("Any", butlerQC.get(getattr(inputRefs, "psfMatchedWarps", [])))
        super().runQuantum(butlerQC, inputRefs, outputRefs)
        if template is not None and self._template is not None:
            butlerQC.put(to_coadd(self._template), template)
        if masks is not None:
            sky_map, data_id = cast("Any", butlerQC.get(inputRefs.sky_map)), cast("Any", butlerQC.quantum.dataId)
            box = sky_map.tract(int(data_id["tract"])).patch(int(data_id["patch"])).outer_bbox
            made = self._artifact_masks(box)
            for reference in masks:
                if (visit := int(reference.dataId["visit"])) in made:
                    butlerQC.put(made[visit], reference)

    def run(self, warps: Sequence[Any], *, psfMatchedWarps: Sequence[Any] | None = None, **kwargs: Any) -> Struct:
        """Combine warps.

        Parameters
        ----------
        warps
            References to the warps: deferred handles, or `skyloom.coadd.ExposureHandle`.
        psfMatchedWarps
            References to the same warps with the PSF of a model, in any order, where they are needed.
        **kwargs
            As of `AssembleCoaddTask.run`.

        Returns
        -------
        Struct
            ``coadd``, ``n_image``, ``inputMap``: as of `AssembleCoaddTask.run`.  ``artifactMasks``: visit to a
            `lsst.images.Mask` of what was masked in its warp, None without ``doWriteArtifactMasks``.
            ``templateCoadd``: the static sky, None unless it is to be written.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If too few warps can take part.
        """
        if psfMatchedWarps is not None:
            self._matched = psfMatchedWarps
        self._masks, self._template = {}, None
        try:
            result = super().run(warps, **kwargs)
        finally:
            self._matched = ()
        wanted = self.config.doWriteArtifactMasks
        result.artifactMasks = self._artifact_masks(kwargs["box"]) if wanted else None
        result.templateCoadd = self._template
        return result

    def _artifact_masks(self, box: Box) -> dict[int, Mask]:
        """Visit to what was masked in its warp, as a mask of the patch; a visit without any has an empty one."""
        visits = {int(visit) for visit in self.metadata.getArray("visits")}
        made = {}
        for visit in sorted(visits):
            mask = Mask(0, schema=MASK_SCHEMA, bbox=box)
            for name, spans in self._masks.get(visit, {}).items():
                bits_of(mask)[spans.to_mask(box)] |= bitmask(name)
            made[visit] = mask
        return made

    def compareWarps(
        self,
        skyInfo: Struct,
        inputs: Sequence[CoaddInput],
        config: CompareWarpDecisionConfig,
        psfMatchedWarps: Sequence[Any] | None = None,
    ) -> CompareWarpResult:
        """Find artifacts on PSF-matched warps.

        Parameters
        ----------
        skyInfo
            ``bbox`` and ``wcs`` of the patch.
        inputs
            Weighted warps.
        config
            Limits.
        psfMatchedWarps
            References to the matched warps; those that `run` was given where None.

        Raises
        ------
        lsst.images.NoOverlapError
            If no warp has a matched one.
        """
        settings = config.decision_settings()
        references = self._matched if psfMatchedWarps is None else psfMatchedWarps
        wanted = {part.visit for part in inputs}
        handles = [as_warp_handle(reference, place) for place, reference in enumerate(references)]
        handles = [handle for handle in handles if int(handle.dataId["visit"]) in wanted]
        matched, skipped = prepare_inputs(
            handles,
            settings.static_sky.bad_planes,
            reason_against=lambda handle: reason_of_pixels(handle, skyInfo.bbox, skyInfo.wcs),
        )
        for visit, reason in skipped.items():
            self.log.warning("the PSF-matched warp of visit %d is left out: %s", visit, reason)
        if 0 < len(matched) < MIN_INPUTS:
            few = (len(matched), MIN_INPUTS)
            self.log.warning("%d PSF-matched warps: with fewer than %d it cannot be told which one is wrong", *few)
        found = compare_warps(
            inputs,
            {part.visit: part for part in matched},
            skyInfo.bbox,
            skyInfo.wcs,
            settings,
            band=getattr(skyInfo, "band", None),
        )
        for visit, note in found.notes.items():
            self.log.warning("visit %d: %s", visit, note)
        self.metadata["streaks"] = {str(visit): len(streaks) for visit, streaks in found.streaks.items()}
        self.metadata["n_candidates"] = sum(found.n_candidates.values())
        self.metadata["n_artifacts"] = sum(found.n_artifacts.values())
        if config.assembleStaticSkyModel.doWrite:
            self._template = found.template.coadd
        return found

    def assembleMasked(
        self,
        skyInfo: Struct,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgModelList: Sequence[Any] | None,
        masks: AlternateMasks,
    ) -> Struct:
        """Combine warps without what alternate masks clip; otherwise as `AssembleCoaddTask.assemble`.

        Parameters
        ----------
        skyInfo, tempExpRefList, imageScalerList, weightList, bgModelList
            As of `AssembleCoaddTask.assemble`.
        masks
            Visit to mask plane to pixels of the tract.
        """
        bits = self.getBadPixelMask() | bitmask("CLIPPED")
        result = super().assemble(
            skyInfo, tempExpRefList, imageScalerList, weightList, bgModelList, altMaskList=masks, mask=bits
        )
        flag_lost_edges(result.coaddExposure, masks)
        self._masks = masks
        clipped = masked_pixels(masks, "CLIPPED", "STREAK")
        self.metadata["clipped_pixels"] = {str(visit): count for visit, count in clipped.items() if count}
        for visit, count in clipped.items():
            if count:
                self.log.info("visit %d: %d pixels of artifacts", visit, count)
        return result
