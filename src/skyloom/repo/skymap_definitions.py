"""Sky maps as users define them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from skyloom.errors import RepositoryError
from skyloom.skymap import SkyMap, sky_map_from_dict

__all__ = ["read_definition", "sky_map_of"]


def sky_map_of(definition: Mapping[str, Any], *, file: str | None = None) -> SkyMap:
    """The sky map of a definition that a user wrote.

    Raises
    ------
    RepositoryError
        If it defines none; the first thing that is wrong is told.
    """
    try:
        return sky_map_from_dict(dict(definition))
    except pydantic.ValidationError as error:
        wrong = error.errors()[0]
        keyword = ".".join(str(part) for part in wrong["loc"]) or None
        message = wrong["msg"].removeprefix("Value error, ").removesuffix(".")
        raise RepositoryError(f"no sky map: {message}.", file=file, keyword=keyword) from error


def read_definition(path: Path, *, name: str | None = None) -> SkyMap:
    """The sky map that a YAML (or JSON) file defines, under a name that may be given instead of that in the file.

    Raises
    ------
    RepositoryError
        If the file holds no definition of one.
    """
    try:
        definition = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RepositoryError(f"no YAML: {error}", file=str(path)) from error
    if not isinstance(definition, dict):
        raise RepositoryError("no sky map: the file holds no names with values.", file=str(path))
    return sky_map_of(definition if name is None else definition | {"name": name}, file=str(path))
