"""How well a processed survey agrees with its truth: the figures of the demo's table.

All comparisons use bright, isolated stars: unflagged, with a signal-to-noise ratio above a limit, and with no other
true source of more than a fraction of their light nearby.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from astropy.table import Table, vstack
from scipy.spatial import cKDTree

from skyloom.catalog.matching import match_sky

__all__ = ["FrameAgreement", "SurveyAgreement", "compare_frame", "compare_survey", "isolated_stars", "robust_rms"]

_BRIGHT_SNR = 100.0
_MATCH_RADIUS_ARCSEC = 0.5
_ISOLATION_ARCSEC = 5.0
_NEIGHBOUR_SHARE = 0.02


@dataclass(frozen=True, kw_only=True)
class FrameAgreement:
    """Agreement of one calibrated frame with the truth."""

    visit: int
    detector: int
    n_stars: int
    offset_mas: float
    """Length of the median position difference."""
    astrometry_mas: float
    """Robust rms of the position differences, a coordinate, offset included."""
    zero_point_mmag: float
    """Median of measured minus true magnitude."""
    scatter_mmag: float
    """Robust rms of measured minus true magnitude."""


@dataclass(frozen=True, kw_only=True)
class SurveyAgreement:
    """Agreement of all frames, and of each star with itself."""

    frames: list[FrameAgreement]
    repeatability_mmag: float
    """Median over stars of the rms of their magnitudes from frame to frame."""
    stars: Table
    """The matched stars: visit, detector, true_id, true_mag, dra_mas, ddec_mas, dmag, x, y."""

    @property
    def astrometry_mas(self) -> float:
        """Robust rms a coordinate over all stars of all frames."""
        return robust_rms(np.concatenate([self.stars["dra_mas"], self.stars["ddec_mas"]]))

    @property
    def worst_astrometry_mas(self) -> float:
        """The largest rms of a frame."""
        return max(frame.astrometry_mas for frame in self.frames)

    @property
    def zero_point_mmag(self) -> float:
        """Median over the frames of the absolute zero-point error."""
        return float(np.median([abs(frame.zero_point_mmag) for frame in self.frames]))

    @property
    def worst_zero_point_mmag(self) -> float:
        """The largest absolute zero-point error of a frame."""
        return max(abs(frame.zero_point_mmag) for frame in self.frames)


def robust_rms(values: np.ndarray) -> float:
    """Root of the squared median plus the squared, scaled median absolute deviation."""
    middle = np.median(values)
    return float(np.hypot(middle, 1.4826 * np.median(np.abs(values - middle))))


def isolated_stars(sky: Table, band: str) -> Table:
    """The true stars whose neighbours within 5 arcsec leave less than 2 % of their flux in sum.

    Parameters
    ----------
    sky
        True sources: ``id``, ``ra``, ``dec`` (deg), ``flux_<band>`` (nJy), ``is_star``.
    band
        The band to compare.
    """
    flux = np.asarray(sky[f"flux_{band}"], dtype=np.float64)
    pairs = cKDTree(_unit_vectors(sky)).query_pairs(np.radians(_ISOLATION_ARCSEC / 3600.0), output_type="ndarray")
    neighbours = np.bincount(pairs[:, 0], weights=flux[pairs[:, 1]], minlength=len(sky))
    neighbours += np.bincount(pairs[:, 1], weights=flux[pairs[:, 0]], minlength=len(sky))
    return sky[np.asarray(sky["is_star"], dtype=bool) & (neighbours < _NEIGHBOUR_SHARE * flux)]


def compare_frame(stars: Table, truth: Table, band: str, *, visit: int, detector: int) -> tuple[FrameAgreement, Table]:
    """Compare the calibrated stars of one frame with the true, isolated stars.

    Parameters
    ----------
    stars
        Calibrated source table, with ``psf_flux_njy``.
    truth
        What `isolated_stars` returns.
    band
        The band of the frame.
    visit, detector
        What the frame is.

    Returns
    -------
    agreement, matched
        Figures, and the bright matched stars.
    """
    snr = stars["psf_flux_njy"] / stars["psf_flux_njy_err"]
    flagged = np.zeros(len(stars), dtype=bool)
    for name in ("flag_edge", "flag_saturated", "flag_interpolated_center", "flag_bad", "flag_centroid"):
        flagged |= np.asarray(stars[name], dtype=bool)
    bright = stars[(np.asarray(snr) > _BRIGHT_SNR) & ~flagged]
    here, there, _ = match_sky(
        bright["ra"], bright["dec"], truth["ra"], truth["dec"], radius_arcsec=_MATCH_RADIUS_ARCSEC
    )
    seen, real = bright[here], truth[there]
    matched = Table(
        {
            "visit": np.full(len(seen), visit),
            "detector": np.full(len(seen), detector),
            "true_id": np.asarray(real["id"]),
            "true_mag": 31.4 - 2.5 * np.log10(np.asarray(real[f"flux_{band}"], dtype=np.float64)),
            "dra_mas": np.asarray((seen["ra"] - real["ra"]) * np.cos(np.radians(real["dec"]))) * 3.6e6,
            "ddec_mas": np.asarray(seen["dec"] - real["dec"]) * 3.6e6,
            "dmag": -2.5 * np.log10(np.asarray(seen["psf_flux_njy"]) / np.asarray(real[f"flux_{band}"])),
            "x": np.asarray(seen["x"]),
            "y": np.asarray(seen["y"]),
        }
    )
    return _agreement(matched, visit, detector), matched


def compare_survey(frames: Iterable[tuple[int, int, Table]], sky: Table, band: str) -> SurveyAgreement:
    """Compare the source tables of all frames, given as (visit, detector, table), with the true sky.

    Raises
    ------
    ValueError
        If no frame has a bright star.
    """
    truth = isolated_stars(sky, band)
    compared = [compare_frame(table, truth, band, visit=visit, detector=detector) for visit, detector, table in frames]
    compared = [(agreement, matched) for agreement, matched in compared if agreement.n_stars > 0]
    if not compared:
        raise ValueError("No frame has a bright, isolated star to compare with the truth.")
    stars = vstack([matched for _, matched in compared])
    return SurveyAgreement(
        frames=[agreement for agreement, _ in compared], repeatability_mmag=_repeatability(stars), stars=stars
    )


def _unit_vectors(sky: Table) -> np.ndarray:
    """Directions ``[n, 3]`` of the sources."""
    ra, dec = np.radians(np.asarray(sky["ra"])), np.radians(np.asarray(sky["dec"]))
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _agreement(matched: Table, visit: int, detector: int) -> FrameAgreement:
    if len(matched) == 0:
        nan = float("nan")
        figures = (nan, nan, nan, nan)
    else:
        offset = float(np.hypot(np.median(matched["dra_mas"]), np.median(matched["ddec_mas"])))
        both = np.concatenate([matched["dra_mas"], matched["ddec_mas"]])
        dmag = np.asarray(matched["dmag"])
        middle = float(np.median(dmag))
        figures = (offset, robust_rms(both), 1e3 * middle, 1e3 * robust_rms(dmag - middle))
    return FrameAgreement(
        visit=visit,
        detector=detector,
        n_stars=len(matched),
        offset_mas=figures[0],
        astrometry_mas=figures[1],
        zero_point_mmag=figures[2],
        scatter_mmag=figures[3],
    )


def _repeatability(stars: Table) -> float:
    """Median over the stars seen at least three times of the unbiased rms of their magnitudes, in mmag."""
    _, index, counts = np.unique(stars["true_id"], return_inverse=True, return_counts=True)
    mean = np.bincount(index, weights=stars["dmag"]) / counts
    square = np.bincount(index, weights=(np.asarray(stars["dmag"]) - mean[index]) ** 2)
    often = counts >= 3
    if not often.any():
        return float("nan")
    return float(1e3 * np.median(np.sqrt(square[often] / (counts[often] - 1))))
