"""Resampling exposures onto a tract."""
