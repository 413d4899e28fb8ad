"""`ChooseReferenceVisitTask`: the visit to whose sky the others of a tract are brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsst.pex.config import Config, ConfigField, RangeField
from lsst.pipe.base import Struct, Task

from skyloom.backmatch import (
    PatchWarp,
    ReferenceWeights,
    SuperpixelGrid,
    choose_reference,
    judge_visits,
    measure_visits,
)
from skyloom.skymap import Tract

from .tract_background_config import (
    TractBackgroundConfig,
    bin_statistic,
    clip_iterations,
    clip_sigma,
    grid_statistic,
    interp_style,
    undersample_style,
)

__all__ = ["ChooseReferenceVisitConfig", "ChooseReferenceVisitTask"]

_WEIGHTS = ReferenceWeights()


def _weight(default: float, doc: str) -> Any:
    return RangeField(dtype=float, default=default, min=0.0, max=1.0, inclusiveMax=True, doc=doc)


class ChooseReferenceVisitConfig(Config):
    """Settings of `ChooseReferenceVisitTask`."""

    tractBgModel: Any = ConfigField(dtype=TractBackgroundConfig, doc="Superpixels of the visits.")
    bestRefWeightChi2: Any = _weight(_WEIGHTS.chi2, "Weight of the departure of a sky from a plane.")
    bestRefWeightVariance: Any = _weight(_WEIGHTS.variance, "Weight of the variance of the pixels.")
    bestRefWeightGlobalCoverage: Any = _weight(_WEIGHTS.coverage, "Weight of the number of superpixels measured.")
    gridStatistic: Any = grid_statistic()
    undersampleStyle: Any = undersample_style("Without effect, as interpStyle.")
    interpStyle: Any = interp_style("Without effect: the choice looks at measured superpixels, and draws no curve.")
    numSigmaClip: Any = clip_sigma()
    numIter: Any = clip_iterations()

    def weights(self) -> ReferenceWeights:
        """The same as the algorithm takes it."""
        return ReferenceWeights(
            chi2=self.bestRefWeightChi2,
            variance=self.bestRefWeightVariance,
            coverage=self.bestRefWeightGlobalCoverage,
        )


class ChooseReferenceVisitTask(Task):
    """Choose the visit that has a flat sky, low noise, and pixels on most of the tract."""

    ConfigClass = ChooseReferenceVisitConfig
    _DefaultName = "reference"
    config: ChooseReferenceVisitConfig

    def run(self, visits: Mapping[int, Mapping[int, PatchWarp]], tract: Tract) -> Struct:
        """Measure all visits, one warp at a time, and choose.

        Parameters
        ----------
        visits
            Warps by visit and patch.
        tract
            That they are on.

        Returns
        -------
        Struct
            ``visit``: the one chosen.  ``qualities``: a `skyloom.backmatch.VisitQuality` by visit.

        Raises
        ------
        skyloom.errors.BadFrameError
            If no visit measures a superpixel.
        """
        model = self.config.tractBgModel.model_settings()
        grid = SuperpixelGrid(tract.bbox, model.x_bin, model.y_bin)
        measured = measure_visits(visits, grid, model, bin_statistic(self.config))
        chosen, qualities = choose_reference(judge_visits(measured, model.min_fraction), self.config.weights())
        for visit, one in qualities.items():
            self.log.info(
                "visit %d: %d superpixels, chi2/dof %.3g about a plane, variance %.4g nJy^2, cost %.3f",
                visit,
                one.n_superpixels,
                one.chi2_dof,
                one.variance,
                one.cost,
            )
        return Struct(visit=chosen, qualities=qualities)
