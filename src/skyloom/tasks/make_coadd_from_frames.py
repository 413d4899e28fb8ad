"""`MakeCoaddFromFramesTask`: a coadd made of calibrated frames, without warps on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from lsst.images import Box, SkyProjection
from lsst.pex.config import ConfigurableField
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Output

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import to_coadd
from skyloom.warp import StreamedWarp

from .assemble_coadd import AssembleCoaddTask
from .failure import failing_frames
from .make_direct_warp import MakeDirectWarpTask
from .make_direct_warp_config import MakeDirectWarpConnections, remove_unused
from .warp_frames import DetectorHandles, VisitFrames, detector_handles

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.sphgeom import Region

    from skyloom.skymap import SkyMap

__all__ = ["MakeCoaddFromFramesConfig", "MakeCoaddFromFramesConnections", "MakeCoaddFromFramesTask"]

_COADD = ("skymap", "tract", "patch", "band")
_FRAMES = MakeDirectWarpConnections


class MakeCoaddFromFramesConnections(PipelineTaskConnections, dimensions=_COADD):
    """The calibrated frames of all visits of a patch in one band, and their coadd."""

    exposures = _FRAMES.exposures
    backgrounds = _FRAMES.backgrounds
    sky_corrections = _FRAMES.sky_corrections
    flat_ratios = _FRAMES.flat_ratios
    visit_summary = replace(_FRAMES.visit_summary, multiple=True, deferLoad=True)
    joint_wcs = replace(_FRAMES.joint_wcs, deferLoad=True)
    joint_photo_calib = replace(_FRAMES.joint_photo_calib, deferLoad=True)
    sky_map = _FRAMES.sky_map
    coadd = Output(
        doc="Weighted mean of the warps, nJy, with the PSF and the table of its inputs.",
        name="deep_coadd",
        storageClass="CoaddImage",
        dimensions=_COADD,
    )
    n_image = Output(
        doc="Number of warps in each pixel.", name="deep_coadd_n_image", storageClass="ImageV2", dimensions=_COADD
    )

    def __init__(self, *, config: MakeCoaddFromFramesConfig | None = None) -> None:
        super().__init__(config=config)
        if config is not None:
            remove_unused(self, config.make_direct_warp)


class MakeCoaddFromFramesConfig(PipelineTaskConfig, pipelineConnections=MakeCoaddFromFramesConnections):
    """Settings of `MakeCoaddFromFramesTask`."""

    make_direct_warp: Any = ConfigurableField(target=MakeDirectWarpTask, doc="How frames are warped.")
    assemble_coadd: Any = ConfigurableField(target=AssembleCoaddTask, doc="How warps are combined.")


class MakeCoaddFromFramesTask(PipelineTask):
    """Warp frames strip by strip and combine them at once.

    No warp is kept, on disk or in memory: one pass over the visits learns their weights, a second one warps of each
    visit the rows that are combined next.  The pixels are those of the two tasks that it stands for.
    """

    ConfigClass = MakeCoaddFromFramesConfig
    _DefaultName = "make_coadd_from_frames"
    config: MakeCoaddFromFramesConfig
    make_direct_warp: MakeDirectWarpTask
    assemble_coadd: AssembleCoaddTask

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.makeSubtask("make_direct_warp")
        self.makeSubtask("assemble_coadd")

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the frames as they are needed; write the coadd and the number of its inputs."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        sky_map: SkyMap = inputs["sky_map"]
        tract = sky_map.tract(int(data_id["tract"]))
        patch = tract.patch(int(data_id["patch"]))
        band = str(data_id["band"])
        with failing_frames(self):
            visits = self._visits(inputs, patch.region, band)
            result = self.run(visits, box=patch.outer_bbox, projection=tract.projection, band=band)
        result.coadd = to_coadd(result.coadd)
        butlerQC.put(result, outputRefs)

    def run(self, visits: Iterable[VisitFrames], *, box: Box, projection: SkyProjection[Any], band: str) -> Struct:
        """Warp and combine.

        Parameters
        ----------
        visits
            The frames of each visit, in order of the visits; they are read again for each strip of the coadd.
        box
            Pixels of the tract to fill: the patch's outer box.
        projection
            Sky projection of the tract.
        band
            Short name of the passband.

        Returns
        -------
        Struct
            ``coadd`` and ``n_image`` as of `AssembleCoaddTask`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If too few visits have a pixel on the patch.
        """
        left_out: dict[str, str] = {}
        warps = cast("Sequence[Any]", _OneByOne(self._warps(visits, box, projection, left_out)))
        try:
            result: Struct = self.assemble_coadd.run(warps, box=box, projection=projection, band=band)
        finally:
            self.metadata["left_out"] = [f"{which}: {reason}" for which, reason in left_out.items()]
        return result

    def _warps(
        self, visits: Iterable[VisitFrames], box: Box, projection: SkyProjection[Any], left_out: dict[str, str]
    ) -> Iterator[StreamedWarp]:
        """The warp of each visit that has a pixel on the patch; ``left_out`` is told of the others."""
        settings = self.make_direct_warp.config.settings()
        for frames in visits:
            source = partial(frames.exposures, projection=projection)
            try:
                warp = StreamedWarp(frames.visit, source, box, projection, settings)
            except (AstrometryError, NoOverlapError) as error:
                left_out[str(frames.visit)] = str(error)
                warp = None
            reasons = frames.left_out | (warp.left_out if warp else {})
            for detector, reason in sorted(reasons.items()):
                left_out[f"{frames.visit}/{detector}"] = reason
                self.log.warning("visit %d, detector %d is left out: %s", frames.visit, detector, reason)
            if warp is not None:
                yield warp

    def _visits(self, inputs: Mapping[str, Any], region: Region, band: str) -> Iterator[VisitFrames]:
        """The frames of each visit, in order of the visits."""
        by_visit: dict[int, dict[int, DetectorHandles]] = {}
        for (visit, detector), one in sorted(detector_handles(inputs).items()):
            by_visit.setdefault(visit, {})[detector] = one
        for visit, handles in by_visit.items():
            tables: dict[str, Any] = {
                name: [handle.get() for handle in inputs.get(name, ()) if int(handle.dataId["visit"]) == visit]
                for name in ("visit_summary", "joint_wcs", "joint_photo_calib")
            }
            summaries: list[Table] = tables.pop("visit_summary")
            if summaries:
                tables["visit_summary"] = summaries[0]
            try:
                yield self.make_direct_warp.visit_frames(visit, handles, tables, region, band)
            except NoWorkFound as error:
                self.log.info("%s", error)


class _OneByOne:
    """Warps that are made as they are taken: each lets go of its pixels before the next is made."""

    def __init__(self, warps: Iterator[StreamedWarp]) -> None:
        self._warps = warps
        self._count = 0

    def __iter__(self) -> Iterator[StreamedWarp]:
        for warp in self._warps:
            self._count += 1
            yield warp

    def __len__(self) -> int:
        """Number of those that were taken."""
        return self._count
