"""Point-spread functions: evaluated by our kernels, in the interface of `lsst.images.psfs`."""

from .coadd import CoaddPsf
from .coadd_fields import CoaddField, coadd_aperture_corrections
from .component import CoaddPsfComponent, Region
from .gaussian_model import DoubleGaussianPsf, ModelPsfSettings, model_psf
from .grid import GRID_LANCZOS, grid_size, in_phase_order, polynomial_terms, stamp_size
from .pixel_grid import PixelGridPsf
from .stamps import psf_sigma, psf_stamps
from .warped import WARP_ORDER, WarpedPsf

__all__ = [
    "GRID_LANCZOS",
    "WARP_ORDER",
    "CoaddField",
    "CoaddPsf",
    "CoaddPsfComponent",
    "DoubleGaussianPsf",
    "ModelPsfSettings",
    "PixelGridPsf",
    "Region",
    "WarpedPsf",
    "coadd_aperture_corrections",
    "grid_size",
    "in_phase_order",
    "model_psf",
    "polynomial_terms",
    "psf_sigma",
    "psf_stamps",
    "stamp_size",
]
