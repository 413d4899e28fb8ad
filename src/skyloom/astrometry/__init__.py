"""Pattern matching and WCS fitting."""
