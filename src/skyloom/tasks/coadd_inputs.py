"""The warps of a coadd as its documented methods take them, and as the algorithm does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lsst.daf.butler import DeferredDatasetHandle
from lsst.images import Box, SkyProjection

from skyloom.coadd import (
    AlternateMasks,
    CoaddInput,
    ExposureHandle,
    WarpHandle,
    reason_of_place,
    reason_of_projection,
    reason_of_unit,
)
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, WarpImage, from_warp

__all__ = [
    "as_alternate_masks",
    "as_inputs",
    "as_warp_handle",
    "band_of",
    "data_id_text",
    "one_pixel",
    "reason_of_pixels",
]


def as_warp_handle(reference: Any, place: int = 0) -> WarpHandle:
    """A reference to a warp; an exposure is wrapped.

    Parameters
    ----------
    reference
        A reference, an `Exposure` or a `WarpImage`.
    place
        Its place among others, for the error.

    Raises
    ------
    BadFrameError
        If it does not tell its visit.
    """
    if isinstance(reference, WarpImage):
        reference = from_warp(reference)
    if isinstance(reference, Exposure):
        inputs, observed = reference.inputs, reference.obs_info
        if inputs is not None and len(inputs):
            return ExposureHandle(reference, int(inputs["visit"][0]))
        if observed is not None and observed.visit_id is not None:
            return ExposureHandle(reference, int(observed.visit_id))
    elif "visit" in getattr(reference, "dataId", {}):
        handle: WarpHandle = reference
        return handle
    raise BadFrameError(f"warp {place} does not tell its visit.", cure="Give a handle whose dataId has it.")


def as_inputs(
    references: Sequence[Any],
    scalers: Sequence[Any] | None,
    weights: Sequence[float],
    backgrounds: Sequence[Any] | None = None,
) -> list[CoaddInput]:
    """References, scalers, weights and backgrounds, which are parallel lists, as the algorithm takes them.

    Raises
    ------
    BadFrameError
        If the lists are not of one length, two warps are of one visit, a weight is not a positive number, or a warp
        without scaler is not in nJy.
    """
    lists = {"imageScalerList": scalers, "weightList": weights, "bgInfoList": backgrounds}
    for name, one in lists.items():
        if one is not None and len(one) != len(references):
            raise BadFrameError(f"{name} has {len(one)} elements, of {len(references)} warps.")
    inputs: list[CoaddInput] = []
    for place, reference in enumerate(references):
        handle = as_warp_handle(reference, place)
        scaler = scalers[place] if scalers is not None else None
        background = backgrounds[place] if backgrounds is not None else None
        if background is not None and background.isReference:
            background = None
        visit, (bbox, unit) = int(handle.dataId["visit"]), _outline(handle)
        reason = None if scaler is not None else reason_of_unit(unit)
        if not 0.0 < float(weights[place]) < math.inf:
            reason = f"its weight is {weights[place]}: give those that prepareInputs returns"
        if reason is not None:
            raise BadFrameError(f"The warp of visit {visit} cannot take part: {reason}.")
        inputs.append(
            CoaddInput(
                visit=visit,
                weight=float(weights[place]),
                handle=handle,
                bbox=bbox,
                scale=1.0 if scaler is None else float(scaler.scale),
                offset=None if background is None else background.backgroundModel,
                offset_rms=0.0 if background is None else float(background.fitRMS),
            )
        )
    visits = [part.visit for part in inputs]
    if len(set(visits)) < len(visits):
        raise BadFrameError(f"The warps are of visits {visits}.", cure="Give one warp a visit.")
    return inputs


def reason_of_pixels(handle: WarpHandle, box: Box, projection: SkyProjection[Any]) -> str | None:
    """Why a warp is not on the pixels of a patch: its box, or its sky projection where it tells; None where it is."""
    own = None
    if isinstance(handle, DeferredDatasetHandle):
        parts = handle.get(component="components", parameters={"components": ["bbox", "sky_projection"]})
        bbox, own = parts["bbox"], parts["sky_projection"]
    else:
        bbox = handle.get(component="bbox")
        if isinstance(handle, ExposureHandle):
            own = handle.get(component="projection")
    reason = reason_of_place(bbox, box)
    if reason is None and own is not None:
        reason = reason_of_projection(own, projection, bbox)
    return reason


def _outline(handle: WarpHandle) -> tuple[Box, Any]:
    """Box and unit of a warp, in one reading from a repository."""
    if isinstance(handle, DeferredDatasetHandle):
        parts = handle.get(component="components", parameters={"components": ["bbox", "unit"]})
        return parts["bbox"], parts["unit"]
    return handle.get(component="bbox"), handle.get(component="unit")


def as_alternate_masks(inputs: Sequence[CoaddInput], masks: Any) -> AlternateMasks | None:
    """Alternate masks by visit, from those of each warp or by visit.

    Raises
    ------
    BadFrameError
        If there is not one, or None, for each warp.
    """
    if masks is None or isinstance(masks, Mapping):
        return masks
    if len(masks) != len(inputs):
        raise BadFrameError(f"altMaskList has {len(masks)} elements, of {len(inputs)} warps.")
    return {part.visit: mask for part, mask in zip(inputs, masks, strict=True) if mask}


def band_of(handle: WarpHandle) -> str | None:
    """Short name of the passband of a warp, where it tells."""
    if "band" in handle.dataId:
        return str(handle.dataId["band"])
    band: str | None = getattr(one_pixel(handle), "band", None)
    return band


def one_pixel(handle: WarpHandle) -> Any:
    """The warp, of which one pixel is read."""
    box: Box = handle.get(component="bbox")
    x, y = box.x.start, box.y.start
    found = handle.get(parameters={"bbox": Box.factory[y : y + 1, x : x + 1]})
    return from_warp(found) if isinstance(found, WarpImage) else found


def data_id_text(data_id: Any) -> str:
    """A data id as one word: ``name=value&name=value``."""
    known = getattr(data_id, "required", data_id)
    return "&".join(f"{name}={known[name]}" for name in sorted(known))
