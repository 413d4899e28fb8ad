"""What `import skyloom` offers: the common things, on arrays and files, without a repository.

Each name is a function of a module beside this one, and is imported when it is first used.
"""

from __future__ import annotations

__all__ = ["NAMES"]

NAMES: dict[str, str] = {
    "wrap": "frames",
    "read": "frames",
    "write": "frames",
    "read_references": "references",
    "match": "references",
    "remove_signature": "signature",
    "subtract_sky": "stages",
    "find_sources": "stages",
    "fit_psf": "stages",
    "solve_wcs": "stages",
    "calibrate_frame": "stages",
    "warp_to": "stack",
    "make_coadd": "stack",
    "picture": "pictures",
}
"""Name: the module that holds it."""
