"""Metrics in the style of the LSST science requirements (Ivezic et al., LPM-17), from matched stars and PSF stars.

What a field or a run is too small for is said, and has no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import treecorr
from scipy.spatial import cKDTree
from scipy.stats import chi2

__all__ = [
    "METRICS",
    "Definition",
    "Matched",
    "Measured",
    "absolute_astrometry",
    "ellipticity_correlations",
    "photometric_repeatability",
    "relative_astrometry",
    "tangent_plane",
]

_WIDTH_ARCMIN = 2.0
_FEWEST_VISITS = 2
_FEWEST_STARS = 10
_FEWEST_PAIRS = 20
_MOST_STARS = 3000
_MOST_PAIRS = 20000
_CHUNK = 2000
_SMALL_ARCMIN = (0.01, 1.0)
_LARGE_ARCMIN = (5.0, 20.0)
ASTROMETRY_SNR, PHOTOMETRY_SNR = 100.0, 200.0
"""Stars at least so bright take part."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What a metric is, and the largest values that the requirements allow."""

    unit: str
    text: str
    design: float
    minimum: float
    uzy: tuple[float, float] | None = None
    """Design and minimum in u, z and y, where they differ."""

    def limits(self, band: str) -> tuple[float, float]:
        """Design and minimum in a band."""
        return self.uzy if self.uzy is not None and band in {"u", "z", "y"} else (self.design, self.minimum)


def _distances(minutes: int) -> str:
    return f"Distances of pairs of stars that are {minutes} arcmin apart (within one), at S/N 100 or more"


METRICS = {
    "AM1": Definition(
        unit="mas",
        text=_distances(5) + ": median over the pairs of the rms of a distance over the visits.",
        design=10.0,
        minimum=20.0,
    ),
    "AD1": Definition(
        unit="mas", text="90 % of the rms distances of AM1 lie within this of their median.", design=20.0, minimum=40.0
    ),
    "AF1": Definition(
        unit="%",
        text="Share of the rms distances of AM1 that lie 20 mas or more from their median.",
        design=10.0,
        minimum=20.0,
    ),
    "AM2": Definition(
        unit="mas",
        text=_distances(20) + ": median over the pairs of the rms of a distance over the visits.",
        design=10.0,
        minimum=20.0,
    ),
    "AD2": Definition(
        unit="mas", text="90 % of the rms distances of AM2 lie within this of their median.", design=20.0, minimum=40.0
    ),
    "AF2": Definition(
        unit="%",
        text="Share of the rms distances of AM2 that lie 20 mas or more from their median.",
        design=10.0,
        minimum=20.0,
    ),
    "AA1": Definition(
        unit="mas",
        text="Median error of positions a coordinate against the reference catalogue, the worse of the two "
        "coordinates. The calibration was fitted to the same catalogue.",
        design=50.0,
        minimum=100.0,
    ),
    "PA1": Definition(
        unit="mmag",
        text="Repeatability of stars of S/N 200 or more: median over the stars of the rms of their magnitudes about "
        "their mean.",
        design=5.0,
        minimum=8.0,
        uzy=(7.5, 12.0),
    ),
    "PA2": Definition(
        unit="mmag",
        text="90 % of the magnitudes of the stars of PA1 lie within this of the mean of their star.",
        design=15.0,
        minimum=15.0,
        uzy=(22.5, 22.5),
    ),
    "PF1": Definition(
        unit="%",
        text="Share of the magnitudes of the stars of PA1 that lie farther than 15 mmag (22.5 in u, z, y) from the "
        "mean of their star.",
        design=10.0,
        minimum=20.0,
    ),
    "TE1": Definition(
        unit="",
        text="Correlation, at up to 1 arcmin, of the ellipticities that the PSF leaves of stars, means over the "
        "visits: the largest of |<e1 e1>|, |<e2 e2>| and |<e1 e2>|.",
        design=2e-5,
        minimum=3e-5,
    ),
    "TE2": Definition(unit="", text="The same as TE1 at 5 to 20 arcmin.", design=1e-7, minimum=3e-7),
    "TE3": Definition(
        unit="", text="The same as TE1 in single visits, median of the visits.", design=4e-5, minimum=6e-5
    ),
    "TE4": Definition(
        unit="", text="The same as TE2 in single visits, median of the visits.", design=2e-7, minimum=5e-7
    ),
}
"""In the order of a table."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The value of a metric, NaN with a reason where there is none."""

    value: float = float("nan")
    error: float = float("nan")
    """Of one sigma, where it is known."""
    n: int = 0
    """Pairs, stars or measurements behind it."""
    why: str = ""
    """Why it is not measurable."""

    def verdict(self, definition: Definition, band: str) -> str:
        """Which requirement is met: ``design``, ``minimum`` or ``missed``; else ``undecided`` or ``not measurable``.

        Where the error is known, it has to be met by two of them.
        """
        design, minimum = definition.limits(band)
        if not np.isfinite(self.value):
            return "not measurable"
        margin = 2.0 * self.error if np.isfinite(self.error) else 0.0
        if self.value + margin <= minimum:
            return "design" if self.value + margin <= design else "minimum"
        return "missed" if self.value - margin > minimum else "undecided"


@dataclass(frozen=True, kw_only=True, eq=False)
class Matched:
    """Measurements of stars in several visits; arrays of one entry a measurement but for the first two."""

    ra: np.ndarray
    """Of the stars, degrees, ``[n stars]``."""
    dec: np.ndarray
    star: np.ndarray
    """Index of its star."""
    visit: np.ndarray
    east: np.ndarray
    """Offset to the east from any place that its star has, mas; NaN where not measured."""
    north: np.ndarray
    magnitude: np.ndarray
    """Offset from any magnitude that its star has, mmag; NaN where not measured."""
    snr: np.ndarray

    @cached_property
    def median_snr(self) -> np.ndarray:
        """Median of the signal-to-noise ratios of each star; 0 without any."""
        order = np.lexsort((self.snr, self.star))
        n = np.bincount(self.star, minlength=len(self.ra))
        first = np.cumsum(n) - n
        values = np.zeros(len(self.ra))
        known = n > 0
        values[known] = self.snr[order][(first + n // 2)[known]]
        return values


def tangent_plane(ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Positions in degrees on the plane (east, north) that touches the sky at their mean, arcmin, ``[n, 2]``."""
    a, d = np.radians(ra), np.radians(dec)
    vectors = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=-1)
    middle = vectors.mean(axis=0)
    middle /= np.linalg.norm(middle)
    east = np.array([-middle[1], middle[0], 0.0]) / np.hypot(middle[0], middle[1])
    axes = np.stack([east, np.cross(middle, east)], axis=-1)
    return np.asarray(np.degrees(vectors @ axes / (vectors @ middle)[:, np.newaxis]) * 60.0)


def relative_astrometry(matched: Matched, separation_arcmin: float) -> dict[str, Measured]:
    """AM, AD and AF (without their numbers) of pairs of stars about one separation.

    The distance of a pair in a visit is the component along the pair.  An rms of n visits has n - 1 degrees of freedom,
    and is divided by what the median of such figures is to the true one, so that few visits do not flatter.  Pairs
    in one visit alone do not count; of many pairs a sample does.
    """
    rms = _pair_rms(matched, separation_arcmin)
    if isinstance(rms, str):
        return {name: Measured(why=rms) for name in ("AM", "AD", "AF")}
    middle = float(np.median(rms))
    away = np.abs(rms - middle)
    share, limit = METRICS["AF1"].design, METRICS["AD1"].design
    return {
        "AM": Measured(value=middle, n=rms.size),
        "AD": Measured(value=float(np.percentile(away, 100.0 - share)), n=rms.size),
        "AF": Measured(value=100.0 * float(np.mean(away >= limit)), n=rms.size),
    }


def photometric_repeatability(matched: Matched, band: str) -> dict[str, Measured]:
    """PA1, PA2 and PF1 of bright stars that were measured in two visits or more.

    The rms of a star is that of `relative_astrometry`, of magnitudes.
    """
    chosen = np.isfinite(matched.magnitude) & (matched.median_snr[matched.star] >= PHOTOMETRY_SNR)
    star, magnitude = matched.star[chosen], matched.magnitude[chosen]
    n = np.bincount(star, minlength=len(matched.ra))
    repeated = n >= _FEWEST_VISITS
    if repeated.sum() < _FEWEST_STARS:
        why = _too_few("stars", int(repeated.sum()), _FEWEST_STARS, f"of S/N {PHOTOMETRY_SNR:.0f} in two visits")
        return {name: Measured(why=why) for name in ("PA1", "PA2", "PF1")}
    keep = repeated[star]
    star, magnitude = star[keep], magnitude[keep]
    mean = np.bincount(star, magnitude, len(n)) / np.maximum(n, 1)
    away = magnitude - mean[star]
    squares = np.bincount(star, away**2, len(n))[repeated]
    rms = np.sqrt(squares / (n[repeated] - 1)) / _median_rms(n[repeated])
    share, (limit, _) = METRICS["PF1"].design, METRICS["PA2"].limits(band)
    return {
        "PA1": Measured(value=float(np.median(rms)), n=rms.size),
        "PA2": Measured(value=float(np.percentile(np.abs(away), 100.0 - share)), n=away.size),
        "PF1": Measured(value=100.0 * float(np.mean(np.abs(away) > limit)), n=away.size),
    }


def absolute_astrometry(east: np.ndarray, north: np.ndarray) -> Measured:
    """AA1 of the offsets of stars from a reference catalogue, mas, one entry a star."""
    known = np.isfinite(east) & np.isfinite(north)
    n = int(known.sum())
    if n < _FEWEST_STARS:
        return Measured(why=_too_few("stars", n, _FEWEST_STARS, "with a reference"))
    return Measured(value=float(max(np.median(np.abs(part[known])) for part in (east, north))), n=n)


def ellipticity_correlations(
    place: np.ndarray, e1: np.ndarray, e2: np.ndarray, group: np.ndarray, *, large: bool
) -> Measured:
    """Correlation of the ellipticities that the PSF leaves of stars, the median of groups of stars.

    Parameters
    ----------
    place
        Of the stars on a plane, arcmin, ``[n, 2]``.
    e1, e2
        Ellipticity less that of the PSF, (Ixx - Iyy, 2 Ixy) / (Ixx + Iyy), on axes that all stars share.
    group
        Number of the group of each star, such as its visit; pairs are made within groups.
    large
        At 5 to 20 arcmin instead of up to 1.
    """
    found = [_correlation(place[group == one], e1[group == one], e2[group == one], large) for one in np.unique(group)]
    values = np.array([one for one in found if one is not None]).reshape(-1, 3)
    if not len(values):
        lower, upper = _LARGE_ARCMIN if large else (0.0, _SMALL_ARCMIN[1])
        return Measured(why=f"fewer than {_FEWEST_PAIRS} pairs of stars {lower:g} to {upper:g} arcmin apart")
    n = len(values)
    error = float(np.sqrt(np.sum(values[:, 1] ** 2)) / n) * (1.0 if n == 1 else np.sqrt(np.pi / 2.0))
    return Measured(value=float(np.median(values[:, 0])), error=error, n=int(values[:, 2].sum()))


def _correlation(place: np.ndarray, e1: np.ndarray, e2: np.ndarray, large: bool) -> tuple[float, float, int] | None:
    """The largest of the three correlations, its error by the scatter of the stars, and the number of pairs."""
    if len(place) < 2:
        return None
    nearest, farthest = _LARGE_ARCMIN if large else _SMALL_ARCMIN
    x, y = place.T
    first, second = (treecorr.Catalog(x=x, y=y, k=part) for part in (e1, e2))
    best: tuple[float, float, int] | None = None
    for one, other in ((first, None), (second, None), (first, second)):
        pairs = treecorr.KKCorrelation(min_sep=nearest, max_sep=farthest, nbins=1, bin_slop=0.0)
        pairs.process(one, other, num_threads=1)
        # Pairs of two catalogues are counted both ways.
        n = round(float(pairs.npairs[0])) // (1 if other is None else 2)
        if n < _FEWEST_PAIRS:
            return None
        error = float(np.sqrt(np.mean(one.k**2) * np.mean((one if other is None else other).k ** 2) / n))
        value = abs(float(pairs.xi[0]))
        if best is None or value > best[0]:
            best = (value, error, n)
    return best


def _pair_rms(matched: Matched, separation_arcmin: float) -> np.ndarray | str:
    """Rms of the distances of pairs over the visits, mas; the reason where there are too few."""
    rng = np.random.default_rng(round(60.0 * separation_arcmin))
    bright = np.flatnonzero(matched.median_snr >= ASTROMETRY_SNR)
    measured = np.isfinite(matched.east) & np.isfinite(matched.north)
    n = np.bincount(matched.star[measured], minlength=len(matched.ra))
    chosen = bright[n[bright] >= _FEWEST_VISITS]
    if chosen.size < 2:
        return _too_few("stars", int(chosen.size), _FEWEST_STARS, f"of S/N {ASTROMETRY_SNR:.0f} in two visits")
    if chosen.size > _MOST_STARS:
        chosen = np.sort(rng.choice(chosen, _MOST_STARS, replace=False))
    plane = tangent_plane(matched.ra[chosen], matched.dec[chosen])
    pairs = cKDTree(plane).query_pairs(separation_arcmin + 0.5 * _WIDTH_ARCMIN, output_type="ndarray")
    along = plane[pairs[:, 1]] - plane[pairs[:, 0]]
    length = np.hypot(*along.T)
    near = np.abs(length - separation_arcmin) <= 0.5 * _WIDTH_ARCMIN
    pairs, along = pairs[near], along[near] / length[near, np.newaxis]
    if len(pairs) > _MOST_PAIRS:
        some = np.sort(rng.choice(len(pairs), _MOST_PAIRS, replace=False))
        pairs, along = pairs[some], along[some]
    rms = _rms_of(_by_star_and_visit(matched, chosen, measured), pairs, along)
    if rms.size < _FEWEST_PAIRS:
        where = f"{separation_arcmin:g} arcmin apart, in two visits"
        return _too_few("pairs of stars", int(rms.size), _FEWEST_PAIRS, where)
    return rms


def _by_star_and_visit(matched: Matched, chosen: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Offsets ``[star, visit, 2]``, mas, NaN where there is none."""
    row = np.full(len(matched.ra), -1)
    row[chosen] = np.arange(chosen.size)
    keep = measured & (row[matched.star] >= 0)
    visits, column = np.unique(matched.visit[keep], return_inverse=True)
    table = np.full((chosen.size, visits.size, 2), np.nan)
    table[row[matched.star[keep]], column] = np.stack([matched.east[keep], matched.north[keep]], axis=-1)
    return table


def _rms_of(offsets: np.ndarray, pairs: np.ndarray, along: np.ndarray) -> np.ndarray:
    found = []
    for start in range(0, len(pairs), _CHUNK):
        part = pairs[start : start + _CHUNK]
        distance = np.einsum("pvk,pk->pv", offsets[part[:, 1]] - offsets[part[:, 0]], along[start : start + _CHUNK])
        n = np.isfinite(distance).sum(axis=1)
        distance, n = distance[n >= _FEWEST_VISITS], n[n >= _FEWEST_VISITS]
        squares = np.nansum((distance - np.nanmean(distance, axis=1, keepdims=True)) ** 2, axis=1)
        found.append(np.sqrt(squares / (n - 1)) / _median_rms(n))
    return np.concatenate(found) if found else np.zeros(0)


def _median_rms(n: np.ndarray) -> np.ndarray:
    """Median, over the true scatter, of the rms of n Gaussian values with n - 1 degrees of freedom."""
    return np.asarray(np.sqrt(chi2.median(n - 1) / (n - 1)))


def _too_few(what: str, n: int, needed: int, where: str) -> str:
    return f"{n or 'no'} {what} {where}; {needed} are needed"
