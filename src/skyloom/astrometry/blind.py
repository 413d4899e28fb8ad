"""The solution of a frame whose guess is far off: up to a degree, turned by any angle, mirrored."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from astropy.table import Table
from lsst.images import Box, SkyProjection
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import AstrometryError, FrameError
from skyloom.kernels.pattern_match import Similarity, point_grid
from skyloom.kernels.triangle_match import MirroredSimilarity, Triangles, find_mirrored_similarity, triangles

from .chance import log10_chance, search_volume
from .pattern import Alignment
from .refine import PlaneMap, refine
from .settings import AstrometrySettings, BlindSettings
from .solution import AstrometricSolution, complete_solution
from .stars import DetectedStars, ReferenceStars, detected_stars, reference_stars, too_few
from .tangent import LocalPlane
from .verdict import Verdict, judge

__all__ = ["ReferenceCircle", "solve_blind"]

type Floats = NDArray[np.float64]

type ReferenceCircle = Callable[[float, float, float], Table]
"""Gives the references within a circle: (ra, dec, radius), all in degree."""

_STEPS = (
    (0.2, 1, 1.0, False), (0.2, 1, 3.0, False), (0.5, 1, 1.0, False), (0.5, 1, 3.0, False), (1.0, 1, 1.0, False),
    (1.0, 1, 3.0, False), (1.0, 2, 1.0, False), (0.2, 3, 1.0, True),
)  # fmt: skip
"""Of each search: fraction of the pointing error; detections, as a multiple of ``n_bright``; references a frame's
area, as a multiple of those; whether the detections are spread."""
_MAX_NEIGHBOURS = 30.0
"""References wanted within the longest side of a triangle: it sets how large triangles are."""
_PROMISING = -1.0
_CERTAIN = -12.0


@dataclass(frozen=True, eq=False)
class _Sky:
    """The references around a guess, brightest first."""

    stars: ReferenceStars
    x: Floats
    y: Floats
    """In the plane of the guess, pixel."""


def solve_blind(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    reference: Table | ReferenceCircle,
    guess: SkyProjection[Any],
    *,
    box: Box,
    frame: Any = None,
    settings: AstrometrySettings | None = None,
    blind: BlindSettings | None = None,
    position_err: ArrayLike | None = None,
    point_like: ArrayLike | None = None,
) -> AstrometricSolution:
    """Find where a frame lies on the sky when `solve_astrometry` finds nothing within the errors of its guess.

    The triangles of the brightest detections are hashed by the ratios of their sides; those of the references of the
    whole circle are looked up among them, and the map that brings most detections onto references is refined and
    judged as any other, with a chance probability for the larger volume that was searched.

    Parameters
    ----------
    x, y, flux, guess, box, frame, settings, position_err, point_like
        As for `solve_astrometry`; the errors of the guess in ``settings`` are not used, its limits are.
    reference
        Table of `ra`, `dec` and `flux` that covers the circle, or what loads it: called once, with the centre of the
        guess and ``blind.pointing_error_deg`` and half the frame's diagonal as radius, all in degree.
    blind
        How far the guess may be off.

    Raises
    ------
    NoReferenceError
        If too few references lie in the circle.
    AstrometryError
        If no alignment is found, or none that passes the checks of `judge`.
    """
    settings, blind = settings or AstrometrySettings(), blind or BlindSettings()
    plane = LocalPlane.of_guess(guess, box)
    detected = detected_stars(x, y, flux, position_err, guess=guess, plane=plane, box=box, point_like=point_like)
    if len(detected) < settings.min_matches:
        raise too_few(len(detected), settings)
    table = reference if isinstance(reference, Table) else reference(*_circle(plane, box, blind))
    wide = replace(
        settings,
        pointing_error_deg=blind.pointing_error_deg,
        scale_error=blind.scale_error,
        rotation_error_deg=180.0,
    )
    stars = reference_stars(table, plane=plane, box=box, settings=wide)
    sky = _Sky(stars, *plane.from_sky(stars.ra, stars.dec))
    refused: list[Verdict] = []
    for found, few in _maps(detected, sky, plane=plane, box=box, settings=wide, blind=blind):
        solution, near = _refined(found, few, detected, table, plane=plane, box=box, settings=settings)
        if solution is None or near is None:
            continue
        verdict = judge(solution, detected, near, guess=plane, box=box, settings=wide, any_parity=True)
        if not verdict.reasons:
            return complete_solution(solution, verdict, detected, near, plane=plane, guess=guess, box=box, frame=frame)
        refused.append(verdict)
    raise _refusal(refused, detected, sky, blind)


def _circle(plane: LocalPlane, box: Box, blind: BlindSettings) -> tuple[float, float, float]:
    """Centre and radius, degree, of the circle in which the frame may lie."""
    half_diagonal = 0.5 * math.hypot(box.x.size, box.y.size) * plane.scale_arcsec / 3600.0
    return plane.ra0_deg, plane.dec0_deg, blind.pointing_error_deg + 1.1 * half_diagonal


def _maps(
    detected: DetectedStars,
    sky: _Sky,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
    blind: BlindSettings,
) -> Iterator[tuple[MirroredSimilarity, DetectedStars]]:
    """Maps worth a closer look, with the detections that gave them; the cheapest search first."""
    half_diagonal = 0.5 * math.hypot(box.x.size, box.y.size)
    distance = np.hypot(sky.x, sky.y)
    seen: set[tuple[int, int, bool]] = set()
    for fraction, factor, depth, spread in _STEPS:
        shift = fraction * blind.pointing_error_deg * 3600.0 / plane.scale_arcsec
        few = detected.brightest(factor * blind.n_bright)
        inside = np.flatnonzero(distance < shift + 1.1 * half_diagonal)
        area = math.pi * (shift + 1.1 * half_diagonal) ** 2
        wanted = math.ceil(depth * len(few) * area / (box.x.size * box.y.size)) if sky.stars.ordered else len(inside)
        inside = inside[: min(wanted, blind.max_references)]
        if len(inside) < 3 or (len(few), len(inside), spread) in seen:
            continue
        seen.add((len(few), len(inside), spread))
        if spread:
            few = few.spread()
        # A catalogue that covers a part of the circle is denser there.
        area = min(area, float(np.ptp(sky.x[inside]) * np.ptp(sky.y[inside])))
        found = _search(few, sky.x[inside], sky.y[inside], area=area, shift=shift, box=box, settings=settings)
        if found is not None:
            yield found, few


def _search(
    few: DetectedStars, x: Floats, y: Floats, *, area: float, shift: float, box: Box, settings: AstrometrySettings
) -> MirroredSimilarity | None:
    """The best map of some detections onto some references; None where chance does as well."""
    tolerance = settings.match_tolerance_px
    probability = 1.0 - math.exp(-len(x) * math.pi * tolerance**2 / area)
    volume = 2.0 * search_volume(
        max_shift=shift,
        scale_error=settings.scale_error,
        rotation_error=math.pi,
        tolerance=tolerance,
        half=0.5 * max(box.x.size, box.y.size),
    )

    def chance(count: int) -> float:
        return log10_chance(count, len(few), probability, n_parameters=4, volume=volume)

    found = find_mirrored_similarity(
        few.u,
        few.v,
        _triangles(few, density=len(x) / area, box=box, tolerance=tolerance),
        point_grid(x, y, 2.0 * tolerance),
        max_shift=shift,
        scale_error=settings.scale_error,
        rotation_error=math.pi,
        mirror=True,
        tolerance=tolerance,
        enough=float(next((n for n in range(4, len(few) + 1) if chance(n) < _CERTAIN), math.inf)),
    )
    return found if chance(found.n_matched) < _PROMISING else None


def _triangles(few: DetectedStars, *, density: float, box: Box, tolerance: float) -> Triangles:
    """The triangles of the detections: as large as the density of the references allows for."""
    largest = min(math.hypot(box.x.size, box.y.size), math.sqrt(_MAX_NEIGHBOURS / (math.pi * density)))
    return triangles(few.u, few.v, min_side=0.3 * largest, max_side=largest, tolerance=tolerance / 3.0)


def _refined(
    found: MirroredSimilarity,
    few: DetectedStars,
    detected: DetectedStars,
    table: Table,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> tuple[PlaneMap | None, ReferenceStars | None]:
    """The map refined in a plane of its own, and the references there; None where it dissolves."""
    there = _plane_of(found, plane)
    close = replace(settings, pointing_error_deg=0.0, scale_error=0.02, rotation_error_deg=1.0)
    try:
        near = reference_stars(table, plane=there, box=box, settings=close)
    except FrameError:
        return None, None
    same = Similarity(complex(1.0, 0.0), complex(0.0, 0.0), found.score, found.n_matched, found.n_tried)
    start = Alignment(same, few, near.brightest(max(4 * len(few), 200)), 0.0)
    return refine(start, detected, near, plane=there, settings=settings), near


def _plane_of(found: MirroredSimilarity, plane: LocalPlane) -> LocalPlane:
    """The plane at the place that a map gives the frame centre, with its scale, orientation and parity."""
    moved = plane.moved(found.shift.real, found.shift.imag)
    factor = found.factor
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    if found.mirrored:
        turn = turn @ np.diag([1.0, -1.0])
    return replace(moved, cd=moved.cd @ turn)


def _refusal(refused: list[Verdict], detected: DetectedStars, sky: _Sky, blind: BlindSettings) -> AstrometryError:
    """The error that says what was tried and what came nearest."""
    cure = (
        "Check that the pointing is right to the degree and the scale to a few per cent, and that the reference "
        "catalogue covers the field to the depth of the frame; or give the centre with 'skyloom ingest --center'."
    )
    errors = f"{blind.pointing_error_deg:g} deg and {100 * blind.scale_error:g} % of scale"
    tried = f"any orientation within {errors} of the guess"
    if refused:
        best = min(refused, key=lambda verdict: verdict.log10_chance)
        error = AstrometryError(f"the best solution in {tried} was refused: {'; '.join(best.reasons)}.", cure=cure)
        error.metadata.update(best.figures)
        return error
    return AstrometryError(
        f"no alignment of {len(detected)} stars with {len(sky.stars)} references in {tried}.",
        cure=cure,
        n_detected=len(detected),
        n_reference=len(sky.stars),
    )
