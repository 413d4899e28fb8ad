"""`fit_focal_plane`: the sky of one visit over the whole camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .bright_cells import BrightCells
from .camera_cells import CameraCells
from .camera_surface import CameraSurface
from .detector_levels import BorderSteps
from .focal_plane_settings import FocalPlaneSettings
from .sky_cells import SkyCells
from .sky_frame import SkyFrame
from .surface_fit import SurfaceFit, fit_surface

__all__ = ["DetectorSky", "VisitSky", "fit_focal_plane"]

_MICROMETRE = 1e-3
_CAREFUL = 4
"""Fits that go below what stands out, since it is not masked yet."""
_BENDING = 3
"""Order of the differences of coefficients that are kept small: a sky that is curved evenly is not bent by this."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DetectorSky:
    """The sky of a visit on one detector; all values in electrons."""

    cells: SkyCells
    frame: SkyFrame | None
    model: np.ndarray
    """``[cell_y, cell_x]``: the sky."""
    bright: np.ndarray
    """``[cell_y, cell_x]``: where extended light was masked."""
    dark: np.ndarray
    """``[cell_y, cell_x]``: where shadows were masked."""
    offset: float
    """Level of its own, on top of surface and pattern; 0 but for detectors without sky frame and odd ones."""
    odd: bool
    """Whether its level stands apart from its neighbours'."""

    @property
    def residual(self) -> np.ndarray:
        """``[cell_y, cell_x]``: what is left above the sky."""
        return np.asarray(self.cells.level - self.model)


@dataclass(frozen=True, kw_only=True, eq=False)
class VisitSky:
    """The sky of a visit."""

    surfaces: tuple[SurfaceFit, ...]
    """Their sum is the smooth sky over the camera, electrons."""
    strength: float
    """What sky frames are multiplied by, electrons; 0 without any."""
    strength_error: float
    """Standard error of that, by the scatter of the cells."""
    level: float
    """Median of the smooth sky, electrons."""
    scatter: float
    """Of the cells about the sky, electrons."""
    bright_fraction: float
    """Share of the cells in which extended light was masked."""
    largest_step: float
    """Between neighbouring detectors that is left, electrons."""
    detectors: dict[int, DetectorSky]

    def smooth(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The smooth sky at places of the focal plane (mm), electrons."""
        return np.asarray(sum(one(x, y) for one in self.surfaces))


def fit_focal_plane(
    cells: Mapping[int, SkyCells],
    frames: Mapping[int, SkyFrame] | None = None,
    settings: FocalPlaneSettings | None = None,
) -> VisitSky:
    """Fit the sky of a visit: one smooth surface over the camera, and one strength of the sky frames.

    The surface is bent so little over the size of a galaxy that it cannot follow one; and where light stands above
    it, the cells are left out and the surface goes on beneath.  Detectors share surface and strength.  One whose level
    stands apart at all of its borders, say of a wrong bias, keeps a level of its own and moves no other; so does each
    that has no sky frame, for detectors differ in sensitivity.

    Parameters
    ----------
    cells
        By the id of the detector.
    frames
        Sky frames by the id of the detector.
    settings
        Knobs; the defaults where not given.

    Raises
    ------
    BadFrameError
        If no cell is known, or a sky frame has other cells.
    """
    return _Fit(cells, frames or {}, settings or FocalPlaneSettings()).run()


class _Fit:
    """The state of the fit of one visit."""

    def __init__(
        self, cells: Mapping[int, SkyCells], frames: Mapping[int, SkyFrame], settings: FocalPlaneSettings
    ) -> None:
        self._given, self._settings = cells, settings
        self._frames = {one: frames[one] for one in cells if one in frames}
        self._cells = CameraCells.of(cells)
        joined = self._cells.join({one: frame.on(cells[one]) for one, frame in self._frames.items()})
        self._pattern = np.nan_to_num(joined) if self._frames else None
        self._alone = np.array([one not in self._frames for one in self._cells.detectors])
        self._steps = BorderSteps(self._cells)
        self._finder = BrightCells(
            self._cells,
            threshold=settings.bright_threshold,
            reach=settings.bright_reach,
            grow=settings.bright_grow,
            max_fraction=settings.bright_max_fraction,
        )

    def run(self) -> VisitSky:
        """Mask and fit in turn."""
        cells, settings = self._cells, self._settings
        surface = CameraSurface(cells.extent, settings.spacing_um * _MICROMETRE, differences=_BENDING)
        stiff = np.geomspace(settings.start_stiffness, settings.stiffness, settings.iterations + 1)
        offsets, odd = np.zeros(len(cells.detectors)), np.zeros(len(cells.detectors), bool)
        if self._alone.all():  # their steps would be all that a first fit sees
            offsets, _ = self._steps.levels(cells.level)
        bright = dark = np.zeros(cells.level.size, bool)
        for number, stiffness in enumerate([*stiff[[0] * _CAREFUL], *stiff[1:]]):
            values, careful = cells.level - offsets[cells.owner], number < _CAREFUL
            fit = self._fit(surface, values, self._weight(bright, dark), stiffness, lowest=careful)
            above = cells.level - self._model([fit], fit.strength)
            if number < _CAREFUL + settings.iterations - 1:  # the last fit is one to the levels that are told
                offsets, odd = self._offsets(above)
            residual = above - offsets[cells.owner]
            dark = self._finder.find_dark(residual, settings.dark_fraction * np.abs(cells.level - residual))
            if number >= _CAREFUL - 1:  # before, what is dark has drawn the sky down
                bright = self._finder.find(residual)
        fits = [fit]
        if settings.residual_spacing_um:
            fits.append(self._rest(residual, bright | dark))
        return self._result(fits, offsets, odd, bright, dark)

    def _fit(
        self, surface: CameraSurface, values: np.ndarray, weight: np.ndarray, stiffness: float, *, lowest: bool
    ) -> SurfaceFit:
        cells = self._cells
        return fit_surface(
            surface,
            cells.x,
            cells.y,
            values,
            weight,
            pattern=self._pattern,
            stiffness=stiffness,
            clip=self._settings.clip,
            lowest=lowest,
        )

    def _weight(self, bright: np.ndarray, dark: np.ndarray) -> np.ndarray:
        """How much the cells count: those of light little or not, those of shadows not."""
        lit = np.where(bright, self._settings.bright_weight, 1.0)
        return np.asarray(np.where(dark, 0.0, lit * self._cells.weight))

    def _rest(self, residual: np.ndarray, left_out: np.ndarray) -> SurfaceFit:
        """What of the sky is smaller than the knots; nothing where cells are left out."""
        cells, settings = self._cells, self._settings
        return fit_surface(
            CameraSurface(cells.extent, settings.residual_spacing_um * _MICROMETRE, differences=0),
            cells.x,
            cells.y,
            residual,
            np.where(left_out, 0.0, cells.weight),
            stiffness=settings.residual_stiffness,
            clip=settings.clip,
        )

    def _model(self, fits: list[SurfaceFit], strength: float) -> np.ndarray:
        """Surface and pattern in all cells, without the levels that detectors have of their own."""
        smooth = sum(one(self._cells.x, self._cells.y) for one in fits)
        return np.asarray(smooth if self._pattern is None else smooth + strength * self._pattern)

    def _offsets(self, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Level of each detector that has one of its own, electrons, else 0; and which of them are odd."""
        (levels, errors), settings = self._steps.levels(residual), self._settings
        alike = levels[~self._alone] if not self._alone.all() else levels
        scatter = 1.4826 * float(np.median(np.abs(alike - np.median(alike))))
        least = max(settings.odd_sigma * scatter, settings.odd_noise * self._cells.pixel_noise)
        odd = np.abs(levels - np.median(alike)) > np.maximum(least, settings.odd_sigma * errors)
        return np.where(odd | self._alone, levels, 0.0), odd & ~self._alone

    def _result(
        self, fits: list[SurfaceFit], offsets: np.ndarray, odd: np.ndarray, bright: np.ndarray, dark: np.ndarray
    ) -> VisitSky:
        cells, strength = self._cells, fits[0].strength
        smooth = np.asarray(sum(one(cells.x, cells.y) for one in fits))
        model = self._model(fits, strength) + offsets[cells.owner]
        meshes, lit, shaded = (cells.split(one) for one in (model, bright, dark))
        steps = self._steps.measure(cells.level - model).step
        known = cells.weight > 0
        return VisitSky(
            surfaces=tuple(fits),
            strength=strength,
            strength_error=fits[0].strength_error,
            level=float(np.median(smooth[known])),
            scatter=fits[-1].scatter,
            bright_fraction=float(np.mean(bright[known])),
            largest_step=float(np.max(np.abs(steps))) if steps.size else np.nan,
            detectors={
                one: DetectorSky(
                    cells=self._given[one],
                    frame=self._frames.get(one),
                    model=meshes[one],
                    bright=lit[one],
                    dark=shaded[one],
                    offset=float(offsets[place]),
                    odd=bool(odd[place]),
                )
                for place, one in enumerate(cells.detectors)
            },
        )
