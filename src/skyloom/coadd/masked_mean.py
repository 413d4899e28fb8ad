"""`masked_mean`: the mean of warps without their artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection

from skyloom.images import Exposure, bitmask

from .alternate_masks import AlternateMasks
from .assemble import assemble_coadd
from .inputs import CoaddInput
from .settings import CoaddSettings, Statistic

__all__ = ["flag_lost_edges", "masked_mean", "settings_of_masked_mean"]


def masked_mean(
    inputs: Sequence[CoaddInput],
    box: Box,
    projection: SkyProjection[Any],
    masks: AlternateMasks,
    settings: CoaddSettings | None = None,
    *,
    band: str | None = None,
) -> tuple[Exposure, np.ndarray]:
    """Combine warps into their weighted mean, without the pixels that alternate masks clip.

    Without any it is the plain mean, to the last bit.

    Parameters
    ----------
    inputs, box, projection, band
        As of `assemble_coadd`, as are results and errors.
    masks
        Of `safe_clip`, of `compare_warps`, or of both by `combine_masks`.
    settings
        How to combine; the statistic is MEAN in any case, and CLIPPED excludes a sample.
    """
    settings = settings_of_masked_mean(settings or CoaddSettings())
    coadd, n_image = assemble_coadd(inputs, box, projection, settings, band=band, alternate_masks=masks)
    flag_lost_edges(coadd, masks)
    return coadd, n_image


def settings_of_masked_mean(settings: CoaddSettings) -> CoaddSettings:
    """The same with the MEAN as the statistic and CLIPPED among the bad planes."""
    bad = settings.bad_planes if "CLIPPED" in settings.bad_planes else (*settings.bad_planes, "CLIPPED")
    return replace(settings, statistic=Statistic.MEAN, bad_planes=bad)


def flag_lost_edges(coadd: Exposure, masks: AlternateMasks) -> None:
    """Say where the PSF is not exact because alternate masks mark the edge of a detector, or take data away."""
    flags = {"EDGE": bitmask("SENSOR_EDGE", "INEXACT_PSF"), "NO_DATA": bitmask("INEXACT_PSF")}
    held = coadd.bits & bitmask("NO_DATA") == 0
    for planes in masks.values():
        for name, bits in flags.items():
            part = planes[name].clipped(coadd.bbox) if name in planes else None
            # A visit that takes no part at all is not in the PSF either.
            if part is not None and len(part) and part.area < coadd.bbox.area:
                coadd.bits[part.to_mask(coadd.bbox) & held] |= bits
