"""Is a solution true?  What it must show, and what it is refused for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from astropy.stats import sigma_clip
from lsst.images import Box
from numpy.typing import NDArray

from .chance import log10_chance, log10_flux_chance, log10_product, search_volume
from .polynomial import n_terms
from .refine import PlaneMap
from .settings import AstrometrySettings
from .stars import DetectedStars, ReferenceStars
from .tangent import LocalPlane

__all__ = ["Verdict", "judge"]

type Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """The figures of a solution, and the reasons to refuse it (none: it is accepted)."""

    n_matches: int
    """Matches fitted."""
    n_detected: int
    n_reference: int
    """References that fall on the frame."""
    matched_fraction: float
    log10_chance: float
    """Logarithm of the probability that chance does as well anywhere within the errors of the guess."""
    rms_px: float
    rms_arcsec: float
    """Residual a coordinate, for the degrees of freedom left."""
    spread: float
    """Extent of the matches along their narrow direction; 1 for an even cover of the frame."""
    shift_arcsec: float
    scale_factor: float
    rotation_deg: float
    """What the solution changes in the guess."""
    stretch: float
    """Largest relative departure of the linear part from a rotation and a scale."""
    mirrored: bool
    """Whether the parity is not that of the guess."""
    offset_mean_arcsec: float
    offset_std_arcsec: float
    offset_median_arcsec: float
    """Distances of the matches: clipped mean and standard deviation (3 sigma, 3 times), and median of those fitted."""
    order: int
    reasons: tuple[str, ...] = ()

    @property
    def figures(self) -> dict[str, float | int]:
        """The figures by name, with their units in the names."""
        return {name: value for name, value in vars(self).items() if name != "reasons"}


def judge(
    solution: PlaneMap,
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    guess: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
    any_parity: bool = False,
) -> Verdict:
    """Measure a solution, and compare it with what the settings ask for.

    ``any_parity`` says that mirrored maps were searched too, and lets them pass.
    """
    x_ref, y_ref = solution.plane.from_sky(reference.ra, reference.dec)
    on_frame = _on_frame(solution, x_ref, y_ref, box)
    here, there = solution.detected[solution.fitted], solution.reference[solution.fitted]
    x, y = solution.apply(detected.u[here], detected.v[here])
    square = float(np.sum((x - x_ref[there]) ** 2 + (y - y_ref[there]) ** 2))
    freedom = max(2 * len(here) - 2 * n_terms(solution.order), 1)
    rms_px = math.sqrt(square / freedom)
    n_reference = int(on_frame.sum())
    change, mirrored = _change(solution, guess)
    turned = _as_complex(change)
    mean, deviation, median = _offsets(solution, detected, x_ref, y_ref)
    chance = _chance(solution, on_frame, detected, reference, guess=guess, box=box, settings=settings)
    if any_parity:
        chance = min(0.0, chance + math.log10(2.0))
    verdict = Verdict(
        n_matches=len(here),
        n_detected=len(detected),
        n_reference=n_reference,
        matched_fraction=len(here) / max(min(len(detected), n_reference), 1),
        log10_chance=chance,
        rms_px=rms_px,
        rms_arcsec=rms_px * solution.plane.scale_arcsec,
        spread=_spread(detected.u[here] / box.x.size, detected.v[here] / box.y.size),
        shift_arcsec=float(np.hypot(*guess.from_sky(*_centre(solution)))) * guess.scale_arcsec,
        scale_factor=abs(turned),
        rotation_deg=math.degrees(math.atan2(turned.imag, turned.real)),
        stretch=_stretch(change, turned),
        mirrored=mirrored,
        offset_mean_arcsec=mean,
        offset_std_arcsec=deviation,
        offset_median_arcsec=median,
        order=solution.order,
    )
    reasons = _reasons(verdict, solution, box, settings)
    if mirrored and not any_parity:
        reasons.append("mirrored")
    return replace(verdict, reasons=tuple(reasons))


def _change(solution: PlaneMap, guess: LocalPlane) -> tuple[Floats, bool]:
    """What the solution does to the linear part of the guess, after a mirroring in y; and whether there is one."""
    there = guess.moved(*(float(value) for value in guess.from_sky(*_centre(solution))))
    change = np.linalg.inv(there.cd) @ solution.plane.cd @ solution.linear
    mirrored = bool(np.linalg.det(change) < 0.0)
    return (change @ np.diag([1.0, -1.0]) if mirrored else change), mirrored


def _offsets(solution: PlaneMap, detected: DetectedStars, x_ref: Floats, y_ref: Floats) -> tuple[float, float, float]:
    """Clipped mean and standard deviation of the distances of all matches, and median of those fitted, arcsec."""
    x, y = solution.apply(detected.u[solution.detected], detected.v[solution.detected])
    distance = np.hypot(x - x_ref[solution.reference], y - y_ref[solution.reference]) * solution.plane.scale_arcsec
    kept = sigma_clip(distance, sigma=3.0, maxiters=3, masked=False)
    return float(np.mean(kept)), float(np.std(kept)), float(np.median(distance[solution.fitted]))


def _centre(solution: PlaneMap) -> tuple[Floats, Floats]:
    """Where on the sky the frame centre lies, degree."""
    return solution.plane.to_sky(*solution.coefficients[0])


def _as_complex(linear: Floats) -> complex:
    """The rotation and scale nearest to a linear map, as a complex factor."""
    return complex(0.5 * (linear[0, 0] + linear[1, 1]), 0.5 * (linear[1, 0] - linear[0, 1]))


def _stretch(linear: Floats, turned: complex) -> float:
    """Relative size of what a rotation and a scale leave of a linear map."""
    rest = linear - np.array([[turned.real, -turned.imag], [turned.imag, turned.real]])
    return float(np.linalg.norm(rest, 2)) / abs(turned)


def _spread(u: Floats, v: Floats) -> float:
    """Smallest standard deviation over directions, in that of an even cover of the unit square."""
    smallest = np.linalg.eigvalsh(np.cov(np.stack([u, v])))[0]
    return math.sqrt(max(12.0 * float(smallest), 0.0))


def _on_frame(solution: PlaneMap, x: Floats, y: Floats, box: Box) -> NDArray[np.bool_]:
    """Which positions of the plane fall on the frame, by the linear part of the map."""
    offset = np.stack([x, y]) - solution.coefficients[0][:, None]
    u, v = np.linalg.inv(solution.linear) @ offset
    inside: NDArray[np.bool_] = (np.abs(u) <= 0.5 * box.x.size) & (np.abs(v) <= 0.5 * box.y.size)
    return inside


def _chance(
    solution: PlaneMap,
    on_frame: NDArray[np.bool_],
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    guess: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> float:
    """The smallest chance probability over subsets of bright stars, times the number of subsets looked at.

    Each is the smaller of that of the places alone and that of places and fluxes, which counts for two looks.
    """
    volume = search_volume(
        max_shift=settings.pointing_error_deg * 3600.0 / guess.scale_arcsec,
        scale_error=settings.scale_error,
        rotation_error=math.radians(settings.rotation_error_deg),
        tolerance=solution.tolerance,
        half=0.5 * max(box.x.size, box.y.size),
    )
    rank = np.cumsum(on_frame)
    disc = math.pi * solution.tolerance**2 / (box.x.size * box.y.size)
    steps = [n for n in (10, 20, 40, 80, 160, 320, 640) if n < len(detected)] + [len(detected)]
    n_reference = int(rank[-1])
    subsets = {(n, min(depth * n, n_reference)) for n in steps for depth in (1, 3, n_reference)}
    lowest = 0.0
    for n, limit in sorted(subsets):
        bright = (solution.detected < n) & (rank[solution.reference] <= limit)
        probability = 1.0 - math.exp(-limit * disc)
        chance = log10_chance(
            int(bright.sum()), n, probability, n_parameters=2 * n_terms(solution.order), volume=volume
        )
        if chance < 0.0:
            fluxes = detected.flux[solution.detected[bright]], reference.flux[solution.reference[bright]]
            chance = min(chance, log10_product(chance, log10_flux_chance(*fluxes)))
        lowest = min(lowest, chance)
    return min(0.0, lowest + math.log10(2 * len(subsets)))


def _reasons(verdict: Verdict, solution: PlaneMap, box: Box, settings: AstrometrySettings) -> list[str]:
    """Why a solution is refused, each reason with its figure and the limit."""
    pointing = settings.pointing_error_deg * 3600.0 + 2.0 * settings.match_tolerance_px * solution.plane.scale_arcsec
    slack = 2.0 * settings.match_tolerance_px / max(box.x.size, box.y.size)
    min_spread = settings.min_spread * math.sqrt(max(1.0 - 4.0 / max(verdict.n_matches, 1), 0.0))
    limits = [
        (verdict.n_matches < settings.min_matches, f"{verdict.n_matches} matches < {settings.min_matches}"),
        (
            verdict.matched_fraction < settings.min_matched_fraction,
            f"matched fraction {verdict.matched_fraction:.2f} < {settings.min_matched_fraction}",
        ),
        (
            verdict.log10_chance > math.log10(settings.max_chance),
            f"chance probability 1e{verdict.log10_chance:.1f} > {settings.max_chance:.0e}",
        ),
        (verdict.rms_px > settings.max_rms_px, f"rms {verdict.rms_px:.2f} px > {settings.max_rms_px} px"),
        (
            verdict.rms_arcsec > settings.max_rms_arcsec,
            f"rms {verdict.rms_arcsec:.3f} arcsec > {settings.max_rms_arcsec} arcsec",
        ),
        (
            verdict.offset_mean_arcsec > settings.max_mean_offset_arcsec,
            f"mean distance {verdict.offset_mean_arcsec:.3f} arcsec > {settings.max_mean_offset_arcsec} arcsec",
        ),
        (verdict.spread < min_spread, f"spread of matches {verdict.spread:.2f} < {min_spread:.2f}"),
        (verdict.shift_arcsec > pointing, f"shift {verdict.shift_arcsec:.0f} arcsec > {pointing:.0f} arcsec"),
        (
            abs(verdict.scale_factor - 1.0) > settings.scale_error + slack,
            f"scale factor {verdict.scale_factor:.4f} off by more than {settings.scale_error}",
        ),
        (
            abs(verdict.rotation_deg) > settings.rotation_error_deg + math.degrees(slack),
            f"rotation {verdict.rotation_deg:+.2f} deg beyond {settings.rotation_error_deg} deg",
        ),
        (verdict.stretch > 0.5 * settings.scale_error + slack, f"stretch {verdict.stretch:.4f}"),
        (not _is_smooth(solution, box), "the distortion folds or shears the frame by more than 10 %"),
    ]
    return [text for refused, text in limits if refused]


def _is_smooth(solution: PlaneMap, box: Box) -> bool:
    """Whether the map stays within 10 % of its linear part all over the frame."""
    offset = np.linspace(-0.5, 0.5, 7)
    v, u = (a.ravel() for a in np.meshgrid(offset * box.y.size, offset * box.x.size, indexing="ij"))
    here = np.stack(solution.apply(u, v))
    along_x, along_y = np.stack(solution.apply(u + 1.0, v)) - here, np.stack(solution.apply(u, v + 1.0)) - here
    inverse = np.linalg.inv(solution.linear)
    jacobian = np.stack([inverse @ along_x, inverse @ along_y], axis=1)
    return bool(np.abs(jacobian - np.eye(2)[:, :, None]).max() < 0.1)
