"""Catalogues as VOTable, FITS and CSV, and as they lie in the repository: the same values, units and descriptions."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler, Config, DatasetType

from skyloom.cli.export import command
from skyloom.objects import ForcedFrameSettings, make_forced_table, make_object_table, merge_bands
from skyloom.objects.settings import MergeSettings
from skyloom.skymap import DiscreteSkyMap

SKY_MAP = DiscreteSkyMap(
    name="field", tracts=({"ra": 150.0, "dec": 2.0, "radius": 0.01},), pixel_scale=0.2, patch_size=(400, 400)
)


def light_curves() -> Table:
    """A table of forced sources with values of every kind, those of empty objects with them."""
    table = make_forced_table(3, ForcedFrameSettings().aperture_radii)
    table["object_id"][:] = 2**40 + np.arange(3)
    table["psf_flux"][:] = [1.25, np.nan, -3.5e-3]
    table["band"][:] = "r"
    table["flag_off_image"][:] = [False, True, False]
    return table


def no_objects() -> Table:
    """An object table of two bands without a row."""
    patch = SKY_MAP.tract(0).patch(0)
    return make_object_table(
        merge_bands({}, patch.outer_bbox, 0.2, MergeSettings()), {}, {}, ["g", "r"], (3.0,), patch, SKY_MAP
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("votable") / "repo")
    Butler.makeRepo(path, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    electrons = Table({"flux": [2.0, 3.0]})
    electrons["flux"].unit, electrons["flux"].description = u.electron, "A flux."
    with Butler.from_config(path, writeable=True, run="run") as butler:
        butler.registry.insertDimensionData("skymap", {"name": "field", "hash": b"1" * 20})
        for name, table in (("curves", light_curves()), ("none", no_objects()), ("electrons", electrons)):
            kind = DatasetType(name, ("skymap",), "ArrowAstropy", universe=butler.dimensions)
            butler.registry.registerDatasetType(kind)
            butler.put(table, name, skymap="field")
    return path


def export(root: str, name: str, folder: Path, file_format: str) -> Path:
    result = CliRunner().invoke(command, [root, "run", name, "-o", str(folder), "--format", file_format])
    assert result.exit_code == 0, result.output
    return Path(result.output.strip())


def assert_same(read: Table, written: Table) -> None:
    for name in written.colnames:
        values = np.ma.filled(read[name], np.nan) if read[name].dtype.kind == "f" else np.asarray(read[name])
        np.testing.assert_array_equal(values, np.asarray(written[name]), err_msg=name)
        assert read[name].dtype.kind == written[name].dtype.kind


def test_the_repository_keeps_units_and_descriptions(root: str) -> None:
    with Butler.from_config(root) as butler:
        for name, table in (("curves", light_curves()), ("none", no_objects())):
            read = butler.get(name, skymap="field", collections="run")
            assert read.colnames == table.colnames
            assert_same(read, table)
            for column in table.colnames:
                assert (read[column].unit, read[column].description) == (table[column].unit, table[column].description)


@pytest.mark.parametrize("name", ["curves", "none"])
def test_a_votable_holds_values_units_and_descriptions(root: str, tmp_path: Path, name: str) -> None:
    written = {"curves": light_curves(), "none": no_objects()}[name]
    path = export(root, name, tmp_path, "votable")
    assert path.name == f"{name}_field.vot"
    read = Table.read(path, format="votable")
    assert read.colnames == written.colnames
    assert_same(read, written)
    for column in written.colnames:
        assert read[column].unit == written[column].unit
        assert " ".join(read[column].description.split()) == written[column].description


@pytest.mark.parametrize("name", ["curves", "none"])
def test_fits_holds_values_units_and_descriptions(root: str, tmp_path: Path, name: str) -> None:
    written = {"curves": light_curves(), "none": no_objects()}[name]
    path = export(root, name, tmp_path, "fits")
    read, header = Table.read(path, mask_invalid=False), fits.getheader(path, 1)
    read.convert_bytestring_to_unicode()
    assert_same(read, written)
    for number, column in enumerate(written.colnames, start=1):
        assert read[column].unit == written[column].unit
        assert header[f"TCOMM{number}"] == written[column].description


def test_units_that_the_standard_lacks_keep_their_names(root: str, tmp_path: Path) -> None:
    table = parse_single_table(export(root, "electrons", tmp_path, "votable"), verify="ignore")
    (field,) = table.fields
    assert (str(field.unit), field.description) == ("electron", "A flux.")


def test_images_are_no_votables(root: str, tmp_path: Path) -> None:
    from skyloom.repo.export import RepositoryError, write_plain

    with pytest.raises(RepositoryError, match="int cannot be exported as votable"):
        write_plain(3, tmp_path / "three", {}, "votable")
    assert not list(tmp_path.iterdir())
