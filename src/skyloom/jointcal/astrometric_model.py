"""The map from pixels to the tangent plane of a visit: that of the detector followed by that of the visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skyloom.catalog.htm import unit_vectors
from skyloom.images import pixel_to_radec
from skyloom.images.polynomial_terms import n_terms
from skyloom.kernels.chained_polynomials import chained_map

from .catalogues import FrameCatalogue, Measurements
from .chebyshev import Rectangle, term_values
from .directions import ARCSEC, local_axes
from .settings import JointAstrometrySettings

__all__ = ["AstrometricModel", "Mapped", "initial_model"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]

_GRID = 12
"""Positions a side at which the maps to start from are fitted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Mapped:
    """Positions on the tangent planes, and what they depend on."""

    position: Floats
    """arcsec, ``[m, 2]``."""
    by_pixel: Floats
    """Derivatives by x and y, arcsec per pixel, ``[m, 2, 2]``."""
    by_unknowns: Floats
    """Derivatives by the coefficients: of the detector (u, then v), of the group (east, then north); ``[m, 2, t]``, or
    empty where they were not wanted."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AstrometricModel:
    """Position = G(C(x, y)), with C of the detector and G of the group: the visit, or the frame in the simple model.

    C maps a frame's pixels to camera coordinates between -1 and 1, G those to arcseconds on the visit's tangent plane;
    both are sums of Chebyshev polynomials.
    """

    chip_of_frame: Integers
    group_of_frame: Integers
    corners: Floats
    """Lower left corner of each frame, pixel, ``[frames, 2]``."""
    slopes: Floats
    """2 over the size of each frame, ``[frames, 2]``."""
    chip_coefficients: Floats
    """``[chips, 2, terms]``."""
    group_coefficients: Floats
    """``[groups, 2, terms]``, arcsec."""
    chip_order: int
    group_order: int
    planes: Floats
    """`local_axes` of the tangent point of each frame's visit, ``[frames, 3, 3]``."""

    def map(self, frame: Integers, x: Floats, y: Floats, *, unknowns: bool = False) -> Mapped:
        """Map pixel positions ``[m]`` of frames ``[m]``; derivatives by the coefficients where they are wanted."""
        slopes = self.slopes[frame]
        u = slopes[:, 0] * (x - self.corners[frame, 0]) - 1.0
        v = slopes[:, 1] * (y - self.corners[frame, 1]) - 1.0
        m, n = len(frame), 2 * (self.chip_coefficients.shape[2] + self.group_coefficients.shape[2])
        position, by_pixel = np.empty((m, 2)), np.empty((m, 2, 2))
        by_unknowns = np.zeros((m if unknowns else 0, 2, n))
        chip = self.chip_coefficients, self.chip_of_frame[frame], self.chip_order
        group = self.group_coefficients, self.group_of_frame[frame], self.group_order
        chained_map(u, v, slopes, chip, group, unknowns, position, by_pixel, by_unknowns)
        return Mapped(position=position, by_pixel=by_pixel, by_unknowns=by_unknowns)


def initial_model(measurements: Measurements, settings: JointAstrometrySettings) -> AstrometricModel:
    """The model that follows the WCSs of the frames and the geometry of the camera."""
    frames = measurements.frames
    visit = measurements.visit_of_frame
    planes = _planes(frames, visit)
    boxes = [_rectangle(frame) for frame in frames]
    if settings.model == "simple":
        chips, groups = np.zeros(len(frames), np.int32), np.arange(len(frames), dtype=np.int32)
        chip_order, group_order = 1, settings.simple_order
        chip_coefficients = np.array([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
    else:
        chips, groups = measurements.detector_of_frame, visit
        chip_order, group_order = settings.chip_order, settings.visit_order
        chip_coefficients = _camera_maps(frames, chips, chip_order)
    model = AstrometricModel(
        chip_of_frame=chips,
        group_of_frame=groups,
        corners=np.array([(box.x_min, box.y_min) for box in boxes]),
        slopes=np.array([box.slopes for box in boxes]),
        chip_coefficients=chip_coefficients,
        group_coefficients=np.zeros((int(groups.max()) + 1, 2, n_terms(group_order))),
        chip_order=chip_order,
        group_order=group_order,
        planes=planes,
    )
    _follow_wcs(model, frames)
    return model


def _rectangle(frame: FrameCatalogue) -> Rectangle:
    box = frame.box
    return Rectangle(x_min=box.x.start - 0.5, x_max=box.x.stop - 0.5, y_min=box.y.start - 0.5, y_max=box.y.stop - 0.5)


def _grid(box: Rectangle) -> tuple[Floats, Floats]:
    x, y = np.meshgrid(np.linspace(box.x_min, box.x_max, _GRID), np.linspace(box.y_min, box.y_max, _GRID))
    return x.ravel(), y.ravel()


def _middle(frame: FrameCatalogue) -> tuple[float, float]:
    return 0.5 * (frame.box.x.min + frame.box.x.max), 0.5 * (frame.box.y.min + frame.box.y.max)


def _planes(frames: Sequence[FrameCatalogue], visit: Integers) -> Floats:
    """Tangent planes in the middle of the frames of each visit."""
    vectors = np.array([unit_vectors(*pixel_to_radec(frame.projection, *_middle(frame))) for frame in frames])
    mean = np.stack([np.bincount(visit, vectors[:, axis]) for axis in range(3)], axis=-1)
    mean /= np.linalg.norm(mean, axis=1, keepdims=True)
    return local_axes(mean)[visit]


def _camera_maps(frames: Sequence[FrameCatalogue], chips: Integers, order: int) -> Floats:
    """From the pixels of each detector to camera coordinates between -1 and 1, fitted to the camera's geometry."""
    first = [int(np.flatnonzero(chips == chip)[0]) for chip in range(int(chips.max()) + 1)]
    grids = [_grid(_rectangle(frames[number])) for number in first]
    places = [frames[number].focal_plane(*grid) for number, grid in zip(first, grids, strict=True)]
    camera = Rectangle.around(np.concatenate([x for x, _ in places]), np.concatenate([y for _, y in places]))
    coefficients = []
    for number, grid, place in zip(first, grids, places, strict=True):
        values, _, _ = term_values(*_rectangle(frames[number]).to_unit(*grid), order)
        coefficients.append(np.linalg.lstsq(values, np.stack(camera.to_unit(*place), axis=1), rcond=None)[0].T)
    return np.array(coefficients)


def _follow_wcs(model: AstrometricModel, frames: Sequence[FrameCatalogue]) -> None:
    """Fit the polynomials of the groups to the WCSs of their frames."""
    n_chip, n_group = 2 * model.chip_coefficients.shape[2], model.group_coefficients.shape[2]
    for group in range(len(model.group_coefficients)):
        numbers = np.flatnonzero(model.group_of_frame == group).astype(np.int32)
        mine = [frames[int(number)] for number in numbers]
        grids = [_grid(_rectangle(frame)) for frame in mine]
        sky = [pixel_to_radec(frame.projection, *grid) for frame, grid in zip(mine, grids, strict=True)]
        x, y = np.concatenate(grids, axis=1)
        mapped = model.map(np.repeat(numbers, len(x) // len(numbers)), x, y, unknowns=True)
        along = unit_vectors(*np.concatenate(sky, axis=1)) @ model.planes[numbers[0]].T
        wanted = ARCSEC * along[:, :2] / along[:, 2:]
        design = mapped.by_unknowns[:, 0, n_chip : n_chip + n_group]
        # The triangle of both has all that the least squares need.
        triangle = np.linalg.qr(np.concatenate([design, wanted], axis=1), mode="r")[:n_group]
        limit = len(x) * np.finfo(float).eps
        solution = np.linalg.lstsq(triangle[:, :n_group], triangle[:, n_group:], rcond=limit)[0]
        model.group_coefficients[group] = solution.T
