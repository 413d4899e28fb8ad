"""What a solved frame has: its projection, header, matches and figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, SkyProjection

from skyloom.images.projection import pixel_to_radec, projection_from_header

from .refine import PlaneMap
from .stars import DetectedStars, ReferenceStars
from .tan_sip import TanSip, fit_tan_sip
from .tangent import LocalPlane, box_centre, to_tangent_plane
from .verdict import Verdict

__all__ = ["AstrometricSolution", "complete_solution"]


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


def complete_solution(
    solution: PlaneMap,
    verdict: Verdict,
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    guess: SkyProjection[Any],
    box: Box,
    frame: Any,
) -> AstrometricSolution:
    """The solution of an accepted map.

    Parameters
    ----------
    solution, verdict
        The map and its figures.
    detected, reference
        The lists that it was fitted to.
    plane
        The plane of the guess, in which the detections are freed of its distortion.
    guess, box
        The first guess, and the pixels of the frame.
    frame
        Pixel frame of the projection; None: that of the guess.
    """
    tan_sip = _as_tan_sip(solution, detected, reference, guess=plane, guess_projection=guess, box=box)
    header = tan_sip.header(box)
    projection = projection_from_header(
        header, frame if frame is not None else guess.pixel_frame, x0=box.x.start, y0=box.y.start
    )
    return AstrometricSolution(projection, header, _matches(solution, tan_sip, detected, reference), verdict)


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
