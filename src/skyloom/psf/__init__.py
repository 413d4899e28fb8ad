"""Point-spread functions: evaluated by our kernels, in the interface of `lsst.images.psfs`."""

from .coadd import CoaddPsf, CoaddPsfComponent
from .grid import GRID_LANCZOS, grid_size, in_phase_order, polynomial_terms, stamp_size
from .pixel_grid import PixelGridPsf
from .stamps import psf_sigma, psf_stamps
from .warped import WarpedPsf

__all__ = [
    "GRID_LANCZOS",
    "CoaddPsf",
    "CoaddPsfComponent",
    "PixelGridPsf",
    "WarpedPsf",
    "grid_size",
    "in_phase_order",
    "polynomial_terms",
    "psf_sigma",
    "psf_stamps",
    "stamp_size",
]
