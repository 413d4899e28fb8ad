"""What differs between two files is found and told; provenance and layout are no difference."""

from __future__ import annotations

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from lsst.daf.butler.formatters.parquet import astropy_to_arrow
from lsst.resources import ResourcePath
from pyarrow import parquet

from skyloom.repo.compare_files import differences_of_files

PIXELS = np.array([[1.0, np.nan], [np.inf, -2.0]], np.float32)
TREE = {"psf": {"order": 2, "points": [1.5, 2.5]}, "butler_info": {"id": "one"}}


def write_image(path, pixels=PIXELS, tree=TREE, **cards):
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    column = fits.Column("JSON", f"PB({text.size})", array=np.array([text], dtype=object))
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(pixels, name="IMAGE"),
        fits.BinTableHDU.from_columns([column], name="JSON"),
    ]
    hdus[0].header.update({"DATE": str(path), "EXPTIME": 30.0, **cards})
    hdus[0].header["HIERARCH LSST BUTLER ID"] = str(path)
    fits.HDUList(hdus).writeto(path)


def differences(one, other):
    return list(differences_of_files(ResourcePath(str(one)), ResourcePath(str(other))))


def test_provenance_is_no_difference(tmp_path):
    for name in ("one", "two"):
        made_of = {"LSST CALIB UUID BIAS": name, "LSST CALIB RUN BIAS": "masters"}
        write_image(tmp_path / f"{name}.fits", tree=TREE | {"butler_info": {"id": name}, "metadata": made_of})
    assert differences(tmp_path / "one.fits", tmp_path / "two.fits") == []


def with_pixel(value):
    pixels = PIXELS.copy()
    pixels[1, 1] = value
    return pixels


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pixels": with_pixel(-2.5)}, ["IMAGE: 1 of 4 values differ, by 0.5 at most"]),
        ({"pixels": with_pixel(np.nan)}, ["IMAGE: 1 of 4 values differ, finite on one side only"]),
        ({"pixels": PIXELS[:1]}, ["IMAGE: NAXIS2 2 against 1", "IMAGE: f4 (2, 2) against f4 (1, 2)"]),
        ({"tree": {"psf": {"order": 3, "points": [1.5, 2.5]}}}, ["/psf/order: 2 against 3"]),
        (
            {"tree": {"psf": {"points": [1.5, 2.0]}}},
            ["/psf/order: on one side only", "/psf/points[1]: 2.5 against 2.0"],
        ),
        ({"EXPTIME": 31.0}, ["PRIMARY: EXPTIME 30.0 against 31.0"]),
    ],
)
def test_what_differs_in_an_image_is_told(tmp_path, changes, words):
    write_image(tmp_path / "a.fits")
    write_image(tmp_path / "b.fits", **changes)
    assert [line.replace(">", "") for line in differences(tmp_path / "a.fits", tmp_path / "b.fits")] == words


def write_table(path, unit=u.nJy, run="first", **changes):
    table = Table({"id": [1, 2], "flux": [1.0, np.nan], "name": ["a", "b"]} | changes)
    table["flux"].unit = unit
    table.meta["LSST.BUTLER.RUN"] = run
    parquet.write_table(astropy_to_arrow(table), path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"run": "second"}, []),
        ({"flux": [1.25, np.nan]}, ["flux: 1 of 2 values differ, by 0.25 at most"]),
        ({"name": ["a", "c"]}, ["name: other values"]),
        ({"more": [1, 2]}, ["columns on one side only: more"]),
        ({"id": [1, 2, 3], "flux": [1.0, 2.0, 3.0], "name": ["a", "b", "c"]}, ["2 rows against 3"]),
    ],
)
def test_what_differs_in_a_table_is_told(tmp_path, changes, words):
    write_table(tmp_path / "a.parq")
    write_table(tmp_path / "b.parq", **changes)
    assert differences(tmp_path / "a.parq", tmp_path / "b.parq")[: len(words) or None] == words


def test_a_unit_is_a_difference(tmp_path):
    write_table(tmp_path / "a.parq")
    write_table(tmp_path / "b.parq", unit=u.mJy)
    (line,) = differences(tmp_path / "a.parq", tmp_path / "b.parq")
    assert "nJy" in line
    assert "mJy" in line


def test_other_files_are_compared_as_they_are(tmp_path):
    for name, text in (("a.py", "config.x = 1"), ("b.py", "config.x = 2"), ("c.json", "[1]"), ("d.json", "[ 1 ]")):
        (tmp_path / name).write_text(text)
    assert differences(tmp_path / "a.py", tmp_path / "b.py") == ["other bytes"]
    assert differences(tmp_path / "a.py", tmp_path / "a.py") == []
    assert differences(tmp_path / "c.json", tmp_path / "d.json") == []
    assert differences(tmp_path / "a.py", tmp_path / "c.json") == [".py against .json"]
