"""What the Python blocks of the pages begin with: frames, tables and calibrations of the small survey."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, DeferredDatasetHandle

from skyloom.background import subtract_background
from skyloom.detection import detect_sources
from skyloom.images import Exposure, RawExposure, from_coadd, from_post_isr, from_visit_image, to_visit_image
from skyloom.instruments import Camera
from skyloom.isr import layout_of, transmission_from_data
from skyloom.isr.read_order import TrimmedDetector
from skyloom.jointcal import FrameCatalogue, frame_catalogue, row_box, row_projection
from skyloom.repo.refcat import reference_catalogue
from skyloom.tasks import IsrTask

__all__ = ["Inputs"]

PATCH = {"skymap": "mycamera", "tract": 0, "patch": 0}
EPOCH = 2026.0


class Inputs:
    """Reads from a repository what a block needs; visit 1 and detector 0 where nothing else is said."""

    def __init__(self, butler: Butler) -> None:
        self.butler = butler

    def laboratory(self) -> Inputs:
        """The same of the frames of the laboratory, see `example_laboratory`."""
        return Inputs(Butler.from_config("laboratory/repo", instrument="mycamera"))

    def writeable(self) -> Butler:
        """The repository of the page, to be prepared for a block."""
        return Butler.from_config("repo", writeable=True)

    def get(self, name: str, visit: int = 1, detector: int = 0) -> Any:
        """A product of a frame."""
        return self.butler.get(name, visit=visit, detector=detector)

    def electrons(self) -> Exposure:
        """A frame after signature removal, with its sky."""
        return from_post_isr(self.butler.get("post_isr", exposure=1, detector=0))

    def without_sky(self) -> Exposure:
        """The same without its sky."""
        exposure = self.electrons()
        subtract_background(exposure)
        return exposure

    def calibrated(self, visit: int = 1, detector: int = 0) -> Exposure:
        """A calibrated frame, nJy."""
        return from_visit_image(self.get("initial_pvi", visit, detector))

    def with_background(self, visit: int, detector: int) -> tuple[Exposure, Any]:
        """A calibrated frame and the background that was subtracted from it, nJy."""
        background = self.get("initial_pvi_background", visit, detector).subtracted.field
        return self.calibrated(visit, detector), background

    def with_pattern(self, run: str) -> None:
        """Write the calibrated frames again, with a pattern of two per cent of the sky, into a run of their own."""
        with Butler.from_config("repo", collections="night", instrument="mycamera", writeable=True) as butler:
            butler.collections.register(run, CollectionType.RUN)
            for ref in butler.query_datasets("initial_pvi"):
                background = butler.get("initial_pvi_background", ref.dataId)
                exposure = from_visit_image(butler.get(ref))
                sky = background.subtracted.field.render().array
                y, x = np.indices(sky.shape)
                wave = np.sin(x / 90) * np.cos(y / 70 + int(ref.dataId["detector"]))
                exposure.image.array[...] += (0.02 * wave * sky).astype(np.float32)
                butler.put(to_visit_image(exposure), "initial_pvi", ref.dataId, run=run)

    def uncorrected(self) -> tuple[Exposure, Table]:
        """A calibrated frame in electrons, and its sources before the aperture corrections."""
        exposure, table = self.calibrated(), self.sources()
        assert exposure.photo_calib is not None
        scale = exposure.photo_calib.calibration_mean
        exposure.image.array[...] /= scale
        exposure.variance.array[...] /= scale**2
        for name in [name for name in table.colnames if name.endswith("flux_aperture_correction")]:
            if not name.startswith("flag_"):
                factor, flux = table[name], name.removesuffix("_aperture_correction")
                table[flux] /= factor
                table[f"{flux}_err"] /= factor
                table.remove_column(name)
        return exposure, table

    def footprints(self, exposure: Exposure) -> Any:
        """Of the sources of a frame."""
        return detect_sources(exposure, psf_sigma=1.6)

    def sources(self, visit: int = 1, detector: int = 0) -> Table:
        """All sources of a frame."""
        return self.get("initial_sources_detector", visit, detector)

    def reference_loader(self) -> Callable[..., Table]:
        """Gives the reference stars of a circle, with their fluxes under the name of the camera's filter, too."""
        catalogue = reference_catalogue(self.butler, "refcats/stars")

        def load(*circle: float) -> Table:
            table = catalogue(*circle)
            for suffix in ("", "_err"):
                table[f"flux_r{suffix}"] = table[f"flux_R{suffix}"]
            return table

        return load

    def references(self) -> Table:
        """The reference stars around the frame, with a column ``flux``."""
        table = self.reference_loader()(150.0, 2.2, 0.15, EPOCH)
        table["flux"] = table["flux_R"]
        return table

    def bright(self, exposure: Exposure) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns, rows and fluxes of the bright sources of a frame."""
        table = self.sources()
        table = table[np.asarray(table["psf_flux"] / table["psf_flux_err"]) > 20]
        return np.asarray(table["x"]), np.asarray(table["y"]), np.asarray(table["psf_flux"])

    @property
    def camera(self) -> Camera:
        """The description of the camera."""
        return self.butler.get("camera", instrument="mycamera", collections="mycamera/camera")

    def raw(self, exposure: int, detector: int = 0) -> RawExposure:
        """A raw frame as it is read."""
        return self.butler.get("raw", exposure=exposure, detector=detector, collections="mycamera/raw/all")

    def trimmed(self, detector: int) -> TrimmedDetector:
        """The pixels of a raw frame, ADU, of each amplifier less their median."""
        raw = self.camera.complete(self.raw(1, detector))
        assert raw.detector is not None
        layouts = layout_of(raw.detector, raw.image.shape, raw.file)
        image = np.zeros((800, 800), np.float32)
        for one in layouts:
            pixels = raw.image[one.data].astype(np.float32)
            image[one.trimmed] = pixels - np.median(pixels)
        corners = {amplifier.name: amplifier.readout_corner for amplifier in raw.detector.amplifiers}
        return TrimmedDetector(image=image, bits=np.zeros(image.shape, np.int32), layouts=layouts, corners=corners)

    def with_transmission(self) -> Exposure:
        """A frame without its signature that has the curve of the filter that the page has imported."""
        config = IsrTask.ConfigClass()
        config.doAttachTransmissionCurve = True
        for name in ("doBias", "doDark", "doFlat", "doDefect"):
            setattr(config, name, False)
        with Butler.from_config("repo", instrument="mycamera") as butler:
            ref = butler.query_datasets("transmission_filter", "mycamera/calib", find_first=False)[0]
            curve = transmission_from_data(butler.get(ref))
        camera = self.camera
        raw = camera.complete(self.raw(1))
        exposure: Exposure = IsrTask(config=config).run(raw, camera=camera, filterTransmission=curve).exposure
        return exposure

    def readers(self, kind: str) -> list[Callable[[], RawExposure]]:
        """Functions that read one completed raw frame of a kind each."""
        records = self.butler.query_dimension_records(
            "exposure", instrument="mycamera", where=f"exposure.observation_type = '{kind}'"
        )
        camera = self.camera
        return [partial(self._completed, camera, record.id) for record in records]

    def _completed(self, camera: Camera, exposure: int) -> RawExposure:
        return camera.complete(self.raw(exposure))

    def calibration(self, name: str, **where: Any) -> Any:
        """A certified calibration of detector 0."""
        ref = self.butler.query_datasets(
            name, "mycamera/calib", find_first=False, where="detector = 0", instrument="mycamera"
        )[0]
        return self.butler.get(ref)

    def frame_catalogues(self) -> list[FrameCatalogue]:
        """The stars of all frames, for the joint fit."""
        return [
            self._catalogue(row, visit, int(row["detector"]))
            for visit in (1, 2, 3)
            for row in self.butler.get("visit_summary", visit=visit)
        ]

    def _catalogue(self, row: Any, visit: int, detector: int) -> FrameCatalogue:
        placed = self.camera.detector(detector, visit)

        def focal_plane(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            place = placed.to_focal_plane.apply_forward(x=x, y=y)
            return np.asarray(place.x), np.asarray(place.y)

        return frame_catalogue(
            self.get("initial_stars_detector", visit, detector),
            visit=visit,
            detector=detector,
            box=row_box(row),
            projection=row_projection(row, placed.frame),
            photo_calib=self.get("initial_photoCalib_detector", visit, detector),
            focal_plane=focal_plane,
            epoch_year=float(row["epoch"]),
        )

    def warps(self) -> list[DeferredDatasetHandle]:
        """References to the direct warps of the patch."""
        refs = self.butler.query_datasets("direct_warp", "night", instrument="mycamera")
        return [self.butler.getDeferred(ref) for ref in sorted(refs, key=lambda ref: ref.dataId["visit"])]

    @property
    def sky_map(self) -> Any:
        """The sky map of the field."""
        return self.butler.get("sky_map", skymap="mycamera", collections="skymaps")

    def coadd(self, name: str = "deep_coadd") -> Exposure:
        """The coadd of the patch."""
        return from_coadd(self.butler.get(name, band="r", **PATCH))
