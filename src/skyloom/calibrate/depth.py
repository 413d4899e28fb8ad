"""How deep a frame is: its magnitude limit, and the exposure time that it is worth."""

from __future__ import annotations

import math

import numpy as np

from .summary_settings import FiducialObservation

__all__ = ["effective_time_s", "effective_time_scales", "limiting_flux", "magnitude_limit"]


def limiting_flux(psf_area: float, sky: float, read_noise: float, signal_to_noise: float) -> float:
    """Flux of a star, electrons, whose PSF flux has a signal-to-noise ratio: the noise is that of the sky and the
    read-out in the effective area of the PSF, and of the star itself.

    It solves ``f / sqrt(f + B) = q`` for ``B = (sky + read_noise^2) psf_area``.

    Parameters
    ----------
    psf_area
        Effective area, px.
    sky
        Electrons a pixel.
    read_noise
        Electrons; NaN counts as none.
    signal_to_noise
        The ratio q.
    """
    noise = read_noise if math.isfinite(read_noise) else 0.0
    background = (sky + noise**2) * psf_area
    q2 = signal_to_noise**2
    under_root = 0.25 * q2**2 + q2 * background
    return 0.5 * q2 + math.sqrt(under_root) if under_root >= 0 else math.nan


def magnitude_limit(
    zero_point_mag: float, psf_area: float, sky: float, read_noise: float, signal_to_noise: float = 5.0
) -> float:
    """AB magnitude of the star of `limiting_flux`; ``zero_point_mag`` is that of one electron.  NaN where one of the
    others is, but for the read noise.
    """
    flux = limiting_flux(psf_area, sky, read_noise, signal_to_noise)
    return zero_point_mag - 2.5 * math.log10(flux) if flux > 0 else math.nan


def effective_time_s(limit_mag: float, fiducial: FiducialObservation) -> float:
    """Time that an exposure under the fiducial conditions needs for the same magnitude limit, seconds.

    Depth grows as the square root of the time: 0.4 mag are a factor of 2.09.
    """
    return float(fiducial.exposure_time_s * 10.0 ** (0.8 * (limit_mag - fiducial.magnitude_limit)))


def effective_time_scales(
    psf_sigma: float,
    sky: float,
    zero_point_mag: float,
    exposure_time_s: float,
    fiducial: FiducialObservation,
    transparency_max: float = math.inf,
) -> dict[str, float]:
    """The factors by which seeing, sky and transparency change the effective time, as fields of the summary.

    Parameters
    ----------
    psf_sigma
        Pixels.
    sky
        Electrons a pixel.
    zero_point_mag
        AB magnitude of one electron.
    exposure_time_s
        Seconds.
    transparency_max
        Limit of the third.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rate_zero_point = zero_point_mag - 2.5 * np.log10(exposure_time_s)
        transparency = 10.0 ** (-0.8 * (fiducial.zero_point_mag - rate_zero_point))
        return {
            "effTimePsfSigmaScale": float(np.divide(fiducial.psf_sigma_px, psf_sigma) ** 2),
            "effTimeSkyBgScale": float(np.divide(fiducial.sky_electron_per_s * exposure_time_s, sky)),
            "effTimeZeroPointScale": float(np.minimum(transparency, transparency_max)),
        }
