"""The single-frame recipe."""
