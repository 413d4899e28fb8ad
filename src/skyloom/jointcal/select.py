"""The stars of a frame that a joint fit uses, and the errors of their positions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.images import Box, SkyProjection
from numpy.typing import NDArray

from skyloom.catalog.columns import flag_column, float_column
from skyloom.errors import JointFitError
from skyloom.images import PhotoCalib

from .catalogues import FrameCatalogue

__all__ = ["SelectionSettings", "frame_catalogue"]

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]

_LOG = logging.getLogger(__name__)
_NEEDED = ("x", "y", "x_err", "y_err", "ixx", "iyy", "ixy", "source_id")


@dataclass(frozen=True, kw_only=True)
class SelectionSettings:
    """Which stars take part."""

    flux: str = "psf_flux"
    """Column of the flux that is fitted, in electrons."""
    min_signal_to_noise: float = 10.0
    """Fainter stars are left out."""
    max_extendedness: float = 0.5
    """So are sources that are wider than the PSF."""
    bad_flags: tuple[str, ...] = (
        "flag_sky_source",
        "flag_edge",
        "flag_saturated",
        "flag_interpolated_center",
        "flag_cosmic_ray_center",
        "flag_bad",
        "flag_centroid",
        "flag_shape",
    )
    """And those with any of these flags; a flag that a table lacks is taken as not set."""


def frame_catalogue(
    table: Table,
    settings: SelectionSettings | None = None,
    *,
    visit: int,
    detector: int,
    box: Box,
    projection: SkyProjection[Any],
    photo_calib: PhotoCalib,
    focal_plane: Callable[[Floats, Floats], tuple[Floats, Floats]],
    epoch_year: float = np.nan,
) -> FrameCatalogue:
    """The usable stars of a frame.

    Parameters
    ----------
    table
        Stars of the frame, as `skyloom.calibrate` writes them.
    settings
        Which of them are used.
    visit, detector, box, projection, photo_calib, focal_plane, epoch_year
        As in `FrameCatalogue`.

    Raises
    ------
    JointFitError
        If the table lacks a column.
    """
    settings = settings or SelectionSettings()
    needed = (*_NEEDED, settings.flux, f"{settings.flux}_err")
    lacking = [name for name in needed if name not in table.colnames]
    if lacking:
        raise JointFitError(
            f"The stars of visit {visit}, detector {detector} have no column {', '.join(lacking)}.",
            cure="Choose another flux in the selection of the joint fit, or calibrate the frame anew.",
            keyword=lacking[0],
        )
    covariance, usable = _covariance(table)
    selected = _selected(table, settings)
    if (selected & ~usable).any():
        count = int((selected & ~usable).sum())
        _LOG.warning("visit %d, detector %d: %d stars without a position or its error", visit, detector, count)
    rows = np.flatnonzero(usable & selected)
    return FrameCatalogue(
        visit=visit,
        detector=detector,
        box=box,
        projection=projection,
        photo_calib=photo_calib,
        focal_plane=focal_plane,
        epoch_year=epoch_year,
        x=float_column(table, "x")[rows],
        y=float_column(table, "y")[rows],
        covariance=covariance[rows],
        flux=float_column(table, settings.flux)[rows],
        flux_err=float_column(table, f"{settings.flux}_err")[rows],
        source_id=np.asarray(table["source_id"], np.int64)[rows],
    )


def _selected(table: Table, settings: SelectionSettings) -> Flags:
    """Stars bright, unresolved and clean enough."""
    flux, error = float_column(table, settings.flux), float_column(table, f"{settings.flux}_err")
    with np.errstate(divide="ignore", invalid="ignore"):
        good = (error > 0.0) & (flux / error > settings.min_signal_to_noise)
    if "extendedness" in table.colnames:
        good &= float_column(table, "extendedness") < settings.max_extendedness
    for flag in (*settings.bad_flags, _flag_of(settings.flux)):
        if flag in table.colnames:
            good &= ~flag_column(table, flag)
    return np.asarray(good, bool)


def _flag_of(flux: str) -> str:
    """Name of the flag of a flux."""
    return flux.replace("aperture_flux", "aperture_flag") if flux.startswith("aperture_flux") else f"flag_{flux}"


def _covariance(table: Table) -> tuple[Floats, Flags]:
    """Covariances ``[n, 2, 2]`` of the positions, pixel squared, and where these and the positions are usable.

    The errors of x and y are correlated as the star is elongated.
    """
    x, y = float_column(table, "x_err") ** 2, float_column(table, "y_err") ** 2
    covariance = np.zeros((len(table), 2, 2))
    covariance[:, 0, 0], covariance[:, 1, 1] = x, y
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = float_column(table, "ixy") * (x + y) / (float_column(table, "ixx") + float_column(table, "iyy"))
        covariance[:, 0, 1] = covariance[:, 1, 0] = mixed
        usable = np.isfinite(covariance).all(axis=(1, 2)) & (x > 0.0) & (x * y > mixed**2)
        usable &= np.isfinite(float_column(table, "x")) & np.isfinite(float_column(table, "y"))
    return covariance, usable
