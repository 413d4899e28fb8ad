"""`SkyCorrectionTask`: the sky of a visit over the whole camera, in place of the backgrounds of its frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lsst.pex.config import ConfigField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, QuantumContext, Struct
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.background import (
    FocalPlaneSettings,
    fit_focal_plane,
    from_frame_map,
    make_sky_correction,
    visit_sky_table,
)

from .failure import failing_frames
from .mirrored_config import mirror
from .sky_connections import cells_input, cells_of, find_sky_frames, frame_background

if TYPE_CHECKING:
    from lsst.images.fields import Field

    from skyloom.background import SkyCells, SkyFrame, VisitSky

__all__ = ["SkyCorrectionConfig", "SkyCorrectionConnections", "SkyCorrectionTask"]

_DETECTOR = ("instrument", "visit", "detector")
FocalPlaneConfig = mirror(FocalPlaneSettings(), doc="Sky of the visit.")


class SkyCorrectionConnections(PipelineTaskConnections, dimensions=("instrument", "visit")):
    """The sky of the frames of a visit in cells, the sky frames, and the corrections."""

    sky_cells = cells_input()
    sky_frames = PrerequisiteInput(
        doc="Pattern of the sky on each detector; without, each detector gets a level of its own.",
        name="sky_frame",
        storageClass="BackgroundMap",
        dimensions=("instrument", "detector", "physical_filter"),
        isCalibration=True,
        multiple=True,
        deferLoad=True,
        minimum=0,
        lookupFunction=find_sky_frames,
    )
    exposures = Input(
        doc="Calibrated frames, of which nothing but the calibration of the pixels is read.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=_DETECTOR,
        multiple=True,
        deferLoad=True,
    )
    backgrounds = frame_background(multiple=True)
    sky_correction = Output(
        doc="What is to be subtracted from a frame to put the sky of the camera in the place of its background.",
        name="sky_correction",
        storageClass="BackgroundMap",
        dimensions=_DETECTOR,
        multiple=True,
    )
    figures = Output(
        doc="Figures of the sky of the visit, one row a detector.",
        name="sky_correction_figures",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit"),
    )


class SkyCorrectionConfig(PipelineTaskConfig, pipelineConnections=SkyCorrectionConnections):
    """Settings of `SkyCorrectionTask`."""

    focal_plane: Any = ConfigField(dtype=FocalPlaneConfig, doc="Sky of the visit.")


class SkyCorrectionTask(PipelineTask):
    """Fit the sky of a visit to the cells of all its detectors; no pixels are read."""

    ConfigClass = SkyCorrectionConfig
    _DefaultName = "sky_correction"
    config: SkyCorrectionConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read cells, sky frames, backgrounds and calibrations; write a correction for each detector that is there."""
        visit = int(butlerQC.quantum.dataId["visit"])  # type: ignore[index]
        cells = cells_of(butlerQC.get(inputRefs.sky_cells))[visit]
        frames = {one: from_frame_map(stored) for one, stored in _each(butlerQC.get(inputRefs.sky_frames)).items()}
        backgrounds = _each(butlerQC.get(inputRefs.backgrounds))
        scalings = _each(butlerQC.get(inputRefs.exposures), "photometric_scaling")
        missing = sorted(set(cells) - (set(backgrounds) & set(scalings)))
        if missing:
            self.log.warning("visit %d: no calibrated frame of detectors %s, which are left out.", visit, missing)
        with failing_frames(self):
            outputs = self.run(
                {one: cells[one] for one in sorted(cells) if one not in missing},
                frames=frames,
                backgrounds={one: each.subtracted.field for one, each in backgrounds.items() if each.subtracted},
                scalings=scalings,
            )
        for ref in outputRefs.sky_correction:
            detector = int(ref.dataId["detector"])
            if detector in outputs.sky_correction:
                butlerQC.put(outputs.sky_correction[detector], ref)
        butlerQC.put(outputs.figures, outputRefs.figures)

    def run(
        self,
        cells: Mapping[int, SkyCells],
        *,
        frames: Mapping[int, SkyFrame] | None = None,
        backgrounds: Mapping[int, Field] | None = None,
        scalings: Mapping[int, Field | None] | None = None,
    ) -> Struct:
        """Make the sky corrections of a visit.

        Parameters
        ----------
        cells
            By detector.
        frames
            Sky frames by detector.
        backgrounds
            What was subtracted from the frames, by detector.
        scalings
            nJy an electron, by detector; frames in electrons have none.

        Returns
        -------
        Struct
            ``sky_correction``: `lsst.images.BackgroundMap` by detector, see `skyloom.background.make_sky_correction`.
            ``figures``: table with a row a detector.

        Raises
        ------
        skyloom.errors.BadFrameError
            If no detector shows sky, or sky frames have other cells.
        """
        sky = fit_focal_plane(cells, frames, self.config.focal_plane.settings())
        backgrounds, scalings = backgrounds or {}, scalings or {}
        corrections = {
            one: make_sky_correction(sky, one, background=backgrounds.get(one), scaling=scalings.get(one))
            for one in cells
        }
        self._report(sky)
        return Struct(sky_correction=corrections, figures=visit_sky_table(sky))

    def _report(self, sky: VisitSky) -> None:
        odd = [one for one, detector in sky.detectors.items() if detector.odd]
        without = [one for one, detector in sky.detectors.items() if detector.frame is None]
        self.metadata["sky_level_electrons"] = sky.level
        self.metadata["pattern_strength_electrons"] = sky.strength
        self.metadata["pattern_strength_err_electrons"] = sky.strength_error
        self.metadata["scatter_electrons"] = sky.scatter
        self.metadata["largest_step_electrons"] = sky.largest_step
        self.metadata["bright_fraction"] = sky.bright_fraction
        self.metadata["n_detectors"] = len(sky.detectors)
        self.metadata["odd_detectors"] = [str(one) for one in odd]
        if odd:
            self.log.warning("detectors %s have a level that stands apart from their neighbours'.", odd)
        if without:
            self.log.warning("detectors %s have no sky frame; each gets a level of its own.", without)


def _each(handles: Any, component: str | None = None) -> dict[int, Any]:
    """Datasets, or a component of them, by detector."""
    return {int(handle.dataId["detector"]): handle.get(component=component) for handle in handles}
