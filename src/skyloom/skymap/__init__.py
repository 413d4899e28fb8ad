"""Sky maps: tangent planes over the sky, and the patches that divide their pixels."""

from __future__ import annotations

from .discrete import DiscreteSkyMap, TractCircle
from .polygons import convex_polygon, unit_vectors
from .tract import Patch, Tract

__all__ = ["DiscreteSkyMap", "Patch", "Tract", "TractCircle", "convex_polygon", "unit_vectors"]
