"""Aperture corrections and zero points."""
