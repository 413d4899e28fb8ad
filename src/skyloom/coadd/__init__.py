"""Coadds: warps of a patch combined into one image, with its inputs and their PSF."""

from .assemble import assemble_coadd, coadd_inputs_table, coadd_psf, strips
from .inputs import CoaddInput, ExposureHandle, WarpHandle, prepare_inputs, warp_weight
from .settings import CoaddSettings, Statistic

__all__ = [
    "CoaddInput",
    "CoaddSettings",
    "ExposureHandle",
    "Statistic",
    "WarpHandle",
    "assemble_coadd",
    "coadd_inputs_table",
    "coadd_psf",
    "prepare_inputs",
    "strips",
    "warp_weight",
]
