"""Header files of joint fits, as astropy and SWarp read them."""

from __future__ import annotations

import logging
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from astropy.wcs import WCS
from click.testing import CliRunner
from lsst.daf.butler import Butler, Config, DatasetType, Timespan
from lsst.images import Box
from lsst.sphgeom import ConvexPolygon, LonLat, UnitVector3d

from skyloom.astrometry.tangent import from_tangent_plane
from skyloom.catalog.matching import separation_arcsec
from skyloom.cli.export import command
from skyloom.errors import RepositoryError
from skyloom.images import header_of_map
from skyloom.jointcal import PHOTO_CALIB_COLUMNS, WCS_COLUMNS, table_of
from skyloom.repo.export import export_heads, find_exportable

WIDTH, HEIGHT = 512, 1024
SCALE_DEG = 5e-5
MEAN, MOVED = 12.5, 0.3
KEY = {"instrument": "tiny", "visit": 42, "skymap": "field", "tract": 0}
STARS = ((60.3, 100.7), (450.2, 900.4), (256.1, 512.6), (30.4, 980.7), (480.9, 40.2))


def to_sky(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A plane bent by up to 1 px, turned to the sky's east."""
    u, v = (np.asarray(x) - 255.5) / 1000.0, (np.asarray(y) - 511.5) / 1000.0
    bent_u = u + 8e-4 * u**2 + 1.2e-3 * u * v - 6e-3 * u * (u**2 + v**2)
    bent_v = v + 8e-4 * v**2 + 4e-4 * u**2 - 6e-3 * v * (u**2 + v**2)
    return from_tangent_plane(-1000.0 * SCALE_DEG * bent_u, 1000.0 * SCALE_DEG * bent_v, 30.0, 40.0)


def tables() -> dict[str, Table]:
    """What a joint fit says of a visit: two detectors, the second of which has no flux scale."""
    header, residual = header_of_map(to_sky, Box.from_shape((HEIGHT, WIDTH)))
    text = header.tostring(sep="\n", endcard=False, padding=False)
    common = {"x1": WIDTH, "y1": HEIGHT, "n_stars": 50, "reason": ""}
    wcs = dict.fromkeys(WCS_COLUMNS, 0) | common | {"wcs": text, "wcs_residual": residual}
    tilt = np.zeros((8, 8))
    tilt[0, 0], tilt[0, 1] = 1.0, 0.02
    scale = dict.fromkeys(PHOTO_CALIB_COLUMNS, 0) | common
    scale |= {"calibration_mean": MEAN, "calibration_err": 0.1, "chebyshev": tilt.ravel(), "moved": MOVED}
    refused = {"detector": 4, "refused": True, "reason": "too few stars"}
    return {
        "joint_wcs": table_of([wcs | {"detector": 3}, wcs | {"detector": 4}], WCS_COLUMNS),
        "joint_photo_calib": table_of([scale | {"detector": 3}, scale | refused], PHOTO_CALIB_COLUMNS),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("heads") / "repo")
    Butler.makeRepo(path, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    corners = [UnitVector3d(LonLat.fromDegrees(*at)) for at in ((29.0, 39.0), (31.0, 39.0), (31.0, 41.0), (29.0, 41.0))]
    begin = Time("2026-01-01T03:04:05.5", scale="utc")
    with Butler.from_config(path, writeable=True, run="run") as butler:
        insert = butler.registry.insertDimensionData
        insert(
            "instrument", {"name": "tiny", "visit_max": 99, "exposure_max": 99, "detector_max": 9, "class_name": "x"}
        )
        insert("physical_filter", {"instrument": "tiny", "name": "r.MP9601", "band": "r"})
        insert("day_obs", {"instrument": "tiny", "id": 20260101})
        visit = {"instrument": "tiny", "physical_filter": "r.MP9601", "day_obs": 20260101, "exposure_time": 30.0}
        span = Timespan(begin, begin + 30.0 * u.s)
        insert("visit", *({**visit, "id": number, "name": str(number), "timespan": span} for number in (42, 43)))
        insert("skymap", {"name": "field", "hash": b"1", "tract_max": 2, "patch_nx_max": 1, "patch_ny_max": 1})
        insert("tract", *({"skymap": "field", "id": n, "region": ConvexPolygon(corners)} for n in (0, 1)))
        for name, table in tables().items():
            kind = DatasetType(name, tuple(KEY), "ArrowAstropy", universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
            butler.put(table, name, KEY)
        butler.put(tables()["joint_wcs"], "joint_wcs", KEY | {"visit": 43})
        butler.put(tables()["joint_wcs"], "joint_wcs", KEY | {"visit": 43, "tract": 1})
        other = DatasetType("stars", ("instrument", "visit"), "ArrowAstropy", universe=butler.dimensions)
        butler.registry.registerDatasetType(other)
        butler.put(Table({"detector": [1]}), "stars", instrument="tiny", visit=42)
    return path


def export(root: str, folder: Path, *names: str, where: str = "visit = 42", **options) -> list[Path]:
    with Butler.from_config(root) as butler:
        refs = [ref for name in names for ref in find_exportable(butler, "run", name, f"instrument='tiny' AND {where}")]
        return list(export_heads(butler, refs, folder, **options))


def read_head(path: Path) -> fits.Header:
    """Cards of a header file, their form checked."""
    lines = path.read_text(encoding="ascii").split("\n")
    assert lines.pop() == ""
    assert {len(line) for line in lines} == {80}
    assert [number for number, line in enumerate(lines) if line.startswith("END ")] == [len(lines) - 1]
    header = fits.Header.fromstring("\n".join(lines), sep="\n")
    for card in header.cards:
        card.verify("exception")
    return header


@pytest.mark.parametrize("form", ["sip", "tpv"])
def test_astropy_reads_the_sky_of_the_fit(root, tmp_path, form):
    paths = export(root, tmp_path, "joint_wcs", wcs=form)
    assert [path.name for path in paths] == ["joint_wcs_tiny_field_0_42_3.head", "joint_wcs_tiny_field_0_42_4.head"]
    header = read_head(paths[0])
    assert header["CTYPE1"] == {"sip": "RA---TAN-SIP", "tpv": "RA---TPV"}[form]
    y, x = np.mgrid[-0.5 : HEIGHT - 0.5 : 21j, -0.5 : WIDTH - 0.5 : 21j]
    off = separation_arcsec(*WCS(header).all_pix2world(x, y, 0), *to_sky(x, y)) / (3600.0 * SCALE_DEG)
    assert 0.0 < header["WCSRESID"] < 1e-5
    assert off.max() <= header["WCSRESID"] + 2e-9
    assert "FLXSCALE" not in header


def test_flux_scale_of_pixels_in_electrons_and_in_njy(root, tmp_path):
    (electrons,) = export(root, tmp_path, "joint_wcs", "joint_photo_calib")
    header = read_head(electrons)
    assert header["CTYPE1"] == "RA---TPV"
    assert header["FLXSCALE"] == pytest.approx(MEAN)
    assert header["MAGZERO"] == pytest.approx(31.4 - 2.5 * np.log10(MEAN))
    assert header["FLXVARY"] == pytest.approx(0.04)
    assert "electron" in header.comments["FLXSCALE"]
    (njy,) = export(root, tmp_path, "joint_photo_calib", pixels="nJy")
    header = read_head(njy)
    assert header["FLXSCALE"] == pytest.approx(10.0 ** (0.4 * MOVED))
    assert header["MAGZERO"] == pytest.approx(31.4 - MOVED)
    assert "CTYPE1" not in header


def test_frame_is_named(root, tmp_path):
    (path,) = export(root, tmp_path, "joint_photo_calib", image="initial_pvi")
    assert path.name == "initial_pvi_tiny_42_3.head"
    header = read_head(path)
    assert (header["INSTRUME"], header["VISIT"], header["DETECTOR"]) == ("tiny", 42, 3)
    assert (header["FILTER"], header["EXPTIME"]) == ("r.MP9601", 30.0)
    assert Time(header["DATE-OBS"], scale="utc") == Time("2026-01-01T03:04:05.5", scale="utc")


def test_what_has_no_header_is_told(root, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="skyloom"):
        export(root, tmp_path, "joint_wcs", "joint_photo_calib")
        assert "visit 42, detector 4 gets no header: joint_photo_calib refuses it: too few stars" in caplog.text
        paths = export(
            root,
            tmp_path,
            "joint_wcs",
            "joint_photo_calib",
            where="visit IN (42, 43) AND skymap = 'field' AND tract = 0",
        )
    assert len(paths) == 1
    assert "has no joint_photo_calib and is left out" in caplog.text
    with pytest.raises(RepositoryError, match="two tables tell of initial_pvi_tiny_43_3"):
        export(root, tmp_path, "joint_wcs", where="visit = 43", image="initial_pvi")
    with pytest.raises(RepositoryError, match="stars cannot be exported as head"):
        export(root, tmp_path, "stars")


def test_command(root, tmp_path):
    arguments = [root, "run", "joint_wcs,joint_photo_calib", "-d", "instrument='tiny' AND visit = 42"]
    arguments += ["-o", str(tmp_path / "out"), "--image", "initial_pvi"]
    result = CliRunner().invoke(command, [*arguments, "--format", "head", "--wcs", "sip"])
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["initial_pvi_tiny_42_3.head"]
    header = read_head(tmp_path / "out" / "initial_pvi_tiny_42_3.head")
    assert (header["CTYPE1"], header["FLXSCALE"]) == ("RA---TAN-SIP", MEAN)
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert "--format head" in result.output


@pytest.mark.skipif(shutil.which("SWarp") is None, reason="SWarp is not installed")
def test_swarp_puts_stars_where_the_fit_has_them(root, tmp_path):
    """On a frame without any WCS of its own.

    SWarp inverts a distortion by polynomials that may be wrong by up to 0.04 px; those of this distortion are better.
    Bilinear interpolation keeps centroids.
    """
    (head,) = export(root, tmp_path, "joint_wcs", "joint_photo_calib", image="frame")
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = sum(np.exp(-0.5 * ((x - left) ** 2 + (y - low) ** 2) / 2.5**2) for left, low in STARS)
    fits.writeto(head.with_suffix(".fits"), pixels.astype(np.float32))
    options = "-SUBTRACT_BACK N -WRITE_XML N -VERBOSE_TYPE QUIET -NTHREADS 1 -FSCALASTRO_TYPE NONE"
    options += " -RESAMPLING_TYPE BILINEAR -CENTER_TYPE MANUAL -CENTER 30.0,40.0 -IMAGE_SIZE 700,1200"
    options += f" -PIXELSCALE_TYPE MANUAL -PIXEL_SCALE {3600.0 * SCALE_DEG}"
    subprocess.run(["SWarp", head.with_suffix(".fits").name, *options.split()], cwd=tmp_path, check=True)
    coadd, header = fits.getdata(tmp_path / "coadd.fits", header=True)
    for star in STARS:
        true_x, true_y = (float(at) for at in WCS(header).all_world2pix(*to_sky(*star), 0))
        left, low = round(true_x) - 12, round(true_y) - 12
        stamp = coadd[low : low + 25, left : left + 25].astype(float)
        rows, columns = np.mgrid[low : low + 25, left : left + 25]
        assert (stamp * columns).sum() / stamp.sum() == pytest.approx(true_x, abs=0.01)
        assert (stamp * rows).sum() / stamp.sum() == pytest.approx(true_y, abs=0.01)
        assert stamp.sum() == pytest.approx(MEAN * 2.0 * np.pi * 2.5**2, rel=0.02)
