"""Cameras described in YAML: geometry, amplifiers, filters, pointing, and what their headers mean."""

from .camera import Camera

__all__ = ["Camera"]
