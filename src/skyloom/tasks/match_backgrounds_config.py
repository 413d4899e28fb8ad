"""Connections and configuration of `MatchBackgroundsTask`."""

from __future__ import annotations

import dataclasses
from typing import Any

from lsst.pex.config import ChoiceField, ConfigField, ConfigurableField, Field, RangeField
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.backmatch import MatchSettings

from .choose_reference_visit import ChooseReferenceVisitTask
from .tract_background_config import (
    TractBackgroundConfig,
    bin_statistic,
    clip_iterations,
    clip_sigma,
    grid_statistic,
    interp_style,
    undersample_style,
)

__all__ = ["MatchBackgroundsConfig", "MatchBackgroundsConnections"]

_WARP = ("instrument", "visit", "skymap", "tract", "patch")
_TRACT = ("skymap", "tract", "band")
_MATCH = MatchSettings()


class MatchBackgroundsConnections(
    PipelineTaskConnections, dimensions=_TRACT, defaultTemplates={"warpType": "psf_matched", "warpTypeSuffix": ""}
):
    """The warps of a tract in one band, and the same with the sky of one visit."""

    warps = Input(
        doc="Warps of all visits, nJy; best those with one PSF, so that sources cancel in differences.",
        name="{warpType}_warp{warpTypeSuffix}",
        storageClass="WarpImage",
        dimensions=_WARP,
        multiple=True,
        deferLoad=True,
    )
    skyMap = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    backgroundInfoList = Output(
        doc="What is added to a warp, nJy.",
        name="{warpType}_warp{warpTypeSuffix}_background_diff",
        storageClass="BackgroundMap",
        dimensions=_WARP,
        multiple=True,
    )
    matchedImageList = Output(
        doc="The warps with the sky of the reference visit.",
        name="{warpType}_warp{warpTypeSuffix}_background_matched",
        storageClass="WarpImage",
        dimensions=_WARP,
        multiple=True,
    )
    figures = Output(
        doc="How well each visit matches, one row a visit.",
        name="{warpType}_warp{warpTypeSuffix}_background_figures",
        storageClass="ArrowAstropy",
        dimensions=_TRACT,
    )


class MatchBackgroundsConfig(PipelineTaskConfig, pipelineConnections=MatchBackgroundsConnections):
    """Settings of `MatchBackgroundsTask`."""

    refWarpVisit: Any = Field(dtype=int, optional=True, doc="The reference visit; None to have one chosen.")
    tractBgModel: Any = ConfigField(dtype=TractBackgroundConfig, doc="Superpixels of the differences.")
    gridStatistic: Any = grid_statistic()
    undersampleStyle: Any = undersample_style(
        "What to do where a tract has too few superpixels along a side for the curve."
    )
    interpStyle: Any = interp_style("Curve between superpixels.")
    numSigmaClip: Any = clip_sigma()
    numIter: Any = clip_iterations()
    solution: Any = ChoiceField(
        dtype=str,
        default=_MATCH.solution,
        allowed={
            "REFERENCE": "Each visit is compared with the reference.",
            "JOINT": "All visits are compared with each other, and get smooth offsets by least squares.",
        },
        doc="How offsets are found.",
    )
    jointScale: Any = RangeField(
        dtype=float,
        default=_MATCH.joint_scale,
        min=0.0,
        inclusiveMin=False,
        doc="Of JOINT: structure of offsets below so many superpixels is taken for noise.",
    )
    jointRounds: Any = RangeField(
        dtype=int, default=_MATCH.joint_rounds, min=1, doc="Of JOINT: how often the mean of the visits is made."
    )
    jointSky: Any = ChoiceField(
        dtype=str,
        default=_MATCH.joint_sky,
        allowed={"REFERENCE": "That of the reference visit.", "MEAN": "The mean of all visits."},
        doc="Of JOINT: which sky all visits get.",
    )
    reference: Any = ConfigurableField(target=ChooseReferenceVisitTask, doc="How the reference visit is chosen.")

    def settings(self) -> MatchSettings:
        """The same as the algorithm takes it."""
        return dataclasses.replace(
            _MATCH,
            model=self.tractBgModel.model_settings(),
            statistic=bin_statistic(self),
            style=self.interpStyle,
            undersample=self.undersampleStyle,
            solution=self.solution,
            joint_scale=self.jointScale,
            joint_rounds=self.jointRounds,
            joint_sky=self.jointSky,
        )
