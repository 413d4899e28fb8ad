"""Smooth functions over a box."""
