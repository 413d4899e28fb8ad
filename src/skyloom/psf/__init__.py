"""Point-spread functions: evaluated by our kernels, in the interface of `lsst.images.psfs`."""

from .pixel_grid import PixelGridPsf, polynomial_terms
from .stamps import psf_sigma, psf_stamps

__all__ = ["PixelGridPsf", "polynomial_terms", "psf_sigma", "psf_stamps"]
