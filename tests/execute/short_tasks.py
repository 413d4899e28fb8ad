# ruff: noqa: N802, N803
"""Stand-ins for the costly tasks of a pipeline: a frame is calibrated by decree, and fares as the settings say."""

from __future__ import annotations

import os
from typing import Any

import astropy.units as u
import lsst.pipe.base as pb
import numpy as np
from lsst.images import ObservationSummaryStats
from lsst.images.psfs import GaussianPointSpreadFunction
from lsst.pex.config import DictField
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.errors import NoReferenceError, NoSourcesError
from skyloom.images import corner_polygon, fits_header, from_post_isr, to_visit_image
from skyloom.jointcal import WCS_COLUMNS, table_of
from skyloom.tasks.failure import failing_frames

_FRAME = ("instrument", "visit", "detector")


class ShortCalibrateConnections(pb.PipelineTaskConnections, dimensions=_FRAME):
    exposures = Input(
        doc="In electrons.",
        name="post_isr",
        storageClass="PostIsrImage",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
    )
    output_exposure = Output(doc="nJy.", name="initial_pvi", storageClass="VisitImage", dimensions=_FRAME)


class ShortCalibrateConfig(pb.PipelineTaskConfig, pipelineConnections=ShortCalibrateConnections):
    fates = DictField[int, str](doc="Visit to how it fares.", default={})


class ShortCalibrateTask(pb.PipelineTask):
    ConfigClass = ShortCalibrateConfig
    _DefaultName = "calibrate_image"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        (frame,) = butlerQC.get(inputRefs.exposures)
        fate = self.config.fates.get(int(butlerQC.quantum.dataId["visit"]), "")
        with failing_frames(self):
            if fate == "stars":
                raise NoSourcesError("3 stars are usable, 8 are the least.", cure="Lower min_stars.", n_stars=3)
            if fate == "references":
                raise NoReferenceError("no reference star within 0.05 deg.", cure="Import a catalogue that covers it.")
        if fate == "runtime":
            raise RuntimeError("out of the blue")
        if fate == "kill":
            os.kill(os.getpid(), 9)
        butlerQC.put(self._calibrated(from_post_isr(frame), fate), outputRefs.output_exposure)

    def _calibrated(self, exposure: Any, fate: str) -> Any:
        sigma = 4.0 if fate == "wide" else 1.5
        exposure.unit, exposure.band = u.nJy, exposure.band or "r"
        exposure.psf = GaussianPointSpreadFunction(sigma, exposure.bbox, 25)
        ra, dec = corner_polygon(exposure.projection, exposure.bbox)
        exposure.summary = ObservationSummaryStats(
            psfSigma=sigma, pixelScale=10.0, nPsfStar=20, raCorners=tuple(ra), decCorners=tuple(dec)
        )
        if fate == "no variance":
            exposure.variance.array[...] = np.inf
        if fate == "no values":
            exposure.image.array[...] = np.nan
        return to_visit_image(exposure)


class ShortJointConnections(
    pb.PipelineTaskConnections, dimensions=("instrument", "skymap", "tract", "physical_filter")
):
    summaries = Input(
        doc="Of visits.",
        name="visit_summary",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit"),
        multiple=True,
        deferLoad=True,
    )
    frames = Input(
        doc="For their WCSs.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=_FRAME,
        multiple=True,
        deferLoad=True,
    )
    joint_wcs = Output(
        doc="Of visits.",
        name="joint_wcs",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "skymap", "tract"),
        multiple=True,
    )


class ShortJointConfig(pb.PipelineTaskConfig, pipelineConnections=ShortJointConnections):
    refused = DictField[int, str](doc="Visit to the reason against it.", default={})


class ShortJointTask(pb.PipelineTask):
    ConfigClass = ShortJointConfig
    _DefaultName = "jointcal"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        frames = butlerQC.get(inputRefs.frames)
        butlerQC.get(inputRefs.summaries)
        for ref in outputRefs.joint_wcs:
            visit = int(ref.dataId["visit"])
            own = [handle for handle in frames if handle.dataId["visit"] == visit]
            butlerQC.put(table_of([self._row(visit, handle) for handle in own], WCS_COLUMNS), ref)

    def _row(self, visit: int, handle: Any) -> dict[str, Any]:
        box = handle.get(component="bbox")
        header, residual = fits_header(handle.get(component="sky_projection"), box)
        reason = self.config.refused.get(visit, "")
        row = dict.fromkeys(WCS_COLUMNS, 0) | {"x1": box.x.stop, "y1": box.y.stop, "wcs_residual": residual}
        row |= {"detector": int(handle.dataId["detector"]), "refused": bool(reason), "reason": reason}
        return row | {"wcs": "" if reason else header.tostring(sep="\n", endcard=False, padding=False)}
