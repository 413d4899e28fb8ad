"""Source measurement."""
