"""Settings and result of the zero point."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from skyloom.images.photo_calib import PhotoCalib

from .colour_terms import ColourTerm

__all__ = ["ZeroPoint", "ZeroPointSettings"]


@dataclass(frozen=True, kw_only=True)
class ZeroPointSettings:
    """How the zero point is fitted."""

    match_radius_arcsec: float = 1.0
    """Greatest distance between a source and its reference star."""
    n_min: int = 3
    """Fewer matched stars than this raise `PhotometryError`."""
    n_sigma: float = 3.0
    scatter_max_mag: float = 0.25
    """No star is kept that is further off than ``n_sigma`` times this; the fit starts where most stars lie within it
    of one value."""
    n_iterations: int = 20
    error_floor_mag: float = 0.01
    """Added in quadrature to every star's error, so that a few very bright ones do not decide alone."""
    signal_to_noise_min: float = 10.0
    """Cut on the source's flux."""
    colour_terms: tuple[ColourTerm, ...] = ()
    """From the reference system to the camera's, by filter; none means that the systems are taken as one."""
    reserve_fraction: float = 0.0
    """Share of the stars that is kept out of the fit to test it."""
    spatial_order: int = 0
    """Highest total degree to which the zero point may vary over the frame; 0 is a constant."""
    spatial_stars_a_term: float = 10.0
    """Stars that every coefficient of a varying zero point needs."""
    spatial_error_max_mag: float = 0.01
    """A varying zero point is not taken where its error at a corner of the frame is larger."""
    spatial_gain_min: float = 3.0
    """Each further coefficient must lower the chi2 of stars left out one by one by at least this."""


@dataclass(frozen=True, kw_only=True)
class ZeroPoint:
    """A fitted zero point."""

    photo_calib: PhotoCalib
    zero_point_mag: float
    """AB magnitude of one instrumental electron; of the frame's mean where it varies."""
    zero_point_mag_err: float
    """Standard error of the weighted mean."""
    scatter_mag: float
    """Robust standard deviation of the stars that were kept."""
    used: np.ndarray
    """``bool[n]`` along the matched stars."""
    reserved: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    """``bool[n]``: usable stars that took no part in the fit."""
    reserved_offset_mag: float = float("nan")
    """Median of their catalogue less their calibrated magnitudes; NaN without any."""
    reserved_scatter_mag: float = float("nan")
    """Robust standard deviation of the same."""
    spatial_order: int = 0
    """Degree to which it varies over the frame."""

    @property
    def n_stars(self) -> int:
        """Number of stars that were kept."""
        return int(self.used.sum())
