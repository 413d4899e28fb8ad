"""Combining warps."""
