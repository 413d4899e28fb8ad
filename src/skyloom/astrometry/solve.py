"""The astrometric solution of one frame."""

from __future__ import annotations

from typing import Any

from astropy.table import Table
from lsst.images import Box, SkyProjection
from numpy.typing import ArrayLike

from skyloom.errors import AstrometryError

from .orientation import orientation_hint
from .pattern import alignments
from .refine import PlaneMap, refine
from .settings import AstrometrySettings
from .solution import AstrometricSolution, complete_solution
from .stars import DetectedStars, ReferenceStars, detected_stars, reference_stars, too_few
from .tangent import LocalPlane
from .verdict import Verdict, judge

__all__ = ["AstrometricSolution", "solve_astrometry"]


def solve_astrometry(
    x: ArrayLike,
    y: ArrayLike,
    flux: ArrayLike,
    reference: Table,
    guess: SkyProjection[Any],
    *,
    box: Box,
    frame: Any = None,
    settings: AstrometrySettings | None = None,
    position_err: ArrayLike | None = None,
    point_like: ArrayLike | None = None,
) -> AstrometricSolution:
    """Find where a frame lies on the sky, from its stars, a catalogue and a guess.

    The brightest detections are laid upon the brightest references by trying every map that two pairs of stars alike
    suggest, within the errors of the guess; the best is refined to a TAN-SIP projection, and judged.

    Parameters
    ----------
    x, y
        Centroids of stars, pixel; shape [n].
    flux
        Their fluxes in any unit; they order the search, brightest first.
    reference
        Columns `ra`, `dec` (degree, ICRS, at the epoch of the frame) and `flux` (any unit; NaN sorts last).
    guess
        Where the frame is thought to lie; its parity is taken as true, its distortion (if any) is kept where the
        stars do not say otherwise.
    box
        The pixels of the frame.
    frame
        Pixel frame of the projection that is returned; that of the guess by default.
    settings
        See `AstrometrySettings`.
    position_err
        Errors of the centroids a coordinate, pixel; the stars are then weighted.
    point_like
        Which of them look like stars, ``bool[n]``: these are searched first, before any that look like galaxies,
        trails or knots of nebulae.

    Raises
    ------
    NoReferenceError
        If too few references lie around the frame.
    AstrometryError
        If no alignment is found, or none that passes the checks of `judge`.
    """
    settings = settings or AstrometrySettings()
    plane = LocalPlane.of_guess(guess, box)
    detected = detected_stars(x, y, flux, position_err, guess=guess, plane=plane, box=box, point_like=point_like)
    if len(detected) < settings.min_matches:
        raise too_few(len(detected), settings)
    stars = reference_stars(reference, plane=plane, box=box, settings=settings)
    solution, verdict = _first_accepted(detected, stars, plane=plane, box=box, settings=settings)
    return complete_solution(solution, verdict, detected, stars, plane=plane, guess=guess, box=box, frame=frame)


def _first_accepted(
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> tuple[PlaneMap, Verdict]:
    """The first alignment whose refined map is accepted; the error of the best refused one where there is none."""
    refused: list[Verdict] = []
    for alignment in alignments(detected, reference, plane=plane, box=box, settings=settings):
        solution = refine(alignment, detected, reference, plane=plane, settings=settings)
        if solution is None:
            continue
        verdict = judge(solution, detected, reference, guess=plane, box=box, settings=settings)
        if not verdict.reasons:
            return solution, verdict
        refused.append(verdict)
    hint = orientation_hint(detected, reference, plane=plane, box=box, settings=settings)
    raise _refusal(refused, detected, reference, hint, settings)


def _refusal(
    refused: list[Verdict],
    detected: DetectedStars,
    reference: ReferenceStars,
    hint: str | None,
    settings: AstrometrySettings,
) -> AstrometryError:
    """The error that says what was tried, what came nearest, and what may be wrong."""
    cure = (
        "Check the pointing, the scale and the orientation of the camera, and their errors; check that the reference "
        "catalogue covers the field to the depth of the frame."
    )
    if hint is not None:
        cure = f"The stars fit when the frame is {hint}: correct the orientation in the camera's description."
    if refused:
        best = min(refused, key=lambda verdict: verdict.log10_chance)
        error = AstrometryError(f"the best solution was refused: {'; '.join(best.reasons)}.", cure=cure)
        error.metadata.update(best.figures)
        return error
    return AstrometryError(
        f"no alignment of {len(detected)} stars with {len(reference)} references within "
        f"{settings.pointing_error_deg:.3f} deg, {settings.rotation_error_deg:g} deg of rotation and "
        f"{100 * settings.scale_error:g} % of scale of the guess.",
        cure=cure,
        n_detected=len(detected),
        n_reference=len(reference),
    )
