"""What the user may say about the astrometric solution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["AstrometrySettings", "BlindSettings"]


@dataclass(frozen=True, kw_only=True)
class AstrometrySettings:
    """Settings of `solve_astrometry`: how far the guess may be off, and what a solution must show."""

    pointing_error_deg: float = 30.0 / 3600.0
    """Largest distance of the true frame centre from that of the guess, degree."""
    scale_error: float = 0.02
    """Largest relative error of the pixel scale of the guess."""
    rotation_error_deg: float = 2.0
    """Largest error of the orientation of the guess, degree; the parity of the guess is taken as true."""
    matcher: Literal["pairs", "pessimistic", "optimistic"] = "pairs"
    """How the first alignment is found: from pairs of stars, from pinwheels that must agree, or from triangles."""
    fit: Literal["tan_sip", "affine"] = "tan_sip"
    """Whether terms of distortion are fitted, or the camera's own distortion (that of the guess) is kept and only an
    affine map is."""
    match_tolerance_px: float = 3.0
    """Matching distance before the distortion is known, pixel."""
    n_bright: int = 40
    """Number of brightest detections that the first search uses; doubled twice where that fails."""
    max_references: int = 20000
    """Most references that are searched, the brightest."""
    brightest_reference_mag: float = -math.inf
    """AB magnitude of the brightest references used, for fluxes in nJy; with a limit those without a flux are out."""
    faintest_reference_mag: float = math.inf
    """AB magnitude of the faintest references used, likewise."""
    sip_order: int = 3
    """Highest order of the distortion polynomial; lower ones are used where the stars do not call for more."""
    matches_per_term: float = 3.0
    """Matches wanted for each term of a polynomial (3 terms at order 1, 6 at 2, 10 at 3)."""
    max_extrapolation: float = 3.0
    """Terms of distortion are fitted only where the error that those of the matches leave at the corners of the frame
    is at most so many times that of one match."""
    clip_sigma: float = 4.0
    """Matches whose residual exceeds this many robust standard deviations are not fitted."""
    min_matches: int = 6
    """Smallest number of matches fitted."""
    min_matched_fraction: float = 0.2
    """Smallest fraction matched, of the brightest detections or of the brightest references of the frame,
    whichever are fewer."""
    min_spread: float = 0.35
    """Smallest extent of the matches along their narrow direction, as a fraction of an even cover of the frame; n
    matches, which may cover it evenly and yet stand unevenly, are granted sqrt(1 - 4 / n) of it."""
    max_rms_px: float = 0.7
    """Largest residual a coordinate, pixel."""
    max_rms_arcsec: float = math.inf
    """Largest residual a coordinate, arcsec."""
    max_mean_offset_arcsec: float = math.inf
    """Largest clipped mean of the distances of the matches, arcsec; 0.5 suits pixels of a few tenths of an arcsec."""
    max_chance: float = 1e-5
    """Largest probability that as many matches arise by chance anywhere within the errors of the guess."""

    def __post_init__(self) -> None:
        for name, known in (("matcher", ("pairs", "pessimistic", "optimistic")), ("fit", ("tan_sip", "affine"))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; there are {', '.join(known)}.")

    @property
    def max_order(self) -> int:
        """Highest order of the polynomial that is fitted."""
        return 1 if self.fit == "affine" else self.sip_order

    @property
    def search_margin_deg(self) -> float:
        """How far beyond the corners of the frame references are wanted, degree."""
        return self.pointing_error_deg + 0.01


@dataclass(frozen=True, kw_only=True)
class BlindSettings:
    """Settings of `solve_blind`: how far the guess may be off when nothing lies within its stated errors.

    The frame may be turned by any angle, and mirrored.
    """

    pointing_error_deg: float = 1.0
    """Largest distance of the true frame centre from that of the guess, degree."""
    scale_error: float = 0.05
    """Largest relative error of the pixel scale of the guess."""
    n_bright: int = 30
    """Number of brightest detections whose triangles are looked for; doubled once where that fails."""
    max_references: int = 40000
    """Most references that are searched, the brightest."""
