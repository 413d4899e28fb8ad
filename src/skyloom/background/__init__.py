"""Background models."""
