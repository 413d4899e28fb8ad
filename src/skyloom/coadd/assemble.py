"""`assemble_coadd`: warps of a patch combined strip by strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from lsst.images import Box, SkyProjection
from lsst.images import NoOverlapError as OutsideError

from skyloom.errors import NoOverlapError
from skyloom.images import MASK_SCHEMA, Exposure, bitmask
from skyloom.kernels.stack import STRUCTURE_RADIUS, combine_stack
from skyloom.psf import CoaddPsf

from .inputs import CoaddInput
from .settings import CoaddSettings, Statistic

__all__ = ["assemble_coadd", "coadd_inputs_table", "coadd_psf", "strips"]

_BYTES_A_SAMPLE = 3 * 4
_NEVER = 2.0


def assemble_coadd(
    inputs: Sequence[CoaddInput],
    box: Box,
    projection: SkyProjection[Any],
    settings: CoaddSettings | None = None,
    *,
    band: str | None = None,
) -> tuple[Exposure, np.ndarray]:
    """Combine warps into a coadd.

    Parameters
    ----------
    inputs
        Weighted warps; where one does not reach, its pixels are missing.
    box
        Pixels of the tract to fill.
    projection
        Sky projection of the tract.
    settings
        How to combine.
    band
        Short name of the passband.

    Returns
    -------
    coadd
        In nJy, with the table of its inputs and the PSF of their weighted mean.
    n_image
        int32 ``[y, x]``: number of warps in each pixel.

    Raises
    ------
    NoOverlapError
        If there is no input.
    """
    settings = settings or CoaddSettings()
    if not inputs:
        raise NoOverlapError("No warp can take part in the coadd.", cure="Look at why the warps were left out.")
    coadd = Exposure.from_arrays(
        np.full(box.shape, np.nan, np.float32),
        np.full(box.shape, bitmask("NO_DATA"), np.int32),
        x0=box.x.start,
        y0=box.y.start,
        unit=u.nJy,
        projection=projection,
        band=band,
        inputs=coadd_inputs_table(inputs),
        psf=coadd_psf(inputs, box),
        metadata={"coadd_statistic": str(settings.statistic), "coadd_n_inputs": len(inputs)},
    )
    n_image = np.zeros(box.shape, np.int32)
    reached = _extent(inputs, box)
    for strip in strips(reached, len(inputs), settings):
        at = strip.slice_within(box)
        image, variance, bits, n_image[at] = _combine_strip(inputs, strip, reached, settings)
        coadd.image.array[at], coadd.variance.array[at], coadd.bits[at] = image, variance, bits
    return coadd, n_image


def _extent(inputs: Sequence[CoaddInput], box: Box) -> Box:
    """The part of a box that any input reaches."""
    parts = [part.bbox.intersection(box) for part in inputs]
    return Box.factory[
        min(part.y.start for part in parts) : max(part.y.stop for part in parts),
        min(part.x.start for part in parts) : max(part.x.stop for part in parts),
    ]


def strips(box: Box, n_inputs: int, settings: CoaddSettings) -> Iterator[Box]:
    """Cut a box into strips of whole rows whose stacks fit the memory allowed, from the bottom up."""
    budget = settings.max_memory_mb * 1e6 / (_BYTES_A_SAMPLE * n_inputs * box.x.size)
    rows = max(1, int(budget) - 2 * STRUCTURE_RADIUS)
    for start in range(box.y.start, box.y.stop, rows):
        yield Box.factory[start : min(start + rows, box.y.stop), box.x.start : box.x.stop]


def _combine_strip(
    inputs: Sequence[CoaddInput], strip: Box, box: Box, settings: CoaddSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance, mask bits and number of inputs of a strip."""
    clipping = settings.statistic is Statistic.CLIPPED and settings.iterations > 0
    margin = STRUCTURE_RADIUS if clipping else 0
    start, stop = max(box.y.start, strip.y.start - margin), min(box.y.stop, strip.y.stop + margin)
    image, variance, bits = _read_stack(inputs, Box.factory[start:stop, box.x.start : box.x.stop])
    bad = bitmask(*settings.bad_planes)
    out, spread, mask, used = combine_stack(
        image,
        variance,
        bits,
        np.array([part.weight for part in inputs]),
        bad,
        tuple(bitmask(name) for name in ("NO_DATA", "EDGE", "REJECTED", "CLIPPED", "SENSOR_EDGE")),
        _thresholds(settings),
        (settings.n_sigma, settings.iterations if clipping else 0, settings.structure),
        (strip.y.start - start, strip.y.stop - start),
    )
    mask[(mask & bitmask("REJECTED", "CLIPPED", "SENSOR_EDGE")) != 0] |= bitmask("INEXACT_PSF")
    mask &= ~bitmask(*settings.remove_planes)
    return out, spread, mask, used


def _read_stack(inputs: Sequence[CoaddInput], box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance and mask bits ``[n, y, x]`` of all inputs inside a box."""
    shape = (len(inputs), *box.shape)
    image, variance = np.full(shape, np.nan, np.float32), np.full(shape, np.inf, np.float32)
    bits = np.full(shape, bitmask("NO_DATA"), np.int32)
    for n, part in enumerate(inputs):
        try:
            here = part.bbox.intersection(box)
        except OutsideError:
            continue
        at = (n, *here.slice_within(box))
        image[at], variance[at], bits[at] = part.planes(here)
    return image, variance, bits


def _thresholds(settings: CoaddSettings) -> np.ndarray:
    """Propagation threshold of every bit of the mask."""
    thresholds = np.full(len(MASK_SCHEMA.names), _NEVER)
    for name, threshold in settings.propagation_thresholds.items():
        thresholds[bitmask(name).bit_length() - 1] = threshold
    return thresholds


def coadd_inputs_table(inputs: Sequence[CoaddInput]) -> Table:
    """One row a frame (visit, detector, weight, n_pixels), by visit and detector, with the weight of its warp."""
    tables = []
    for part in inputs:
        table = Table(part.handle.get(component="inputs"))
        table["weight"] = part.weight
        tables.append(table)
    whole = vstack(tables, metadata_conflicts="silent")
    whole.sort(["visit", "detector"])
    return whole


def coadd_psf(inputs: Sequence[CoaddInput], box: Box) -> CoaddPsf | None:
    """The PSF of the weighted mean; None where a warp has none."""
    parts = [(part.handle.get(component="psf"), part.weight) for part in inputs]
    if any(psf is None for psf, _ in parts):
        return None
    return CoaddPsf.combine(parts, box)
