"""A sky map around the calibrated frames of a repository, and its registration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lsst.daf.butler import Butler, CollectionType, DatasetType  # type: ignore[attr-defined]
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from skyloom.errors import RepositoryError
from skyloom.skymap import DiscreteSkyMap, TractCircle, convex_polygon, unit_vectors

from .collections import SKYMAPS
from .fitted_frames import FittedFrames, read_fitted_frames

__all__ = ["enclosing_sky_map", "make_sky_map", "read_sky_map", "register_sky_map"]

DATASET_TYPE = "sky_map"
"""The name of the dimension itself is not allowed."""
MAX_GAP_DEG = 3.0
"""Frames whose centres are further apart, with none between, get tracts of their own."""
MAX_RADIUS_DEG = 10.0
"""Beyond it a tangent plane stretches pixels by more than 3 per cent."""


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
) -> DiscreteSkyMap:
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

    Raises
    ------
    RepositoryError
        If there is no calibrated frame, if a sky map of that name leaves out some frames or has other pixels or
        patches than asked for, or if the frames are too wide apart for a tangent plane.
    """
    frames = read_fitted_frames(butler, collections, instrument=instrument, where=where)
    existing = read_sky_map(butler, name)
    if existing is not None:
        _check_same(existing, pixel_scale_arcsec, patch_size, border)
        _check_covers(existing, frames)
        return existing
    scale = float(f"{np.median(frames.pixel_scale):.4g}") if pixel_scale_arcsec is None else pixel_scale_arcsec
    sky_map = enclosing_sky_map(name, frames, scale, patch_size or 2000, 100 if border is None else border)
    register_sky_map(butler, sky_map)
    return sky_map


def enclosing_sky_map(
    name: str, frames: FittedFrames, pixel_scale: float, patch_size: int, border: int
) -> DiscreteSkyMap:
    """One tract around each group of neighbouring frames.

    Raises
    ------
    RepositoryError
        If a group is too wide for a tangent plane.
    """
    corners = unit_vectors(frames.ra_corners, frames.dec_corners)
    centres = corners.mean(axis=1)
    reach = 2.0 * np.sin(np.radians(MAX_GAP_DEG) / 2.0)
    links = KDTree(centres).sparse_distance_matrix(KDTree(centres), reach)
    count, group = connected_components(links, directed=False)
    margin = pixel_scale / 3600.0
    circles = [
        _circle(frames.ra_corners[group == number], frames.dec_corners[group == number], margin)
        for number in range(count)
    ]
    return DiscreteSkyMap(
        name=name,
        tracts=tuple(circles),
        pixel_scale=pixel_scale,
        patch_size=(patch_size, patch_size),
        patch_border=border,
    )


def _circle(ra: np.ndarray, dec: np.ndarray, margin: float) -> TractCircle:
    """A circle about the centre of the hull of some corners, its numbers rounded outwards to 1e-4 degrees."""
    centre = convex_polygon(ra, dec).getCentroid()
    x, y, z = centre.x(), centre.y(), centre.z()
    ra0 = round(float(np.degrees(np.arctan2(y, x))) % 360.0, 4)
    dec0 = round(float(np.degrees(np.arcsin(z))), 4)
    chord = np.linalg.norm(unit_vectors(ra, dec) - unit_vectors(np.array(ra0), np.array(dec0)), axis=-1)
    radius = float(np.degrees(2.0 * np.arcsin(chord.max() / 2.0))) + margin
    if radius > MAX_RADIUS_DEG:
        raise RepositoryError(
            f"The frames spread over {radius:.1f} degrees from ({ra0}, {dec0}): too wide for a tangent plane.",
            cure="Choose a field's visits with an expression, one sky map a field.",
        )
    return TractCircle(ra=ra0, dec=dec0, radius=np.ceil(radius * 1e4) / 1e4)


def _check_same(sky_map: DiscreteSkyMap, pixel_scale: float | None, patch_size: int | None, border: int | None) -> None:
    asked = {
        "pixel scale": (pixel_scale, sky_map.pixel_scale),
        "patch size": (patch_size, sky_map.patch_size[0]),
        "patch border": (border, sky_map.patch_border),
    }
    for what, (wanted, present) in asked.items():
        if wanted is not None and wanted != present:
            raise RepositoryError(
                f"Sky map {sky_map.name!r} exists with {what} {present}, not {wanted}.",
                cure="Give the new sky map another name.",
            )


def _check_covers(sky_map: DiscreteSkyMap, frames: FittedFrames) -> None:
    outside = ~sky_map.contains(frames.ra_corners, frames.dec_corners).all(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise RepositoryError(
            f"{int(outside.sum())} of {len(frames)} frames reach beyond the existing sky map {sky_map.name!r}, "
            f"the first being visit {frames.visit[first]}, detector {frames.detector[first]}.",
            cure="Make a sky map under another name for them.",
        )


def read_sky_map(butler: Butler, name: str) -> DiscreteSkyMap | None:
    """The stored sky map of a name, or None."""
    if not butler.registry.queryDatasetTypes(DATASET_TYPE):
        return None
    if not butler.query_dimension_records("skymap", skymap=name, explain=False):
        return None
    ref = butler.find_dataset(DATASET_TYPE, skymap=name, collections=SKYMAPS)
    if ref is None:
        return None
    sky_map: DiscreteSkyMap = butler.get(ref)
    return sky_map


def register_sky_map(butler: Butler, sky_map: DiscreteSkyMap) -> None:
    """Write the dimension records of a sky map, its tracts and patches, and store it in the run ``skymaps``.

    Registering the same definition again changes nothing.

    Raises
    ------
    RepositoryError
        If the name stands for another geometry, or the geometry has another name.
    """
    _check_registrable(butler, sky_map)
    butler.registry.registerDatasetType(
        DatasetType(DATASET_TYPE, ("skymap",), "SkyloomSkyMap", universe=butler.dimensions)
    )
    butler.collections.register(SKYMAPS, CollectionType.RUN)
    with butler.transaction():
        _write_records(butler, sky_map)
        if butler.find_dataset(DATASET_TYPE, skymap=sky_map.name, collections=SKYMAPS) is None:
            butler.put(sky_map, DATASET_TYPE, skymap=sky_map.name, run=SKYMAPS)


def _check_registrable(butler: Butler, sky_map: DiscreteSkyMap) -> None:
    for record in butler.query_dimension_records("skymap", explain=False):
        if (record.name == sky_map.name) != (record.hash == sky_map.sha1):
            same = "name" if record.name == sky_map.name else "geometry"
            raise RepositoryError(
                f"Sky map {sky_map.name!r} has the same {same} as {record.name!r} but not the same "
                f"{'geometry' if same == 'name' else 'name'}.",
                cure="Use another name." if same == "name" else f"Use {record.name!r}.",
            )


def _write_records(butler: Butler, sky_map: DiscreteSkyMap) -> None:
    tracts = list(sky_map.all_tracts())
    butler.registry.syncDimensionData(
        "skymap",
        {
            "name": sky_map.name,
            "hash": sky_map.sha1,
            "tract_max": len(tracts),
            "patch_nx_max": max(tract.n_patches[0] for tract in tracts),
            "patch_ny_max": max(tract.n_patches[1] for tract in tracts),
        },
    )
    for tract in tracts:
        butler.registry.insertDimensionData(
            "tract", {"skymap": sky_map.name, "id": tract.id, "region": tract.region}, skip_existing=True
        )
        butler.registry.insertDimensionData(
            "patch",
            *(
                {
                    "skymap": sky_map.name,
                    "tract": tract.id,
                    "id": patch.id,
                    "cell_x": patch.ix,
                    "cell_y": patch.iy,
                    "region": patch.region,
                }
                for patch in tract.patches()
            ),
            skip_existing=True,
        )
