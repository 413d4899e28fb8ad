"""What the Python blocks of the pages begin with: frames, tables and calibrations of the small survey."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DeferredDatasetHandle

from skyloom.background import subtract_background
from skyloom.detection import detect_sources
from skyloom.images import Exposure, RawExposure, from_coadd, from_post_isr, from_visit_image
from skyloom.instruments import Camera
from skyloom.repo.refcat import reference_catalogue

__all__ = ["Inputs"]

PATCH = {"skymap": "mycamera", "tract": 0, "patch": 0}
EPOCH = 2026.0


class Inputs:
    """Reads from a repository what a block needs; visit 1 and detector 0 where nothing else is said."""

    def __init__(self, butler: Butler) -> None:
        self.butler = butler

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

    def raw(self, exposure: int) -> RawExposure:
        """A raw frame as it is read."""
        return self.butler.get("raw", exposure=exposure, detector=0, collections="mycamera/raw/all")

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
