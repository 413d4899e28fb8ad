"""Configuration that the tasks of background matching share: superpixels, their statistic, curves between them."""

from __future__ import annotations

from typing import Any, cast

from lsst.pex.config import ChoiceField, FieldValidationError, RangeField

from skyloom.backmatch import BinStatistic, MatchSettings, TractModelSettings
from skyloom.images import MASK_PLANES

from .mirrored_config import mirror

__all__ = [
    "TractBackgroundConfig",
    "bin_statistic",
    "clip_iterations",
    "clip_sigma",
    "grid_statistic",
    "interp_style",
    "undersample_style",
]

_STATISTIC = BinStatistic()
_MATCH = MatchSettings()

_MirroredModel: Any = mirror(
    TractModelSettings(),
    documented={
        "x_bin": "xBin",
        "y_bin": "yBin",
        "min_fraction": "minFrac",
        "do_smooth": "doSmooth",
        "smooth_scale": "smoothScale",
    },
    doc="Superpixels of a tract.",
)


class TractBackgroundConfig(_MirroredModel):  # type: ignore[misc]
    """Superpixels of a tract."""

    def model_settings(self) -> TractModelSettings:
        """The same as the algorithm takes it; no interpolation is a choice of its own."""
        return cast("TractModelSettings", self.settings(interpolation=None))

    def validate(self) -> None:
        """Refuse superpixels that there cannot be, and planes that no mask has."""
        super().validate()
        unknown = sorted(set(self.mask) - set(MASK_PLANES))
        if unknown:
            raise FieldValidationError(type(self).mask, self, f"{unknown} are no mask planes.")
        try:
            self.model_settings()
        except ValueError as error:
            raise FieldValidationError(type(self).xBin, self, str(error)) from error


def grid_statistic() -> Any:
    """A field for the statistic of superpixels."""
    return ChoiceField(
        dtype=str,
        default=_STATISTIC.statistic,
        allowed={"MEAN": "Mean.", "MEDIAN": "Median.", "MEANCLIP": "Clipped mean."},
        doc="How the pixels of a superpixel become one value.",
    )


def undersample_style(doc: str) -> Any:
    """A field for what is done where a curve has too few points."""
    return ChoiceField(
        dtype=str,
        default=_MATCH.undersample,
        allowed={"THROW_EXCEPTION": "Fail.", "REDUCE_INTERP_ORDER": "Take a simpler curve."},
        doc=doc,
    )


def interp_style(doc: str) -> Any:
    """A field for the curve between superpixels."""
    return ChoiceField(
        dtype=str,
        default=_MATCH.style,
        allowed={
            "CONSTANT": "The nearest superpixel.",
            "LINEAR": "Straight lines.",
            "NATURAL_SPLINE": "Natural cubic spline.",
            "AKIMA_SPLINE": "Akima spline.",
            "NONE": "No curve: one level a visit.",
        },
        doc=doc,
    )


def clip_sigma() -> Any:
    """A field for the limit of the clipping."""
    return RangeField(dtype=int, default=int(_STATISTIC.n_sigma), min=1, doc="Limit of the clipped mean, sigma.")


def clip_iterations() -> Any:
    """A field for the number of iterations."""
    return RangeField(dtype=int, default=_STATISTIC.iterations, min=0, doc="How often the mean is clipped.")


def bin_statistic(config: Any) -> BinStatistic:
    """The statistic that a configuration describes."""
    return BinStatistic(statistic=config.gridStatistic, n_sigma=float(config.numSigmaClip), iterations=config.numIter)
