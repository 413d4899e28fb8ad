"""skyloom: raw CCD frames to calibrated exposures, catalogues and deep coadds.

The names below work on arrays and files without a repository; see `skyloom.notebook`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .notebook import NAMES

if TYPE_CHECKING:
    from .notebook.frames import read, wrap, write
    from .notebook.pictures import picture
    from .notebook.references import match, read_references
    from .notebook.signature import remove_signature
    from .notebook.stack import make_coadd, warp_to
    from .notebook.stages import calibrate_frame, find_sources, fit_psf, solve_wcs, subtract_sky

__all__ = [
    "calibrate_frame",
    "find_sources",
    "fit_psf",
    "make_coadd",
    "match",
    "picture",
    "read",
    "read_references",
    "remove_signature",
    "solve_wcs",
    "subtract_sky",
    "warp_to",
    "wrap",
    "write",
]


def __getattr__(name: str) -> Any:
    """One of the names, imported now."""
    if name not in NAMES:
        raise AttributeError(f"module 'skyloom' has no attribute {name!r}")
    return getattr(importlib.import_module(f".notebook.{NAMES[name]}", __name__), name)


def __dir__() -> list[str]:
    """The names, and what modules have."""
    return sorted([*globals(), *NAMES])
