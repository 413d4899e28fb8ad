"""Where the frames of a tract lie: outlines on the sky, and how directions on the sky turn to the focal plane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.images import pixel_jacobian, pixel_to_radec
from skyloom.jointcal import row_box, row_projection

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.instruments import Camera
    from skyloom.skymap import Tract

__all__ = ["FrameGeometry", "detector_outlines", "focal_plane_of", "frame_geometries", "sky_offsets"]

_EDGE_POINTS = 8
"""Points along an edge of a frame, which a distortion bends."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameGeometry:
    """One frame on the sky."""

    ra: np.ndarray
    """Along the outer edges of its pixels, degrees, ``[n]``."""
    dec: np.ndarray
    turn: np.ndarray
    """``[2, 2]``: turns offsets (east, north) to the axes (x, y) of the focal plane; of determinant 1 or -1."""
    scale_arcsec: float
    """At its centre, arcsec a pixel."""
    joint: bool
    """Whether the WCS is that of the joint fit; else it is the frame's own."""
    refused: bool
    """Whether the joint fit refused it."""

    def on_tract(self, tract: Tract) -> np.ndarray:
        """The outline ``[n, 2]`` (x, y) in pixels of a tract; NaN where its projection does not reach."""
        return np.stack(tract.pixels_of(self.ra, self.dec), axis=-1)

    def touches(self, tract: Tract) -> bool:
        """Whether the smallest box of the tract's pixels that holds the frame overlaps the tract."""
        outline, box = self.on_tract(tract), tract.bbox
        if not np.isfinite(outline).all():
            return False
        (left, bottom), (right, top) = outline.min(axis=0), outline.max(axis=0)
        return bool(left < box.x.stop and right > box.x.start and bottom < box.y.stop and top > box.y.start)


def frame_geometries(
    camera: Camera, wcs: Mapping[int, Table], summaries: Mapping[int, Table]
) -> dict[tuple[int, int], FrameGeometry]:
    """Geometry of each frame by visit and detector: by the joint WCS, or else by its own.

    Parameters
    ----------
    camera
        Tells where the detectors are in the focal plane.
    wcs
        Tables of the joint fit by visit.
    summaries
        Summaries by visit; frames that are in neither are left out.
    """
    found = {}
    for visit in sorted({*wcs, *summaries}):
        joint, own = _rows(wcs.get(visit)), _rows(summaries.get(visit))
        for detector in sorted({*joint, *own}):
            refused = detector in joint and bool(joint[detector]["refused"])
            is_joint = detector in joint and not refused
            row = joint[detector] if is_joint else own.get(detector)
            if row is None:
                continue
            projection = row_projection(row, camera.detector(detector, visit).frame)
            found[visit, detector] = _geometry(camera, detector, projection, row_box(row), is_joint, refused)
    return found


def focal_plane_of(camera: Camera, detector: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Positions ``[n, 2]`` in the focal plane, mm, of pixel positions of a detector."""
    place = camera.detector(detector).to_focal_plane.apply_forward(
        x=np.asarray(x, np.float64), y=np.asarray(y, np.float64)
    )
    return np.stack([np.asarray(place.x), np.asarray(place.y)], axis=-1)


def detector_outlines(camera: Camera, detectors: set[int]) -> dict[int, np.ndarray]:
    """Corners ``[4, 2]`` in the focal plane, mm: of the whole camera, or of those used where they are few."""
    shown = camera.detector_ids if 2 * len(detectors) > len(camera.detector_ids) else sorted(detectors)
    outlines = {}
    for detector in shown:
        box = camera.detector(detector).bbox
        x = np.array([box.x.start, box.x.stop, box.x.stop, box.x.start]) - 0.5
        y = np.array([box.y.start, box.y.start, box.y.stop, box.y.stop]) - 0.5
        outlines[detector] = focal_plane_of(camera, detector, x, y)
    return outlines


def sky_offsets(tract: Tract, ra: np.ndarray, dec: np.ndarray) -> np.ndarray:
    """Positions ``[n, 2]`` in arcmin along x and y of the tract's pixels, from its lower left corner."""
    x, y = tract.pixels_of(ra, dec)
    return np.stack([x + 0.5, y + 0.5], axis=-1) * tract.grid.pixel_scale / 60.0


def _rows(table: Table | None) -> dict[int, Any]:
    return {} if table is None else {int(row["detector"]): row for row in table}


def _geometry(
    camera: Camera, detector: int, projection: SkyProjection[Any], box: Box, joint: bool, refused: bool
) -> FrameGeometry:
    left, right = box.x.start - 0.5, box.x.stop - 0.5
    bottom, top = box.y.start - 0.5, box.y.stop - 0.5
    along = np.linspace(0.0, 1.0, _EDGE_POINTS, endpoint=False)
    zero, one = np.zeros_like(along), np.ones_like(along)
    x = left + (right - left) * np.concatenate([along, one, 1.0 - along, zero])
    y = bottom + (top - bottom) * np.concatenate([zero, along, one, 1.0 - along])
    ra, dec = pixel_to_radec(projection, x, y)
    centre = np.array([0.5 * (left + right), 0.5 * (bottom + top)])
    to_sky = pixel_jacobian(projection, *centre)
    corner = focal_plane_of(camera, detector, centre[0] + np.array([0.0, 1.0, 0.0]), centre[1] + np.array([0.0, 0, 1]))
    to_plane = np.stack([corner[1] - corner[0], corner[2] - corner[0]], axis=1)
    turn = to_plane @ np.linalg.inv(to_sky)
    return FrameGeometry(
        ra=ra,
        dec=dec,
        turn=turn / np.sqrt(abs(np.linalg.det(turn))),
        scale_arcsec=float(np.sqrt(abs(np.linalg.det(to_sky)))),
        joint=joint,
        refused=refused,
    )
