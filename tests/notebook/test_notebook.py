"""What `import skyloom` offers, on arrays and files, against truth."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from lsst.daf.butler.formatters.parquet import arrow_to_astropy
from lsst.images.psfs import GaussianPointSpreadFunction
from pyarrow.parquet import read_table

import skyloom
from calibrate.simulated_frame import SimulatedFrame, simulated_frame
from repo.tiny_camera import TINY, tiny_header
from skyloom.errors import AstrometryError, BadFrameError, NoOverlapError, NoSourcesError
from skyloom.images import Exposure, bitmask, pixel_to_radec
from skyloom.instruments import Camera
from skyloom.notebook import NAMES

FIXTURES = Path(__file__).parents[1] / "fixtures"
READ_NOISE, SKY, SIGMA, SIZE = 5.0, 200.0, 1.8, 160


def tangent(ra: float = 150.0, dec: float = 2.0, turn: float = 0.0) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, dec], [SIZE / 2, SIZE / 2]
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = 0.25 / 3600 * np.array([[-cosine, sine], [sine, cosine]])
    wcs.array_shape = (SIZE, SIZE)
    return wcs


def test_every_name_is_there_and_costs_nothing_until_it_is_used() -> None:
    assert set(skyloom.__all__) == set(NAMES)
    assert all(callable(getattr(skyloom, name)) and getattr(skyloom, name).__doc__ for name in NAMES)
    assert set(NAMES) <= set(dir(skyloom))
    with pytest.raises(AttributeError, match="no attribute 'warpto'"):
        skyloom.warpto  # noqa: B018
    loaded = "import sys, skyloom; print(sorted({'numpy', 'astropy', 'lsst', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "[]\n"


def test_adu_become_electrons_with_their_noise() -> None:
    counts = np.array([[100.0, 250.0], [np.nan, -4.0]])
    exposure = skyloom.wrap(
        counts, unit="adu", gain=2.0, read_noise=5.0, saturation=250.0, mask={"CR": counts == 100.0}
    )
    assert exposure.unit == u.electron
    np.testing.assert_array_equal(exposure.image.array, np.array([[200.0, 500.0], [np.nan, -8.0]], np.float32))
    np.testing.assert_array_equal(exposure.variance.array, np.array([[225.0, 525.0], [np.inf, 25.0]], np.float32))
    assert exposure.bits.tolist() == [[bitmask("CR"), bitmask("SAT")], [bitmask("NO_DATA"), 0]]


def test_an_image_in_njy_has_the_scatter_of_its_pixels() -> None:
    noise = np.random.default_rng(1).normal(0.0, 3.0, (300, 300))
    assert skyloom.wrap(noise, unit="nJy").variance.array == pytest.approx(9.0, rel=0.02)
    given = skyloom.wrap(noise, unit=u.nJy, variance=np.full(noise.shape, 4.0)).variance.array
    assert (given == 4.0).all()


@pytest.mark.parametrize(
    ("image", "told", "message"),
    [
        (np.zeros(5), {}, r"shape \(5,\)"),
        (np.zeros((4, 4)), {"unit": "adu"}, "Give its gain"),
        (np.zeros((4, 4)), {"unit": "furlong"}, "'furlong'.*Say adu, electron or nJy"),
        (np.zeros((4, 4)), {"mask": np.zeros((4, 5))}, r"mask BAD has the shape \(4, 5\)"),
        (np.zeros((4, 4)), {"mask": {"GHOST": np.zeros((4, 4))}}, "no mask plane GHOST"),
        (np.zeros((4, 4)), {"variance": np.zeros((2, 2))}, "variance has the shape"),
        (np.zeros((4, 4)), {"wcs": fits.Header()}, "WCS"),
    ],
)
def test_what_cannot_be_an_exposure_is_refused(image: np.ndarray, told: dict, message: str) -> None:
    with pytest.raises(BadFrameError, match=message):
        skyloom.wrap(image, **told)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    values = np.random.default_rng(2).normal(10.0, 2.0, (SIZE, SIZE))
    values[3, 4] = np.nan
    bad = np.zeros(values.shape, bool)
    bad[7, 8] = True
    one = skyloom.wrap(values, unit="nJy", variance=np.full(values.shape, 4.0), mask={"CR": bad}, wcs=tangent(turn=20))
    other = skyloom.read(skyloom.write(one, tmp_path / "frame.fits"))
    np.testing.assert_array_equal(one.image.array, other.image.array)
    np.testing.assert_array_equal(one.variance.array, other.variance.array)
    np.testing.assert_array_equal(one.bits, other.bits)
    assert other.unit == u.nJy
    where = [pixel_to_radec(frame.projection, 30.0, 140.0) for frame in (one, other)]  # type: ignore[arg-type]
    np.testing.assert_allclose(where[0], where[1], atol=1e-11)


def test_a_plain_file_says_its_gain_and_its_unit(tmp_path: Path) -> None:
    header = tangent().to_header()
    header["GAIN"], header["BAND"] = 1.5, "r"
    fits.writeto(tmp_path / "plain.fits", np.full((20, 30), 100, np.int16), header)
    exposure = skyloom.read(tmp_path / "plain.fits", read_noise=2.0)
    assert (exposure.image.array == 150.0).all()
    assert (exposure.variance.array == 154.0).all()
    assert exposure.band == "r"
    assert exposure.projection is not None


def test_files_of_our_own_come_with_all_that_is_in_them() -> None:
    coadd = skyloom.read(FIXTURES / "coadd_image_v1.1.fits")
    assert coadd.unit == u.nJy
    assert coadd.inputs is not None
    assert coadd.psf is not None


def test_tables_keep_their_units(tmp_path: Path) -> None:
    table = Table({"psf_flux": np.array([1.5, 2.5]) * u.electron})
    table["psf_flux"].description = "Flux through the PSF."
    kept = arrow_to_astropy(read_table(skyloom.write(table, tmp_path / "t.parquet")))
    assert kept["psf_flux"].unit == u.electron
    assert kept["psf_flux"].description == "Flux through the PSF."
    assert Table.read(skyloom.write(table, tmp_path / "t.csv"), format="ascii.ecsv")["psf_flux"].unit == u.electron
    with pytest.raises(BadFrameError, match=r"no such format.*\.parquet"):
        skyloom.write(table, tmp_path / "t.docx")


@pytest.fixture(scope="module")
def frame() -> SimulatedFrame:
    return simulated_frame(seed=3)


def test_stage_by_stage(frame: SimulatedFrame) -> None:
    exposure = frame.exposure.copy()
    sky = skyloom.subtract_sky(exposure)
    assert sky.sky_level == pytest.approx(np.median(frame.exposure.image.array), rel=0.02)
    fit = skyloom.fit_psf(exposure)
    assert fit.used.sum() >= 15
    sources = skyloom.find_sources(exposure)
    solution = skyloom.solve_wcs(exposure, sources, frame.reference)
    assert solution.rms_arcsec < 0.03
    check_positions(sources, frame)
    assert skyloom.picture(exposure).shape == (*exposure.bbox.shape, 3)


def test_the_whole_recipe(frame: SimulatedFrame) -> None:
    calibrated = skyloom.calibrate_frame(frame.exposure.copy(), frame.reference)
    assert calibrated.exposure.unit == u.nJy
    sources = calibrated.sources
    assert sources is not None
    check_positions(sources, frame)
    rows, true, _ = skyloom.match(sources, frame.sky)
    truth = np.asarray(frame.sky[f"flux_{frame.visit.band}"])[true]
    stars = frame.sky["is_star"][true] & (truth > 1e5) & ~np.asarray(sources["flag_psf_flux"])[rows]
    assert stars.sum() > 20
    assert np.median(np.asarray(sources["psf_flux_njy"])[rows][stars] / truth[stars]) == pytest.approx(1.0, abs=0.01)


def check_positions(sources: Table, frame: SimulatedFrame) -> None:
    """Bright sources stand where the truth has them: 10 mas in the median."""
    bright = sources[np.argsort(-np.asarray(sources["psf_flux"]))[:60]]
    _, _, distance = skyloom.match(bright, frame.sky)
    assert len(distance) > 50
    assert np.median(distance) < 0.02


def test_too_few_stars_ask_for_their_width() -> None:
    noise = np.random.default_rng(3).normal(0.0, 1.0, (SIZE, SIZE))
    with pytest.raises(NoSourcesError, match="Say the FWHM"):
        skyloom.find_sources(skyloom.wrap(noise, unit="nJy"))
    assert len(skyloom.find_sources(skyloom.wrap(noise, unit="nJy"), fwhm=4.0, threshold=6.0)) == 0


def starry(visit: int, *, trail: bool = False) -> Exposure:
    """Twenty stars of one sky on pixels that lie a little differently each time, in nJy."""
    rng, sky = np.random.default_rng([7, visit]), np.random.default_rng(7)
    wcs = tangent(150.0 + visit * 3e-4, 2.0 - visit * 2e-4, 3.0 * visit)
    place = tangent().all_pix2world(sky.uniform(25, SIZE - 25, (20, 2)), 0)
    flux = 10.0 ** sky.uniform(2.5, 3.5, 20)
    y, x = np.indices((SIZE, SIZE))
    image = rng.normal(0.0, 3.0, (SIZE, SIZE))
    for (x0, y0), one in zip(wcs.all_world2pix(place, 0), flux, strict=True):
        image += one / (2 * np.pi * SIGMA**2) * np.exp(-0.5 * ((x - x0) ** 2 + (y - y0) ** 2) / SIGMA**2)
    if trail:
        image[np.abs(y - 0.5 * x - 40) < 3] += 60.0
    exposure = skyloom.wrap(image, unit="nJy", variance=np.full(image.shape, 9.0), wcs=wcs)
    exposure.psf = GaussianPointSpreadFunction(SIGMA, exposure.bbox, 21)
    return exposure


def test_a_trail_is_not_in_the_coadd() -> None:
    exposures = [starry(visit, trail=visit == 2) for visit in range(6)]
    clean = skyloom.make_coadd([starry(visit) for visit in range(6)], tangent())
    plain = skyloom.make_coadd(exposures, tangent(), clip=False)
    clipped = skyloom.make_coadd(exposures, tangent())
    y, x = np.indices((SIZE, SIZE))
    sigma = float(np.sqrt(np.nanmedian(clean.variance.array)))
    trail = (np.abs(y - 0.5 * x - 40) < 12) & (clean.image.array < 5 * sigma)
    spoilt, left = (np.abs(one.image.array - clean.image.array)[trail].max() for one in (plain, clipped))
    assert spoilt > 6 * sigma
    assert left < 4 * sigma
    assert (clipped.bits[trail] & bitmask("CLIPPED")).any()


def test_a_grid_of_its_own_holds_all_frames() -> None:
    exposures = [starry(visit) for visit in range(4)]
    coadd = skyloom.make_coadd(exposures)
    for exposure in exposures:
        corners = pixel_to_radec(exposure.projection, [0, SIZE - 1, 0, SIZE - 1], [0, 0, SIZE - 1, SIZE - 1])  # type: ignore[arg-type]
        x, y = coadd.projection.sky_to_pixel_transform.apply_forward(x=np.radians(corners[0]), y=np.radians(corners[1]))  # type: ignore[union-attr]
        assert coadd.bbox.x.min <= min(x) <= max(x) <= coadd.bbox.x.max
        assert coadd.bbox.y.min <= min(y) <= max(y) <= coadd.bbox.y.max


def test_warps_onto_what_tells_a_grid() -> None:
    exposure, header = starry(1), tangent().to_header()
    header["NAXIS1"] = header["NAXIS2"] = SIZE
    by_wcs, by_header = skyloom.warp_to(exposure, tangent()), skyloom.warp_to(exposure, header)
    by_exposure = skyloom.warp_to(exposure, starry(0))
    np.testing.assert_array_equal(by_wcs.image.array, by_header.image.array)
    assert np.nanmax(np.abs(by_wcs.image.array - by_exposure.image.array)) < 1e-2
    assert np.nansum(by_wcs.image.array) == pytest.approx(np.nansum(exposure.image.array), rel=0.01)


def test_what_has_no_place_is_refused() -> None:
    lost = starry(0)
    lost.projection = None
    with pytest.raises(AstrometryError, match="Frame 0 has no projection"):
        skyloom.make_coadd([lost])
    with pytest.raises(AstrometryError, match="grid's exposure has no projection"):
        skyloom.warp_to(starry(0), lost)
    with pytest.raises(BadFrameError, match="tells no shape"):
        skyloom.warp_to(starry(0), tangent().to_header())
    with (
        pytest.warns(UserWarning, match="frame 0 is left out: it is in electron"),
        pytest.raises(NoOverlapError, match="not nJy"),
    ):
        skyloom.make_coadd([skyloom.wrap(np.ones((SIZE, SIZE)), wcs=tangent())])
    with pytest.raises(BadFrameError, match="one exposure, or three"):
        skyloom.picture(starry(0), starry(1))


def test_references_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "stars.csv").write_text("id,ra,dec,gmag\n1,150.0,2.0,20.0\n2,150.1,2.1,21.4\n3,,2.2,22\n")
    table = skyloom.read_references(tmp_path / "stars.csv", magnitudes={"g": "gmag"}, epoch_year=2016.0)
    assert table["id"].tolist() == [1, 2]
    np.testing.assert_allclose(table["flux_g"], [10 ** (0.4 * 11.4), 1e4], rtol=1e-6)


def test_a_raw_frame_loses_its_signature(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    flat = rng.uniform(0.9, 1.1, (30, 20)).astype(np.float32)
    flat /= flat.mean()
    counts = np.full((30, 24), 1000.0) + rng.normal(0.0, 2.0, (30, 24))
    counts[:, :20] += 400.0 * flat
    fits.writeto(tmp_path / "raw.fits", counts.astype(np.float32), tiny_header(7, 1))
    exposure = skyloom.remove_signature(tmp_path / "raw.fits", Camera.from_yaml(TINY), flat=flat)
    assert exposure.unit == u.electron
    assert exposure.band == "r"
    assert exposure.projection is not None
    assert np.median(exposure.image.array) == pytest.approx(800.0, abs=2.0)
    assert np.std(exposure.image.array) == pytest.approx(4.0, rel=0.1)
    with pytest.raises(BadFrameError, match="no frame of detector 0"):
        skyloom.remove_signature(tmp_path / "raw.fits", Camera.from_yaml(TINY), detector=0)
