"""`assemble_coadd`: warps of a patch combined strip by strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from lsst.images import Box, SkyProjection
from lsst.images import NoOverlapError as OutsideError

from skyloom.errors import BadFrameError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.kernels.stack import STRUCTURE_RADIUS
from skyloom.psf import CoaddPsf, coadd_aperture_corrections

from .alternate_masks import AlternateMasks
from .combine import combine_box
from .inputs import CoaddInput, reason_of_projection
from .online import online_mean
from .settings import CoaddSettings

__all__ = [
    "assemble_coadd",
    "coadd_extent",
    "coadd_inputs_table",
    "coadd_psf",
    "describe_coadd",
    "empty_coadd",
    "strips",
]

_BYTES_A_SAMPLE = 3 * 4


def assemble_coadd(
    inputs: Sequence[CoaddInput],
    box: Box,
    projection: SkyProjection[Any],
    settings: CoaddSettings | None = None,
    *,
    band: str | None = None,
    alternate_masks: AlternateMasks | None = None,
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
    alternate_masks
        What else is masked in single warps; planes that exclude a sample must be among ``settings.bad_planes``.

    Returns
    -------
    coadd
        In nJy, with the table of its inputs and the PSF of their weighted mean.
    n_image
        int32 ``[y, x]``: number of warps in each pixel: of CLIPPED those in the mean, else those that could be used.

    Raises
    ------
    NoOverlapError
        If there is no input, or none reaches the box.
    BadFrameError
        If the PSF of a warp is on the pixels of another projection.
    """
    settings = settings or CoaddSettings()
    if not inputs:
        raise NoOverlapError("No warp can take part in the coadd.", cure="Look at why the warps were left out.")
    coadd = empty_coadd(box, projection, band)
    describe_coadd(coadd, inputs, settings)
    n_image = np.zeros(box.shape, np.int32)
    reached = coadd_extent(inputs, box)
    for strip in [reached] if settings.online else strips(reached, len(inputs), settings):
        at = strip.slice_within(box)
        if settings.online:
            combined = online_mean(inputs, strip, settings, alternate_masks)
        else:
            combined = combine_box(inputs, strip, reached, settings, alternate_masks)
        coadd.image.array[at], coadd.variance.array[at], coadd.bits[at], n_image[at] = combined
    return coadd, n_image


def empty_coadd(box: Box, projection: SkyProjection[Any], band: str | None = None) -> Exposure:
    """A coadd in nJy of which every pixel is missing."""
    return Exposure.from_arrays(
        np.full(box.shape, np.nan, np.float32),
        np.full(box.shape, bitmask("NO_DATA"), np.int32),
        x0=box.x.start,
        y0=box.y.start,
        unit=u.nJy,
        projection=projection,
        band=band,
    )


def describe_coadd(coadd: Exposure, inputs: Sequence[CoaddInput], settings: CoaddSettings) -> None:
    """Tell a coadd its inputs, their PSF and aperture corrections, and how they are combined, in place.

    Raises
    ------
    BadFrameError
        If the PSF of a warp is on the pixels of another projection.
    """
    coadd.inputs = coadd_inputs_table(inputs)
    psf = coadd_psf(inputs, coadd.bbox, coadd.projection)
    coadd.psf = psf
    if psf is not None:
        coadd.aperture_corrections = cast("dict[str, Any]", coadd_aperture_corrections(psf))
    coadd.metadata |= {"coadd_statistic": str(settings.statistic), "coadd_n_inputs": len(inputs)}


def coadd_extent(inputs: Sequence[CoaddInput], box: Box) -> Box:
    """The part of a box that any input reaches.

    Raises
    ------
    NoOverlapError
        If none does.
    """
    parts = []
    for part in inputs:
        try:
            parts.append(part.bbox.intersection(box))
        except OutsideError:
            continue
    if not parts:
        visits = [part.visit for part in inputs]
        raise NoOverlapError(f"No warp of visits {visits} has pixels in {box}.", cure="Give those of this patch.")
    return Box.factory[
        min(part.y.start for part in parts) : max(part.y.stop for part in parts),
        min(part.x.start for part in parts) : max(part.x.stop for part in parts),
    ]


def strips(box: Box, n_inputs: int, settings: CoaddSettings) -> Iterator[Box]:
    """Cut a box into strips of whole rows whose stacks fit the memory allowed, from the bottom up."""
    budget = settings.max_memory_mb * 1e6 / (_BYTES_A_SAMPLE * n_inputs * box.x.size)
    rows = max(1, int(budget) - 2 * STRUCTURE_RADIUS)
    if settings.subregion_size is not None:
        width, height = settings.subregion_size
        rows = max(1, min(rows, width * height // box.x.size))
    for start in range(box.y.start, box.y.stop, rows):
        yield Box.factory[start : min(start + rows, box.y.stop), box.x.start : box.x.stop]


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


def coadd_psf(inputs: Sequence[CoaddInput], box: Box, projection: SkyProjection[Any] | None = None) -> CoaddPsf | None:
    """The PSF of the weighted mean; None where a warp has none.

    Raises
    ------
    BadFrameError
        If that of a warp is on the pixels of another projection than is given.
    """
    parts = [(part.handle.get(component="psf"), part.weight) for part in inputs]
    if any(psf is None for psf, _ in parts):
        return None
    for part, (psf, _) in zip(inputs, parts, strict=True):
        reason = None if projection is None else reason_of_projection(psf.projection, projection, part.bbox)
        if reason is not None:
            raise BadFrameError(f"The warp of visit {part.visit} cannot take part: {reason}.")
    return CoaddPsf.combine(parts, box)
