"""`AssembleCoaddTask`: the warps of a patch combined into a coadd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from lsst.images import Box, Image, SkyProjection
from lsst.pex.config import ChoiceField, DictField, ListField, RangeField
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.coadd import CoaddSettings, Statistic, WarpHandle, assemble_coadd, prepare_inputs
from skyloom.images import MASK_PLANES, Exposure, to_coadd

from .failure import failing_frames

if TYPE_CHECKING:
    from skyloom.skymap import SkyMap

__all__ = ["AssembleCoaddConfig", "AssembleCoaddConnections", "AssembleCoaddTask"]

_DEFAULTS = CoaddSettings()


def _is_plane(name: str) -> bool:
    return name in MASK_PLANES


class AssembleCoaddConnections(PipelineTaskConnections, dimensions=("skymap", "tract", "patch", "band")):
    """The warps of a patch in one band, and their coadd."""

    warps = Input(
        doc="Warps of the visits that overlap the patch.",
        name="direct_warp",
        storageClass="WarpImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
        multiple=True,
        deferLoad=True,
    )
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    coadd = Output(
        doc="Weighted mean of the warps, nJy, with the PSF and the table of its inputs.",
        name="deep_coadd",
        storageClass="CoaddImage",
        dimensions=("skymap", "tract", "patch", "band"),
    )
    n_image = Output(
        doc="Number of warps in each pixel.",
        name="deep_coadd_n_image",
        storageClass="ImageV2",
        dimensions=("skymap", "tract", "patch", "band"),
    )


class AssembleCoaddConfig(PipelineTaskConfig, pipelineConnections=AssembleCoaddConnections):
    """Settings of `AssembleCoaddTask`."""

    statistic: Any = ChoiceField(
        dtype=str,
        default=str(_DEFAULTS.statistic),
        allowed={"CLIPPED": "Weighted mean without outliers.", "MEAN": "Weighted mean."},
        doc="How the samples of a pixel become one value.",
    )
    n_sigma: Any = RangeField(
        dtype=float, default=_DEFAULTS.n_sigma, min=0.0, inclusiveMin=False, doc="Limit of the clipping, sigma."
    )
    iterations: Any = RangeField(dtype=int, default=_DEFAULTS.iterations, min=0, doc="How often to look for outliers.")
    structure: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.structure,
        min=0.0,
        doc="Slack of the clipping, as a part of the median image's range within two pixels.",
    )
    bad_planes: Any = ListField(
        dtype=str, default=list(_DEFAULTS.bad_planes), itemCheck=_is_plane, doc="Planes that exclude a sample."
    )
    remove_planes: Any = ListField(
        dtype=str, default=list(_DEFAULTS.remove_planes), itemCheck=_is_plane, doc="Planes not handed on to the coadd."
    )
    propagation_thresholds: Any = DictField(
        keytype=str,
        itemtype=float,
        default=dict(_DEFAULTS.propagation_thresholds),
        keyCheck=_is_plane,
        doc="A plane is also set where left-out samples that have it carry more than this share of the weight.",
    )
    max_memory_mb: Any = RangeField(
        dtype=float,
        default=_DEFAULTS.max_memory_mb,
        min=0.0,
        inclusiveMin=False,
        doc="Memory for the stack of pixels, MB; sets how many rows are combined at once.",
    )
    min_inputs: Any = RangeField(dtype=int, default=1, min=1, doc="With fewer warps no coadd is made.")

    def settings(self) -> CoaddSettings:
        """The same as the algorithm takes it."""
        return CoaddSettings(
            statistic=Statistic(self.statistic),
            n_sigma=self.n_sigma,
            iterations=self.iterations,
            structure=self.structure,
            bad_planes=tuple(self.bad_planes),
            remove_planes=tuple(self.remove_planes),
            propagation_thresholds=dict(self.propagation_thresholds),
            max_memory_mb=self.max_memory_mb,
        )


class AssembleCoaddTask(PipelineTask):
    """Combine the warps of a patch in one band; with too few warps there is no work."""

    ConfigClass = AssembleCoaddConfig
    _DefaultName = "assemble_coadd"
    config: AssembleCoaddConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the warps strip by strip; write the coadd and the number of its inputs."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        sky_map: SkyMap = inputs["sky_map"]
        tract = sky_map.tract(int(data_id["tract"]))
        box = tract.patch(int(data_id["patch"])).outer_bbox
        with failing_frames(self):
            result = self.run(inputs["warps"], box=box, projection=tract.projection, band=str(data_id["band"]))
        result.coadd = to_coadd(result.coadd)
        butlerQC.put(result, outputRefs)

    def run(self, warps: Sequence[WarpHandle], *, box: Box, projection: SkyProjection[Any], band: str) -> Struct:
        """Combine warps.

        Parameters
        ----------
        warps
            References to the warps: deferred handles, or `skyloom.coadd.ExposureHandle`.
        box
            Pixels of the tract to fill: the patch's outer box.
        projection
            Sky projection of the tract.
        band
            Short name of the passband.

        Returns
        -------
        Struct
            ``coadd``: an `skyloom.images.Exposure` with the table of its inputs and their PSF.
            ``n_image``: number of warps in each pixel, uint16.

        Raises
        ------
        skyloom.errors.BadFrameError
            If a warp is not in nJy.
        lsst.pipe.base.NoWorkFound
            If fewer than ``min_inputs`` warps can take part.
        """
        settings = self.config.settings()
        inputs, skipped = prepare_inputs(warps, settings.bad_planes)
        self._report_skipped(skipped)
        if len(inputs) < self.config.min_inputs:
            raise NoWorkFound(f"{len(inputs)} of {len(warps)} warps can take part, {self.config.min_inputs} needed.")
        coadd, n_image = assemble_coadd(inputs, box, projection, settings, band=band)
        self._report(coadd, n_image)
        return Struct(coadd=coadd, n_image=Image(n_image.astype(np.uint16), bbox=box))

    def _report_skipped(self, skipped: dict[int, str]) -> None:
        for visit, reason in skipped.items():
            self.log.warning("the warp of visit %d is left out: %s", visit, reason)
        self.metadata["skipped_visits"] = list(skipped)

    def _report(self, coadd: Exposure, n_image: np.ndarray) -> None:
        """Record the inputs, by which a stale coadd is found, and a few figures."""
        assert coadd.inputs is not None
        visits = sorted({int(visit) for visit in coadd.inputs["visit"]})
        self.metadata["visits"] = visits
        self.metadata["detectors"] = [f"{row['visit']}/{row['detector']}" for row in coadd.inputs]
        self.metadata["filled_fraction"] = float((n_image > 0).mean())
        self.metadata["median_n_image"] = float(np.median(n_image))
        self.log.info(
            "%d warps, %.0f %% of the patch filled", len(visits), 100.0 * float(self.metadata["filled_fraction"])
        )
