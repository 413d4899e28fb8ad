"""`make_input_map`: which inputs a coadd has at each place of the sky, as a HealSparse map."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.errors import PsfError, SkyloomError
from skyloom.images import bitmask, corner_polygon, pixel_to_radec, radec_to_pixel
from skyloom.psf import CoaddPsf

from .alternate_masks import AlternateMasks
from .assemble import strips
from .combine import read_planes
from .inputs import CoaddInput
from .settings import CoaddSettings

__all__ = ["InputMapSettings", "make_input_map"]


@dataclass(frozen=True, kw_only=True)
class InputMapSettings:
    """How fine the map is."""

    nside: int = 32768
    """Of its pixels, which are then 6.4 arcsec wide; a power of two."""
    nside_coverage: int = 256
    """Of the blocks in which it is stored."""
    bad_fraction: float = 0.5
    """An input of which more than this part of a pixel is left out by its mask is not there."""


def make_input_map(
    inputs: Sequence[CoaddInput],
    psf: CoaddPsf | None,
    box: Box,
    settings: CoaddSettings,
    map_settings: InputMapSettings | None = None,
    alternate_masks: AlternateMasks | None = None,
) -> Any:
    """A map with one bit an input, a detector of a visit.

    Parameters
    ----------
    inputs
        Weighted warps; they are read once more.
    psf
        The PSF of the coadd, which knows the places of the detectors.
    box
        Pixels of the coadd.
    settings
        How the warps were combined.
    map_settings
        How fine the map is.
    alternate_masks
        What else is masked in single warps.

    Returns
    -------
    healsparse.HealSparseMap
        A wide mask: bit b is the b-th of the PSF's components; the metadata name its visit ``B0000VIS``, detector
        ``B0000CCD`` and weight ``B0000WT``.

    Raises
    ------
    SkyloomError
        If healsparse is not installed.
    PsfError
        If there is no PSF.
    """
    healsparse, hpgeom = _packages()
    if psf is None:
        raise PsfError("Without a PSF the places of the inputs are not known.", cure="Give warps with PSFs.")
    chosen = map_settings or InputMapSettings()
    places = _Places(hpgeom, chosen.nside, psf.projection, box)
    parts = psf.components
    found = healsparse.HealSparseMap.make_empty(
        chosen.nside_coverage, chosen.nside, healsparse.WIDE_MASK, wide_mask_maxbits=len(parts)
    )
    lost = {part.visit: places.bad_fraction(part, settings, alternate_masks) > chosen.bad_fraction for part in inputs}
    number = {id(part): bit for bit, part in enumerate(parts)}
    for part, at, *_ in psf.contributions(places.x, places.y):
        held = at[~lost[part.visit][at]] if part.visit in lost else at
        if held.size:
            found.set_bits_pix(places.pixels[held], [number[id(part)]])
    metadata: dict[str, Any] = {}
    for bit, part in enumerate(parts):
        metadata |= {f"B{bit:04d}VIS": part.visit, f"B{bit:04d}CCD": part.detector, f"B{bit:04d}WT": part.weight}
    found.metadata = metadata
    return found


class _Places:
    """The pixels of the map whose centres lie on a box of a tract."""

    def __init__(self, hpgeom: ModuleType, nside: int, projection: SkyProjection[Any], box: Box) -> None:
        self._hpgeom, self._nside, self._projection, self._box = hpgeom, nside, projection, box
        ra, dec = corner_polygon(projection, box)
        pixels = np.sort(hpgeom.query_polygon(nside, ra, dec, inclusive=True))
        x, y = radec_to_pixel(projection, *hpgeom.pixel_to_angle(nside, pixels))
        here = (np.abs(x - 0.5 * (box.x.min + box.x.max)) <= 0.5 * box.x.size) & (
            np.abs(y - 0.5 * (box.y.min + box.y.max)) <= 0.5 * box.y.size
        )
        self.pixels, self.x, self.y = pixels[here], x[here], y[here]

    def bad_fraction(self, part: CoaddInput, settings: CoaddSettings, masks: AlternateMasks | None) -> np.ndarray:
        """Of each pixel of the map, which part of its coadd pixels an input's mask leaves out."""
        bad = bitmask(*settings.bad_planes)
        total, lost = np.zeros(len(self.pixels)), np.zeros(len(self.pixels))
        for strip in strips(self._box, 1, settings):
            image, variance = np.empty(strip.shape, np.float32), np.empty(strip.shape, np.float32)
            bits = np.empty(strip.shape, np.int32)
            read_planes(part, strip, (masks or {}).get(part.visit, {}), bad, (image, variance, bits))
            at, known = self._of_strip(strip)
            gone = (bits & bad != 0) | ~np.isfinite(image) | ~np.isfinite(variance)
            total += np.bincount(at[known], minlength=len(total))
            lost += np.bincount(at[known & gone.ravel()], minlength=len(total))
        return np.asarray(lost / np.maximum(total, 1.0))

    def _of_strip(self, strip: Box) -> tuple[np.ndarray, np.ndarray]:
        """The place in the list of each pixel of a strip, and whether it has one."""
        y, x = np.mgrid[strip.y.start : strip.y.stop, strip.x.start : strip.x.stop].reshape(2, -1)
        pixels = self._hpgeom.angle_to_pixel(self._nside, *pixel_to_radec(self._projection, x, y))
        at = np.minimum(np.searchsorted(self.pixels, pixels), len(self.pixels) - 1)
        return at, self.pixels[at] == pixels


def _packages() -> tuple[ModuleType, ModuleType]:
    try:
        healsparse, hpgeom = (importlib.import_module(name) for name in ("healsparse", "hpgeom"))
    except ImportError as error:
        raise SkyloomError(
            "A map of the inputs needs the package healsparse.", cure="Install it: pip install skyloom[healsparse]"
        ) from error
    return healsparse, hpgeom
