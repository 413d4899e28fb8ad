"""Sky maps: projections over the sky, and the patches that divide their pixels."""

from __future__ import annotations

from .base import SkyMap
from .definitions import SKY_MAP_KINDS, sky_map_from_dict
from .discrete import DiscreteSkyMap, TractCircle
from .dodecahedron import DodecahedronSkyMap
from .enclose import enclosing_circles
from .equatorial import EquatorialSkyMap
from .grid import PROJECTIONS, TractGrid
from .healpix import HealpixSkyMap
from .layout import CellPatches, ClippedPatches, PatchLayout
from .outlines import coverage_cells, ds9_polygons
from .patch import Cell, Patch
from .patch_ids import BANDS, PatchIds
from .polygons import box_polygon, convex_polygon, unit_vectors
from .rings import RingsSkyMap
from .tract import Tract

__all__ = [
    "BANDS",
    "PROJECTIONS",
    "SKY_MAP_KINDS",
    "Cell",
    "CellPatches",
    "ClippedPatches",
    "DiscreteSkyMap",
    "DodecahedronSkyMap",
    "EquatorialSkyMap",
    "HealpixSkyMap",
    "Patch",
    "PatchIds",
    "PatchLayout",
    "RingsSkyMap",
    "SkyMap",
    "Tract",
    "TractCircle",
    "TractGrid",
    "box_polygon",
    "convex_polygon",
    "coverage_cells",
    "ds9_polygons",
    "enclosing_circles",
    "sky_map_from_dict",
    "unit_vectors",
]
