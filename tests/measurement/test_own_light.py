"""Sources measured apart from each other: noise in place of the others, and light that a deblender divided."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from measurement.star_frames import add_stars, blank, nearest, star_frame
from skyloom.catalog.ids import IdGenerator
from skyloom.detection import detect_sources
from skyloom.images.source_pixels import SourcePixels
from skyloom.measurement import measure_sources

SHAPE = (160, 200)
X, Y, FLUX = np.array([90.3, 99.1]), np.array([80.2, 82.4]), np.array([4e5, 1e5])


def blend(noise: float = 20.0):
    frame, _ = star_frame(X, Y, FLUX, shape=SHAPE, noise=noise, fwhm=4.0)
    return frame, detect_sources(frame)


def divided(frame, footprints, x=X, y=Y, flux=FLUX) -> SourcePixels:
    """The image in the one footprint, in proportion to the true light of each star."""
    spans = footprints[0].spans
    stars = []
    for k in range(x.size):
        plane = np.zeros(frame.image.array.shape)
        add_stars(plane, frame.psf, x[k : k + 1], y[k : k + 1], flux[k : k + 1])
        stars.append(plane)
    share = [plane / np.sum(stars, axis=0).clip(1e-30) * frame.image.array for plane in stars]
    pieces = [plane[r, a:b] for plane in share for r, a, b in zip(spans.y, spans.x0, spans.x1, strict=True)]
    lengths = np.array([piece.size for piece in pieces])
    n, count = len(spans), x.size
    return SourcePixels(
        span_start=np.arange(count + 1) * n,
        y=np.tile(spans.y.astype(np.int64), count),
        x0=np.tile(spans.x0.astype(np.int64), count),
        x1=np.tile(spans.x1.astype(np.int64), count),
        value_start=np.concatenate([[0], np.cumsum(lengths)[:-1]]),
        values=np.concatenate(pieces).astype(np.float32),
    )


def share_of_the_other(frame, row, k: int) -> float:
    """The other star's part of the light under the Gaussian of a row, from the true positions and fluxes."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    dx, dy = columns - row["x"], rows - row["y"]
    determinant = row["ixx"] * row["iyy"] - row["ixy"] ** 2
    weight = np.exp(-0.5 * (row["iyy"] * dx**2 - 2 * row["ixy"] * dx * dy + row["ixx"] * dy**2) / determinant)
    light = []
    for star in (k, 1 - k):
        plane = np.zeros(SHAPE)
        add_stars(plane, frame.psf, X[star : star + 1], Y[star : star + 1], FLUX[star : star + 1])
        light.append(float(np.sum(weight * plane)))
    return light[1] / sum(light)


def alone(k: int) -> dict[str, float]:
    """What is measured on one of the stars of the blend by itself, without noise."""
    frame, _ = star_frame(X[k : k + 1], Y[k : k + 1], FLUX[k : k + 1], shape=SHAPE, noise=0.0, fwhm=4.0)
    frame.variance.array[...] = 400.0
    row = measure_sources(frame, detect_sources(frame))[0]
    return {name: float(row[name]) for name in ("gaussian_flux", "aperture_flux_6_0", "ixx", "iyy", "kron_flux")}


def test_divided_light_frees_each_star_of_the_other() -> None:
    frame, footprints = blend()
    assert len(footprints) == 1
    together = measure_sources(frame, footprints)
    apart = measure_sources(frame, footprints, light=divided(frame, footprints))
    rows = nearest(apart, X, Y)
    for k, row in enumerate(rows):
        truth = alone(k)
        for name, limit in (("gaussian_flux", 0.02), ("aperture_flux_6_0", 0.02), ("kron_flux", 0.03), ("ixx", 0.03)):
            assert apart[name][row] == pytest.approx(truth[name], rel=limit)
        assert apart["psf_flux"][row] == pytest.approx(FLUX[k], rel=0.01)
        assert apart["extendedness"][row] < 0.02
    faint = rows[1]
    assert together["aperture_flux_6_0"][faint] > 1.25 * apart["aperture_flux_6_0"][faint]
    for k, row in enumerate(rows):
        assert apart["blendedness"][row] == pytest.approx(share_of_the_other(frame, apart[row], k), abs=0.005)
    assert apart["blendedness"][faint] > 0.04
    assert np.nanmax(together["blendedness"]) == 0


def test_a_neighbouring_footprint_is_not_in_the_apertures() -> None:
    x, y, flux = np.array([80.0, 104.0]), np.array([80.0, 80.0]), np.array([2e4, 5e4])
    frame, _ = star_frame(x, y, flux, shape=SHAPE, noise=20.0, fwhm=3.0)
    lone, _ = star_frame(x[:1], y[:1], flux[:1], shape=SHAPE, noise=20.0, fwhm=3.0)
    pair, single = (measure_sources(f, detect_sources(f)) for f in (frame, lone))
    assert not pair["flag_blended"].any()
    row = nearest(pair, x[:1], y[:1])[0]
    difference = pair["aperture_flux_17_0"][row] - single["aperture_flux_17_0"][0]
    assert abs(difference) < 4 * single["aperture_flux_17_0_err"][0]


def test_the_frame_is_left_as_it_is_and_the_order_does_not_matter() -> None:
    x, y = np.array([60.0, 88.0, 140.0]), np.array([60.0, 66.0, 90.0])
    frame, _ = star_frame(x, y, np.array([5e4, 2e4, 5e4]), shape=SHAPE, noise=20.0, fwhm=4.0)
    before = frame.copy()
    footprints = detect_sources(frame)
    assert len(footprints) == 3
    before.mask = frame.mask.copy()
    table = measure_sources(frame, footprints)
    assert np.array_equal(frame.image.array, before.image.array)
    assert np.array_equal(frame.variance.array, before.variance.array)
    assert np.array_equal(frame.bits, before.bits)
    backwards = measure_sources(frame, type(footprints)(list(footprints)[::-1], footprints.bbox))
    for name in table.colnames:
        if name != "source_id":
            assert np.array_equal(table[name], backwards[name][::-1], equal_nan=table[name].dtype.kind == "f"), name


def test_the_noise_is_seeded_by_the_frame() -> None:
    x, y = np.array([80.0, 104.0]), np.array([80.0, 80.0])
    frame, _ = star_frame(x, y, np.array([2e4, 5e4]), shape=SHAPE, noise=20.0, fwhm=3.0)
    footprints = detect_sources(frame)
    tables = [measure_sources(frame, footprints, None, IdGenerator(visit, 1)) for visit in (5, 5, 6)]
    flux = [np.asarray(table["aperture_flux_17_0"]) for table in tables]
    assert np.array_equal(flux[0], flux[1])
    assert not np.array_equal(flux[0], flux[2])


def test_light_of_more_sources_than_there_are_is_refused() -> None:
    frame, footprints = blend()
    with pytest.raises(ValueError, match="light of 2 sources"):
        measure_sources(frame, footprints[:0], light=divided(frame, footprints))


def test_missing_pixels_stay_missing_when_a_source_is_put_back() -> None:
    frame = blank(SHAPE, 10.0, 4.0)
    add_stars(frame.image.array, frame.psf, np.array([80.0]), np.array([80.0]), np.array([1e5]))
    frame.image.array[82, 83] = np.nan
    footprints = detect_sources(frame)
    spans = footprints[0].spans
    light = SourcePixels(
        span_start=np.array([0, len(spans)]),
        y=spans.y.astype(np.int64),
        x0=spans.x0.astype(np.int64),
        x1=spans.x1.astype(np.int64),
        value_start=np.concatenate([[0], np.cumsum(spans.x1 - spans.x0)[:-1]]),
        values=np.full(spans.area, 7.0, np.float32),
    )
    row = measure_sources(frame, footprints, light=light)[0]
    assert row["aperture_flag_4_5"]
    pixel = Box.factory[82:83, 83:84]
    assert spans.contains(pixel.x.min, pixel.y.min)
    assert row["aperture_flux_4_5"] == pytest.approx(7.0 * (np.pi * 4.5**2 - 1), rel=1e-6)
