"""`ForcedPhotVisitTask`: the objects of a tract measured on a calibrated frame, for light curves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.pex.config import ConfigField, Field
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import AstrometryError, FrameError, PhotometryError
from skyloom.images import Exposure, PhotoCalib, corner_polygon, from_visit_image, pixel_scale, radec_to_pixel
from skyloom.jointcal import is_refused, photo_calib_of, projection_of
from skyloom.objects import ForcedFrameSettings, force_on_frame
from skyloom.warp import recalibrate

from .failure import failing_frames
from .mirrored_config import mirror

if TYPE_CHECKING:
    from astro_metadata_translator import ObservationInfo
    from lsst.images import SkyProjection

__all__ = ["ForcedPhotVisitConfig", "ForcedPhotVisitConnections", "ForcedPhotVisitTask"]

_FRAME = ("instrument", "visit", "detector", "skymap", "tract")
_VISIT = ("instrument", "visit", "skymap", "tract")
_READ = ("object_id", "ra", "dec", "is_primary")
"""Columns of the object table that are read."""


class ForcedPhotVisitConnections(PipelineTaskConnections, dimensions=_FRAME):
    """A frame, the objects of the tract, and what the joint fit says of the frame."""

    exposure = Input(
        doc="The calibrated frame.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=("instrument", "visit", "detector"),
    )
    objects = Input(
        doc="The objects of the patches that the frame overlaps.",
        name="objects",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract", "patch"),
        multiple=True,
        deferLoad=True,
    )
    joint_wcs = Input(
        doc="WCSs of the joint fit.",
        name="joint_wcs",
        storageClass="ArrowAstropy",
        dimensions=_VISIT,
        multiple=True,
        minimum=0,
    )
    joint_photo_calib = Input(
        doc="Flux scales of the joint fit.",
        name="joint_photo_calib",
        storageClass="ArrowAstropy",
        dimensions=_VISIT,
        multiple=True,
        minimum=0,
    )
    forced_sources = Output(
        doc="Fluxes of the objects on the frame.",
        name="forced_sources",
        storageClass="ArrowAstropy",
        dimensions=_FRAME,
    )

    def __init__(self, *, config: ForcedPhotVisitConfig) -> None:
        if not config.use_joint_wcs:
            del self.joint_wcs
        if not config.use_joint_photo_calib:
            del self.joint_photo_calib


class ForcedPhotVisitConfig(PipelineTaskConfig, pipelineConnections=ForcedPhotVisitConnections):
    """Settings of `ForcedPhotVisitTask`."""

    use_joint_wcs: Any = Field(dtype=bool, default=True, doc="Take the WCSs of the joint fit, where there is one.")
    use_joint_photo_calib: Any = Field(
        dtype=bool, default=True, doc="Take the flux scales of the joint fit, where there is one."
    )
    only_primary: Any = Field(
        dtype=bool, default=True, doc="Leave out objects that are not primary, which another patch lists as well."
    )
    measurement: Any = ConfigField(dtype=mirror(ForcedFrameSettings()), doc="Measurement.")


class ForcedPhotVisitTask(PipelineTask):
    """Measure the objects of a tract on a frame at their positions; a frame without an object has no work."""

    ConfigClass = ForcedPhotVisitConfig
    _DefaultName = "forced_phot_visit"
    config: ForcedPhotVisitConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read the frame and the objects around it; write their fluxes."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        visit, detector = int(data_id["visit"]), int(data_id["detector"])
        with failing_frames(self):
            exposure = from_visit_image(inputs["exposure"])
            self.calibrate(exposure, detector, inputs)
            handles = sorted(inputs["objects"], key=lambda one: int(one.dataId["patch"]))
            objects = (handle.get(parameters={"columns": list(_READ)}) for handle in handles)
            result = self.run(exposure, objects, visit=visit, detector=detector)
        butlerQC.put(result, outputRefs)

    def calibrate(self, exposure: Exposure, detector: int, tables: Mapping[str, Any]) -> None:
        """Give a frame the WCS and the flux scale of the joint fit, where there is one, in place.

        Parameters
        ----------
        exposure
            The frame.
        detector
            Its detector.
        tables
            Lists of at most one ``joint_wcs`` and ``joint_photo_calib``.

        Raises
        ------
        skyloom.errors.AstrometryError, skyloom.errors.PhotometryError
            If the joint fit has the visit, but refused the frame or has no stars of it.
        """
        for name in ("joint_wcs", "joint_photo_calib"):
            self.metadata[f"has_{name}"] = bool(tables.get(name))
        if tables.get("joint_wcs"):
            exposure.projection = _joint_projection(tables["joint_wcs"][0], detector, exposure)
        if tables.get("joint_photo_calib"):
            recalibrate(exposure, _joint_scale(tables["joint_photo_calib"][0], detector))

    def run(self, exposure: Exposure, objects: Iterable[Table], *, visit: int, detector: int) -> Struct:
        """Measure.

        Parameters
        ----------
        exposure
            The frame in nJy with its PSF and WCS.
        objects
            Tables with ``object_id``, ``ra``, ``dec`` and ``is_primary``, taken one by one.
        visit, detector
            What the frame is.

        Returns
        -------
        Struct
            ``forced_sources``: the table of `skyloom.objects.force_on_frame`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If no object is on the frame.
        skyloom.errors.FrameError
            If the frame has no PSF or no WCS.
        """
        if exposure.psf is None or exposure.projection is None:
            raise FrameError("The frame has no PSF or no WCS.", cure="Calibrate it first.")
        settings: ForcedFrameSettings = self.config.measurement.settings()
        ids, ra, dec, x, y = self._places(exposure, objects, settings.margin)
        if not ids.size:
            raise NoWorkFound(f"No object is on visit {visit}, detector {detector}.")
        table = force_on_frame(exposure, x, y, settings)
        table["object_id"][:], table["ra"][:], table["dec"][:] = ids, ra, dec
        table["visit"][:], table["detector"][:], table["band"][:] = visit, detector, exposure.band or ""
        table["mjd"][:] = _middle(exposure.obs_info)
        self.metadata["n_objects"] = len(table)
        self.metadata["n_flagged"] = int(np.sum(table["flag_psf_flux"]))
        self.log.info("%d objects, %d of them flagged", len(table), self.metadata["n_flagged"])
        return Struct(forced_sources=table)

    def _places(self, exposure: Exposure, objects: Iterable[Table], margin: float) -> tuple[np.ndarray, ...]:
        """Ids, right ascensions, declinations, columns and rows of the objects on a frame or near it, ordered by id."""
        parts = []
        for table in objects:
            chosen = np.isfinite(float_column(table, "ra")) & np.isfinite(float_column(table, "dec"))
            if self.config.only_primary:
                chosen &= flag_column(table, "is_primary")
            ids = np.asarray(table["object_id"], np.int64)[chosen]
            ra, dec = (float_column(table, name)[chosen] for name in ("ra", "dec"))
            parts.append((ids, ra, dec, *_on_frame(exposure, ra, dec)))
        if not parts:
            return (np.empty(0, np.int64), *(np.empty(0) for _ in range(4)))
        ids, ra, dec, x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
        with np.errstate(invalid="ignore"):
            box = exposure.bbox
            near = (x > box.x.min - margin) & (x < box.x.max + margin) & (y > box.y.min - margin)
            near &= y < box.y.max + margin
        order = np.flatnonzero(near)[np.argsort(ids[near], kind="stable")]
        return ids[order], ra[order], dec[order], x[order], y[order]


def _on_frame(exposure: Exposure, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixel positions of those in the circle around the frame; NaN elsewhere, where a distortion may fold back."""
    assert exposure.projection is not None
    corner_ra, corner_dec = corner_polygon(exposure.projection, exposure.bbox)
    box = exposure.bbox
    scale = float(pixel_scale(exposure.projection, 0.5 * (box.x.min + box.x.max), 0.5 * (box.y.min + box.y.max)))
    corners, places = (_unit_vectors(*at) for at in ((corner_ra, corner_dec), (ra, dec)))
    middle = corners.sum(axis=0) / np.linalg.norm(corners.sum(axis=0))
    reach = np.linalg.norm(corners - middle, axis=1).max() + np.radians(scale * 100.0 / 3600.0)
    near = np.linalg.norm(places - middle, axis=1) < reach
    x, y = np.full(ra.size, np.nan), np.full(ra.size, np.nan)
    if near.any():
        x[near], y[near] = radec_to_pixel(exposure.projection, ra[near], dec[near])
    return x, y


def _unit_vectors(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Directions ``[n, 3]`` of positions in degrees."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)


def _joint_projection(table: Table, detector: int, exposure: Exposure) -> SkyProjection[Any]:
    """The WCS that the joint fit gave a frame."""
    if exposure.projection is None:
        raise AstrometryError("It has no WCS.", cure="Calibrate it first.")
    joint = projection_of(table, detector, exposure.projection.pixel_frame)
    if joint is None:
        raise AstrometryError(f"The joint fit has no WCS of it: {is_refused(table, detector)}.")
    return joint


def _joint_scale(table: Table, detector: int) -> PhotoCalib:
    """The flux scale that the joint fit gave a frame."""
    joint = photo_calib_of(table, detector)
    if joint is None:
        raise PhotometryError(f"The joint fit has no flux scale of it: {is_refused(table, detector)}.")
    return joint


def _middle(info: ObservationInfo | None) -> float:
    """Modified Julian date (TAI) of the middle of an exposure; NaN where the header does not tell."""
    if info is None or info.datetime_begin is None:
        return float("nan")
    half = 0.0 if info.exposure_time is None else 0.5 * float(info.exposure_time.to_value(u.d))
    return float(info.datetime_begin.tai.mjd) + half
