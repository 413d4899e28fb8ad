"""The astrometric solution of one frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, SkyProjection
from numpy.typing import ArrayLike

from skyloom.errors import AstrometryError
from skyloom.images.projection import pixel_to_radec, projection_from_header

from .orientation import orientation_hint
from .pattern import alignments
from .refine import PlaneMap, refine
from .settings import AstrometrySettings
from .stars import DetectedStars, ReferenceStars, detected_stars, reference_stars, too_few
from .tan_sip import TanSip, fit_tan_sip
from .tangent import LocalPlane, box_centre, to_tangent_plane
from .verdict import Verdict, judge

__all__ = ["AstrometricSolution", "solve_astrometry"]


@dataclass(frozen=True, eq=False)
class AstrometricSolution:
    """A solution that has passed its checks."""

    projection: SkyProjection[Any]
    """Pixels to ICRS; invertible; agrees with `header`."""
    header: Header
    """TAN or TAN-SIP cards for the array of the box that was given."""
    matches: Table
    """One row a match: `detection` and `reference` (rows of what was given), x, y, ra, dec of the reference, residuals
    `x_residual`, `y_residual` (px, detection minus reference) and `separation` (arcsec), `fitted`."""
    verdict: Verdict
    """All figures of the solution."""

    @property
    def rms_arcsec(self) -> float:
        """Residual a coordinate of the fitted matches, arcsec, for the degrees of freedom left."""
        return self.verdict.rms_arcsec

    @property
    def rms_px(self) -> float:
        """The same in pixel."""
        return self.verdict.rms_px

    @property
    def n_matches(self) -> int:
        """Matches fitted."""
        return self.verdict.n_matches

    @property
    def log10_chance(self) -> float:
        """Logarithm of the probability that chance does as well."""
        return self.verdict.log10_chance

    @property
    def metadata(self) -> dict[str, float | int]:
        """The figures by name, with their units in the names."""
        return {f"astrometry_{name}": value for name, value in self.verdict.figures.items()}


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

    Raises
    ------
    NoReferenceError
        If too few references lie around the frame.
    AstrometryError
        If no alignment is found, or none that passes the checks of `judge`.
    """
    settings = settings or AstrometrySettings()
    plane = LocalPlane.of_guess(guess, box)
    detected = detected_stars(x, y, flux, position_err, guess=guess, plane=plane, box=box)
    if len(detected) < settings.min_matches:
        raise too_few(len(detected), settings)
    stars = reference_stars(reference, plane=plane, box=box, settings=settings)
    solution, verdict = _first_accepted(detected, stars, plane=plane, box=box, settings=settings)
    tan_sip = _as_tan_sip(solution, detected, stars, guess=plane, guess_projection=guess, box=box)
    header = tan_sip.header(box)
    projection = projection_from_header(
        header, frame if frame is not None else guess.pixel_frame, x0=box.x.start, y0=box.y.start
    )
    return AstrometricSolution(projection, header, _matches(solution, tan_sip, detected, stars), verdict)


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


def _as_tan_sip(
    solution: PlaneMap,
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    guess: LocalPlane,
    guess_projection: SkyProjection[Any],
    box: Box,
) -> TanSip:
    """The map as a TAN-SIP projection about the centre of the frame.

    Where the guess was a plain TAN the fit goes through the matches themselves; otherwise through a grid of positions
    of the composed map, at the lowest order that follows it to 1e-3 pixel (9 at most).
    """
    here, there = solution.detected[solution.fitted], solution.reference[solution.fitted]
    if detected.straight:
        return fit_tan_sip(
            detected.x[here],
            detected.y[here],
            reference.ra[there],
            reference.dec[there],
            order=solution.order,
            box=box,
            root_weight=np.sqrt(detected.weight[here]),
        )
    from_guess = _grid(guess_projection, guess, box)
    ra, dec = solution.plane.to_sky(*solution.apply(*from_guess[2:]))
    for order in range(max(solution.order, 2), 10):
        tan_sip = fit_tan_sip(*from_guess[:2], ra, dec, order=order, box=box)
        x, y = to_tangent_plane(*tan_sip.to_sky(*from_guess[:2]), *tan_sip.crval)
        x_goal, y_goal = to_tangent_plane(ra, dec, *tan_sip.crval)
        if np.hypot(x - x_goal, y - y_goal).max() * 3600.0 < 1e-3 * solution.plane.scale_arcsec:
            break
    return tan_sip


def _grid(projection: SkyProjection[Any], plane: LocalPlane, box: Box) -> tuple[Any, Any, Any, Any]:
    """Pixel positions x, y over a box, and their (u, v) by the guess."""
    x0, y0 = box_centre(box)
    offset = np.linspace(-0.5, 0.5, 25)
    v, w = (a.ravel() for a in np.meshgrid(offset * box.y.size, offset * box.x.size, indexing="ij"))
    x, y = x0 + w, y0 + v
    return x, y, *plane.from_sky(*pixel_to_radec(projection, x, y))


def _matches(solution: PlaneMap, tan_sip: TanSip, detected: DetectedStars, reference: ReferenceStars) -> Table:
    """The table of matches; residuals come from the projection that is handed out."""
    here, there = solution.detected, solution.reference
    x, y, ra, dec = detected.x[here], detected.y[here], reference.ra[there], reference.dec[there]
    xi, eta = to_tangent_plane(*tan_sip.to_sky(x, y), *tan_sip.crval)
    xi_ref, eta_ref = to_tangent_plane(ra, dec, *tan_sip.crval)
    offset = np.stack([xi - xi_ref, eta - eta_ref])
    residual = np.linalg.inv(tan_sip.cd) @ offset
    table = Table()
    table["detection"], table["reference"] = detected.row[here], reference.row[there]
    table["x"], table["y"] = x * u.pix, y * u.pix
    table["ra"], table["dec"] = ra * u.deg, dec * u.deg
    table["x_residual"], table["y_residual"] = residual[0] * u.pix, residual[1] * u.pix
    table["separation"] = np.hypot(*offset) * 3600.0 * u.arcsec
    table["fitted"] = solution.fitted
    return table
