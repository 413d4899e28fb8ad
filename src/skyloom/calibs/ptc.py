"""The photon-transfer curve: gain, read noise, full well and covariances of each amplifier, from pairs of flats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BadFrameError

from .covariance_fit import CovarianceFit, fit_covariances
from .frames import Raw
from .pair_measurements import AmplifierPairs, Measured, PairMeasurements, measure_pairs
from .pair_settings import PtcSettings
from .photon_transfer import PhotonTransfer, fit_photon_transfer

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["make_ptc"]

_ASTIER = 2.0 / 3.0
_SHOWN = ("gain", "gain_error", "read_noise", "read_noise_error", "full_well_adu", "full_well_reached", "a00")


def make_ptc(raws: Sequence[Raw], *, bias: MaskedImage | None = None, settings: PtcSettings | None = None) -> Measured:
    """Measure the photon-transfer curve of one detector.

    Parameters
    ----------
    raws
        Flats of many levels, two of each, of any filters.
    bias
        Master bias in ADU.
    settings
        How.

    Returns
    -------
    ptc
        Data: ``model``, ``exposures`` ``[pair][2]``, ``exposure_time_s`` ``[pair]`` and ``amplifiers``, by name:
        ``gain`` (electrons an ADU) and ``gain_error``; ``read_noise`` and ``read_noise_error`` (electrons);
        ``full_well_adu``, ``full_well_electrons`` and ``full_well_reached`` (false: higher than any level measured);
        ``a00`` (per electron) and ``a00_error``; ``reduced_chi2``; ``levels_adu``, ``variances_adu2``, ``pixels`` and
        ``used`` of each pair; ``covariances_adu2`` ``[pair][rows][columns]`` of the nearest lags; ``coefficients`` and
        ``coefficient_errors`` of the covariances at all lags (per electron).  Figures: the first of these.

    Raises
    ------
    BadFrameError
        If there are too few pairs, no amplifier could be fitted, or the flats are of different read-out modes.
    """
    settings = settings or PtcSettings()
    measured = measure_pairs(raws, settings, bias=bias)
    amplifiers = {name: _curve(pairs, settings) for name, pairs in measured.amplifiers.items()}
    if not any(math.isfinite(one["gain"]) for one in amplifiers.values()):
        raise BadFrameError(
            "no amplifier has enough pairs below its full well to fit the variance.",
            cure="Take flats of more levels, or change turn_over and fit_to.",
        )
    return Measured(
        data={"model": settings.model, **_exposures(measured), "amplifiers": amplifiers},
        figures={f"{key}_{name}": float(one[key]) for name, one in amplifiers.items() for key in _SHOWN},
        frames=measured.frames,
        left_out=measured.left_out,
    )


def _exposures(measured: PairMeasurements) -> dict[str, Any]:
    return {
        "exposures": [[flat.exposure for flat in pair] for pair in measured.flats],
        "exposure_time_s": [pair[0].seconds for pair in measured.flats],
    }


_KEPT_LAGS = 3


def _curve(pairs: AmplifierPairs, settings: PtcSettings) -> dict[str, Any]:
    """What is kept of one amplifier."""
    usable = pairs.fitted(settings)
    errors = np.where(usable, pairs.variances_adu2 * np.sqrt(2.0 / np.maximum(pairs.pixels, 1)), np.nan)
    transfer = fit_photon_transfer(
        pairs.levels_adu, pairs.variances_adu2, errors, model=settings.model, n_sigma=settings.n_sigma
    )
    covariances = _covariances(pairs, transfer.used, settings)
    noise, noise_error = _read_noise(transfer, covariances)
    full, gain = pairs.full_well, transfer.gain
    return {
        "gain": gain,
        "gain_error": transfer.gain_error,
        "read_noise": noise,
        "read_noise_error": noise_error,
        "full_well_adu": full.level_adu,
        "full_well_electrons": full.level_adu * gain,
        "full_well_reached": full.reached,
        "a00": transfer.a00,
        "a00_error": transfer.a00_error,
        "reduced_chi2": transfer.reduced_chi2,
        "levels_adu": pairs.levels_adu.tolist(),
        "variances_adu2": pairs.variances_adu2.tolist(),
        "pixels": pairs.pixels.tolist(),
        "used": transfer.used.tolist(),
        "covariances_adu2": pairs.covariances_adu2[:, :_KEPT_LAGS, :_KEPT_LAGS].tolist(),
        "coefficients": None if covariances is None else (covariances.coefficients / gain).tolist(),
        "coefficient_errors": None if covariances is None else (covariances.errors / gain).tolist(),
    }


def _covariances(pairs: AmplifierPairs, used: np.ndarray, settings: PtcSettings) -> CovarianceFit | None:
    if not used.any():
        return None
    return fit_covariances(
        pairs.levels_adu[used],
        pairs.covariances_adu2[used],
        pairs.pixels[used],
        second_order=_ASTIER,
        n_sigma=settings.n_sigma,
    )


def _read_noise(transfer: PhotonTransfer, covariances: CovarianceFit | None) -> tuple[float, float]:
    """Electrons, and their error: the variance without light, less what the pixels of a row share.

    They share the noise of their overscan level, which is no noise of their read-out.
    """
    shared = shared_error = 0.0
    if covariances is not None and len(covariances.noise_adu2) > 1:
        shared = max(float(covariances.noise_adu2[0, 1:].mean()), 0.0)
        shared_error = float(
            np.sqrt((covariances.noise_errors_adu2[0, 1:] ** 2).sum()) / (len(covariances.noise_adu2) - 1)
        )
    variance = transfer.noise_adu2 - shared
    if not variance > 0:
        return math.nan, math.nan
    noise = math.sqrt(variance)
    error = math.hypot(transfer.noise_error_adu2, shared_error) / (2.0 * noise)
    return noise * transfer.gain, error * transfer.gain
