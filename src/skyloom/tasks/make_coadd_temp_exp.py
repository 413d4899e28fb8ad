"""`MakeCoaddTempExpTask`: the frames of a visit warped onto a patch, as they are and with the PSF of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import astropy.units as u
from lsst.pipe.base import NoWorkFound, PipelineTask, QuantumContext, Struct

from skyloom.errors import FrameError, PhotometryError
from skyloom.images import Exposure, to_warp
from skyloom.warp import overlap_box, recalibrate
from skyloom.warp.trimmed import trim_warp

from .classic_warps import ClassicWarps
from .failure import failing_frames
from .frame_reference import FrameReference, PatchReference, as_references
from .make_coadd_temp_exp_config import MakeCoaddTempExpConfig
from .temp_exp_methods import TempExpMethods
from .warp_and_psf_match import DIRECT, PSF_MATCHED, matching_box
from .warp_frames import detector_handles

if TYPE_CHECKING:
    from lsst.images import Box

    from .coadd_input_recorder import CoaddInputRecorderTask
    from .select_images import WcsSelectImagesTask
    from .warp_and_psf_match import WarpAndPsfMatchTask

__all__ = ["MakeCoaddTempExpConfig", "MakeCoaddTempExpTask"]

_MARGIN = 16
"""Pixels to read around the part of a frame that a patch falls on: more than any kernel reaches."""


class MakeCoaddTempExpTask(ClassicWarps, TempExpMethods, PipelineTask):
    """Warp the frames of a visit onto a patch.

    Parameters
    ----------
    reuse
        Whether the classic command line keeps warps that are there.  Pipelines are told by ``--skip-existing``.
    """

    ConfigClass = MakeCoaddTempExpConfig
    _DefaultName = "make_coadd_temp_exp"
    config: MakeCoaddTempExpConfig
    select: WcsSelectImagesTask
    inputRecorder: CoaddInputRecorderTask
    warpAndPsfMatch: WarpAndPsfMatchTask

    def __init__(self, reuse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reuse = reuse
        for name in ("select", "inputRecorder", "warpAndPsfMatch"):
            self.makeSubtask(name)

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Choose the frames, read what falls on the patch, one frame at a time, and write the warps."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        patch, visit = PatchReference(sky_map=inputs["sky_map"], dataId=data_id), int(data_id["visit"])
        with failing_frames(self):
            sky_info = self.getSkyInfo(patch)
            frames = self.selectExposures(patch, sky_info, _frame_references(inputs))
            result = self.run(frames, sky_info, visit)
            for name, warp in result.exposures.items():
                if warp is not None and self.config.doWrite:
                    butlerQC.put(to_warp(warp), getattr(outputRefs, name))
            self._end_quantum(visit, result)

    def run(self, calexpRefList: Sequence[Any], skyInfo: Struct, visitId: int = 0) -> Struct:
        """Warp the frames of a visit.

        Parameters
        ----------
        calexpRefList
            References to the frames: `FrameReference`; the butler's deferred handles, exposures in memory or wrapped
            ones will do where no more than the frame itself is needed.  They are warped in the order of their
            detectors, and where detectors overlap the first one counts.
        skyInfo
            What `getSkyInfo` returns; ``wcs`` and ``bbox`` are used.
        visitId
            Visit id.

        Returns
        -------
        Struct
            ``exposures``: for each of the types that `getWarpTypeList` names the warp, an `skyloom.images.Exposure` in
            nJy, or None if no frame has a pixel in it.
            ``left_out``: detectors that failed, to the reason.
        """
        left_out: dict[str, str] = {}
        taken: list[int] = []
        types = self.getWarpTypeList()
        warped = self.warpAndPsfMatch.run(
            self._frames(calexpRefList, skyInfo, taken, left_out),
            visit=visitId,
            box=skyInfo.bbox,
            projection=skyInfo.wcs,
            match=self.config.match_settings(),
            makeDirect=DIRECT in types,
            makePsfMatched=PSF_MATCHED in types,
        )
        left_out |= warped.failures
        exposures = {name: self._without_bad_pixels(getattr(warped, name), skyInfo.bbox) for name in types}
        for name, warp in exposures.items():
            self.inputRecorder.run(name, warp, skyInfo.bbox, taken, left_out)
        self._report(visitId, left_out)
        return Struct(exposures=exposures, left_out=left_out)

    def _frames(
        self, references: Sequence[Any], skyInfo: Struct, taken: list[int], left_out: dict[str, str]
    ) -> Iterator[tuple[int, Exposure]]:
        """The parts of the frames that fall on the patch, by detector; ``left_out`` is told of those that fail."""
        for reference in as_references(references):
            try:
                frame = self._frame(reference, skyInfo)
            except FrameError as error:
                left_out[str(reference.detector)] = str(error)
                continue
            if frame is not None:
                taken.append(reference.detector)
                yield reference.detector, frame

    def _frame(self, reference: FrameReference, skyInfo: Struct) -> Exposure | None:
        """The part of one frame that falls on the patch, in nJy; None if there is none."""
        part = self._part(reference, skyInfo)
        if part is None:
            return None
        reference = replace(reference, part=part)
        calexp = self.getCalExp(reference, self.config.bgSubtracted)
        if self.config.doApplySkyCorr:
            self.applySkyCorr(reference, calexp)
        if calexp.unit != u.nJy:
            if calexp.photo_calib is None:
                raise PhotometryError(f"It is in {calexp.unit}, without a flux scale.", cure="Calibrate it first.")
            recalibrate(calexp, calexp.photo_calib)
        return calexp

    def _part(self, reference: FrameReference, skyInfo: Struct) -> Box | None:
        """The pixels of a frame that can reach the warps."""
        box = skyInfo.bbox
        if PSF_MATCHED in self.getWarpTypeList():
            box = matching_box(box, self.config.match_settings())
        whole = reference.get(component="bbox")
        return overlap_box(skyInfo.wcs, self._projection(reference), box, whole, _MARGIN)

    def _without_bad_pixels(self, warp: Exposure | None, box: Box) -> Exposure | None:
        """The warp without the pixels of the bad planes; pixels without a value are missing in any case."""
        planes = set(self.config.badMaskPlanes) - {"NO_DATA"}
        return trim_warp(warp, box, sorted(planes)) if warp is not None and planes else warp

    def _report(self, visit: int, left_out: Mapping[str, str]) -> None:
        for which, reason in left_out.items():
            self.log.warning("visit %d, detector %s is left out: %s", visit, which, reason)
        self.metadata["left_out"] = [f"{which}: {reason}" for which, reason in left_out.items()]

    def _end_quantum(self, visit: int, result: Struct) -> None:
        """Tell the framework of warps that there are not: failures by name, else that there was no work."""
        missing = " and ".join(name for name, warp in result.exposures.items() if warp is None)
        if not missing:
            return
        if result.left_out:
            reasons = "; ".join(f"{which}: {reason}" for which, reason in result.left_out.items())
            raise FrameError(f"Visit {visit} has no {missing} warp: {reasons}")
        unselected = self.metadata.getArray("not_selected") if "not_selected" in self.metadata else []
        reasons = "; ".join(map(str, unselected))
        raise NoWorkFound(f"No frame of visit {visit} has a pixel in its {missing} warp. {reasons}")


def _frame_references(inputs: Mapping[str, Any]) -> list[FrameReference]:
    """References to the frames of a visit, with what the connections hold of each."""
    joint = {name: (inputs.get(name) or [None])[0] for name in ("joint_wcs", "joint_photo_calib")}
    return [
        FrameReference(
            exposure=handles.exposure,
            dataId=handles.exposure.dataId,
            background=handles.background,
            sky_correction=handles.sky_correction,
            visit_summary=inputs.get("visit_summary"),
            **joint,
        )
        for handles in detector_handles(inputs).values()
    ]
