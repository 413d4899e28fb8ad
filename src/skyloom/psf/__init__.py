"""Point-spread functions: evaluated by our kernels, in the interface of `lsst.images.psfs`."""

from .coadd import CoaddPsf, CoaddPsfComponent
from .pixel_grid import PixelGridPsf, polynomial_terms
from .stamps import psf_sigma, psf_stamps
from .warped import WarpedPsf

__all__ = [
    "CoaddPsf",
    "CoaddPsfComponent",
    "PixelGridPsf",
    "WarpedPsf",
    "polynomial_terms",
    "psf_sigma",
    "psf_stamps",
]
