"""What the fork server imports once for all workers."""

# ruff: noqa: F401

import astropy.io.fits
import astropy.table
import astropy.wcs
import lsst.daf.butler.formatters.parquet
import lsst.images.fits
import lsst.images.formatters
import lsst.pipe.base.single_quantum_executor
import numba

import skyloom.execute.worker
