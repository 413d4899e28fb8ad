"""Flags of the pixels, and the columns of the plug-ins."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest

from measurement.star_frames import star_frame
from skyloom.catalog.sources import PIXEL_FLAGS, PLUGINS, source_columns
from skyloom.detection import detect_sources
from skyloom.images.mask_planes import bitmask
from skyloom.measurement import PSF_PASS_PLUGINS, MeasurementSettings, measure_sources
from skyloom.measurement.flags import set_pixel_flags
from skyloom.measurement.frame import Frame, Peaks

SHAPE = (160, 180)
X, Y = np.array([60.0, 120.0]), np.array([60.0, 110.0])


def frame():
    return star_frame(X, Y, np.full(2, 1e5), shape=SHAPE, noise=10.0, fwhm=3.5)[0]


@pytest.mark.parametrize("name", PIXEL_FLAGS)
def test_three_flags_a_plane(name: str) -> None:
    names = (f"flag_{name}", f"flag_{name}_center", f"flag_{name}_center_all")
    pixels = ((63, 63), (61, 61), None)
    for pixel, expected in zip(pixels, ((1, 0, 0), (1, 1, 0), (1, 1, 1)), strict=True):
        exposure = frame()
        footprints = detect_sources(exposure)
        where = (slice(59, 62), slice(59, 62)) if pixel is None else pixel
        exposure.bits[where] |= bitmask(PIXEL_FLAGS[name])
        settings = MeasurementSettings(unusable_planes=())
        table = measure_sources(exposure, footprints, settings)
        assert [bool(table[flag][0]) for flag in names] == [bool(value) for value in expected]
        assert not any(table[flag][1] for flag in names)


def test_a_centroid_off_the_image_is_at_its_edge() -> None:
    exposure = frame()
    footprints = detect_sources(exposure)
    table = measure_sources(exposure, footprints)
    pixels = Frame.of(exposure, ())
    set_pixel_flags(table, pixels, Peaks.of(footprints, pixels), np.array([-0.6, 179.4]), np.array([60.0, 110.0]))
    for name in ("flag_off_image", "flag_edge", "flag_edge_center", "flag_edge_center_all"):
        assert table[name][0]
    assert not table["flag_off_image"][1]
    assert not table["flag_edge"][1]


def test_plugins_bring_their_columns_and_change_no_others() -> None:
    exposure = frame()
    footprints = detect_sources(exposure)
    everything = measure_sources(exposure, footprints)
    least = measure_sources(exposure, footprints, MeasurementSettings(plugins=PSF_PASS_PLUGINS))
    for name in least.colnames:
        assert np.array_equal(least[name], everything[name], equal_nan=least[name].dtype.kind == "f"), name
    extra = set(everything.colnames) - set(least.colnames)
    for plugin in PLUGINS:
        own = set(measure_sources(exposure, footprints, MeasurementSettings(plugins=(plugin,))).colnames)
        assert own - set(least.colnames)
        extra -= own
    assert not extra
    for name in ("gaussian_flux", "kron_flux", "tophat_flux", "local_variance", "extendedness"):
        assert np.isfinite(everything[name]).all()
    with pytest.raises(ValueError, match="no measurement"):
        source_columns(u.electron, plugins=("sersic",))
