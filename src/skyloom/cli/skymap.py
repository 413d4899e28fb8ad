"""``skyloom skymap``: make sky maps, look things up in them."""

from __future__ import annotations

import click

from .lazy import LazyGroup

_COMMANDS = {
    "make": ("skymap_make", "Make a sky map, around the fitted frames or of the whole sky."),
    "register": ("skymap_register", "Register further tracts of a sky map of the whole sky."),
    "show": ("skymap_show", "Show the tracts of a sky map."),
    "find": ("skymap_find", "Find the tracts and patches at a position."),
    "export": ("skymap_export", "Write outlines of tracts or patches for DS9 or Aladin."),
}


@click.group(cls=LazyGroup, modules=_COMMANDS)
def command() -> None:
    """Make sky maps, which divide the sky into tracts and patches; look things up in them."""
