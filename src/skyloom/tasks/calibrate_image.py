"""`CalibrateImageTask`: from a frame in electrons to a calibrated one with its catalogues."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table
from lsst.images import Image, MaskedImage
from lsst.pex.config import FieldValidationError, ListField
from lsst.pipe.base import (
    AnnotatedPartialOutputsError,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.calibrate import CalibratedFrame, CalibrateSettings, ReferenceLoader, calibrate_frame, combine_snaps
from skyloom.catalog.ids import IdGenerator
from skyloom.catalog.refcat import ShardedCatalogue
from skyloom.errors import BadFrameError, FrameError
from skyloom.images import Exposure, from_post_isr, plain_metadata, to_visit_image
from skyloom.photometry import ColourTerm
from skyloom.repo.reference_shards import find_reference_shards

from .calibrate_image_config import StagesConfig, to_settings
from .failure import FrameFailure

if TYPE_CHECKING:
    from skyloom.instruments import Camera

__all__ = ["CalibrateImageConfig", "CalibrateImageConnections", "CalibrateImageTask"]

_DETECTOR = ("instrument", "visit", "detector")
_OPTIONAL = (
    "sources",
    "sources_footprints",
    "psf_stars",
    "psf_stars_footprints",
    "astrometry_matches",
    "photometry_matches",
)


class CalibrateImageConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """What the calibration of a frame reads and writes."""

    exposures = Input(
        doc="Frame after instrument signature removal, or two snaps of a visit.",
        name="post_isr",
        storageClass="PostIsrImage",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
    )
    camera = PrerequisiteInput(
        doc="Description of the camera: filters, and the errors of its pointing.",
        name="camera",
        storageClass="SkyloomCamera",
        dimensions=("instrument",),
    )
    # Without a shard the frame fails with a message of ours, and not for want of an input.
    astrometry_ref_cat = PrerequisiteInput(
        doc="Shards of the reference catalogue for astrometry.",
        name="refcat",
        storageClass="ArrowAstropy",
        dimensions=("htm7",),
        multiple=True,
        deferLoad=True,
        minimum=0,
        lookupFunction=find_reference_shards,
    )
    photometry_ref_cat = PrerequisiteInput(
        doc="Shards of the reference catalogue for photometry.",
        name="refcat",
        storageClass="ArrowAstropy",
        dimensions=("htm7",),
        multiple=True,
        deferLoad=True,
        minimum=0,
        lookupFunction=find_reference_shards,
    )
    background_flat = PrerequisiteInput(
        doc="Flat field that was applied.",
        name="flat",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
    )
    illumination_correction = PrerequisiteInput(
        doc="Flat field that makes the photometry uniform.",
        name="photometric_flat",
        storageClass="MaskedImageV2",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
    )
    output_exposure = Output(
        doc="Calibrated frame: nJy, background subtracted, with PSF, WCS and summary.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=_DETECTOR,
    )
    stars = Output(
        doc="The stars of the frame, alone and unresolved, and places without a source that tell the noise.",
        name="initial_stars_detector",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
    )
    stars_footprints = Output(
        doc="Their footprints.",
        name="initial_stars_footprints_detector",
        storageClass="SkyloomFootprints",
        dimensions=_DETECTOR,
    )
    sources = Output(
        doc="All sources of the frame.",
        name="initial_sources_detector",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
    )
    sources_footprints = Output(
        doc="Their footprints.",
        name="initial_sources_footprints_detector",
        storageClass="SkyloomFootprints",
        dimensions=_DETECTOR,
    )
    applied_photo_calib = Output(
        doc="The calibration that turned electrons into nJy.",
        name="initial_photoCalib_detector",
        storageClass="SkyloomPhotoCalib",
        dimensions=_DETECTOR,
    )
    background = Output(
        doc="The sky that was subtracted, nJy.",
        name="initial_pvi_background",
        storageClass="BackgroundMap",
        dimensions=_DETECTOR,
    )
    psf_stars = Output(
        doc="The stars among which the PSF was fitted.",
        name="initial_psf_stars_detector",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
    )
    psf_stars_footprints = Output(
        doc="Their footprints.",
        name="initial_psf_stars_footprints_detector",
        storageClass="SkyloomFootprints",
        dimensions=_DETECTOR,
    )
    astrometry_matches = Output(
        doc="Sources and reference stars that the WCS was fitted to.",
        name="initial_astrometry_match_detector",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
    )
    photometry_matches = Output(
        doc="Sources and reference stars that the zero point was fitted to.",
        name="initial_photometry_match_detector",
        storageClass="ArrowAstropy",
        dimensions=_DETECTOR,
    )

    background_to_photometric_ratio = Output(
        doc="What the frame was divided by after flat fielding.",
        name="background_to_photometric_ratio",
        storageClass="ImageV2",
        dimensions=_DETECTOR,
    )

    def __init__(self, *, config: CalibrateImageConfig | None = None) -> None:
        super().__init__(config=config)
        if config is not None:
            if not config.do_illumination_correction:
                for name in ("background_flat", "illumination_correction", "background_to_photometric_ratio"):
                    delattr(self, name)
            for name in set(_OPTIONAL) - set(config.optional_outputs):
                delattr(self, name)


class CalibrateImageConfig(PipelineTaskConfig, StagesConfig, pipelineConnections=CalibrateImageConnections):
    """Settings of `CalibrateImageTask`."""

    optional_outputs: Any = ListField(
        dtype=str,
        default=list(_OPTIONAL),
        itemCheck=lambda name: name in _OPTIONAL,
        doc="Outputs beyond the main ones.",
    )

    def validate(self) -> None:
        """Refuse settings that could only fail once a frame is being calibrated."""
        super().validate()  # type: ignore[no-untyped-call]
        if self.psf_measure_psf.star_selector.method == "catalogue":
            raise FieldValidationError(
                type(self).psf_measure_psf, self, "No catalogue of PSF stars reaches the task; take clump or clusters."
            )
        unknown = "psf_shape" not in self.star_measurement.plugins
        if unknown and self.star_selector.extendedness_max is not None:
            raise FieldValidationError(
                type(self).star_selector, self, "extendedness_max needs the plug-in psf_shape in star_measurement."
            )


class CalibrateImageTask(PipelineTask):
    """Calibrate one frame: background, PSF, sources, aperture corrections, WCS, zero point, pixels in nJy.

    Parameters
    ----------
    initial_stars_schema
        An empty table; columns of it that the source table lacks are added to that, empty.
    **kwargs
        Those of `lsst.pipe.base.PipelineTask`.
    """

    ConfigClass = CalibrateImageConfig
    _DefaultName = "calibrateImage"
    config: CalibrateImageConfig

    def __init__(self, initial_stars_schema: Table | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_stars_schema = initial_stars_schema

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read a frame, its camera and its reference stars; write the calibrated frame and the catalogues.

        A frame that fails leaves its catalogues as far as they came, and never an ``output_exposure``.
        """
        inputs: dict[str, Any] = butlerQC.get(inputRefs)
        camera: Camera = inputs["camera"]
        data_id = butlerQC.quantum.dataId
        assert data_id is not None
        result = Struct()
        try:
            self.run(
                exposures=[from_post_isr(frame) for frame in inputs["exposures"]],
                id_generator=self._ids(data_id, camera),
                astrometry_loader=_catalogue(inputs["astrometry_ref_cat"]),
                photometry_loader=_catalogue(inputs["photometry_ref_cat"]),
                camera=camera,
                background_flat=inputs.get("background_flat"),
                illumination_correction=inputs.get("illumination_correction"),
                result=result,
            )
            result.output_exposure = to_visit_image(result.output_exposure)
        except FrameError as error:
            failure = FrameFailure(error)
            result.output_exposure = None
            annotated = AnnotatedPartialOutputsError.annotate(failure, self, log=self.log)
            butlerQC.put(result, outputRefs)
            raise annotated from failure
        butlerQC.put(result, outputRefs)

    def run(
        self,
        *,
        exposures: Exposure | Sequence[Exposure],
        id_generator: IdGenerator | None = None,
        astrometry_loader: ReferenceLoader | None = None,
        photometry_loader: ReferenceLoader | None = None,
        camera: Camera | None = None,
        background_flat: MaskedImage | None = None,
        illumination_correction: MaskedImage | None = None,
        result: Struct | None = None,
    ) -> Struct:
        """Calibrate a frame.

        Parameters
        ----------
        exposures
            After instrument signature removal, in electrons: one exposure, modified in place, or two snaps, whose
            sum is calibrated.
        id_generator
            Makes the source ids; 1, 2, 3, ... without one.
        astrometry_loader, photometry_loader
            Give the reference stars of a circle, see `skyloom.calibrate.calibrate_frame`; one of them serves for
            both.
        camera
            Tells the reference filter and the errors of the pointing, where the configuration does not.
        background_flat, illumination_correction
            The flat that was applied, 1 everywhere if not given, and the one that makes the photometry uniform: for
            ``do_illumination_correction``.
        result
            Is filled and returned; when the frame fails, with what had been obtained.  A new one without it.

        Returns
        -------
        Struct
            ``output_exposure``: the calibrated `Exposure`; of a failed frame, without the PSF, WCS and calibration
            that were not reached.
            ``stars``, ``stars_footprints``: the stars that are alone, places without a source, and their footprints.
            ``sources``, ``sources_footprints``: all sources and their footprints.
            ``psf_stars``, ``psf_stars_footprints``: the candidates of the PSF and their footprints.
            ``background``: the sky that was subtracted, nJy.
            ``applied_photo_calib``: what turned electrons into nJy.
            ``astrometry_matches``, ``photometry_matches``: the matched reference stars.
            ``background_to_photometric_ratio``: what the pixels were divided by; ``background`` was fitted before.

        Raises
        ------
        FrameError
            If a stage fails; its ``partial`` holds what had been obtained, as ``result`` does.
        ValueError
            If no reference loader is given, or no flat for an illumination correction.
        """
        result = Struct() if result is None else result
        loader = astrometry_loader or photometry_loader
        if loader is None:
            raise ValueError("Give astrometry_loader or photometry_loader: a frame is calibrated against references.")
        exposure = combine_snaps(exposures, bad_planes=tuple(self.config.snap_combine.bad_mask_planes))
        settings = self._settings(exposure, camera)
        try:
            frame = calibrate_frame(
                exposure,
                loader,
                settings,
                photometry_loader=photometry_loader,
                id_generator=id_generator,
                flat_ratio=self._flat_ratio(exposure, background_flat, illumination_correction),
            )
        except FrameError as error:
            if isinstance(error.partial, CalibratedFrame):
                _name_failure(error.partial, error)
                _fill(result, error.partial)
            raise
        self._report(frame)
        return _fill(result, frame)

    def _ids(self, data_id: Any, camera: Camera) -> IdGenerator:
        """Makes the source ids of a frame."""
        release = self.config.id_generator
        return IdGenerator(
            int(data_id["visit"]),
            int(data_id["detector"]),
            camera.detector_max,
            release=release.release_id,
            n_releases=release.n_releases,
        )

    def _settings(self, exposure: Exposure, camera: Camera | None) -> CalibrateSettings:
        """The configuration as settings, with what the camera knows; gives the exposure its band."""
        if camera is None:
            return to_settings(self.config)
        known = camera.filters.get(exposure.physical_filter or "")
        settings = to_settings(self.config, **_guess_errors(camera))
        if known is None:
            return settings
        exposure.band = exposure.band or known.band
        name = settings.reference_filter or known.reference or known.band
        photometry = settings.photometry
        if known.colour_term is not None and self.config.apply_colour_terms:
            term = ColourTerm(filter_name=name, **known.colour_term.model_dump())
            photometry = dataclasses.replace(photometry, colour_terms=(term,))
        return dataclasses.replace(settings, reference_filter=name, photometry=photometry)

    def _flat_ratio(
        self, exposure: Exposure, applied: MaskedImage | None, photometric: MaskedImage | None
    ) -> np.ndarray | None:
        """What the pixels have to be divided by; None without an illumination correction."""
        if not self.config.do_illumination_correction:
            return None
        if photometric is None:
            raise ValueError("do_illumination_correction needs illumination_correction, the flat of photometry.")
        if exposure.metadata.get("LSST ISR FLAT APPLIED") is False:
            raise BadFrameError(
                "the frame was not flat fielded, so that an illumination correction has nothing to correct",
                keyword="LSST ISR FLAT APPLIED",
                cure="Run isr with doFlat, or calibrate_image without do_illumination_correction.",
            )
        ratio = photometric.image.array.astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return ratio if applied is None else ratio / applied.image.array

    def _report(self, frame: CalibratedFrame) -> None:
        """Put the figures into the task's metadata and a line into the log; add the caller's columns."""
        for name, value in plain_metadata(frame.metadata).items():
            self.metadata[name] = "" if value is None else value
        self.log.info(
            "%d sources, %d PSF stars of sigma %.2f px, WCS to %.0f mas, zero point %.3f +- %.3f mag",
            frame.metadata["n_sources"],
            frame.metadata["n_psf_stars"],
            frame.metadata["psf_sigma"],
            1000 * frame.metadata["astrometry_rms_arcsec"],
            frame.metadata["zero_point_mag"],
            frame.metadata["zero_point_err_mag"],
        )
        if self.initial_stars_schema is not None and frame.stars is not None:
            _add_columns(frame.stars, self.initial_stars_schema)


def _guess_errors(camera: Camera) -> dict[str, float]:
    """How far the first guess of a camera's projection may be off."""
    return {
        "pointing_error_deg": camera.pointing_error_deg,
        "scale_error": camera.scale_error,
        "rotation_error_deg": camera.rotation_error_deg,
    }


def _catalogue(handles: Sequence[Any]) -> ShardedCatalogue:
    """A reference catalogue that reads the shards of deferred handles when it needs them."""
    return ShardedCatalogue({int(handle.dataId["htm7"]): handle.get for handle in handles})


def _fill(result: Struct, frame: CalibratedFrame) -> Struct:
    """Put what the stages yielded under the names of the outputs."""
    result.output_exposure = frame.exposure
    result.stars, result.stars_footprints = frame.stars, frame.stars_footprints
    result.sources, result.sources_footprints = frame.sources, frame.sources_footprints
    result.psf_stars, result.psf_stars_footprints = frame.psf_stars, frame.psf_stars_footprints
    result.background = frame.background
    result.applied_photo_calib = frame.photo_calib
    if frame.flat_ratio is not None:
        result.background_to_photometric_ratio = Image(frame.flat_ratio, bbox=frame.exposure.bbox)
    result.astrometry_matches = frame.astrometry_matches
    result.photometry_matches = frame.photometry_matches
    return result


def _name_failure(frame: CalibratedFrame, error: FrameError) -> None:
    """The tables and the exposure of a failed frame say why it failed."""
    figures = FrameFailure(error).metadata
    failure = {"failure": str(error)} | {f"failure_{name}": value for name, value in figures.items()}
    for table in (frame.sources, frame.stars, frame.psf_stars, frame.astrometry_matches):
        if table is not None:
            table.meta |= failure
    frame.exposure.metadata |= plain_metadata(failure)


def _add_columns(table: Table, schema: Table) -> None:
    """Columns of a schema that the table lacks: NaN, 0, False or an empty text."""
    for name in schema.colnames:
        if name not in table.colnames:
            wanted = schema[name]
            fill: Any = np.nan if wanted.dtype.kind == "f" else 0
            table[name] = np.full(len(table), fill).astype(wanted.dtype)
            table[name].unit, table[name].description = wanted.unit, wanted.description
