"""`BinSkyTask`: the sky of a calibrated frame in cells, of which the sky of the camera is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from lsst.pex.config import ConfigField, Field
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, QuantumContext, Struct
from lsst.pipe.base.connectionTypes import Input

from skyloom.background import SkyBinSettings, bin_sky, to_cells_table
from skyloom.images import from_visit_image

from .failure import failing_frames
from .mirrored_config import mirror
from .sky_connections import cells_output, frame_background

if TYPE_CHECKING:
    import numpy as np
    from lsst.images import BackgroundMap

    from skyloom.images import Exposure

__all__ = ["BinSkyConfig", "BinSkyConnections", "BinSkyTask"]

_DETECTOR = ("instrument", "visit", "detector")
SkyBinConfig = mirror(SkyBinSettings(), doc="Cells of the sky.")


class BinSkyConnections(PipelineTaskConnections, dimensions=_DETECTOR):
    """A calibrated frame with the background that it has lost, and the cells of its sky."""

    exposure = Input(
        doc="Calibrated frame, its background subtracted.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=_DETECTOR,
    )
    background = frame_background()
    flat_ratio = Input(
        doc="What the frame was divided by after flat fielding.",
        name="background_to_photometric_ratio",
        storageClass="ImageV2",
        dimensions=_DETECTOR,
    )
    sky_cells = cells_output()

    def __init__(self, *, config: BinSkyConfig | None = None) -> None:
        super().__init__(config=config)
        if config is not None and not config.do_illumination_correction:
            del self.flat_ratio


class BinSkyConfig(PipelineTaskConfig, pipelineConnections=BinSkyConnections):
    """Settings of `BinSkyTask`."""

    cells: Any = ConfigField(dtype=SkyBinConfig, doc="Cells of the sky.")
    do_illumination_correction: Any = Field(
        dtype=bool, default=False, doc="Whether the frames were calibrated with an illumination correction."
    )


class BinSkyTask(PipelineTask):
    """Bin the sky of a frame, with the background that was subtracted from it added back."""

    ConfigClass = BinSkyConfig
    _DefaultName = "bin_sky"
    config: BinSkyConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read a frame and its background, and write the cells."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        ratio = inputs.get("flat_ratio")
        with failing_frames(self):
            outputs = self.run(
                exposure=from_visit_image(inputs["exposure"]),
                background=inputs["background"],
                flat_ratio=None if ratio is None else ratio.array,
            )
        butlerQC.put(outputs, outputRefs)

    def run(
        self, exposure: Exposure, background: BackgroundMap | None = None, flat_ratio: np.ndarray | None = None
    ) -> Struct:
        """Bin the sky of a frame.

        Parameters
        ----------
        exposure
            Calibrated; left as it is.
        background
            What was subtracted from it.
        flat_ratio
            ``[y, x]``: what it was divided by after flat fielding, where it was.

        Returns
        -------
        Struct
            ``sky_cells``: table of the cells, see `skyloom.background.to_cells_table`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If the frame shows no sky, or lacks its calibration.
        """
        subtracted = None if background is None or background.subtracted is None else background.subtracted.field
        cells = bin_sky(exposure, subtracted, flat_ratio=flat_ratio, settings=self.config.cells.settings())
        table = to_cells_table(cells)
        self.metadata["n_cells"] = int((cells.level == cells.level).sum())
        self.metadata["sky_fraction"] = float(cells.count.sum() / cells.box.area)
        return Struct(sky_cells=table)
