"""Transmission curves: throughput over wavelength, of the atmosphere, the optics, a filter or a sensor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, override

import numpy as np
from scipy.interpolate import RegularGridInterpolator

if TYPE_CHECKING:
    from lsst.images import Transform
    from numpy.typing import ArrayLike

__all__ = [
    "ConstantTransmission",
    "RadialTransmission",
    "RectangularTransmission",
    "TransmissionCurve",
    "combined_transmission",
]


class TransmissionCurve(ABC):
    """Throughput (dimensionless) as a function of position and wavelength.

    The product of two curves is a curve: its samples are the products of theirs, whatever grids they are on.
    """

    @abstractmethod
    def sample_at(self, x: ArrayLike, y: ArrayLike, wavelengths: ArrayLike) -> np.ndarray:
        """Throughput (float64) at positions and wavelengths.

        Parameters
        ----------
        x, y
            Positions in the coordinates of the curve: pixels, or focal-plane mm.
        wavelengths
            Angstrom, 1-d.

        Returns
        -------
        throughput
            Shape of the positions, then of the wavelengths.
        """

    def __mul__(self, other: TransmissionCurve) -> TransmissionCurve:
        return _Product(curves=(*_factors(self), *_factors(other)))

    def transformed(self, transform: Transform[Any, Any]) -> TransmissionCurve:
        """The same curve in other coordinates; the transform leads from those to the ones of this curve."""
        return _Transformed(curve=self, transform=transform)

    @staticmethod
    def identity() -> TransmissionCurve:
        """Throughput of one everywhere and at all wavelengths."""
        return _Product(curves=())


@dataclass(frozen=True, kw_only=True, eq=False)
class _Gridded(TransmissionCurve):
    """Linear interpolation between the nodes of a grid, of which the wavelengths are the last axis.

    Beyond the outermost positions the nearest ones hold; beyond the outermost wavelengths `beyond` does.
    """

    wavelengths: np.ndarray
    """Angstrom, rising."""
    throughput: np.ndarray
    beyond: tuple[float, float] = (0.0, 0.0)
    """Throughput at shorter and at longer wavelengths than those of the grid."""
    _interpolator: RegularGridInterpolator = field(init=False, repr=False)

    def __post_init__(self) -> None:
        axes = [np.asarray(axis, np.float64) for axis in (*self._nodes(), self.wavelengths)]
        shape, throughput = tuple(len(axis) for axis in axes), np.asarray(self.throughput, np.float64)
        if throughput.shape != shape:
            raise ValueError(f"The throughput has shape {throughput.shape}, the nodes of the grid {shape}.")
        if not all(np.all(np.diff(axis) > 0) for axis in axes):
            raise ValueError("Wavelengths and positions of a grid have to rise.")
        object.__setattr__(self, "_interpolator", RegularGridInterpolator(axes, throughput))

    def _nodes(self) -> Sequence[np.ndarray]:
        """Positions of the nodes along each spatial axis."""
        return ()

    def _coordinates(self, x: np.ndarray, y: np.ndarray) -> Sequence[np.ndarray]:
        """Where positions lie along each spatial axis."""
        return ()

    @override
    def sample_at(self, x: ArrayLike, y: ArrayLike, wavelengths: ArrayLike) -> np.ndarray:
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        wanted = np.atleast_1d(np.asarray(wavelengths, np.float64))
        points = np.empty((*x.shape, wanted.size, len(self._interpolator.grid)))
        for axis, position in enumerate(self._coordinates(x, y)):
            points[..., axis] = position[..., None]
        points[..., -1] = wanted
        for axis, nodes in enumerate(self._interpolator.grid):
            np.clip(points[..., axis], nodes[0], nodes[-1], out=points[..., axis])
        throughput = np.asarray(self._interpolator(points))
        throughput[..., wanted < self.wavelengths[0]] = self.beyond[0]
        throughput[..., wanted > self.wavelengths[-1]] = self.beyond[1]
        return throughput


@dataclass(frozen=True, kw_only=True, eq=False)
class ConstantTransmission(_Gridded):
    """A curve that is the same at all positions; `throughput` is ``[wavelength]``."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RadialTransmission(_Gridded):
    """A curve that depends on the distance from (0, 0); `throughput` is ``[radius, wavelength]``."""

    radii: np.ndarray
    """In the coordinates of the curve, rising."""

    @override
    def _nodes(self) -> Sequence[np.ndarray]:
        return (self.radii,)

    @override
    def _coordinates(self, x: np.ndarray, y: np.ndarray) -> Sequence[np.ndarray]:
        return (np.hypot(x, y),)


@dataclass(frozen=True, kw_only=True, eq=False)
class RectangularTransmission(_Gridded):
    """A curve on a grid of positions; `throughput` is ``[y, x, wavelength]``."""

    x: np.ndarray
    y: np.ndarray
    """Nodes in the coordinates of the curve, rising."""

    @override
    def _nodes(self) -> Sequence[np.ndarray]:
        return (self.y, self.x)

    @override
    def _coordinates(self, x: np.ndarray, y: np.ndarray) -> Sequence[np.ndarray]:
        return (y, x)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Product(TransmissionCurve):
    """One curve behind the other; none at all lets everything through."""

    curves: tuple[TransmissionCurve, ...]

    @override
    def sample_at(self, x: ArrayLike, y: ArrayLike, wavelengths: ArrayLike) -> np.ndarray:
        throughput = np.ones((*np.broadcast(x, y).shape, np.size(wavelengths)))
        for curve in self.curves:
            throughput *= curve.sample_at(x, y, wavelengths)
        return throughput


@dataclass(frozen=True, kw_only=True, eq=False)
class _Transformed(TransmissionCurve):
    """A curve of other coordinates."""

    curve: TransmissionCurve
    transform: Transform[Any, Any]

    @override
    def sample_at(self, x: ArrayLike, y: ArrayLike, wavelengths: ArrayLike) -> np.ndarray:
        position = self.transform.apply_forward(x=np.asarray(x, np.float64), y=np.asarray(y, np.float64))
        return self.curve.sample_at(position.x, position.y, wavelengths)


def _factors(curve: TransmissionCurve) -> tuple[TransmissionCurve, ...]:
    return curve.curves if isinstance(curve, _Product) else (curve,)


def combined_transmission(
    to_focal_plane: Transform[Any, Any],
    *,
    atmosphere: TransmissionCurve | None = None,
    optics: TransmissionCurve | None = None,
    filter_curve: TransmissionCurve | None = None,
    sensor: TransmissionCurve | None = None,
) -> TransmissionCurve:
    """The curve of a whole system in the pixels of a detector; what is None lets everything through.

    Parameters
    ----------
    to_focal_plane
        From pixels to focal-plane mm.
    atmosphere, optics, filter_curve
        In focal-plane mm.
    sensor
        In pixels.
    """
    combined = TransmissionCurve.identity()
    for curve in (atmosphere, optics, filter_curve):
        if curve is not None:
            combined *= curve
    combined = combined.transformed(to_focal_plane)
    return combined if sensor is None else combined * sensor
