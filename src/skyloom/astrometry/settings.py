"""What the user may say about the astrometric solution."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["AstrometrySettings"]


@dataclass(frozen=True, kw_only=True)
class AstrometrySettings:
    """Settings of `solve_astrometry`: how far the guess may be off, and what a solution must show."""

    pointing_error_deg: float = 30.0 / 3600.0
    """Largest distance of the true frame centre from that of the guess, degree."""
    scale_error: float = 0.02
    """Largest relative error of the pixel scale of the guess."""
    rotation_error_deg: float = 2.0
    """Largest error of the orientation of the guess, degree; the parity of the guess is taken as true."""
    match_tolerance_px: float = 3.0
    """Matching distance before the distortion is known, pixel."""
    n_bright: int = 40
    """Number of brightest detections that the first search uses; doubled twice where that fails."""
    sip_order: int = 3
    """Highest order of the distortion polynomial; lower ones are used where the stars do not call for more."""
    matches_per_term: float = 3.0
    """Matches wanted for each term of a polynomial (3 terms at order 1, 6 at 2, 10 at 3)."""
    clip_sigma: float = 4.0
    """Matches whose residual exceeds this many robust standard deviations are not fitted."""
    min_matches: int = 6
    """Smallest number of matches fitted."""
    min_matched_fraction: float = 0.2
    """Smallest fraction matched, of the brightest detections or of the brightest references of the frame,
    whichever are fewer."""
    min_spread: float = 0.35
    """Smallest extent of the matches along their narrow direction, as a fraction of an even cover of the frame."""
    max_rms_px: float = 0.7
    """Largest residual a coordinate, pixel."""
    max_rms_arcsec: float = math.inf
    """Largest residual a coordinate, arcsec."""
    max_chance: float = 1e-6
    """Largest probability that as many matches arise by chance anywhere within the errors of the guess."""

    @property
    def search_margin_deg(self) -> float:
        """How far beyond the corners of the frame references are wanted, degree."""
        return self.pointing_error_deg + 0.01
