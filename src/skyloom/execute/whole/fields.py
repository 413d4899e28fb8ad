"""Where the frames of the sky lie together: the fields of an inventory, and how deep each band is on them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from skyloom.skymap import unit_vectors

from .inventory import Inventory, Seen

__all__ = ["Field", "find_fields"]

_GAP_DEG = 3.0
"""Frames whose centres are nearer than this come onto one tract, as in `skyloom.skymap.enclosing_circles`."""
PATCH_SIZE = 2000
"""Inner side of a patch of a sky map around frames, px."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """Visits that come onto one tract of a sky map around the frames."""

    ra: float
    dec: float
    """Degrees, of the middle."""
    width_deg: float
    height_deg: float
    visits: dict[str, set[int]] = field(default_factory=dict)
    """Filter: visits."""
    depth: dict[str, int] = field(default_factory=dict)
    """Filter: the greatest number of its visits that overlap at the middle of one of them."""
    n_patches: int = 1
    """Of the usual size, roughly."""


def find_fields(inventory: Inventory) -> list[Field]:
    """Group the visits of an inventory; those whose place is not known are left out."""
    by_visit: dict[int, list[Seen]] = defaultdict(list)
    for one in inventory.science:
        if one.corners is not None:
            by_visit[one.exposure].append(one)
    if not by_visit:
        return []
    places = {visit: _circle(members) for visit, members in by_visit.items()}
    centres = np.array([place[0] for place in places.values()])
    tree = KDTree(centres)
    links = tree.sparse_distance_matrix(tree, 2.0 * np.sin(np.radians(_GAP_DEG) / 2.0))
    count, group = connected_components(links, directed=False)
    visits = np.array(list(places))
    return [
        _field(inventory, {int(visit): by_visit[int(visit)] for visit in visits[group == number]}, places)
        for number in range(count)
    ]


def _circle(frames: Sequence[Seen]) -> tuple[np.ndarray, float]:
    """Middle of a visit as a unit vector, and the chord to its farthest corner."""
    corners = np.concatenate([unit_vectors(*one.corners) for one in frames if one.corners is not None])
    middle = corners.mean(axis=0)
    middle /= np.linalg.norm(middle)
    return middle, float(np.linalg.norm(corners - middle, axis=1).max())


def _field(inventory: Inventory, by_visit: dict[int, list[Seen]], places: dict[int, tuple[np.ndarray, float]]) -> Field:
    by_filter: dict[str, set[int]] = defaultdict(set)
    for visit, members in by_visit.items():
        by_filter[members[0].physical_filter].add(visit)
    corners = [one.corners for members in by_visit.values() for one in members if one.corners is not None]
    ra, dec = (np.concatenate([pair[axis] for pair in corners]) for axis in (0, 1))
    middle = unit_vectors(ra, dec).mean(axis=0)
    ra0 = math.degrees(math.atan2(middle[1], middle[0])) % 360.0
    dec0 = math.degrees(math.asin(middle[2] / float(np.linalg.norm(middle))))
    along = (ra - ra0 + 180.0) % 360.0 - 180.0
    width, height = float(np.ptp(along) * math.cos(math.radians(dec0))), float(np.ptp(dec))
    side = PATCH_SIZE * inventory.camera.pixel_scale / 3600.0
    return Field(
        ra=ra0,
        dec=dec0,
        width_deg=width,
        height_deg=height,
        visits=dict(by_filter),
        depth={name: _depth([places[visit] for visit in some]) for name, some in by_filter.items()},
        n_patches=math.ceil(width / side) * math.ceil(height / side),
    )


def _depth(circles: Sequence[tuple[np.ndarray, float]]) -> int:
    """How many circles hold the middle of one of them, at most."""
    centres = np.array([centre for centre, _ in circles])
    radii = np.array([radius for _, radius in circles])
    return max(int((np.linalg.norm(centres - centre, axis=1) <= radii).sum()) for centre in centres)
