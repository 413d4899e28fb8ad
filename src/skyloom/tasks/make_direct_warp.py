"""`MakeDirectWarpTask`: the detectors of a visit on the pixels of a patch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from lsst.images import Box, SkyProjection
from lsst.pex.config import ChoiceField, RangeField
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, from_visit_image, to_warp
from skyloom.warp import KERNELS, VisitWarp, WarpSettings, overlap_box

from .failure import failing_frames

if TYPE_CHECKING:
    from lsst.daf.butler import DeferredDatasetHandle

    from skyloom.skymap import DiscreteSkyMap

__all__ = ["MakeDirectWarpConfig", "MakeDirectWarpConnections", "MakeDirectWarpTask"]

_CUT_OUT_MARGIN = 16
"""Pixels to read around the part of a frame that a patch falls on: more than any kernel reaches."""


class MakeDirectWarpConnections(
    PipelineTaskConnections, dimensions=("instrument", "visit", "skymap", "tract", "patch")
):
    """The calibrated frames of a visit, and its warp."""

    exposures = Input(
        doc="Calibrated frames that overlap the patch; those that failed are absent.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        deferLoad=True,
    )
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    warp = Output(
        doc="The visit on the pixels of the patch's outer box, nJy.",
        name="direct_warp",
        storageClass="WarpImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
    )


class MakeDirectWarpConfig(PipelineTaskConfig, pipelineConnections=MakeDirectWarpConnections):
    """Settings of `MakeDirectWarpTask`."""

    kernel: Any = ChoiceField(
        dtype=str,
        default="lanczos3",
        allowed={"lanczos3": f"order {KERNELS['lanczos3']}, with which the PSFs of warps and coadds are made too"},
        doc="Interpolation kernel.",
    )
    grid_step: Any = RangeField(
        dtype=int, default=32, min=2, doc="Pixels between the positions at which the WCSs are evaluated."
    )
    tolerance: Any = RangeField(
        dtype=float,
        default=1e-3,
        min=0.0,
        inclusiveMin=False,
        doc="Largest error of the interpolated mapping in pixels; the grid is refined until it is kept.",
    )
    significant_weight: Any = RangeField(
        dtype=float,
        default=0.05,
        min=0.0,
        max=1.0,
        inclusiveMin=False,
        inclusiveMax=False,
        doc="Share of the kernel from which on a pixel hands on its mask, or makes the result unmeasured.",
    )

    def settings(self) -> WarpSettings:
        """The same as the algorithm takes it."""
        return WarpSettings(
            kernel=self.kernel,
            grid_step=self.grid_step,
            tolerance=self.tolerance,
            significant_weight=self.significant_weight,
        )


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
        sky_map: DiscreteSkyMap = inputs["sky_map"]
        tract = sky_map.tract(int(data_id["tract"]))
        box = tract.patch(int(data_id["patch"])).outer_bbox
        exposures = _cut_outs(inputs["exposures"], box, tract.projection)
        with failing_frames(self):
            warp = self.run(exposures, visit=int(data_id["visit"]), box=box, projection=tract.projection).warp
        butlerQC.put(Struct(warp=to_warp(warp)), outputRefs)

    def run(
        self,
        exposures: Iterable[tuple[int, Exposure]],
        *,
        visit: int,
        box: Box,
        projection: SkyProjection[Any],
    ) -> Struct:
        """Warp the frames of a visit.

        Parameters
        ----------
        exposures
            Detector and calibrated frame (or the part of it that falls on the patch); taken one by one.
        visit
            Visit id.
        box
            Pixels of the tract to fill: the patch's outer box.
        projection
            Sky projection of the tract.

        Returns
        -------
        Struct
            ``warp``: the warp, an `skyloom.images.Exposure`, with the table of its inputs and their PSF, cut to the
            part of the box that the frames reach.

        Raises
        ------
        skyloom.errors.AstrometryError
            If no frame could be warped for want of a usable WCS.
        lsst.pipe.base.NoWorkFound
            If no frame has a pixel on the patch.
        """
        warp = VisitWarp(visit, box, projection, self.config.settings())
        failure: AstrometryError | None = None
        for detector, exposure in exposures:
            try:
                warp.add(detector, exposure)
            except AstrometryError as error:
                failure = error
                self.log.warning("visit %d, detector %d is left out: %s", visit, detector, error)
        try:
            finished = warp.finish()
        except NoOverlapError as error:
            if failure is not None:
                raise failure from error
            raise NoWorkFound(str(error)) from error
        self._report(finished, box)
        return Struct(warp=finished)

    def _report(self, warp: Exposure, box: Box) -> None:
        assert warp.inputs is not None
        self.metadata["detectors"] = [int(detector) for detector in warp.inputs["detector"]]
        self.metadata["n_pixels"] = int(warp.inputs["n_pixels"].sum())
        self.metadata["filled_fraction"] = float(self.metadata["n_pixels"]) / box.area


def _cut_outs(
    handles: Sequence[DeferredDatasetHandle], box: Box, projection: SkyProjection[Any]
) -> Iterator[tuple[int, Exposure]]:
    """Detector and the part of its frame that a box of the tract falls on, in the order of the detectors."""
    for handle in sorted(handles, key=lambda handle: int(handle.dataId["detector"])):
        frame_box = handle.get(component="bbox")
        frame_projection = handle.get(component="sky_projection")
        part = overlap_box(projection, frame_projection, box, frame_box, _CUT_OUT_MARGIN)
        if part is not None:
            frame = handle.get(parameters={"bbox": part})
            yield int(handle.dataId["detector"]), from_visit_image(frame)
