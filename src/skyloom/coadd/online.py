"""`online_mean`: the weighted mean with one warp in memory at a time, each read once and whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from lsst.images import Box

from skyloom.images import bitmask
from skyloom.kernels.left_out import mark_left_out
from skyloom.kernels.online_mean import add_to_mean, finish_mean
from skyloom.kernels.stack_statistics import FROM_SCATTER

from .alternate_masks import AlternateMasks
from .combine import LEFT_OUT, SOURCES, mask_map, propagation, read_planes, relative_weights, settle_planes
from .inputs import CoaddInput
from .settings import CoaddSettings

__all__ = ["online_mean"]


def online_mean(
    inputs: Sequence[CoaddInput], box: Box, settings: CoaddSettings, alternate_masks: AlternateMasks | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Image, variance, mask bits and number of samples ``[y, x]`` of a box of a coadd.

    They are those of `combine_box` for the MEAN, to rounding; the sums take 40 bytes a pixel, and 8 more for each
    plane with a propagation threshold.

    Parameters
    ----------
    inputs
        Weighted warps.
    box
        Pixels to combine.
    settings
        How to combine.
    alternate_masks
        What else is masked in single warps.
    """
    bad, removed = bitmask(*settings.bad_planes), bitmask(*settings.remove_planes)
    source, thresholds, masks = SOURCES[settings.error_source], propagation(settings), alternate_masks or {}
    watched = np.flatnonzero(thresholds < 1.0)
    sums = np.zeros((4 if source == FROM_SCATTER else 3, *box.shape))
    planes, lost = np.zeros((3, *box.shape), np.int32), np.zeros((len(watched), *box.shape))
    counts = planes[0]
    recount = bool(removed & bad)
    if recount:
        counts = np.zeros(box.shape, np.int32)
    image, variance = np.empty(box.shape, np.float32), np.empty(box.shape, np.float32)
    bits = np.empty(box.shape, np.int32)
    for part, weight in zip(inputs, relative_weights(inputs), strict=True):
        read_planes(part, box, masks.get(part.visit, {}), bad, (image, variance, bits))
        if recount:
            counts += (bits & bad == 0) & np.isfinite(image) & np.isfinite(variance)
        mark_left_out(image, variance, bits, bad, removed, LEFT_OUT)
        add_to_mean(image, variance, bits, weight, (bad, source), watched, sums, planes, lost)
    no_data, pairs = bitmask("NO_DATA"), mask_map(bad)
    mean = finish_mean(len(inputs), source, watched, thresholds[watched], no_data, pairs, sums, planes, lost)
    settle_planes(*mean)
    return (*mean, counts)
