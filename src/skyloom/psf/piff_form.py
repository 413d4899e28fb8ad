"""A pixel-grid PSF to Piff's classes and back.  Importing Piff is slow: only those who need this pay for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import galsim
import numpy as np
import piff
from lsst.images.psfs import PiffWrapper

from skyloom.errors import PsfError

from .grid import stamp_size

if TYPE_CHECKING:
    from .pixel_grid import PixelGridPsf

__all__ = ["from_piff", "to_piff"]


def to_piff(psf: PixelGridPsf) -> PiffWrapper:
    """A Piff PSF that evaluates to the same stamps."""
    scale = 1.0 / psf.oversampling
    model = piff.PixelGrid(scale=scale, size=psf.coefficients.shape[1], interp=galsim.Lanczos(psf.kernel_order))
    interpolator = piff.BasisPolynomial(psf.order, keys=("u", "v"))
    interpolator.q = np.ascontiguousarray(psf.coefficients.reshape(len(psf.coefficients), -1).T)
    simple = piff.SimplePSF(model, interpolator)
    # In "world" coordinates of one pixel, Piff's field positions (u, v) are raw pixel positions.
    simple.wcs, simple.pointing, simple.bandpass, simple.stars = {0: galsim.PixelScale(1.0)}, None, None, []
    return PiffWrapper(simple, psf.bounds, psf.size)


def from_piff(wrapper: PiffWrapper) -> PixelGridPsf:
    """The pixel grid inside a Piff PSF of the kind that `to_piff` makes.

    Raises
    ------
    PsfError
        If it is of another kind.
    """
    from .pixel_grid import PixelGridPsf

    simple: Any = wrapper.piff_psf
    model: Any = getattr(simple, "model", None)
    interpolator: Any = getattr(simple, "interp", None)
    reason = _unlike_ours(simple, model, interpolator, wrapper.kernel_bbox.x.size)
    if reason:
        raise PsfError(f"the Piff PSF is not a pixel grid of ours: {reason}.", cure="Evaluate it through Piff.")
    order = int(interpolator.kwargs["order"])
    grids = np.asarray(interpolator.q, np.float64).T
    coefficients = grids.reshape(len(grids), model.size, model.size)
    return PixelGridPsf(
        coefficients,
        order=order,
        bounds=wrapper.bounds,
        oversampling=round(1.0 / model.scale),
        kernel_order=_kernel_order(model.interp),
    )


def _unlike_ours(simple: Any, model: Any, interpolator: Any, size: int) -> str:
    """In which way a Piff PSF differs from those of `to_piff`; empty when it does not."""
    if not isinstance(model, piff.PixelGrid):
        return f"its model is {type(model).__name__}"
    points = round(1.0 / model.scale)
    whole = points >= 1 and abs(points * model.scale - 1.0) < 1e-9
    if not whole or model.size % 2 == 0 or not isinstance(model.interp, galsim.Lanczos):
        return f"its grid has scale {model.scale}, size {model.size} and {model.interp!r}"
    if points > 1 and stamp_size(model.size, points) != size:
        return f"its grid has scale {model.scale} and size {model.size}, and does not cover its stamps of {size} pixels"
    if not isinstance(interpolator, piff.BasisPolynomial):
        return f"its interpolator is {type(interpolator).__name__}"
    settings = interpolator.kwargs
    keys = tuple(settings["keys"])
    if keys != ("u", "v") or settings["max_order"] is not None or np.ndim(settings["order"]) != 0:
        return f"it interpolates with {settings}"
    if simple.pointing is not None or list(simple.wcs.values()) != [galsim.PixelScale(1.0)]:
        return "its field positions are not pixels"
    return ""


def _kernel_order(kernel: galsim.Lanczos) -> int:
    """Order of a Lanczos kernel."""
    order: int = round(kernel.xrange)
    return order
