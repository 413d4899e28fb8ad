"""`DetectCoaddSourcesTask`: the sources of a coadd in one band."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
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

from skyloom.images import Exposure, from_coadd
from skyloom.objects import CoaddSourceSettings, detect_on_coadd, measure_on_coadd

from .failure import failing_frames
from .mirrored_config import mirror

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.objects import CoaddDetections
    from skyloom.skymap import Patch, SkyMap

__all__ = ["DetectCoaddSourcesConfig", "DetectCoaddSourcesConnections", "DetectCoaddSourcesTask"]

_PATCH = ("skymap", "tract", "patch", "band")
_DEFAULTS = CoaddSourceSettings()


class DetectCoaddSourcesConnections(PipelineTaskConnections, dimensions=_PATCH):
    """The coadd of a patch in one band, and its sources."""

    coadd = Input(doc="The coadd.", name="deep_coadd", storageClass="CoaddImage", dimensions=_PATCH)
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    sources = Output(
        doc="Sources of the coadd in one band, and places without a source.",
        name="deep_coadd_sources",
        storageClass="ArrowAstropy",
        dimensions=_PATCH,
    )
    footprints = Output(
        doc="Footprints of the sources.",
        name="deep_coadd_footprints",
        storageClass="SkyloomFootprints",
        dimensions=_PATCH,
    )
    background = Output(
        doc="The rest of sky that was subtracted before detection, nJy.",
        name="deep_coadd_background",
        storageClass="BackgroundMap",
        dimensions=_PATCH,
    )


class DetectCoaddSourcesConfig(PipelineTaskConfig, pipelineConnections=DetectCoaddSourcesConnections):
    """Settings of `DetectCoaddSourcesTask`."""

    do_background: Any = Field(
        dtype=bool, default=_DEFAULTS.subtract_background, doc="Whether a smooth rest of sky is taken off first."
    )
    background: Any = ConfigField(
        dtype=mirror(_DEFAULTS.background), doc="That rest, in cells much larger than any galaxy."
    )
    do_scale_variance: Any = Field(
        dtype=bool,
        default=_DEFAULTS.scale_variance,
        doc="Whether the variance is multiplied by what the noise of the coadd is found to be.",
    )
    detection: Any = ConfigField(dtype=mirror(_DEFAULTS.detection), doc="Detection, at a threshold in true noise.")
    sky_sources: Any = ConfigField(dtype=mirror(_DEFAULTS.sky_sources), doc="Places without a source.")
    do_deblend: Any = Field(dtype=bool, default=_DEFAULTS.deblend, doc="Whether blended sources get their own light.")
    deblend: Any = ConfigField(dtype=mirror(_DEFAULTS.deblending), doc="Deblending.")
    measurement: Any = ConfigField(dtype=mirror(_DEFAULTS.measurement), doc="Measurement.")

    def settings(self) -> CoaddSourceSettings:
        """The same as the algorithm takes it."""
        return CoaddSourceSettings(
            subtract_background=self.do_background,
            background=self.background.settings(),
            scale_variance=self.do_scale_variance,
            detection=self.detection.settings(),
            sky_sources=self.sky_sources.settings(),
            deblend=self.do_deblend,
            deblending=self.deblend.settings(),
            measurement=self.measurement.settings(),
        )


class DetectCoaddSourcesTask(PipelineTask):
    """Detect and measure the sources of a coadd; one without a pixel has no work."""

    ConfigClass = DetectCoaddSourcesConfig
    _DefaultName = "detect_coadd_sources"
    config: DetectCoaddSourcesConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read the coadd; write its sources, their footprints and the rest of its sky."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        sky_map: SkyMap = inputs["sky_map"]
        patch = sky_map.tract(int(data_id["tract"])).patch(int(data_id["patch"]))
        with failing_frames(self):
            result = self.run(from_coadd(inputs["coadd"]), patch=patch, sky_map=sky_map)
        butlerQC.put(result, outputRefs)

    def run(self, coadd: Exposure, *, patch: Patch, sky_map: SkyMap) -> Struct:
        """Detect and measure.

        Parameters
        ----------
        coadd
            In nJy with its PSF; modified in place: sky off, variance scaled, detection planes made anew.
        patch, sky_map
            Where it is.

        Returns
        -------
        Struct
            ``sources``: the table of `skyloom.objects.measure_on_coadd`.
            ``footprints``: of the sources, in the order of the rows.
            ``background``: what was subtracted.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If no pixel of the coadd has a value.
        skyloom.errors.FrameError
            If the coadd has no PSF or no projection.
        """
        if not (np.isfinite(coadd.image.array) & np.isfinite(coadd.variance.array)).any():
            raise NoWorkFound(f"No pixel of the coadd of patch {patch.id} has both a value and a variance.")
        settings = self.config.settings()
        found = detect_on_coadd(coadd, settings)
        sources = measure_on_coadd(coadd, found, patch, sky_map, settings)
        self._report(sources, found)
        return Struct(sources=sources, footprints=found.footprints, background=found.background)

    def _report(self, sources: Table, found: CoaddDetections) -> None:
        if found.failure:
            self.log.warning("no background was subtracted: %s", found.failure)
        n_sources = int(np.sum(~np.asarray(sources["flag_sky_source"], bool)))
        self.metadata["n_sources"] = n_sources
        self.metadata["n_primary"] = int(np.sum(sources["is_primary"]))
        self.metadata["n_sky_sources"] = len(sources) - n_sources
        self.metadata["noise_ratio"] = found.noise_ratio
        self.metadata["variance_factor"] = found.variance_factor
        self.metadata["psf_sigma"] = found.psf_sigma
        self.metadata["background_failure"] = found.failure
        self.log.info("%d sources; true noise %.3f of the formal one", n_sources, found.noise_ratio)
