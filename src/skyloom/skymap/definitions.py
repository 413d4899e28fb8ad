"""Sky maps of any kind from their definitions."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from .base import SkyMap
from .discrete import DiscreteSkyMap
from .dodecahedron import DodecahedronSkyMap
from .equatorial import EquatorialSkyMap
from .healpix import HealpixSkyMap
from .rings import RingsSkyMap

__all__ = ["SKY_MAP_KINDS", "sky_map_from_dict"]

SKY_MAP_KINDS: tuple[type[SkyMap], ...] = (
    DiscreteSkyMap,
    RingsSkyMap,
    EquatorialSkyMap,
    HealpixSkyMap,
    DodecahedronSkyMap,
)

_ANY: pydantic.TypeAdapter[SkyMap] = pydantic.TypeAdapter(
    Annotated[
        DiscreteSkyMap | RingsSkyMap | EquatorialSkyMap | HealpixSkyMap | DodecahedronSkyMap,
        pydantic.Field(discriminator="kind"),
    ]
)


def sky_map_from_dict(definition: dict[str, Any]) -> SkyMap:
    """The sky map of a definition, of the kind that its ``kind`` says.

    Raises
    ------
    pydantic.ValidationError
        If the definition lacks something, holds a value out of range, or is of no known kind.
    """
    return _ANY.validate_python(definition)
