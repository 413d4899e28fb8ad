"""`match_visit_warp`: the warp of a visit with the PSF of a model, detector by detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from lsst.images.psfs import PointSpreadFunction

from skyloom.errors import PsfError
from skyloom.images import Exposure, SpanSet, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent, WarpedPsf

from .detector_pixels import detector_pixels
from .exposure import empty_exposure
from .mapping import map_positions
from .match_kernel import MatchingKernel, fit_matching_kernel
from .match_settings import PsfMatchSettings
from .psf_match import cell_positions, convolve_exposure, matched_model

__all__ = ["MatchedWarp", "match_visit_warp"]

_BEYOND = 64.0
"""Pixels beyond the part of a tract up to which positions are used that help to find a kernel there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class MatchedWarp:
    """What `match_visit_warp` returns."""

    warp: Exposure
    """The matched warp, with the inputs that it has and their PSF: a `CoaddPsf` of models."""
    kernels: dict[int, MatchingKernel]
    """Detector to the kernel that it was convolved with."""
    failures: dict[int, PsfError]
    """Detector that was left out to the reason."""


def match_visit_warp(warp: Exposure, settings: PsfMatchSettings | None = None) -> MatchedWarp:
    """Turn the PSF of a visit's warp into the model, each detector by itself and within its own pixels.

    The PSF jumps from one detector to the next, and no kernel may reach across: each loses its border, as far as the
    kernel needs it.

    Parameters
    ----------
    warp
        As of `VisitWarp`: with the sky projection of the tract and the PSF of its inputs.
    settings
        The model, and how to match.

    Raises
    ------
    PsfError
        If the warp has no PSF, or no detector can be matched.
    """
    settings = settings or PsfMatchSettings()
    if not isinstance(warp.psf, CoaddPsf):
        raise PsfError("the warp to match does not know the PSFs of its inputs.", cure="Make the warp anew.")
    result = empty_exposure(
        warp.bbox,
        unit=warp.unit,
        projection=warp.projection,
        band=warp.band,
        obs_info=warp.obs_info,
        photo_calib=warp.photo_calib,
        metadata=dict(warp.metadata),
    )
    free = np.ones(warp.bbox.shape, bool)
    components, kernels, failures = [], {}, {}
    for part in warp.psf.components:
        isolated = _isolate(warp, part, warp.psf, free)
        if isolated is None:
            continue
        try:
            kernel, psf = _kernel_of(part, warp.psf, isolated, settings)
        except PsfError as error:
            failures[part.detector] = error
            continue
        matched = convolve_exposure(isolated, kernel, settings)
        held = _take(result, matched)
        kernels[part.detector] = kernel
        if held.any():
            components.append(_component(part, warp.psf, psf, held, matched.bbox))
    if not components:
        raise next(iter(failures.values()), PsfError("no pixel of the warp survives the matching of its PSF."))
    _finish(result, warp, components, kernels, settings)
    return MatchedWarp(warp=result, kernels=kernels, failures=failures)


def _isolate(warp: Exposure, part: CoaddPsfComponent, psf: CoaddPsf, free: np.ndarray) -> Exposure | None:
    """The pixels of one detector, all others missing, and taken from ``free``; None if it has none."""
    found = detector_pixels(part.projection, psf.projection, part.bbox, warp.bbox, part.valid)
    if found is None:
        return None
    box, own = found
    at = box.slice_within(warp.bbox)
    own &= free[at]
    free[at] &= ~own
    own &= np.isfinite(warp.image.array[at])
    if not own.any():
        return None
    isolated = warp[box].copy()
    isolated.image.array[~own] = np.nan
    isolated.variance.array[~own] = np.inf
    isolated.bits[~own] |= bitmask("NO_DATA")
    return isolated


def _kernel_of(
    part: CoaddPsfComponent, psf: CoaddPsf, isolated: Exposure, settings: PsfMatchSettings
) -> tuple[MatchingKernel, PointSpreadFunction]:
    """The kernel of one detector over the box of its pixels, and the model."""
    box = isolated.bbox
    warped = WarpedPsf(part.psf, part.projection, psf.projection, box, part.warp_order)
    x, y = _on_detector(part, psf, box, *cell_positions(box, settings))
    if not x.size:  # a sliver between the positions of the grid
        rows, columns = np.nonzero(np.isfinite(isolated.image.array))
        x, y = np.array([columns.mean() + box.x.start]), np.array([rows.mean() + box.y.start])
    kernel = fit_matching_kernel(warped, box, x, y, settings)
    return kernel, matched_model(settings, psf.bounds.bbox, kernel.size)


def _on_detector(
    part: CoaddPsfComponent, psf: CoaddPsf, box: Box, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Positions on the tract, those beyond a detector moved to its border: beyond it the PSF is a guess."""
    u, v = map_positions(part.projection, psf.projection, x, y)
    u, v = np.clip(u, part.bbox.x.min, part.bbox.x.max), np.clip(v, part.bbox.y.min, part.bbox.y.max)
    x, y = map_positions(psf.projection, part.projection, u, v)
    x, y = np.unique(np.round([x, y]), axis=1)
    near = (x >= box.x.start - _BEYOND) & (x < box.x.stop + _BEYOND)
    near &= (y >= box.y.start - _BEYOND) & (y < box.y.stop + _BEYOND)
    return x[near], y[near]


def _take(result: Exposure, matched: Exposure) -> np.ndarray:
    """Copy what a detector holds; bool over its box of the pixels that have a value."""
    at = matched.bbox.slice_within(result.bbox)
    held: np.ndarray = np.isfinite(matched.image.array)
    for mine, other in (
        (result.image.array, matched.image.array),
        (result.variance.array, matched.variance.array),
        (result.bits, matched.bits),
    ):
        mine[at][held] = other[held]
    missing = np.isnan(result.image.array[at])
    result.bits[at][missing] |= matched.bits[missing]
    return held


def _component(
    part: CoaddPsfComponent, psf: CoaddPsf, model: PointSpreadFunction, held: np.ndarray, box: Box
) -> CoaddPsfComponent:
    """The detector as an input of a coadd: the model on the tract's own pixels, where it has values."""
    valid = SpanSet.from_mask(held, box.x.start, box.y.start)
    return CoaddPsfComponent(
        visit=part.visit,
        detector=part.detector,
        weight=part.weight,
        psf=model,
        projection=psf.projection,
        bbox=valid.bbox,
        valid=valid,
        warp_order=part.warp_order,
    )


def _finish(
    result: Exposure,
    warp: Exposure,
    components: list[CoaddPsfComponent],
    kernels: dict[int, MatchingKernel],
    settings: PsfMatchSettings,
) -> None:
    """Give the matched warp its PSF, its inputs and the figures of the matching."""
    assert isinstance(warp.psf, CoaddPsf)
    result.psf = CoaddPsf(components, warp.psf.projection, warp.psf.bounds)
    pixels = {(part.visit, part.detector): part.valid.area for part in components if isinstance(part.valid, SpanSet)}
    if warp.inputs is not None:
        keys = [(int(row["visit"]), int(row["detector"])) for row in warp.inputs]
        inputs = warp.inputs[[key in pixels for key in keys]]
        inputs["n_pixels"] = [pixels[key] for key in keys if key in pixels]
        result.inputs = inputs
    result.metadata |= {
        "psf_match_fwhm_px": settings.model.fwhm,
        "psf_match_kernel_size_px": max(kernel.size for kernel in kernels.values()),
        "psf_match_residual": max(kernel.residual for kernel in kernels.values()),
        "psf_match_noise_gain": max(kernel.noise_gain for kernel in kernels.values()),
    }
