"""`MakeSkyFrameTask`: the pattern that the sky of a filter makes on all detectors of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsst.pex.config import ConfigField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, QuantumContext, Struct
from lsst.pipe.base.connectionTypes import Output

from skyloom.background import FocalPlaneSettings, SkyFrameSettings, make_sky_frame, to_frame_map

from .failure import failing_frames
from .mirrored_config import mirror
from .sky_connections import cells_input, cells_of

if TYPE_CHECKING:
    from skyloom.background import SkyCells, SkyFrames

__all__ = ["MakeSkyFrameConfig", "MakeSkyFrameConnections", "MakeSkyFrameTask"]

SkyFrameConfig = mirror(SkyFrameSettings(), doc="Combination of the visits.")
FocalPlaneConfig = mirror(FocalPlaneSettings(), doc="Sky of a visit.")


class MakeSkyFrameConnections(PipelineTaskConnections, dimensions=("instrument", "physical_filter")):
    """The sky of many visits in cells, and the sky frames of the detectors."""

    sky_cells = cells_input()
    sky_frame = Output(
        doc="Pattern of the sky on a detector, over the level of the sky.",
        name="sky_frame",
        storageClass="BackgroundMap",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        multiple=True,
    )


class MakeSkyFrameConfig(PipelineTaskConfig, pipelineConnections=MakeSkyFrameConnections):
    """Settings of `MakeSkyFrameTask`."""

    combine: Any = ConfigField(dtype=SkyFrameConfig, doc="Combination of the visits.")
    focal_plane: Any = ConfigField(dtype=FocalPlaneConfig, doc="Sky of a visit.")

    def settings(self) -> SkyFrameSettings:
        """The same as the algorithm takes it."""
        made: SkyFrameSettings = self.combine.settings(focal_plane=self.focal_plane.settings())
        return made


class MakeSkyFrameTask(PipelineTask):
    """Find what the skies of many visits have in common."""

    ConfigClass = MakeSkyFrameConfig
    _DefaultName = "make_sky_frame"
    config: MakeSkyFrameConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read the cells, a small part of the pixels, and write a sky frame for each detector that has one."""
        visits = cells_of(butlerQC.get(inputRefs.sky_cells))
        with failing_frames(self):
            frames = self.run(visits).sky_frame
        for ref in outputRefs.sky_frame:
            detector = int(ref.dataId["detector"])
            if detector in frames:
                butlerQC.put(frames[detector], ref)

    def run(self, visits: Mapping[int, Mapping[int, SkyCells]]) -> Struct:
        """Make the sky frames.

        Parameters
        ----------
        visits
            Cells by visit and detector, of one filter.

        Returns
        -------
        Struct
            ``sky_frame``: `lsst.images.BackgroundMap` by detector, see `skyloom.background.to_frame_map`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If too few visits are usable.
        """
        found = make_sky_frame(visits, self.config.settings())
        self._report(found)
        return Struct(sky_frame={detector: to_frame_map(frame) for detector, frame in found.frames.items()})

    def _report(self, found: SkyFrames) -> None:
        self.metadata["frames"] = [str(visit) for visit in found.visits]
        self.metadata["left_out"] = [f"visit {visit}: {reason}" for visit, reason in found.left_out.items()]
        self.metadata["level_electrons"] = found.level
        self.metadata["pattern_rms"] = found.rms
        self.metadata["relative_noise"] = found.noise
        self.metadata["ratio_scatter"] = found.ratio_scatter
        for visit, reason in found.left_out.items():
            self.log.warning("visit %d is left out: %s", visit, reason)
