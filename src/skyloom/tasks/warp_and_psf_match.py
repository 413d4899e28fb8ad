"""`WarpAndPsfMatchTask`: the frames of a visit on the pixels of a patch, as they are and with the PSF of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsst.images import Box, SkyProjection
from lsst.pex.config import Config, ConfigField
from lsst.pipe.base import Struct, Task

from skyloom.errors import AstrometryError, NoOverlapError, PsfError
from skyloom.images import Exposure
from skyloom.warp import PsfMatchSettings, VisitWarp, WarpSettings, match_visit_warp
from skyloom.warp.trimmed import trim_warp

from .mirrored_config import mirror

if TYPE_CHECKING:
    from skyloom.psf import ModelPsfSettings
    from skyloom.warp import MatchedWarp

__all__ = ["DIRECT", "PSF_MATCHED", "WarpAndPsfMatchConfig", "WarpAndPsfMatchTask"]

DIRECT, PSF_MATCHED = "direct", "psfMatched"
"""The types of warps."""


class WarpAndPsfMatchConfig(Config):
    """Settings of `WarpAndPsfMatchTask`."""

    warp: Any = ConfigField(dtype=mirror(WarpSettings()), doc="How frames are resampled.")
    psfMatch: Any = ConfigField(
        dtype=mirror(PsfMatchSettings(), unset=("kernel_size_min", "kernel_size_max")),
        doc="How their PSFs are matched; the smallest kernel is the task's matchingKernelSize, where not set here.",
    )

    def match_settings(self, model: ModelPsfSettings, matching_kernel_size: int) -> PsfMatchSettings:
        """How PSFs are matched to a model with kernels of a given size, or wider where the PSFs need it."""
        widest = max(PsfMatchSettings().kernel_size_max, matching_kernel_size)
        settings: PsfMatchSettings = self.psfMatch.settings(
            kernel_size_min=matching_kernel_size, kernel_size_max=widest
        )
        return replace(settings, model=model)


class WarpAndPsfMatchTask(Task):
    """Warp the frames of a visit, and match the PSF of their warp."""

    ConfigClass = WarpAndPsfMatchConfig
    _DefaultName = "warpAndPsfMatch"
    config: WarpAndPsfMatchConfig

    def run(
        self,
        exposures: Iterable[tuple[int, Exposure]],
        *,
        visit: int,
        box: Box,
        projection: SkyProjection[Any],
        match: PsfMatchSettings | None = None,
        makeDirect: bool = True,
        makePsfMatched: bool = False,
    ) -> Struct:
        """Make the warps of a visit.

        Parameters
        ----------
        exposures
            Detector and calibrated frame, taken one by one; where detectors overlap the first one counts.
        visit
            Visit id.
        box
            Pixels of the tract to fill.
        projection
            Sky projection of the tract.
        match
            The model and how PSFs are matched to it.
        makeDirect, makePsfMatched
            Which warps to make.

        Returns
        -------
        Struct
            ``direct``, ``psfMatched``: the warps, or None.  ``failures``: detector, and warp, to what went wrong.

        Raises
        ------
        ValueError
            If a matched warp is wanted and it is not said how.
        """
        if makePsfMatched and match is None:
            raise ValueError("A warp of matched PSF needs the settings of the matching.")
        boxes = {DIRECT: box} if makeDirect else {}
        if match is not None and makePsfMatched:
            boxes[PSF_MATCHED] = matching_box(box, match)
        settings = self.config.warp.settings()
        warps = {name: VisitWarp(visit, where, projection, settings) for name, where in boxes.items()}
        failures: dict[str, str] = {}
        for detector, exposure in exposures:
            for name, warp in warps.items():
                try:
                    warp.add(detector, exposure)
                except AstrometryError as error:
                    failures[f"{detector} ({name})"] = str(error)
        finished = {name: _finish(warp) for name, warp in warps.items()}
        matched = self._matched(finished.get(PSF_MATCHED), box, match, failures)
        return Struct(direct=finished.get(DIRECT), psfMatched=matched, failures=failures)

    def _matched(
        self, warp: Exposure | None, box: Box, settings: PsfMatchSettings | None, failures: dict[str, str]
    ) -> Exposure | None:
        """The part of a warp inside a box, with the PSF of the model."""
        if warp is None:
            return None
        try:
            result = match_visit_warp(warp, settings)
        except PsfError as error:
            failures[f"all ({PSF_MATCHED})"] = str(error)
            return None
        failures |= {f"{detector} ({PSF_MATCHED})": str(error) for detector, error in result.failures.items()}
        self._report(result)
        return trim_warp(result.warp, box)

    def _report(self, result: MatchedWarp) -> None:
        kernels = result.kernels
        self.metadata["detectors"] = sorted(kernels)
        self.metadata["kernel_sizes"] = [kernels[detector].size for detector in sorted(kernels)]
        self.metadata["residuals"] = [kernels[detector].residual for detector in sorted(kernels)]
        self.metadata["noise_gains"] = [kernels[detector].noise_gain for detector in sorted(kernels)]


def matching_box(box: Box, settings: PsfMatchSettings) -> Box:
    """The pixels that kernels reach from those of a box: without them its border would be lost."""
    return box.padded((settings.kernel_size or settings.kernel_size_max) // 2)


def _finish(warp: VisitWarp) -> Exposure | None:
    """The warp; None without a pixel."""
    try:
        return warp.finish()
    except NoOverlapError:
        return None
