"""Warped frames against analytic stars, truth and Monte Carlo."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS
from lsst.images import Box, GeneralFrame, SkyProjection, TractFrame

from skyloom.errors import AstrometryError, NoOverlapError
from skyloom.images import Exposure, bitmask, pixel_to_radec, radec_to_pixel
from skyloom.warp import VisitWarp, WarpSettings, map_positions, pixel_mapping, warp_exposure

BOX = Box.factory[0:300, 0:400]


def projection(
    scale: float, angle: float, crpix: tuple[float, float], frame: object = None, sip: float = 0.0
) -> SkyProjection:
    wcs = WCS(naxis=2)
    suffix = "-SIP" if sip else ""
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN" + suffix, "DEC--TAN" + suffix], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 30.0], crpix
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = scale / 3600 * np.array([[-c, s], [s, c]])
    if sip:
        from astropy.wcs import Sip

        a, b = np.zeros((5, 5)), np.zeros((5, 5))
        a[4, 0], b[1, 3] = sip, -0.5 * sip
        wcs.sip = Sip(a, b, -a, -b, crpix)
    return SkyProjection.from_fits_wcs(wcs, frame or GeneralFrame(unit=u.pix))


TRACT = projection(0.25, 0.0, (210.3, 160.7), TractFrame(skymap="s", tract=0, bbox=BOX))
FRAME = projection(0.22, 17.0, (330.0, 300.0))
SIZE = (600, 660)


def star(x: np.ndarray, y: np.ndarray, x0: float, y0: float, sigma: float) -> np.ndarray:
    return np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)


def exposure(image: np.ndarray, source: SkyProjection | None = FRAME, variance: float = 1.0, **kwargs) -> Exposure:  # type: ignore[no-untyped-def]
    spread = np.full(image.shape, variance, np.float32)
    return Exposure.from_arrays(image, variance=spread, unit=u.nJy, projection=source, **kwargs)


@pytest.mark.parametrize(
    ("fwhm", "source", "flux_error", "kernel", "place_error"),
    [
        # the displacement is the kernel's own (see kernel_table); that of the mapping is below 1e-6
        (3.0, projection(0.25, 0.3, (330.0, 300.0)), 1e-4, "lanczos3", 3e-3),
        (3.0, projection(0.25, 0.3, (330.0, 300.0)), 1e-4, "lanczos5", 5e-4),
        (4.5, FRAME, 1e-4, "lanczos3", 1e-3),
        # on a coarser, turned grid the kernel's own spectrum leaks into the sum of a narrow star
        (3.0, FRAME, 2e-3, "lanczos3", 2e-3),
    ],
)
def test_stars_keep_their_place_and_flux(
    fwhm: float, source: SkyProjection, flux_error: float, kernel: str, place_error: float
) -> None:
    rng = np.random.default_rng(8)
    sky_x, sky_y = np.meshgrid(np.arange(40, 380, 60.0), np.arange(40, 280, 60.0))
    sky_x, sky_y = sky_x.ravel() + rng.uniform(-0.5, 0.5, 24), sky_y.ravel() + rng.uniform(-0.5, 0.5, 24)
    x, y = map_positions(source, TRACT, sky_x, sky_y)
    columns, rows = np.meshgrid(np.arange(SIZE[1]), np.arange(SIZE[0]))
    image = np.zeros(SIZE)
    for a, b in zip(x, y, strict=True):
        image += 1e5 * star(columns, rows, a, b, fwhm / 2.3548)
    warped = warp_exposure(exposure(image, source), BOX, TRACT, WarpSettings(kernel=kernel))
    pixels = warped.image.array.astype(float)
    for a, b in zip(sky_x, sky_y, strict=True):
        i, j = round(a), round(b)
        part = pixels[j - 14 : j + 15, i - 14 : i + 15]
        assert part.sum() == pytest.approx(1e5, rel=flux_error)
        x, y = centroid(part, fwhm / 2.3548)
        assert x + i - 14 == pytest.approx(a, abs=place_error)
        assert y + j - 14 == pytest.approx(b, abs=place_error)


def centroid(stamp: np.ndarray, sigma: float) -> tuple[float, float]:
    """First moments under a Gaussian weight that follows them."""
    rows, columns = np.indices(stamp.shape)
    x = y = 14.0
    for _ in range(20):
        weighted = stamp * star(columns, rows, x, y, sigma)
        x += 2 * (weighted * (columns - x)).sum() / weighted.sum()
        y += 2 * (weighted * (rows - y)).sum() / weighted.sum()
    return x, y


def test_noise_matches_the_variance_plane() -> None:
    rng = np.random.default_rng(9)
    sigma = np.linspace(1.0, 3.0, SIZE[1])
    realisations = []
    for _ in range(30):
        frame = exposure(rng.normal(0.0, 1.0, SIZE) * sigma)
        frame.variance.array[...] = sigma**2
        warped = warp_exposure(frame, Box.factory[100:200, 100:300], TRACT)
        realisations.append(warped.image.array.astype(float))
    measured = np.mean(np.square(realisations), axis=0)
    ratio = measured / warped.variance.array
    assert np.isfinite(warped.variance.array).all()
    assert ratio.mean() == pytest.approx(1.0, abs=0.01)
    assert ratio[:, :100].mean() == pytest.approx(1.0, abs=0.02)
    assert ratio[:, 100:].mean() == pytest.approx(1.0, abs=0.02)


def test_surface_brightness_and_area() -> None:
    warped = warp_exposure(exposure(np.full(SIZE, 500.0)), BOX, TRACT)
    inside = np.isfinite(warped.image.array)
    assert inside.mean() > 0.95
    ra, dec = pixel_to_radec(TRACT, np.array([200.0, 210.0, 200.0]), np.array([150.0, 150.0, 160.0]))
    x, y = radec_to_pixel(FRAME, ra, dec)
    area = abs((x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])) / 100
    np.testing.assert_allclose(warped.image.array[inside], 500.0 * area, rtol=1e-6)
    assert area == pytest.approx((0.25 / 0.22) ** 2, rel=1e-4)


def test_identity_returns_the_input() -> None:
    rng = np.random.default_rng(10)
    frame = exposure(rng.normal(size=(300, 400)), TRACT)
    frame.bits[rng.random((300, 400)) < 0.01] = bitmask("CR")
    frame.variance.array[10:12, 20] = np.inf
    frame.image.array[100, 100] = np.nan
    frame.bits[100, 100] = bitmask("NO_DATA")
    warped = warp_exposure(frame, BOX, TRACT)
    np.testing.assert_array_equal(warped.image.array, frame.image.array)
    finite = np.isfinite(frame.image.array)
    np.testing.assert_array_equal(warped.variance.array[finite], frame.variance.array[finite])
    np.testing.assert_array_equal(warped.bits, frame.bits)


def test_grid_is_refined_until_the_mapping_is_exact_enough() -> None:
    distorted = projection(0.22, 17.0, (330.0, 300.0), sip=1e-10)
    smooth = pixel_mapping(FRAME, TRACT, BOX, Box.from_shape(SIZE))
    assert smooth.step == 32
    assert smooth.error < 1e-6
    tight = pixel_mapping(distorted, TRACT, BOX, Box.from_shape(SIZE), tolerance=1e-6)
    assert tight.step < 32
    assert tight.error < 1e-6
    loose = pixel_mapping(distorted, TRACT, BOX, Box.from_shape(SIZE), tolerance=0.1)
    assert loose.step == 32
    assert tight.error < loose.error < 0.1
    with pytest.raises(AstrometryError, match="not smooth"):
        pixel_mapping(distorted, TRACT, BOX, Box.from_shape(SIZE), tolerance=1e-14)


def test_origin_of_boxes_is_respected() -> None:
    rng = np.random.default_rng(11)
    image = rng.normal(size=SIZE)
    whole = warp_exposure(exposure(image), BOX, TRACT)
    part = warp_exposure(exposure(image), Box.factory[50:120, 260:350], TRACT)
    cut = warp_exposure(exposure(image)[Box.factory[0:500, 5:655]], Box.factory[60:200, 160:300], TRACT)
    np.testing.assert_allclose(part.image.array, whole[part.bbox].image.array, rtol=0, atol=2e-5)
    both = np.isfinite(cut.image.array)
    assert both.mean() > 0.9
    np.testing.assert_allclose(cut.image.array[both], whole[cut.bbox].image.array[both], rtol=0, atol=2e-5)


def test_what_goes_along_and_what_is_refused() -> None:
    frame = exposure(np.ones(SIZE), band="r", metadata={"kept": 1})
    warped = warp_exposure(frame, BOX, TRACT, WarpSettings(kernel="bilinear"))
    assert (warped.unit, warped.band, warped.metadata["kept"]) == (u.nJy, "r", 1)
    assert warped.projection is TRACT
    assert warped.metadata["warp_mapping_error_px"] < 1e-3
    with pytest.raises(NoOverlapError, match="does not touch"):
        warp_exposure(frame, Box.factory[5000:5100, 0:100], TRACT)
    with pytest.raises(AstrometryError, match="no WCS"):
        warp_exposure(exposure(np.ones(SIZE), None), BOX, TRACT)
    with pytest.raises(ValueError, match="none of"):
        WarpSettings(kernel="nearest")
    with pytest.raises(ValueError, match="out of range"):
        WarpSettings(tolerance=0.0)


def test_detectors_of_a_visit_fill_one_warp() -> None:
    left = exposure(np.full((600, 300), 1.0), band="r")
    right = exposure(np.full(SIZE, 2.0), band="r")
    right.image.array[:, :295] = np.nan
    warp = VisitWarp(42, BOX, TRACT)
    first = warp.add(3, left)
    second = warp.add(5, right)
    assert warp.add(6, left) == 0
    filled = warp.finish()
    assert filled.inputs["visit"].tolist() == [42, 42]
    assert filled.inputs["detector"].tolist() == [3, 5]
    assert filled.inputs["n_pixels"].tolist() == [first, second]
    alone = warp_exposure(left, BOX, TRACT).image.array
    mine = np.isfinite(alone)
    np.testing.assert_array_equal(filled.image.array[mine], alone[mine])
    missing = np.isnan(filled.image.array)
    assert first + second == (~missing).sum()
    assert ((filled.bits & bitmask("NO_DATA")) > 0).sum() == missing.sum()
    adu = exposure(np.ones(SIZE))
    adu.unit = u.adu
    with pytest.raises(ValueError, match="cannot share"):
        warp.add(7, adu)
    with pytest.raises(NoOverlapError, match="visit 1 "):
        VisitWarp(1, BOX, TRACT).finish()
