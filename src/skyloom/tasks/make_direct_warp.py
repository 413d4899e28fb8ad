"""`MakeDirectWarpTask`: the detectors of a visit on the pixels of a patch."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

from astropy.table import Table
from lsst.images import Box, SkyProjection
from lsst.pipe.base import NoWorkFound, PipelineTask, QuantumContext, Struct

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, to_warp
from skyloom.warp import VisitWarp, WarpSettings, masked_share, select_frames

from .failure import failing_frames
from .make_direct_warp_config import MakeDirectWarpConfig, MakeDirectWarpConnections
from .warp_frames import DetectorHandles, FrameForWarp, VisitFrames, detector_handles

if TYPE_CHECKING:
    from lsst.sphgeom import Region

    from skyloom.skymap import SkyMap

__all__ = ["MakeDirectWarpConfig", "MakeDirectWarpConnections", "MakeDirectWarpTask"]

_MASKED = "masked_fraction"


class MakeDirectWarpTask(PipelineTask):
    """Resample the detectors of a visit onto a patch; a visit without a pixel there has no work."""

    ConfigClass = MakeDirectWarpConfig
    _DefaultName = "make_direct_warp"
    config: MakeDirectWarpConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the parts of the frames that fall on the patch, one frame at a time, and write the warp."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        sky_map: SkyMap = inputs["sky_map"]
        tract = sky_map.tract(int(data_id["tract"]))
        patch = tract.patch(int(data_id["patch"]))
        band = str(data_id["band"]) if "band" in data_id else None
        handles = {detector: one for (_, detector), one in detector_handles(inputs).items()}
        with failing_frames(self):
            frames = self.visit_frames(int(data_id["visit"]), handles, inputs, patch.region, band)
            result = self.run(
                frames.frames(patch.outer_bbox, tract.projection),
                visit=frames.visit,
                box=patch.outer_bbox,
                projection=tract.projection,
                left_out=frames.left_out,
            )
        for name in result.getDict():
            if name != "masked_fraction_warp":
                setattr(result, name, to_warp(getattr(result, name)))
        butlerQC.put(result, outputRefs)

    def visit_frames(
        self,
        visit: int,
        handles: Mapping[int, DetectorHandles],
        inputs: Mapping[str, Any],
        region: Region,
        band: str | None,
    ) -> VisitFrames:
        """Choose the frames of a visit, and say with which calibration they are to be read.

        Parameters
        ----------
        visit
            Visit id.
        handles
            What is on disk, by detector.
        inputs
            The tables of the visit: ``visit_summary``, and lists of at most one ``joint_wcs`` and
            ``joint_photo_calib``, where the configuration wants them.
        region
            The patch on the sky.
        band
            Band of the visit, for the limits that depend on it.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If the selection leaves no frame.
        """
        left_out: dict[int, str] = {}
        if self.config.do_select:
            settings = self.config.select.settings()
            chosen = select_frames(inputs["visit_summary"], sorted(handles), region, settings, band=band)
            left_out |= chosen.left_out
            handles = {detector: handles[detector] for detector in chosen.kept}
        if not handles:
            reasons = "; ".join(f"detector {detector}: {reason}" for detector, reason in left_out.items())
            raise NoWorkFound(f"No frame of visit {visit} was chosen. {reasons}")
        return VisitFrames(
            visit=visit,
            handles=handles,
            config=self.config,
            joint_wcs=self._joint_table(visit, inputs, "joint_wcs"),
            joint_photo_calib=self._joint_table(visit, inputs, "joint_photo_calib"),
            left_out=left_out,
        )

    def run(
        self,
        exposures: Iterable[FrameForWarp | tuple[int, Exposure]],
        *,
        visit: int,
        box: Box,
        projection: SkyProjection[Any],
        left_out: Mapping[int, str] | None = None,
    ) -> Struct:
        """Warp the frames of a visit.

        Parameters
        ----------
        exposures
            Detector and calibrated frame (or the part of it that falls on the patch), with its noise where that is to
            be warped too; taken one by one.
        visit
            Visit id.
        box
            Pixels of the tract to fill: the patch's outer box.
        projection
            Sky projection of the tract.
        left_out
            Detectors that were left out before, or are while the exposures are taken, and why: for the metadata.

        Returns
        -------
        Struct
            ``warp``: the warp, an `skyloom.images.Exposure`, with the table of its inputs and their PSF, cut to the
            part of the box that the frames reach.
            ``noise_warp0``, ...: realisations of its noise, with its mask and variance, as the configuration says.
            ``masked_fraction_warp``: share of bad pixels, 0 to 1, where the configuration says so.

        Raises
        ------
        skyloom.errors.AstrometryError
            If no frame could be warped for want of a usable WCS.
        lsst.pipe.base.NoWorkFound
            If no frame has a pixel on the patch.
        """
        warp = VisitWarp(visit, box, projection, self.config.settings(), companions=self._companions())
        failure: AstrometryError | None = None
        reasons: dict[int, str] = {}
        for one in exposures:
            frame = one if isinstance(one, FrameForWarp) else FrameForWarp(detector=one[0], exposure=one[1])
            try:
                warp.add(frame.detector, frame.exposure, self._beside(frame))
            except AstrometryError as error:
                failure = error
                reasons[frame.detector] = str(error)
        reasons = {**(left_out or {}), **reasons}
        self._report_left_out(visit, reasons)
        try:
            finished = warp.finish()
        except NoOverlapError as error:
            if failure is not None:
                raise failure from error
            raise NoWorkFound(str(error)) from error
        self._report(finished, box)
        return self._results(warp, finished)

    def _companions(self) -> dict[str, WarpSettings]:
        """What is warped beside the frames, and how."""
        config = self.config
        how = {f"noise_warp{number}": config.settings() for number in range(config.n_noise_realisations)}
        if config.do_masked_fraction:
            how[_MASKED] = WarpSettings(kernel="bilinear", conserve_flux=False)
        return how

    def _beside(self, frame: FrameForWarp) -> dict[str, Exposure]:
        """The companions of a frame."""
        beside = {f"noise_warp{number}": noise for number, noise in enumerate(frame.noise)}
        if self.config.do_masked_fraction:
            beside[_MASKED] = masked_share(frame.exposure, tuple(self.config.interpolated_planes))
        return beside

    def _results(self, warp: VisitWarp, finished: Exposure) -> Struct:
        result = Struct(warp=finished)
        for number in range(self.config.n_noise_realisations):
            noise = copy.copy(finished)
            noise.image, noise.psf = warp.companion(f"noise_warp{number}", finished.bbox), None
            setattr(result, f"noise_warp{number}", noise)
        if self.config.do_masked_fraction:
            result.masked_fraction_warp = warp.companion(_MASKED, finished.bbox)
        return result

    def _joint_table(self, visit: int, inputs: Mapping[str, Any], name: str) -> Table | None:
        """A table of the joint fit; None, with a warning and an entry in the metadata, where there is none."""
        if not getattr(self.config, f"use_{name}"):
            return None
        tables = inputs.get(name) or []
        self.metadata[f"has_{name}"] = bool(tables)
        if tables:
            return cast(Table, tables[0])
        self.log.warning("visit %d has no %s: its frames keep their own calibration", visit, name)
        return None

    def _report_left_out(self, visit: int, reasons: Mapping[int, str]) -> None:
        for detector, reason in reasons.items():
            self.log.warning("visit %d, detector %d is left out: %s", visit, detector, reason)
        self.metadata["left_out"] = [f"{detector}: {reason}" for detector, reason in sorted(reasons.items())]

    def _report(self, warp: Exposure, box: Box) -> None:
        assert warp.inputs is not None
        self.metadata["detectors"] = [int(detector) for detector in warp.inputs["detector"]]
        self.metadata["n_pixels"] = int(warp.inputs["n_pixels"].sum())
        self.metadata["filled_fraction"] = float(self.metadata["n_pixels"]) / box.area
