"""Sky maps around the calibrated frames of a repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lsst.daf.butler import Butler

from skyloom.errors import RepositoryError
from skyloom.skymap import DiscreteSkyMap, SkyMap, TractCircle, enclosing_circles

from .fitted_frames import FittedFrames, read_fitted_frames
from .skymap_definitions import sky_map_of
from .skymap_records import is_small, register_around
from .skymap_store import read_sky_map, register_sky_map

__all__ = ["cover_fitted_frames", "enclosing_sky_map", "make_sky_map"]


def make_sky_map(
    butler: Butler,
    name: str,
    collections: str | Sequence[str],
    *,
    instrument: str,
    pixel_scale_arcsec: float | None = None,
    patch_size: int | None = None,
    border: int | None = None,
    where: str = "",
    append_to: str = "",
    settings: Mapping[str, Any] | None = None,
) -> SkyMap:
    """The sky map of a name; where there is none yet, one around the calibrated frames, registered and stored.

    Parameters
    ----------
    butler
        A writeable butler.
    name
        Name of the sky map.
    collections
        Where to find the ``visit_summary`` tables.
    instrument
        Whose frames to enclose.
    pixel_scale_arcsec
        Pixel size; the median of the frames, to four digits, where it is None.
    patch_size
        Inner side of a patch in pixels; 2000 where it is None.
    border
        Border of a patch in pixels; 100 where it is None.
    where
        A butler expression that picks visits.
    append_to
        Name of a discrete sky map whose tracts the new one begins with; only frames beyond them get new ones.
    settings
        Further fields of `skyloom.skymap.DiscreteSkyMap`.

    Raises
    ------
    RepositoryError
        If there is no calibrated frame, if a sky map of that name leaves out some frames or has other pixels or
        patches than asked for, or if the frames are too wide apart for a tangent plane.
    """
    frames = read_fitted_frames(butler, collections, instrument=instrument, where=where)
    existing = read_sky_map(butler, name)
    if existing is not None:
        _check_same(existing, pixel_scale_arcsec, patch_size, border, settings or {})
        _check_covers(existing, frames)
        register_around(butler, existing, frames.ra_corners, frames.dec_corners)
        return existing
    sky_map: SkyMap
    if append_to:
        older = _discrete(butler, append_to)
        _check_same(older, pixel_scale_arcsec, patch_size, border, settings or {})
        sky_map = _appended(older, name, frames)
    else:
        scale = float(f"{np.median(frames.pixel_scale):.4g}") if pixel_scale_arcsec is None else pixel_scale_arcsec
        sky_map = enclosing_sky_map(name, frames, scale, patch_size, border, settings)
    register_sky_map(butler, sky_map)
    register_around(butler, sky_map, frames.ra_corners, frames.dec_corners)
    return sky_map


def cover_fitted_frames(butler: Butler, name: str, collections: str | Sequence[str], *, instrument: str) -> int:
    """Register the patches of a sky map of the whole sky that the calibrated frames touch.

    Returns
    -------
    n_patches
        How many are new; none of a sky map that was registered whole.

    Raises
    ------
    RepositoryError
        If there is no calibrated frame.
    """
    sky_map = read_sky_map(butler, name)
    if sky_map is None or is_small(sky_map):
        return 0
    frames = read_fitted_frames(butler, collections, instrument=instrument)
    return register_around(butler, sky_map, frames.ra_corners, frames.dec_corners)


def enclosing_sky_map(
    name: str,
    frames: FittedFrames,
    pixel_scale: float,
    patch_size: int | None = None,
    border: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> DiscreteSkyMap:
    """One tract around each group of neighbouring frames.

    Raises
    ------
    RepositoryError
        If a group is too wide for a tangent plane, or a setting is wrong.
    """
    layout = {"patch_size": patch_size, "patch_border": border}
    sky_map = sky_map_of(
        {
            "kind": "discrete",
            "name": name,
            "tracts": _circles(frames, pixel_scale, (settings or {}).get("rotation", 0.0)),
            "pixel_scale": pixel_scale,
            **{key: value for key, value in layout.items() if value is not None},
            **(settings or {}),
        }
    )
    assert isinstance(sky_map, DiscreteSkyMap)
    return sky_map


def _circles(frames: FittedFrames, pixel_scale: float, rotation: float) -> tuple[TractCircle, ...]:
    """Circles around groups of frames, a pixel wider than these."""
    margin = pixel_scale / 3600.0
    try:
        return enclosing_circles(frames.ra_corners, frames.dec_corners, margin=margin, rotation=rotation)
    except ValueError as error:
        cure = "Choose a field's visits with an expression, one sky map a field."
        raise RepositoryError(str(error), cure=cure) from error


def _discrete(butler: Butler, name: str) -> DiscreteSkyMap:
    """The discrete sky map of a name, or a RepositoryError."""
    sky_map = read_sky_map(butler, name)
    if not isinstance(sky_map, DiscreteSkyMap):
        what = "There is no sky map" if sky_map is None else f"Tracts cannot be added to a sky map of {sky_map.kind}:"
        raise RepositoryError(f"{what} {name!r}.")
    return sky_map


def _appended(older: DiscreteSkyMap, name: str, frames: FittedFrames) -> DiscreteSkyMap:
    """A sky map with tracts around the frames that the older one does not hold, after its own."""
    outside = ~older.contains(frames.ra_corners, frames.dec_corners).all(axis=1)
    if not outside.any():
        raise RepositoryError(
            f"All {len(frames)} frames are within sky map {older.name!r}.", cure=f"Use {older.name!r}."
        )
    return older.with_tracts(_circles(frames.of(outside), older.pixel_scale, older.rotation), name)


def _check_same(
    sky_map: SkyMap,
    pixel_scale: float | None,
    patch_size: int | None,
    border: int | None,
    settings: Mapping[str, Any],
) -> None:
    present = sky_map.to_dict()
    asked = {
        "pixel scale": (pixel_scale, sky_map.pixel_scale),
        "patch size": (patch_size, sky_map.patch_size[0]),
        "patch border": (border, sky_map.patch_border),
        **{key.replace("_", " "): (value, present.get(key)) for key, value in settings.items()},
    }
    for what, (wanted, has) in asked.items():
        if wanted is not None and wanted != has:
            raise RepositoryError(
                f"Sky map {sky_map.name!r} exists with {what} {has}, not {wanted}.",
                cure="Give the new sky map another name.",
            )


def _check_covers(sky_map: SkyMap, frames: FittedFrames) -> None:
    outside = ~sky_map.contains(frames.ra_corners, frames.dec_corners).all(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise RepositoryError(
            f"{int(outside.sum())} of {len(frames)} frames reach beyond the existing sky map {sky_map.name!r}, "
            f"the first being visit {frames.visit[first]}, detector {frames.detector[first]}.",
            cure="Make a sky map under another name for them.",
        )
