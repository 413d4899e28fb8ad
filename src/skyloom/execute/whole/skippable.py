"""What a user may leave out of the whole way."""

from __future__ import annotations

__all__ = ["SKIPPABLE"]

SKIPPABLE = ("masters", "defects", "calibrate", "joint", "coadd", "deep", "catalogues", "light_curves", "report")
"""What needs it is left out, too."""
