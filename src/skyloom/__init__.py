"""skyloom: raw CCD frames to calibrated exposures, catalogues and deep coadds."""
