"""Warps made of arrays, for tests of coadds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction
from numpy.typing import ArrayLike

from skyloom.coadd import CoaddInput, CoaddSettings, ExposureHandle, assemble_coadd
from skyloom.images import Exposure, SpanSet, bitmask
from skyloom.psf import CoaddPsf, CoaddPsfComponent

__all__ = ["BOX", "TRACT", "combine", "flags", "inputs_of", "pixels", "samples", "warp"]

BOX = Box.factory[-45:256, -123:78]


def _tract() -> SkyProjection:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cd = [150.0, 2.0], [1.0, 1.0], np.diag([-0.25, 0.25]) / 3600
    return SkyProjection.from_fits_wcs(wcs, TractFrame(skymap="s", tract=0, bbox=BOX))


TRACT = _tract()


def warp(
    visit: int,
    image: np.ndarray,
    variance: ArrayLike = 1.0,
    bits: ArrayLike = 0,
    *,
    box: Box = BOX,
    sigma: float = 1.7,
    size: int = 25,
    detectors: Sequence[int] = (1,),
    corrections: Mapping[str, Any] | None = None,
    **attributes: Any,
) -> Exposure:
    """A warp in nJy whose detectors have Gaussian PSFs, and lie in the pixels of the tract."""
    psf = GaussianPointSpreadFunction(sigma, box, size)
    parts = [
        CoaddPsfComponent(
            visit=visit,
            detector=one,
            weight=1.0,
            psf=psf,
            projection=TRACT,
            bbox=box,
            aperture_corrections=corrections or {},
        )
        for one in detectors
    ]
    table = Table({"visit": [visit] * len(parts), "detector": list(detectors)})
    table["weight"], table["n_pixels"] = 1.0, box.area
    return Exposure.from_arrays(
        image,
        np.broadcast_to(bits, image.shape),
        np.array(np.broadcast_to(variance, image.shape)),
        **{
            "x0": box.x.start,
            "y0": box.y.start,
            "unit": u.nJy,
            "projection": TRACT,
            "psf": CoaddPsf(parts, TRACT, box),
            "inputs": table,
            "band": "r",
        }
        | attributes,
    )


def samples(
    values: ArrayLike, variance: ArrayLike = 1.0, bits: ArrayLike = 0, weights: ArrayLike | None = None
) -> list[CoaddInput]:
    """Inputs of which visit v has the v-th row of values ``[n, pixel]`` as the first row of the tract."""
    rows = np.asarray(values, np.float32)
    rows = rows[:, np.newaxis] if rows.ndim == 1 else rows
    shape = rows.shape
    spread = np.asarray(variance, np.float32)
    planes = np.asarray(bits, np.int32)
    spread, planes = (part[:, np.newaxis] if part.ndim == 1 else part for part in (spread, planes))
    spread, planes = np.broadcast_to(spread, shape), np.broadcast_to(planes, shape)
    weight = np.ones(len(rows)) if weights is None else np.asarray(weights, float)
    box = Box.factory[0:1, 0 : shape[1]]
    frames = [warp(n, rows[n][np.newaxis], spread[n], planes[n], box=box) for n in range(len(rows))]
    return [CoaddInput(n, float(weight[n]), ExposureHandle(frame, n), box) for n, frame in enumerate(frames)]


def combine(
    inputs: Sequence[CoaddInput], masks: Mapping[int, Mapping[str, SpanSet]] | None = None, **settings: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance, mask bits and number of samples of the row of a coadd of `samples`."""
    coadd, n_image = assemble_coadd(inputs, inputs[0].bbox, TRACT, CoaddSettings(**settings), alternate_masks=masks)
    return coadd.image.array[0], coadd.variance.array[0], coadd.bits[0], n_image[0]


def inputs_of(warps: Sequence[Exposure], weights: Sequence[float] | None = None) -> list[CoaddInput]:
    """Warps as inputs."""
    weights = weights or [1.0] * len(warps)
    visits = [int(part.inputs["visit"][0]) for part in warps]
    return [
        CoaddInput(visit, weight, ExposureHandle(part, visit), part.bbox)
        for visit, weight, part in zip(visits, weights, warps, strict=True)
    ]


def flags(bits: int) -> set[str]:
    """Names of the planes that are set."""
    from skyloom.images import MASK_PLANES

    return {name for name in MASK_PLANES if int(bits) & bitmask(name)}


def pixels(*columns: int) -> SpanSet:
    """Pixels of the first row of the tract."""
    start = np.array(columns)
    return SpanSet.from_runs(np.zeros_like(start), start, start + 1)
