"""Warps that are made strip by strip against warps that are made at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from lsst.images import Box
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, bitmask
from skyloom.warp import StreamedWarp, VisitWarp, WarpSettings, overlap_box
from warp.sky import frame, tan

PATCH = Box.factory[40:240, 30:250]
TRACT = tan((150.0, 2.0), (140.0, 140.0))


def detector(number: int) -> Exposure:
    """One of two frames that overlap, with bad, missing and interpolated pixels."""
    rng = np.random.default_rng(number)
    source = tan((150.0, 2.0), (160.3 - 110 * number, 130.6), angle=20.0, scale=0.24)
    one = frame(rng.normal(size=(260, 180)), source)
    one.bits[rng.random((260, 180)) < 0.01] = bitmask("CR")
    one.variance.array[rng.random((260, 180)) < 0.002] = np.inf
    one.image.array[rng.random((260, 180)) < 0.001] = np.nan
    one.psf = GaussianPointSpreadFunction(1.7, one.bbox, 21)
    return one


def frames(box: Box) -> Iterator[tuple[int, Exposure]]:
    """The parts of the two that fall on a box."""
    for number in (0, 1):
        whole = detector(number)
        part = overlap_box(TRACT, whole.projection, box, whole.bbox, 16)
        if part is not None:
            yield number, whole[part]


@pytest.mark.parametrize("kernel", ["lanczos3", "lanczos5"])
def test_strips_are_parts_of_the_whole(kernel: str) -> None:
    settings = WarpSettings(kernel=kernel)
    visit = VisitWarp(5, PATCH, TRACT, settings)
    for number, exposure in frames(PATCH):
        visit.add(number, exposure)
    whole = visit.finish()
    streamed = StreamedWarp(5, frames, PATCH, TRACT, settings)
    assert streamed.get(component="bbox") == whole.bbox
    assert streamed.get(component="psf") == whole.psf
    assert streamed.get(component="inputs")["n_pixels"].tolist() == whole.inputs["n_pixels"].tolist()
    for start in (None, *range(whole.bbox.y.start, whole.bbox.y.stop, 37)):
        box = whole.bbox
        if start is not None:
            box = Box.factory[start : min(start + 37, box.y.stop), box.x.start + 11 : box.x.stop - 7]
        names = ["image", "variance", "mask", "unit"]
        parameters = {"components": names} | ({} if start is None else {"bbox": box})
        parts = streamed.get(component="components", parameters=parameters)
        np.testing.assert_array_equal(parts["image"].array, whole[box].image.array)
        np.testing.assert_array_equal(parts["variance"].array, whole[box].variance.array)
        np.testing.assert_array_equal(parts["mask"].array[..., 0], whole[box].bits)
        assert parts["unit"] == whole.unit


def test_visit_without_a_pixel_or_a_wcs_is_refused() -> None:
    with pytest.raises(NoOverlapError, match="visit 5 "):
        StreamedWarp(5, lambda box: iter(()), PATCH, TRACT)
    lost = frame(np.ones((50, 50)), None)
    with pytest.raises(AstrometryError, match="no WCS"):
        StreamedWarp(5, lambda box: [(0, lost)], PATCH, TRACT)
    both = StreamedWarp(5, lambda box: [(7, lost), *frames(box)], PATCH, TRACT)
    assert list(both.left_out) == [7]
