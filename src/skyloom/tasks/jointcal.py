"""`JointcalTask`: the WCSs and flux scales of all visits of a tract in one filter, fitted together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast

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
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput
from lsst.sphgeom import LonLat

from skyloom.catalog.refcat import ShardedCatalogue
from skyloom.images import PhotoCalib
from skyloom.jointcal import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    FitSettings,
    FrameCatalogue,
    JointAstrometrySettings,
    JointFit,
    JointPhotometrySettings,
    JointSettings,
    SelectionSettings,
    fit_jointly,
    frame_catalogue,
    history_table,
    measurement_table,
    metric_table,
    photo_calib_rows,
    row_box,
    row_projection,
    star_table,
    table_of,
    wcs_rows,
)
from skyloom.photometry import ColourTerm, ZeroPointSettings, reference_fluxes
from skyloom.repo.reference_shards import find_tract_reference_shards

from .failure import failing_frames
from .mirrored_config import mirror

if TYPE_CHECKING:
    from skyloom.instruments import Camera
    from skyloom.skymap import Tract

__all__ = ["JointcalConfig", "JointcalConnections", "JointcalTask"]

_FIELD = ("instrument", "skymap", "tract", "physical_filter")
_VISIT = ("instrument", "visit", "skymap", "tract")


def _table(name: str, doc: str) -> Output:
    """A table of the whole tract."""
    return Output(doc=doc, name=name, storageClass="ArrowAstropy", dimensions=_FIELD)


def _table_of_visits(name: str, doc: str) -> Output:
    """A table for each visit."""
    return Output(doc=doc, name=name, storageClass="ArrowAstropy", dimensions=_VISIT, multiple=True)


class JointcalConnections(PipelineTaskConnections, dimensions=_FIELD):
    """The stars of all visits on a tract, and what they tell together."""

    stars = Input(
        doc="Stars of the calibrated frames.",
        name="initial_stars_detector",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    photo_calibs = Input(
        doc="Their flux scales.",
        name="initial_photoCalib_detector",
        storageClass="SkyloomPhotoCalib",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    visit_summaries = Input(
        doc="Boxes, WCSs and dates of the frames.",
        name="visit_summary",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit"),
        multiple=True,
        deferLoad=True,
    )
    camera = PrerequisiteInput(
        doc="Description of the camera: its focal plane and filters.",
        name="camera",
        storageClass="SkyloomCamera",
        dimensions=("instrument",),
    )
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    ref_cat = PrerequisiteInput(
        doc="Shards of the reference catalogue.",
        name="refcat",
        storageClass="ArrowAstropy",
        dimensions=("htm7",),
        multiple=True,
        deferLoad=True,
        minimum=0,
        lookupFunction=find_tract_reference_shards,
    )
    joint_wcs = _table_of_visits("joint_wcs", "WCSs of the detectors of a visit.")
    joint_photo_calib = _table_of_visits("joint_photo_calib", "Flux scales of the detectors of a visit.")
    joint_stars = _table("joint_stars", "The stars: positions and fluxes.")
    joint_measurements = _table(
        "joint_measurements", "Every measurement, and how far it is from its star before and after the fit."
    )
    joint_history = _table("joint_history", "chi2 after every step.")
    joint_metrics = _table("joint_metrics", "Counts of stars and frames, and the final chi2.")

    def __init__(self, *, config: JointcalConfig) -> None:
        if not config.do_astrometry:
            del self.joint_wcs
        if not config.do_photometry:
            del self.joint_photo_calib


class JointcalConfig(PipelineTaskConfig, pipelineConnections=JointcalConnections):
    """Settings of `JointcalTask`."""

    do_astrometry: Any = Field(dtype=bool, default=True, doc="Fit positions.")
    do_photometry: Any = Field(dtype=bool, default=True, doc="Fit fluxes.")
    apply_colour_terms: Any = Field(
        dtype=bool, default=True, doc="Bring reference fluxes to the camera's filter, where its description says how."
    )
    match: Any = ConfigField(dtype=mirror(JointSettings()), doc="Which measurements and references are one star.")
    selection: Any = ConfigField(dtype=mirror(SelectionSettings()), doc="Which stars take part.")
    astrometry: Any = ConfigField(dtype=mirror(JointAstrometrySettings()), doc="The fit of positions.")
    photometry: Any = ConfigField(dtype=mirror(JointPhotometrySettings()), doc="The fit of fluxes.")
    astrometry_fit: Any = ConfigField(dtype=mirror(FitSettings()), doc="Outliers and convergence of positions.")
    photometry_fit: Any = ConfigField(dtype=mirror(FitSettings()), doc="Outliers and convergence of fluxes.")

    def settings(self) -> JointSettings:
        """The same as the algorithm takes it."""
        astrometry = dataclasses.replace(self.astrometry.settings(), fit=self.astrometry_fit.settings())
        photometry = dataclasses.replace(self.photometry.settings(), fit=self.photometry_fit.settings())
        match: JointSettings = self.match.settings()
        return dataclasses.replace(
            match,
            astrometry=astrometry if self.do_astrometry else None,
            photometry=photometry if self.do_photometry else None,
        )


class JointcalTask(PipelineTask):
    """Fit the WCSs and flux scales of the visits of a tract together."""

    ConfigClass = JointcalConfig
    _DefaultName = "jointcal"
    config: JointcalConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read the stars of the frames; write the tables of every visit that took part."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        tract = inputs["sky_map"].tract(int(data_id["tract"]))
        camera: Camera = inputs["camera"]
        with failing_frames(self):
            frames = list(self._frames(inputs, camera))
            references = self._references(inputs["ref_cat"], tract, frames)
            result = self.run(frames, references, camera=camera, physical_filter=str(data_id["physical_filter"]))
        for name in ("joint_wcs", "joint_photo_calib"):
            for ref in getattr(outputRefs, name, ()):
                table = getattr(result, name).get(int(ref.dataId["visit"]))
                if table is not None:
                    butlerQC.put(table, ref)
        for name in ("joint_stars", "joint_measurements", "joint_history", "joint_metrics"):
            butlerQC.put(getattr(result, name), getattr(outputRefs, name))

    def run(
        self,
        frames: list[FrameCatalogue],
        references: Table,
        *,
        camera: Camera | None = None,
        physical_filter: str = "",
    ) -> Struct:
        """Fit frames together.

        Parameters
        ----------
        frames
            The stars of every detector of every visit.
        references
            Reference stars of the field at the mean epoch of the frames.
        camera
            Tells the reference filter and its colour term.
        physical_filter
            Name of the filter.

        Returns
        -------
        Struct
            ``joint_wcs``, ``joint_photo_calib``: a table for every visit; empty where that fit is not made.
            ``joint_stars``, ``joint_measurements``, ``joint_history``, ``joint_metrics``: tables of the whole.
            ``fit``: the `skyloom.jointcal.JointFit`.

        Raises
        ------
        skyloom.errors.JointFitError
            If nothing is left to fit, or a fit fails.
        """
        settings = self.config.settings()
        flux = self._reference_flux(references, camera, physical_filter)
        fit = fit_jointly(frames, references, settings, flux=flux)
        visits = fit.measurements.visits
        self._report(fit)
        return Struct(
            fit=fit,
            joint_wcs={visit: table_of(wcs_rows(fit, visit), WCS_COLUMNS) for visit in visits if fit.astrometry},
            joint_photo_calib={
                visit: table_of(photo_calib_rows(fit, visit), PHOTO_CALIB_COLUMNS) for visit in visits if fit.photometry
            },
            joint_stars=star_table(fit),
            joint_measurements=measurement_table(fit),
            joint_history=history_table(fit),
            joint_metrics=metric_table(fit),
        )

    def _frames(self, inputs: Mapping[str, Any], camera: Camera) -> Iterable[FrameCatalogue]:
        """The stars of each frame; a frame that lacks its summary or its flux scale is named and left out."""
        summaries = {int(handle.dataId["visit"]): handle.get() for handle in inputs["visit_summaries"]}
        calibs = {_frame_id(handle): handle for handle in inputs["photo_calibs"]}
        selection = self.config.selection.settings()
        for handle in sorted(inputs["stars"], key=_frame_id):
            visit, detector = _frame_id(handle)
            row = _row(summaries.get(visit), detector)
            if row is None or (visit, detector) not in calibs:
                lacks = "row in the summary of its visit" if row is None else "flux scale"
                self.log.warning("visit %d, detector %d has no %s and is left out", visit, detector, lacks)
                continue
            photo_calib: PhotoCalib = calibs[visit, detector].get()
            yield frame_catalogue(
                handle.get(),
                selection,
                visit=visit,
                detector=detector,
                box=row_box(row),
                projection=row_projection(row, camera.detector(detector, visit).frame),
                photo_calib=photo_calib,
                focal_plane=_focal_plane(camera, detector),
                epoch_year=float(row["epoch"]) if "epoch" in row.colnames else np.nan,
            )

    def _references(self, handles: Any, tract: Tract, frames: list[FrameCatalogue]) -> Table:
        """The references of a tract at the mean epoch of the frames."""
        if not frames:
            raise NoWorkFound("No calibrated frame has stars on the tract.")
        catalogue = ShardedCatalogue({int(handle.dataId["htm7"]): handle.get for handle in handles})
        epochs = np.array([frame.epoch_year for frame in frames])
        known = epochs[np.isfinite(epochs)]
        circle = tract.region.getBoundingCircle()
        centre = LonLat(circle.getCenter())
        ra, dec = centre.getLon().asDegrees(), centre.getLat().asDegrees()
        radius = circle.getOpeningAngle().asDegrees()
        return catalogue(ra, dec, radius, float(known.mean()) if known.size else None)

    def _reference_flux(self, references: Table, camera: Camera | None, physical_filter: str) -> str | None:
        """Name of the reference filter, into whose column the colour term is brought."""
        known = None if camera is None else camera.filters.get(physical_filter)
        if known is None or not self.config.do_photometry or not self.config.photometry.use_references:
            return None
        name = known.reference or known.band
        terms: tuple[ColourTerm, ...] = ()
        if known.colour_term is not None and self.config.apply_colour_terms:
            terms = (ColourTerm(filter_name=name, **known.colour_term.model_dump()),)
        flux, error = reference_fluxes(references, name, ZeroPointSettings(colour_terms=terms))
        references[f"flux_{name}"], references[f"flux_{name}_err"] = flux, error
        return str(name)

    def _report(self, fit: JointFit) -> None:
        for name, value in fit.metrics.items():
            self.metadata[name] = float(value)
        self.metadata["visits"] = fit.measurements.visits


def _frame_id(handle: Any) -> tuple[int, int]:
    return int(handle.dataId["visit"]), int(handle.dataId["detector"])


def _row(summary: Table | None, detector: int) -> Any:
    """The row of a detector in the summary of its visit, None where there is none."""
    if summary is None:
        return None
    rows = np.flatnonzero(np.asarray(summary["detector"]) == detector)
    return summary[int(rows[0])] if len(rows) else None


def _focal_plane(camera: Camera, detector: int) -> Any:
    """Pixel positions of a detector to mm in the focal plane."""
    to_focal_plane = camera.detector(detector).to_focal_plane

    def apply(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        place = to_focal_plane.apply_forward(x=np.asarray(x, np.float64), y=np.asarray(y, np.float64))
        return np.asarray(place.x), np.asarray(place.y)

    return apply
