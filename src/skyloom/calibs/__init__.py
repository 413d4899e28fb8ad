"""Masters and defects from raw frames."""
