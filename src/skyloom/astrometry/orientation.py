"""Why a frame may not fit: does it fit when it is turned or mirrored?"""

from __future__ import annotations

from dataclasses import replace

from lsst.images import Box

from .pattern import first_alignment
from .settings import AstrometrySettings
from .stars import DetectedStars, ReferenceStars
from .tangent import LocalPlane

__all__ = ["orientation_hint"]

_BEYOND_DOUBT = -8.0
"""Logarithm of the chance probability from which an alignment is taken as the truth."""


def orientation_hint(
    detected: DetectedStars,
    reference: ReferenceStars,
    *,
    plane: LocalPlane,
    box: Box,
    settings: AstrometrySettings,
) -> str | None:
    """How the frame must be turned and mirrored to fit the sky, in words; None where no such way is evident.

    A camera whose description has the wrong orientation fails on every frame; the seven other right-angled
    orientations are tried with the brightest stars alone.
    """
    for mirrored in (False, True):
        for quarter_turns in range(4):
            if not mirrored and quarter_turns == 0:
                continue
            turned = _turned(detected, quarter_turns, mirrored)
            found = first_alignment(turned, reference, plane=plane, box=box, settings=settings)
            if found.log10_chance < _BEYOND_DOUBT:
                return _words(quarter_turns, mirrored)
    return None


def _turned(detected: DetectedStars, quarter_turns: int, mirrored: bool) -> DetectedStars:
    """The stars with x reversed (if mirrored), then turned from +x to +y."""
    z = ((-detected.u if mirrored else detected.u) + 1j * detected.v) * 1j**quarter_turns
    return replace(detected, u=z.real.copy(), v=z.imag.copy())


def _words(quarter_turns: int, mirrored: bool) -> str:
    """An orientation in words."""
    turn = f"turned by {90 * quarter_turns} degrees from +x to +y" if quarter_turns else ""
    return " and ".join(part for part in ("mirrored in x" if mirrored else "", turn) if part)
