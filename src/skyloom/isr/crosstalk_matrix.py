"""How much each amplifier's signal disturbs each other one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from skyloom.errors import BadFrameError

__all__ = ["CountUnit", "CrosstalkMatrix"]

CountUnit = Literal["ADU", "ELECTRON"]

_CURE = "Import another crosstalk matrix, or switch the correction off."


@dataclass(frozen=True, kw_only=True, eq=False)
class CrosstalkMatrix:
    """The part of each source amplifier's signal that appears in each target amplifier."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    """Names of the amplifiers along the first and the second axis."""
    coefficients: np.ndarray
    """Ratios ``[source, target]``; those that are not finite count as zero."""
    quadratic: np.ndarray | None = None
    """``[source, target]``: what multiplies the square of the source, per count; None for zero."""
    valid: np.ndarray | None = None
    """Bool ``[source, target]``: which coefficients may be used; None for all."""
    unit: CountUnit = "ADU"
    """Of the counts that the coefficients compare."""

    def __post_init__(self) -> None:
        shape = len(self.sources), len(self.targets)
        for array in (self.coefficients, self.quadratic, self.valid):
            if array is not None and np.shape(array) != shape:
                raise BadFrameError(
                    f"crosstalk coefficients of shape {np.shape(array)} for {shape[0]} source and {shape[1]} target "
                    "amplifiers.",
                    cure=_CURE,
                )
        if len(set(self.sources)) < shape[0] or len(set(self.targets)) < shape[1]:
            raise BadFrameError("the crosstalk matrix names an amplifier twice.", cure=_CURE)

    def transposed(self) -> CrosstalkMatrix:
        """The matrix with its axes exchanged, for coefficients that were stored as ``[target, source]``."""
        return replace(
            self,
            sources=self.targets,
            targets=self.sources,
            coefficients=np.transpose(self.coefficients),
            quadratic=None if self.quadratic is None else np.transpose(self.quadratic),
            valid=None if self.valid is None else np.transpose(self.valid),
        )

    def without(self, unusable: Collection[str]) -> CrosstalkMatrix:
        """The matrix without signals from or to the named amplifiers."""
        keep = np.array([name not in unusable for name in self.sources], bool)[:, None] & np.array(
            [name not in unusable for name in self.targets], bool
        )
        return replace(self, valid=keep if self.valid is None else keep & self.valid)

    def within_detector(self) -> CrosstalkMatrix:
        """The matrix with its sources in the order of its targets, checked to be one detector's own.

        Raises
        ------
        BadFrameError
            If the sources are not the targets, or an amplifier disturbs itself.
        """
        if set(self.sources) != set(self.targets):
            raise BadFrameError(
                f"the crosstalk matrix has sources {sorted(self.sources)} and targets {sorted(self.targets)}.",
                cure=_CURE,
            )
        order = [self.sources.index(name) for name in self.targets]
        ordered = replace(
            self,
            sources=self.targets,
            coefficients=np.asarray(self.coefficients)[order],
            quadratic=None if self.quadratic is None else np.asarray(self.quadratic)[order],
            valid=None if self.valid is None else np.asarray(self.valid)[order],
        )
        if any(array.diagonal().any() for array in (ordered.ratios(), ordered.squared_ratios())):
            raise BadFrameError("the crosstalk matrix has amplifiers that disturb themselves.", cure=_CURE)
        return ordered

    def ratios(self) -> np.ndarray:
        """Coefficients ``[source, target]``, float64, zero where unusable."""
        return self._usable(self.coefficients)

    def squared_ratios(self) -> np.ndarray:
        """Quadratic coefficients ``[source, target]``, float64, zero where unusable."""
        return self._usable(np.zeros(np.shape(self.coefficients)) if self.quadratic is None else self.quadratic)

    def _usable(self, coefficients: np.ndarray) -> np.ndarray:
        usable = np.isfinite(coefficients) & (True if self.valid is None else self.valid)
        return np.where(usable, coefficients, 0.0).astype(np.float64)

    def in_unit(self, unit: CountUnit, source_gains: np.ndarray, target_gains: np.ndarray) -> CrosstalkMatrix:
        """The matrix for images in another unit.

        Parameters
        ----------
        unit
            Of the images.
        source_gains, target_gains
            Electrons an ADU, in the order of the axes; one that is not a positive number is replaced by the median of
            the others.

        Raises
        ------
        BadFrameError
            If the unit is another and no gain is a positive number.
        """
        if unit == self.unit:
            return self
        source, target = _usable_gains(source_gains), _usable_gains(target_gains)
        if unit == "ELECTRON":
            source, target = 1.0 / source, 1.0 / target
        return replace(
            self,
            coefficients=self.ratios() * source[:, None] / target,
            quadratic=self.squared_ratios() * source[:, None] ** 2 / target,
            unit=unit,
        )


def _usable_gains(gains: np.ndarray) -> np.ndarray:
    good = np.isfinite(gains) & (gains > 0)
    if not good.any():
        raise BadFrameError(
            "crosstalk ratios of another unit than the image need gains, and no amplifier has one.",
            cure="State the gains in the camera's description.",
        )
    return np.where(good, gains, np.median(gains[good]))
