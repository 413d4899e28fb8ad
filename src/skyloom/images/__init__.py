"""Exposures, masks, footprints, photometric calibration, and the image types on disk."""
