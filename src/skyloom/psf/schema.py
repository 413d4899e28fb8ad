"""Where the names of skyloom's own file schemas live."""

from __future__ import annotations

__all__ = ["SCHEMA_URL_BASE"]

SCHEMA_URL_BASE = "https://skyloom.invalid/schemas"
"""Stem of the schema URLs in our files.  They are names, not pages: readers take only the last part."""
