"""Make the counts of each amplifier proportional to the light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import Akima1DInterpolator

from skyloom.errors import BadFrameError
from skyloom.kernels.linearity import add_polynomial, add_table, subtract_curve

from .amplifiers import AmplifierLayout

__all__ = [
    "Linearity",
    "LinearityResult",
    "LookupTable",
    "Polynomial",
    "Proportional",
    "Spline",
    "Successive",
    "linearize",
]


@dataclass(frozen=True, kw_only=True)
class LinearityResult:
    """What was done to a detector, or to one amplifier."""

    amplifiers: int
    linearized: int
    """Amplifiers that have a usable correction."""
    out_of_range: int
    """Pixels beyond the counts for which a look-up table or spline is known; they get its value at the nearest end."""


class Linearity(Protocol):
    """The correction of one amplifier."""

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Correct pixels ``[y, x]`` (ADU above bias) in place; whether there was a usable correction, and the pixels
        out of its range.
        """


@dataclass(frozen=True, kw_only=True)
class Proportional:
    """An amplifier whose counts are right as they are."""

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Leave the pixels alone."""
        return True, 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Polynomial:
    """x becomes x + c0 x^2 + c1 x^3 + ..."""

    coefficients: np.ndarray
    """c0 (per ADU), c1 (per ADU squared), ...; those that are not a number count as zero."""

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Add the polynomial in place; all coefficients zero is no usable correction."""
        coefficients = np.nan_to_num(np.asarray(self.coefficients, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        if not coefficients.any():
            return False, 0
        add_polynomial(pixels, coefficients)
        return True, 0


@dataclass(frozen=True, kw_only=True, eq=False)
class LookupTable:
    """x becomes x + T[x + offset]."""

    values: np.ndarray
    """T, ADU, 1-d: one entry a count."""
    offset: float = 0.0
    """Entry for zero counts.  The fraction of x + offset is cut off towards zero."""

    def __post_init__(self) -> None:
        if np.ndim(self.values) != 1 or not np.size(self.values) or not np.isfinite(self.values).all():
            raise BadFrameError(
                f"a look-up table of shape {np.shape(self.values)} is not one row of finite entries.",
                cure="Import another linearity correction.",
            )

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Add the entries in place."""
        return True, int(add_table(pixels, np.asarray(self.values, np.float64), float(self.offset)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Spline:
    """x becomes x - A(x), A being an Akima spline (Akima 1970, Journal of the ACM 17, 589) through nodes."""

    nodes: np.ndarray
    """ADU, increasing, two or more."""
    values: np.ndarray
    """ADU in excess at the nodes."""

    def __post_init__(self) -> None:
        nodes, values = np.asarray(self.nodes), np.asarray(self.values)
        if nodes.ndim != 1 or nodes.shape != values.shape or len(nodes) < 2 or (np.diff(nodes) <= 0).any():
            raise BadFrameError(
                f"a spline of {nodes.size} nodes and {values.size} values: it takes two nodes or more that increase, "
                "and as many values.",
                cure="Import another linearity correction.",
            )

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Subtract the curve in place.

        A node or value that is not a number leaves no usable correction: the pixels become NaN.
        """
        nodes, values = np.asarray(self.nodes, np.float64), np.asarray(self.values, np.float64)
        if not (np.isfinite(nodes).all() and np.isfinite(values).all()):
            pixels[:] = np.nan
            return False, 0
        return True, int(subtract_curve(pixels, nodes, Akima1DInterpolator(nodes, values).c))


@dataclass(frozen=True, kw_only=True)
class Successive:
    """One correction after the other."""

    stages: tuple[Linearity, ...]

    def apply(self, pixels: np.ndarray) -> tuple[bool, int]:
        """Apply all stages in place; usable if each is, the pixels out of range added up."""
        applied = [stage.apply(pixels) for stage in self.stages]
        return all(usable for usable, _ in applied), sum(outside for _, outside in applied)


def linearize(
    image: np.ndarray,
    layouts: Sequence[AmplifierLayout],
    linearities: Mapping[str, Linearity],
    *,
    file: str | None = None,
) -> LinearityResult:
    """Correct the non-linear response of a trimmed detector, amplifier by amplifier.

    Parameters
    ----------
    image
        ADU above bias, ``[y, x]``, changed in place.  Crosstalk has to be taken off before: it is added to counts that
        are not linear yet.
    layouts
        The amplifiers.
    linearities
        The correction of each, by its name.
    file
        The frame, for errors.

    Raises
    ------
    BadFrameError
        If the corrections are not those of these amplifiers.  The image is untouched then.
    """
    names = {layout.name for layout in layouts}
    if names != set(linearities):
        raise BadFrameError(
            f"the linearity correction is for amplifiers {sorted(linearities)}, the detector has {sorted(names)}.",
            file=file,
            cure="Import a linearity correction of this detector.",
        )
    applied = [linearities[layout.name].apply(image[layout.trimmed]) for layout in layouts]
    return LinearityResult(
        amplifiers=len(layouts),
        linearized=sum(usable for usable, _ in applied),
        out_of_range=sum(outside for _, outside in applied),
    )
