"""The frames of a visit as warps need them: chosen, cut out, recalibrated, with the sky that was asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from lsst.images import Box, SkyProjection

from skyloom.background import apply_sky_correction, render_field
from skyloom.calibrate.flat_ratio import in_flat_of_sky
from skyloom.errors import AstrometryError, FrameError, PhotometryError
from skyloom.images import Exposure, from_visit_image
from skyloom.isr.interpolation import interpolate_unusable
from skyloom.isr.settings import InterpolationSettings
from skyloom.jointcal import is_refused, photo_calib_of, projection_of
from skyloom.warp import (
    add_background,
    calibration_ratio,
    noise_realisation,
    overlap_box,
    recalibrate,
    typical_variance,
)

if TYPE_CHECKING:
    from lsst.daf.butler import DeferredDatasetHandle

    from .make_direct_warp_config import MakeDirectWarpConfig

__all__ = ["DetectorHandles", "FrameForWarp", "VisitFrames", "detector_handles"]

_CUT_OUT_MARGIN = 16
"""Pixels to read around the part of a frame that a patch falls on: more than any kernel reaches."""


@dataclass(frozen=True, kw_only=True)
class DetectorHandles:
    """What is on disk of one detector."""

    exposure: DeferredDatasetHandle
    background: DeferredDatasetHandle | None = None
    sky_correction: DeferredDatasetHandle | None = None
    flat_ratio: DeferredDatasetHandle | None = None


@dataclass(frozen=True, kw_only=True)
class FrameForWarp:
    """The part of a detector's frame that falls on a patch."""

    detector: int
    exposure: Exposure
    noise: tuple[Exposure, ...] = ()
    """Realisations of its noise, on the same flux scale."""


@dataclass(kw_only=True)
class VisitFrames:
    """The frames of one visit, read when they are asked for."""

    visit: int
    handles: Mapping[int, DetectorHandles]
    """By detector."""
    config: MakeDirectWarpConfig
    joint_wcs: Table | None = None
    joint_photo_calib: Table | None = None
    left_out: dict[int, str] = field(default_factory=dict)
    """Detector to the reason why it is not warped."""

    def frames(self, box: Box, projection: SkyProjection[Any]) -> Iterator[FrameForWarp]:
        """The parts of the frames that fall on a box of the tract, in the order of the detectors.

        A frame that cannot be used is left out, and named in `left_out`.
        """
        for detector, handles in sorted(self.handles.items()):
            try:
                frame = self._frame(detector, handles, box, projection)
            except FrameError as error:
                self.left_out[detector] = str(error)
                continue
            if frame is not None:
                yield frame

    def exposures(self, box: Box, projection: SkyProjection[Any]) -> Iterator[tuple[int, Exposure]]:
        """The same without noise: detector and frame."""
        return ((frame.detector, frame.exposure) for frame in self.frames(box, projection))

    def _frame(
        self, detector: int, handles: DetectorHandles, box: Box, projection: SkyProjection[Any]
    ) -> FrameForWarp | None:
        """One detector, or None where it does not fall on the box."""
        whole = handles.exposure.get(component="bbox")
        own = self._projection(detector, handles)
        part = overlap_box(projection, own, box, whole, _CUT_OUT_MARGIN)
        if part is None:
            return None
        exposure = from_visit_image(handles.exposure.get(parameters={"bbox": part}))
        noise = self._noise(detector, handles, exposure, whole)
        if self.config.do_interpolate:
            settings = InterpolationSettings(planes=tuple(self.config.interpolated_planes))
            interpolate_unusable(exposure.image.array, exposure.variance.array, exposure.bits, settings)
        self._set_sky(handles, exposure)
        self._set_flux_scale(detector, exposure, noise)
        exposure.projection = own
        noise = [dataclasses.replace(one, projection=own) for one in noise]
        return FrameForWarp(detector=detector, exposure=exposure, noise=tuple(noise))

    def _projection(self, detector: int, handles: DetectorHandles) -> SkyProjection[Any]:
        """The WCS of the joint fit, where there is one, or the frame's own."""
        own: SkyProjection[Any] = handles.exposure.get(component="sky_projection")
        if self.joint_wcs is None:
            return own
        joint = projection_of(self.joint_wcs, detector, own.pixel_frame)
        if joint is None:
            raise AstrometryError(f"The joint fit has no WCS of it: {is_refused(self.joint_wcs, detector)}.")
        return joint

    def _noise(self, detector: int, handles: DetectorHandles, exposure: Exposure, whole: Box) -> list[Exposure]:
        """Realisations of the noise of the frame as it was read."""
        if self.config.n_noise_realisations == 0:
            return []
        typical = typical_variance(handles.exposure.get(component="variance").array)
        return [
            noise_realisation(
                exposure,
                whole,
                (self.visit, detector, number, self.config.noise_seed_offset),
                typical,
                per_pixel=not self.config.use_median_variance,
            )
            for number in range(self.config.n_noise_realisations)
        ]

    def _set_sky(self, handles: DetectorHandles, exposure: Exposure) -> None:
        """Put the sky of the single frame back, or that of the visit in its place, in the flat field of the sky."""
        config = self.config
        if not (config.do_revert_background or config.do_apply_sky_correction):
            return
        ratio = None
        if config.do_apply_flat_ratio:
            ratio = _needed(handles.flat_ratio, "ratio of flat fields").get(parameters={"bbox": exposure.bbox}).array
        if config.do_apply_sky_correction:
            correction = _needed(handles.sky_correction, "sky correction").get()
            apply_sky_correction(exposure, correction, flat_ratio=ratio)
            return
        with in_flat_of_sky(exposure, ratio):
            add_background(exposure, _needed(handles.background, "background").get(), render_field)

    def _set_flux_scale(self, detector: int, exposure: Exposure, noise: list[Exposure]) -> None:
        """Put the frame and its noise on the scale of the joint fit, where there is one."""
        if self.joint_photo_calib is None:
            return
        joint = photo_calib_of(self.joint_photo_calib, detector)
        if joint is None:
            raise PhotometryError(
                f"The joint fit has no flux scale of it: {is_refused(self.joint_photo_calib, detector)}."
            )
        ratio = calibration_ratio(exposure, joint) if noise else np.float32(1.0)
        recalibrate(exposure, joint)
        for one in noise:
            one.image.array[...] *= ratio
            one.photo_calib, one.unit = exposure.photo_calib, exposure.unit


def detector_handles(inputs: Mapping[str, Any]) -> dict[tuple[int, int], DetectorHandles]:
    """Handles of the connections of a warp, by visit and detector; frames without one of the others keep None."""
    found: dict[str, dict[tuple[int, int], DeferredDatasetHandle]] = {
        name: {(int(one.dataId["visit"]), int(one.dataId["detector"])): one for one in inputs.get(connection, ())}
        for name, connection in (
            ("exposure", "exposures"),
            ("background", "backgrounds"),
            ("sky_correction", "sky_corrections"),
            ("flat_ratio", "flat_ratios"),
        )
    }
    return {
        key: DetectorHandles(
            exposure=exposure, **{name: found[name].get(key) for name in ("background", "sky_correction", "flat_ratio")}
        )
        for key, exposure in found["exposure"].items()
    }


def _needed(handle: DeferredDatasetHandle | None, name: str) -> DeferredDatasetHandle:
    """A handle that the configuration asks for."""
    if handle is None:
        raise FrameError(f"There is no {name} of it.", cure="Make it, or leave it out of the configuration.")
    return handle
