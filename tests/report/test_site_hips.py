"""HiPS of a coadd: pixels at their places on the sky, colours, and the properties that viewers read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from skyloom.report.site_hips import hips_order, read_properties, write_colour_hips, write_hips
from skyloom.skymap import DiscreteSkyMap, Patch

pytest.importorskip("reproject", reason="the extra hips is not installed")

SIZE = 120
KNOWN = {"obs_title": "a field", "creator_did": "ivo://skyloom/field/0/r"}
FLUX = {"g": 50.0, "r": 100.0, "i": 400.0}


@pytest.fixture(scope="module")
def patches() -> list[Patch]:
    """Two neighbours."""
    sky_map = DiscreteSkyMap(
        name="field",
        tracts=({"ra": 10.0, "dec": 2.0, "radius": 0.01},),
        pixel_scale=0.5,
        patch_size=(SIZE, SIZE),
        patch_border=10,
    )
    tract = sky_map.tract(0)
    middle = tract.n_patches[0] // 2
    return [tract.patch((middle - 1, 0)), tract.patch((middle, 0))]


def smooth(patch: Patch) -> np.ndarray:
    """A wave over the tract, which all patches have in common."""
    box = patch.outer_bbox
    y, x = np.mgrid[box.y.start : box.y.stop, box.x.start : box.x.stop]
    return (FLUX["r"] * (2.0 + np.sin(x / 15.0) * np.cos(y / 20.0))).astype(np.float32)


@pytest.fixture(scope="module")
def made(patches: list[Patch], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """FITS tiles of three bands and colours."""
    root = tmp_path_factory.mktemp("hips")
    by_id = {patch.id: patch for patch in patches}
    found = {name: root / name for name in ("r", "colour")}
    assert write_hips(patches, "r", lambda patch, _: smooth(by_id[patch]), found["r"], KNOWN)
    for band in "gi":
        # The same sky in another colour.
        found[band] = Path(shutil.copytree(found["r"], root / band))
        for tile in found[band].rglob("Npix*.fits"):
            with fits.open(tile, mode="update", memmap=False) as there:
                there[0].data *= FLUX[band] / FLUX["r"]
    assert write_colour_hips([found[band] for band in "irg"], patches, root / "colour", "colours")
    return found


def sky_of(tile: Path, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of the pixels of a FITS tile: nested order of HEALPix, its origin at the top."""
    healpix = pytest.importorskip("astropy_healpix").HEALPix(nside=2**order * 512, order="nested")
    row, column = np.mgrid[:512, :512]
    within = sum((((column >> bit) & 1) << (2 * bit + 1)) | (((511 - row >> bit) & 1) << (2 * bit)) for bit in range(9))
    longitude, latitude = healpix.healpix_to_lonlat(int(tile.stem[4:]) * 512**2 + within)
    return longitude.deg, latitude.deg


def test_pixels_are_at_their_places_on_the_sky(made: dict[str, Path], patches: list[Patch]) -> None:
    tract, found = patches[0].tract, 0
    for tile in made["r"].glob("Norder10/*/Npix*.fits"):
        pixels, (ra, dec) = fits.getdata(tile), sky_of(tile, 10)
        x, y = tract.pixels_of(ra, dec)
        known = np.isfinite(pixels)
        found += int(known.sum())
        expected = FLUX["r"] * (2.0 + np.sin(x / 15.0) * np.cos(y / 20.0))
        assert np.abs(pixels - expected)[known].max() < 0.01 * FLUX["r"]
        # No seam between the patches: all that they cover is known.
        covered = (x > 1) & (x < 2 * SIZE - 1) & (y > 1) & (y < SIZE - 1)
        assert known[covered].all()
    area = 2 * SIZE * SIZE * (0.5 / 0.4026) ** 2
    assert found > area


def test_properties_are_those_that_viewers_need(made: dict[str, Path]) -> None:
    for band, kind in (("r", "fits"), ("colour", "png")):
        told = read_properties(made[band] / "properties")
        assert told["hips_tile_format"] == kind
        assert (told["hips_order"], told["hips_tile_width"], told["hips_frame"]) == ("10", "512", "equatorial")
        assert float(told["hips_initial_ra"]) == pytest.approx(10.0, abs=0.02)
        assert {"creator_did", "obs_title", "dataproduct_type", "hips_version", "hips_release_date"} <= set(told)
    assert read_properties(made["colour"] / "properties")["dataproduct_subtype"] == "color"
    assert read_properties(made["colour"] / "properties")["creator_did"] == "ivo://skyloom/field/0/colour"


def test_orders_are_whole_and_the_coarse_ones_are_on_one_picture(made: dict[str, Path]) -> None:
    for order in range(11):
        numbers = {int(tile.stem[4:]) for tile in made["r"].glob(f"Norder{order}/*/Npix*.fits")}
        assert numbers
        if order:
            above = {int(tile.stem[4:]) for tile in made["r"].glob(f"Norder{order - 1}/*/Npix*.fits")}
            assert {number // 4 for number in numbers} == above
        colours = {int(tile.stem[4:]) for tile in made["colour"].glob(f"Norder{order}/*/Npix*.png")}
        assert colours == numbers
    allsky = fits.getdata(made["r"] / "Norder3/Allsky.fits")
    assert allsky.shape == (29 * 64, 27 * 64)
    with Image.open(made["colour"] / "Norder3/Allsky.png") as picture:
        assert picture.size == (27 * 64, 29 * 64)


def test_colours_follow_the_bands_and_blank_pixels_are_transparent(made: dict[str, Path]) -> None:
    tile = next(made["r"].glob("Norder10/*/Npix*.fits"))
    with Image.open(made["colour"] / tile.relative_to(made["r"]).with_suffix(".png")) as picture:
        pixels = np.asarray(picture).astype(int)
    known = np.isfinite(fits.getdata(tile))[::-1]
    assert np.array_equal(pixels[..., 3] == 255, known)
    red, green, blue = (np.median(pixels[known][:, one]) for one in range(3))
    assert red > green > blue


def test_a_band_without_data_is_left_out(patches: list[Patch], made: dict[str, Path], tmp_path: Path) -> None:
    assert not write_hips(patches, "u", lambda *_: None, tmp_path / "u", KNOWN)
    assert not write_colour_hips([made["r"], made["i"], tmp_path / "u"], patches, tmp_path / "colour", "colours")
    assert not any(tmp_path.iterdir())


def test_order_follows_the_scale() -> None:
    # Sides of pixels: 58.6 deg / 512 / 2^order; order 9 has 0.805 arcsec, order 10 0.403, order 11 0.201.
    assert [hips_order(scale) for scale in (0.82, 0.5, 0.396, 0.26, 0.185)] == [9, 10, 10, 11, 11]
