from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.io.fits import Header
from lsst.images import Box, DetectorFrame
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.catalog.ids import IdGenerator
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.images.exposure import Exposure
from skyloom.images.mask_planes import bitmask
from skyloom.measurement import MeasurementSettings, measure_sources
from skyloom.psf import psf_stamps

SIGMA = 1.6
NOISE = 8.0
SHAPE = (240, 260)


def exposure(
    stars: list[tuple[float, float, float]],
    noise: float = NOISE,
    seed: int = 1,
    x0: int = 0,
    y0: int = 0,
    psf: bool = True,
    sigma: float = SIGMA,
    shape: tuple[int, int] = SHAPE,
) -> Exposure:
    image = np.random.default_rng(seed).normal(0, noise, shape) if noise else np.zeros(shape)
    rows, columns = np.arange(shape[0]), np.arange(shape[1])
    for x, y, flux in stars:
        v, h = (np.exp(-((axis - at) ** 2) / (2 * sigma**2)) for axis, at in ((rows, y), (columns, x)))
        image += flux * np.outer(v, h) / (2 * np.pi * sigma**2)
    frame = Exposure.from_arrays(image, variance=np.full(shape, NOISE**2), unit=u.electron, x0=x0, y0=y0)
    if psf:
        frame.psf = GaussianPointSpreadFunction(sigma, bounds=frame.bbox, stamp_size=25)
    return frame


def measure(frame: Exposure, settings: MeasurementSettings | None = None, **kwargs):
    return measure_sources(frame, detect_sources(frame, SIGMA), settings, **kwargs)


def test_a_star_without_noise_is_measured_exactly() -> None:
    table = measure(exposure([(100.32, 80.77, 1e5)], noise=0.0))
    assert len(table) == 1
    row = table[0]
    assert (row["x"], row["y"]) == pytest.approx((100.32, 80.77), abs=1e-4)
    assert (row["ixx"], row["iyy"], row["ixy"]) == pytest.approx((SIGMA**2, SIGMA**2, 0), abs=1e-3)
    assert row["psf_flux"] == pytest.approx(1e5, rel=1e-5)
    for radius in (3.0, 4.5, 6.0, 9.0, 12.0, 17.0):
        name = f"aperture_flux_{radius:.1f}".replace(".", "_")
        within = 1e5 * (1 - np.exp(-(radius**2) / (2 * SIGMA**2)))
        # A circle through the star's slope cuts pixels whose light it takes to be even within each.
        assert row[name] == pytest.approx(within, rel=2e-2 if radius < 5 else 1e-3 if radius < 9 else 1e-5)
    assert not any(row[name] for name in table.colnames if "flag" in name)
    assert row["parent_id"] == 0
    assert row["peak_value"] == np.float32(exposure([(100.32, 80.77, 1e5)], noise=0.0).image.array[81, 100])


def test_errors_are_the_scatter_of_many_stars() -> None:
    flux = 4000.0
    rng = np.random.default_rng(2)
    grid = np.arange(30.0, 630.0, 40.0)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, grid.size**2) for axis in np.meshgrid(grid, grid))
    frame = exposure([(a, b, flux) for a, b in zip(x, y, strict=True)], shape=(660, 660))
    table = measure(frame)
    nearest = np.hypot(np.subtract.outer(x, table["x"]), np.subtract.outer(y, table["y"])).argmin(axis=1)
    found = table[nearest]
    for name, truth, limit in (("x", x, 0.02), ("y", y, 0.02), ("psf_flux", flux, 30), ("aperture_flux_6_0", flux, 70)):
        residual = np.asarray(found[name]) - truth
        assert residual.std() == pytest.approx(np.median(found[f"{name}_err"]), rel=0.15)
        assert abs(residual.mean()) < limit


def test_bright_psf_fluxes_have_no_bias() -> None:
    flux = 1e6
    frames = [exposure([(100 + dx, 80 - dx, flux)], seed=i) for i, dx in enumerate(np.linspace(-0.5, 0.5, 8))]
    for frame in frames:
        frame.variance.array[...] += np.maximum(frame.image.array, 0)
        row = measure(frame)[0]
        assert row["psf_flux"] == pytest.approx(flux, rel=1e-3)
        assert row["psf_flux_err"] == pytest.approx(np.sqrt(flux * 4 / 3), rel=0.1)  # Poisson under equal weights


def test_blended_stars_get_their_own_psf_fluxes() -> None:
    truth = [(100.0, 80.0, 60000.0), (109.3, 80.8, 9000.0), (200.0, 150.0, 5000.0)]
    table = measure(exposure(truth))
    assert table["flag_blended"].tolist() == [True, True, False]
    assert table["parent_id"].tolist() == [table["source_id"][0]] * 2 + [0]
    assert table["psf_flux"] == pytest.approx([60000, 9000, 5000], abs=300)
    assert table["aperture_flux_12_0"][1] > 40000


def test_a_close_faint_neighbour_is_centred_after_its_brighter_one_is_taken_off() -> None:
    truth = [(100.0, 80.0, 60000.0), (107.4, 81.3, 15000.0)]
    table = measure(exposure(truth))
    assert len(table) == 2
    assert np.asarray(table["x"]) == pytest.approx([100.0, 107.4], abs=0.08)
    assert np.asarray(table["y"]) == pytest.approx([80.0, 81.3], abs=0.08)
    assert np.asarray(table["psf_flux"]) == pytest.approx([60000.0, 15000.0], rel=0.02)


def test_box_offset_ids_and_sky_positions() -> None:
    header = Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRVAL1": 150.0,
            "CRVAL2": 2.0,
            "CRPIX1": 1101.0,
            "CRPIX2": -419.0,
            "CD1_1": -1e-4,
            "CD1_2": 0.0,
            "CD2_1": 0.0,
            "CD2_2": 1e-4,
        }
    )
    from skyloom.images.projection import projection_from_header

    frame = exposure([(100.0, 80.0, 1e5), (30.0, 200.0, 1e5)], noise=0.0, x0=1000, y0=-500)
    frame.projection = projection_from_header(
        header, DetectorFrame(instrument="x", detector=0, visit=1, bbox=frame.bbox)
    )
    footprints = detect_sources(frame, SIGMA)
    generator = IdGenerator(5, 1, detector_max=3)
    table = measure_sources(frame, footprints, id_generator=generator)
    assert np.asarray(table["x"]) == pytest.approx([1100, 1030], abs=1e-4)
    assert np.asarray(table["y"]) == pytest.approx([-420, -300], abs=1e-4)
    assert np.asarray(table["psf_flux"]) == pytest.approx([1e5, 1e5], rel=1e-4)
    assert (table["ra"][0], table["dec"][0]) == pytest.approx((150.0, 2.0), abs=1e-7)
    assert table["source_id"].tolist() == generator.ids(2).tolist() == footprints.ids.tolist()


def test_without_a_psf_all_but_the_psf_flux_is_there() -> None:
    table = measure(exposure([(100.3, 80.8, 1e5)], noise=0.0, psf=False))
    assert np.isnan(table["psf_flux"][0])
    assert table["flag_psf_flux"][0]
    assert table["x"][0] == pytest.approx(100.3, abs=1e-3)
    assert table["aperture_flux_12_0"][0] == pytest.approx(1e5, rel=1e-4)
    assert np.isnan(table["ra"][0])


def test_mask_planes_raise_their_flags() -> None:
    planes = {
        "SAT": "flag_saturated",
        "INTRP": "flag_interpolated",
        "BAD": "flag_bad",
        "CR": "flag_cosmic_ray",
        "NO_DATA": "flag_no_data",
    }
    for plane, name in planes.items():
        frame = exposure([(100.0, 80.0, 1e5), (200.0, 180.0, 1e5)])
        frame.bits[83, 102] |= bitmask(plane)
        table = measure(frame)
        assert table[name].tolist() == [True, False]
        assert not table["flag_edge"].any()
    frame = exposure([(100.0, 80.0, 1e5), (200.0, 180.0, 1e5)])
    frame.bits[83, 102] |= bitmask("SAT", "INTRP")
    frame.bits[181, 199] |= bitmask("SAT", "INTRP")
    table = measure(frame)
    assert table["flag_saturated_center"].tolist() == [False, True]
    assert table["flag_interpolated_center"].tolist() == [False, True]


def test_missing_pixels_are_flagged_and_left_out() -> None:
    frame = exposure([(100.0, 80.0, 1e5)], noise=0.0)
    frame.image.array[80:82, 101] = np.nan
    frame.bits[80:82, 101] |= bitmask("NO_DATA")
    row = measure(frame)[0]
    assert row["aperture_flag_3_0"]
    assert row["flag_no_data"]
    assert row["flag_psf_flux"]
    assert row["flag_centroid"]
    assert np.isfinite(row["aperture_flux_12_0"])


def test_negative_variance_counts_as_missing() -> None:
    frame = exposure([(100.0, 80.0, 1e5)], noise=0.0)
    frame.variance.array[84, 101] = -1e6
    row = measure(frame)[0]
    assert row["aperture_flag_6_0"]
    assert np.isfinite(row["aperture_flux_6_0_err"])
    assert row["psf_flux"] == pytest.approx(1e5, rel=1e-4)


def test_a_star_at_the_edge() -> None:
    row = measure(exposure([(4.0, 80.0, 1e5)]))[0]
    assert row["flag_edge"]
    assert not row["aperture_flag_3_0"]
    assert row["aperture_flag_6_0"]


def test_a_centroid_that_wanders_falls_back_to_the_peak() -> None:
    frame = exposure([(100.0, 80.0, 1e4)])
    frame.image.array[80, 103] += 3e4  # a hot pixel that the peak is not on
    footprints = detect_sources(exposure([(100.0, 80.0, 1e4)]), SIGMA)
    row = measure_sources(frame, footprints)[0]
    assert row["flag_centroid"]
    assert (row["x"], row["y"]) == (100.0, 80.0)
    assert np.isnan(row["x_err"])


def test_no_footprints_no_rows() -> None:
    frame = exposure([], noise=0.0)
    table = measure(frame)
    assert len(table) == 0
    assert "psf_flux" in table.colnames


def test_part_of_a_frame_gives_the_same_values() -> None:
    frame = exposure([(100.0, 80.0, 1e5), (180.0, 200.0, 3e4)])
    whole = measure(frame)
    part = frame[Box.factory[40:130, 50:160]]
    half = measure_sources(part, detect_sources(frame, SIGMA)[:1], psf_sigma=SIGMA)
    for name in ("x", "y", "psf_flux", "aperture_flux_12_0", "ixx"):
        assert half[name][0] == pytest.approx(whole[name][0], rel=1e-6)


def test_undersampled_stars_on_a_tiny_frame() -> None:
    rng = np.random.default_rng(8)
    truth = [
        (20 + 40 * i + rng.uniform(-0.5, 0.5), 20 + 40 * j + rng.uniform(-0.5, 0.5), 2e4)
        for i in range(5)
        for j in range(5)
    ]
    frame = exposure(truth, sigma=0.85)
    table = measure_sources(frame, detect_sources(frame, 0.85, DetectionSettings(threshold=5)))
    assert len(table) == 25
    x, y = (np.array([star[k] for star in truth]) for k in (0, 1))
    nearest = np.hypot(np.subtract.outer(x, table["x"]), np.subtract.outer(y, table["y"])).argmin(axis=1)
    assert np.abs(table["x"][nearest] - x).max() < 0.03
    assert not table["flag_centroid"].any()
    assert np.asarray(table["psf_flux"]) == pytest.approx(np.full(25, 2e4), rel=0.01)


class KnownOnTheLeft(GaussianPointSpreadFunction):
    """A function that is not known to the right of a column, as a coadd's is where no input has a pixel."""

    def stamps(self, x, y, *, centred=False):
        x, y = np.atleast_1d(x), np.atleast_1d(y)
        stamps, x0, y0 = psf_stamps(
            GaussianPointSpreadFunction(SIGMA, bounds=self.bounds, stamp_size=25), x, y, centred
        )
        stamps[x > 150.0] = np.nan
        return stamps, x0, y0


def test_where_the_psf_is_not_known_the_flux_alone_is_missing() -> None:
    frame = exposure([(60.0, 60.0, 1e5), (146.0, 160.0, 1e5), (152.0, 160.0, 1e5), (220.0, 60.0, 1e5)])
    frame.psf = KnownOnTheLeft(SIGMA, bounds=frame.bbox, stamp_size=25)
    table = measure(frame)
    table.sort("x")
    assert table["x"] == pytest.approx([60.0, 146.0, 152.0, 220.0], abs=0.3)
    assert list(table["flag_psf_flux"]) == [False, False, True, True]
    assert list(np.isnan(table["psf_flux"])) == [False, False, True, True]
    # The neighbour has no model: its light stays in.
    assert np.array(table["psf_flux"][:2]) == pytest.approx([1e5, 1.034e5], rel=0.005)
    assert not table["flag_centroid"].any()
