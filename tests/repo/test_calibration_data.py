"""Crosstalk, linearity, kernels and transmission curves come in, checked, and are found by date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler

from skyloom.cli.calibs import command
from skyloom.cli.calibs_import import _TYPES
from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.isr import kernel_from_data, linearities_from_data
from skyloom.isr.transmission_data import transmission_from_data
from skyloom.repo.calibration_files import calibration_files, read_calibrations
from skyloom.repo.calibration_kinds import CALIBRATION_TYPES, ImportOptions, dataset_type_of
from skyloom.repo.calibrations import import_calibrations, parse_validity
from skyloom.repo.setup import DATASET_TYPES, initialise

OPEN = parse_validity(None, None)
LINEAR = {"amplifiers": {"all": {"kind": "Squared", "coefficients": [1e-6]}}}
ALONE = {"amplifiers": ["all"], "coefficients": [[0.0]]}
KERNEL = -np.array([[0.0, 1e-8, 0.0], [1e-8, 4e-8, 1e-8], [0.0, 1e-8, 0.0]])


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    return path


def read(path: Path, camera: Camera, kind: str, **options: Any) -> list[Any]:
    return list(read_calibrations(path, camera, kind, ImportOptions(**options)))


def test_the_command_knows_every_kind() -> None:
    assert _TYPES == CALIBRATION_TYPES
    assert all(DATASET_TYPES[dataset_type_of(kind)][2] for kind in CALIBRATION_TYPES)


def test_detectors_in_one_file_or_in_many(tiny: Camera, tmp_path: Path) -> None:
    together = write(tmp_path / "all.yaml", {"detectors": {"left": LINEAR, 1: LINEAR}})
    assert [one.data_id for one in read(together, tiny, "linearizer")] == [{"detector": 0}, {"detector": 1}]
    alone = write(tmp_path / "one.json", {"detector": "right", **ALONE})
    (one,) = read(alone, tiny, "crosstalk")
    assert (one.data_id, one.dataset) == ({"detector": 1}, ALONE)
    (given,) = read(write(tmp_path / "bare.yaml", LINEAR), tiny, "linearizer", detector=1)
    assert given.data_id == {"detector": 1}


def test_kernels_of_every_form(tiny: Camera, tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", KERNEL)
    fits.PrimaryHDU(KERNEL).writeto(tmp_path / "k.fits")
    write(tmp_path / "k.yaml", {"kernel": KERNEL.tolist()})
    paths = calibration_files("brighter_fatter", [tmp_path])
    assert len(paths) == 3
    for path in paths:
        (one,) = read(path, tiny, "brighter_fatter", detector=0)
        np.testing.assert_array_equal(kernel_from_data(one.dataset), KERNEL)


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        ("linearizer", {"amplifiers": {"other": {"kind": "None"}}}, r"\['other'\], the detector has \['all'\]"),
        ("linearizer", {"amplifiers": {"all": {"kind": "Magic"}}}, "Magic"),
        ("crosstalk", {"amplifiers": ["all"]}, "lacks coefficients"),
        ("crosstalk", {"amplifiers": ["all"], "coefficients": [[0.5]]}, "disturb themselves"),
        ("crosstalk", {"amplifiers": ["one"], "coefficients": [[0.0]]}, r"\['one'\]"),
        ("brighter_fatter", {"kernel": (-KERNEL).tolist()}, "wider still"),
        ("brighter_fatter", {"kernel": [[1.0, 2.0]]}, "both sides have to be odd"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    tiny: Camera, tmp_path: Path, kind: str, content: dict[str, Any], words: str
) -> None:
    (error,) = read(write(tmp_path / "x.yaml", content), tiny, kind, detector=0)
    assert isinstance(error, BadFrameError)
    with pytest.raises(BadFrameError, match=words):
        raise error
    assert error.file == str(tmp_path / "x.yaml")
    assert error.cure


def test_files_that_tell_too_little(tiny: Camera, tmp_path: Path) -> None:
    (error,) = read(write(tmp_path / "x.yaml", LINEAR), tiny, "linearizer")
    assert "--detector" in error.cure
    (tmp_path / "y.yaml").write_text("{ [")
    with pytest.raises(BadFrameError, match="neither YAML nor JSON"):
        read(tmp_path / "y.yaml", tiny, "linearizer")


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits"])
def test_filter_curves(tiny: Camera, tmp_path: Path, suffix: str) -> None:
    table = Table({"Wavelength": [600.0, 550.0, 700.0] * u.nm, "Transmission": [90.0, 10.0, 0.0] * u.percent})
    if suffix == "csv":
        table = Table({"wavelength": [600.0, 550.0, 700.0], "transmission": [0.9, 0.1, 0.0]})
    path = tmp_path / f"curve.{suffix}"
    table.write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}[suffix])
    (one,) = read(path, tiny, "transmission_filter", physical_filter="r", unit="nm" if suffix == "csv" else None)
    assert one.data_id == {"physical_filter": "r"}
    curve = transmission_from_data(one.dataset)
    np.testing.assert_allclose(curve.sample_at(0.0, 0.0, [5500.0, 5750.0, 6000.0, 8000.0]), [0.1, 0.5, 0.9, 0.0])


def test_curves_on_a_grid(tiny: Camera, tmp_path: Path) -> None:
    rows = [(y, x, light) for light in (5000.0, 6000.0) for x in (0.0, 20.0) for y in (0.0, 30.0)]
    values = [0.001 * y + 0.01 * x + (0.5 if light > 5500 else 0.0) for y, x, light in rows]
    table = Table(
        rows=[(*row, value) for row, value in zip(rows, values, strict=True)], names=["y", "x", "wave", "response"]
    )
    table.write(tmp_path / "sensor.ecsv", format="ascii.ecsv")
    (one,) = read(tmp_path / "sensor.ecsv", tiny, "transmission_sensor", detector=1)
    assert one.data_id == {"detector": 1}
    sampled = transmission_from_data(one.dataset).sample_at(20.0, 30.0, [5000.0, 6000.0])
    np.testing.assert_allclose(sampled, [0.23, 0.73])
    table[:-1].write(tmp_path / "holed.ecsv", format="ascii.ecsv")
    with pytest.raises(BadFrameError, match="7 rows are no grid of 2 x 2 x 2"):
        read(tmp_path / "holed.ecsv", tiny, "transmission_sensor", detector=1)


@pytest.mark.parametrize(
    ("columns", "options", "words"),
    [
        ({"wavelength": [550.0, 600.0], "throughput": [0.1, 0.2]}, {"physical_filter": "r"}, "no light of a camera"),
        (
            {"wavelength": [5500.0, 6000.0], "throughput": [10.0, 20.0]},
            {"physical_filter": "r"},
            "0 to 20 of the light",
        ),
        ({"wavelength": [5500.0, 6000.0], "flux": [0.1, 0.2]}, {"physical_filter": "r"}, "no throughput"),
        ({"wavelength": [5500.0, 6000.0], "throughput": [0.1, 0.2]}, {}, "does not tell its filter"),
        ({"wavelength": [5500.0, 6000.0], "throughput": [0.1, 0.2]}, {"physical_filter": "q"}, "none of the camera's"),
        ({"wavelength": [5500.0, 6000.0], "throughput": [0.1, 0.2]}, {"unit": "kg"}, "its units"),
    ],
)
def test_senseless_curves_are_refused(
    tiny: Camera, tmp_path: Path, columns: dict[str, Any], options: dict[str, Any], words: str
) -> None:
    Table(columns).write(tmp_path / "c.csv", format="ascii.csv")
    with pytest.raises(BadFrameError, match=words) as caught:
        read(tmp_path / "c.csv", tiny, "transmission_filter", **options)
    assert caught.value.cure


def test_all_kinds_in_a_repository(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    """One of each: they are stored under the names that the pipelines ask for, and read back as they were."""
    Table({"wavelength": [5500.0, 6000.0], "throughput": [0.1, 0.2]}).write(tmp_path / "c.csv", format="ascii.csv")
    linear = write(tmp_path / "l.yaml", {"detectors": {"left": LINEAR}})
    kernel = write(tmp_path / "k.yaml", {"detector": 0, "kernel": KERNEL.tolist()})
    for kind, path in (
        ("linearizer", linear),
        ("brighter_fatter", kernel),
        ("transmission_atmosphere", tmp_path / "c.csv"),
    ):
        (result,) = import_calibrations(butler, tiny, kind, [path], validity=OPEN)
        assert result.error is None
        (again,) = import_calibrations(butler, tiny, kind, [path], validity=OPEN, replace=True)
        assert again.error is None
    run = "tiny/calib/{}/open_open"
    data = butler.get("linearizer", instrument="tiny", detector=0, collections=run.format("linearizer"))
    assert linearities_from_data(data)["all"].apply(np.full((2, 2), 100.0, np.float32)) == (True, 0)
    name = "brighterFatterKernel"
    data = butler.get(name, instrument="tiny", detector=0, collections=run.format(name))
    np.testing.assert_array_equal(kernel_from_data(data), KERNEL)
    name = "transmission_atmosphere"
    data = butler.get(name, instrument="tiny", collections=run.format(name))
    assert transmission_from_data(data).sample_at(0.0, 0.0, [6000.0])[0] == 0.2


def test_older_repositories_get_the_new_kinds(repo: Path, tiny: Camera, tmp_path: Path) -> None:
    with Butler.from_config(str(repo), writeable=True) as butler:
        for name in ("crosstalk", "transmission_filter", "fringe"):
            butler.registry.removeDatasetType(name)
    assert initialise(str(repo), tiny) == (False, False)
    with Butler.from_config(str(repo), writeable=True) as butler:
        assert butler.get_dataset_type("fringe").isCalibration()
        butler.registry.removeDatasetType("crosstalk")
    path = write(tmp_path / "x.yaml", {"detector": 0, **ALONE})
    result = CliRunner().invoke(command, ["import", str(repo), "crosstalk", str(path)])
    assert result.exit_code == 0, result.output
    assert "x.yaml: crosstalk of detector 0" in result.output


def test_fringe_frames_and_illumination(tiny: Camera, tmp_path: Path) -> None:
    from tiny_camera import tiny_header

    pixels = np.full((30, 20), 3.0, np.float32)
    pixels[4, 5] = 0.0
    fits.PrimaryHDU(pixels, tiny_header(1, 1)).writeto(tmp_path / "f.fits")
    (fringe,) = read(tmp_path / "f.fits", tiny, "fringe")
    assert fringe.data_id == {"detector": 1, "physical_filter": "r"}
    assert fringe.dataset.image.unit == u.adu
    assert not fringe.dataset.mask.array.any()
    (light,) = read(tmp_path / "f.fits", tiny, "illum")
    assert light.dataset.image.unit == u.dimensionless_unscaled
    assert np.argwhere(light.dataset.mask.get("BAD")).tolist() == [[4, 5]]
