"""Exported files, as astropy alone reads them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from click.testing import CliRunner
from lsst.daf.butler import Butler, Config, DatasetType

from fixtures import samples
from skyloom import images
from skyloom.cli.export import command
from skyloom.errors import RepositoryError
from skyloom.images import bitmask, pixel_to_radec
from skyloom.repo.export import export_datasets, find_exportable

WHERE = "instrument = 'tiny' AND visit = 42"
TPV = {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0, "PV1_4": 0.5, "PV2_4": 0.7}


def curved() -> images.Exposure:
    """A calibrated frame whose projection FITS has no plain form of."""
    exposure = samples.calibrated()
    header = samples.wcs_header(**TPV)
    for name in ("A_ORDER", "B_ORDER", "A_2_0", "B_1_1"):
        del header[name]
    exposure.projection = images.projection_from_header(header, samples.detector().frame)
    return exposure


def catalogue() -> Table:
    table = Table({"source_id": np.array([2**40, 2**40 + 1]), "flux": [1.25, np.nan], "flag": [True, False]})
    table["flux"].unit, table["flux"].description = u.electron, "Flux of the PSF fit."
    table["corners"] = np.arange(8.0).reshape(2, 4) * u.deg
    return table


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("export") / "repo")
    Butler.makeRepo(path, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    datasets = {
        "pvi": ("VisitImage", images.to_visit_image(samples.calibrated())),
        "curved": ("VisitImage", images.to_visit_image(curved())),
        "coadd": ("CoaddImage", images.to_coadd(samples.coadd())),
        "n_image": ("ImageV2", samples.coadd().image),
        "stars": ("ArrowAstropy", catalogue()),
        "calib": ("SkyloomPhotoCalib", samples.photo_calib()),
    }
    with Butler.from_config(path, writeable=True, run="run") as butler:
        insert = butler.registry.insertDimensionData
        insert(
            "instrument", {"name": "tiny", "visit_max": 99, "exposure_max": 99, "detector_max": 9, "class_name": "x"}
        )
        insert("physical_filter", {"instrument": "tiny", "name": "r", "band": "r"})
        insert("detector", {"instrument": "tiny", "id": 3, "full_name": "ccd03", "purpose": "SCIENCE"})
        insert("day_obs", {"instrument": "tiny", "id": 20260101})
        insert("visit", {"instrument": "tiny", "id": 42, "name": "42", "physical_filter": "r", "day_obs": 20260101})
        for name, (storage_class, dataset) in datasets.items():
            kind = DatasetType(name, ("instrument", "visit", "detector"), storage_class, universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
            butler.put(dataset, name, instrument="tiny", visit=42, detector=3)
    return path


def export(root: str, name: str, folder: Path, file_format: str | None = None) -> Path:
    with Butler.from_config(root) as butler:
        (path,) = export_datasets(butler, find_exportable(butler, "run", name, WHERE), folder, file_format)
    return path


@pytest.mark.parametrize("name", ["pvi", "curved", "coadd"])
def test_astropy_gives_the_same_sky(root, tmp_path, name):
    exposure = {"pvi": samples.calibrated, "curved": curved, "coadd": samples.coadd}[name]()
    box = exposure.bbox
    y, x = np.mgrid[-0.5 : box.y.size - 0.5 : 7j, -0.5 : box.x.size - 0.5 : 7j]
    with fits.open(export(root, name, tmp_path)) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "SCI", "WHT", "MASK"]
        for hdu in hdus[1:]:
            ra, dec = WCS(hdu.header).all_pix2world(x, y, 0)
            at = images.radec_to_pixel(exposure.projection, ra, dec)
            assert np.hypot(at[0] - box.x.start - x, at[1] - box.y.start - y).max() < 1e-4
        residual = hdus["SCI"].header.get("WCSRESID")
    assert (residual is not None) is (name == "curved")
    if residual is not None:
        assert 0 < residual < 1e-4


def test_distortions_are_written_as_tpv_where_asked(root, tmp_path):
    result = CliRunner().invoke(command, [root, "run", "pvi", "-d", WHERE, "-o", str(tmp_path), "--wcs", "tpv"])
    assert result.exit_code == 0, result.output
    with fits.open(tmp_path / "pvi_tiny_42_3.fits") as hdus:
        header = hdus["SCI"].header
        assert (header["CTYPE1"], header["CTYPE2"]) == ("RA---TPV", "DEC--TPV")
        assert 0.0 < header["WCSRESID"] < 1e-5
        ra, dec = WCS(header).all_pix2world([0.0, 20.0], [0.0, 30.0], 0)
    box, projection = samples.calibrated().bbox, samples.calibrated().projection
    at = images.radec_to_pixel(projection, ra, dec)
    assert np.allclose(at, [[box.x.start, box.x.start + 20.0], [box.y.start, box.y.start + 30.0]], rtol=0, atol=1e-5)


def test_pixels_weights_and_masks(root, tmp_path):
    exposure = samples.calibrated()
    with fits.open(export(root, "pvi", tmp_path)) as hdus:
        science, weights, mask = (hdus[name] for name in ("SCI", "WHT", "MASK"))
        assert np.array_equal(science.data, exposure.image.array, equal_nan=True)
        assert science.header["BUNIT"] == "nJy"
        assert science.header["MAGZERO"] == 31.4
        usable = np.isfinite(exposure.variance.array)
        assert np.allclose(weights.data[usable], 1 / exposure.variance.array[usable], rtol=1e-6)
        assert (weights.data[2, 3], weights.data.dtype.kind) == (0.0, "f")
        assert np.array_equal(mask.data, exposure.bits)
        assert 2 ** mask.header["MP_SAT"] == bitmask("SAT")
        assert 2 ** mask.header["MP_DETECTED_NEGATIVE"] == bitmask("DETECTED_NEGATIVE")
        primary = hdus[0].header
        assert (primary["INSTRUME"], primary["VISIT"], primary["DETECTOR"], primary["BAND"]) == ("tiny", 42, 3, "r")
        assert (primary["EXPTIME"], primary["FILTER"]) == (30.0, "r")
        assert fits.HDUList(hdus).verify("exception") is None


def test_bad_pixels_have_no_weight(root, tmp_path):
    exposure = samples.calibrated()
    exposure.bits[7, 7] |= bitmask("BAD")
    from skyloom.repo.plain_fits import weight

    assert weight(images.to_visit_image(exposure))[7, 7] == 0.0


def test_image_without_mask(root, tmp_path):
    with fits.open(export(root, "n_image", tmp_path)) as hdus:
        assert np.array_equal(hdus["SCI"].data, samples.coadd().image.array, equal_nan=True)
        assert (hdus["SCI"].header["X0"], hdus["SCI"].header["Y0"]) == (200, 100)


@pytest.mark.filterwarnings("ignore:'electron' did not parse")
@pytest.mark.parametrize("file_format", ["fits", "csv"])
def test_catalogues_keep_units(root, tmp_path, file_format):
    path = export(root, "stars", tmp_path, file_format)
    assert path.name == f"stars_tiny_42_3.{file_format}"
    reader = {"fits": {"mask_invalid": False}, "csv": {"format": "ascii.ecsv"}}[file_format]
    table = Table.read(path, **reader)
    assert str(table["flux"].unit) == "electron"
    assert list(table["source_id"]) == [2**40, 2**40 + 1]
    assert table["flux"][0] == 1.25
    assert np.isnan(table["flux"][1])
    assert np.array_equal(table["corners"], catalogue()["corners"])
    if file_format == "fits":
        assert fits.getheader(path, 1)["TCOMM2"] == "Flux of the PSF fit."
    else:
        assert table["flux"].description == "Flux of the PSF fit."


def test_what_cannot_be_exported_says_so(root, tmp_path):
    with pytest.raises(RepositoryError, match="PhotoCalib cannot be exported as fits"):
        export(root, "calib", tmp_path)
    with pytest.raises(RepositoryError, match="VisitImage cannot be exported as csv"):
        export(root, "pvi", tmp_path, "csv")
    with pytest.raises(RepositoryError, match="no dataset type 'nothing'"):
        export(root, "nothing", tmp_path)
    with Butler.from_config(root) as butler, pytest.raises(RepositoryError, match="no pvi in run"):
        find_exportable(butler, "run", "pvi", "instrument = 'tiny' AND visit = 41")
    assert not list(tmp_path.iterdir())


def test_command_writes_whole_files_only(root, tmp_path):
    result = CliRunner().invoke(command, [root, "run", "coadd", "-d", WHERE, "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert result.output.split() == [str(tmp_path / "out" / "coadd_tiny_42_3.fits")]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["coadd_tiny_42_3.fits"]
    with fits.open(tmp_path / "out" / "coadd_tiny_42_3.fits") as hdus:
        assert hdus[0].header["NINPUTS"] == 2
        assert hdus["SCI"].header["CTYPE1"] == "RA---TAN"
        ra, dec = WCS(hdus["SCI"].header).all_pix2world(3.0, 4.0, 0)
    assert (ra, dec) == pytest.approx([float(v) for v in pixel_to_radec(samples.tract_projection(), 203.0, 104.0)])
