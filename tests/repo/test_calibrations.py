"""Masters and defects come in with a validity range that a pipeline then heeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler
from tiny_camera import WriteFrame, tiny_header

from skyloom.cli.calibs import command
from skyloom.errors import RepositoryError
from skyloom.instruments import Camera
from skyloom.repo.calibrations import Imported, import_calibrations, parse_validity
from skyloom.repo.ingest import ingest_raws


def write_master(path: Path, value: float, detector: int = 0, unit: str | None = "adu", **changes: Any) -> Path:
    header = tiny_header(1, detector, BUNIT=unit, **changes)
    fits.PrimaryHDU(np.full((30, 20), value, np.float32), header).writeto(path, overwrite=True)
    return path


def bring(butler: Butler, camera: Camera, kind: str, *paths: Path, **options: Any) -> list[Imported]:
    dates = parse_validity(options.pop("begin", None), options.pop("end", None))
    return import_calibrations(butler, camera, kind, list(paths), validity=dates, **options)


def error_of(results: list[Imported]) -> str:
    (result,) = results
    assert result.error is not None
    assert result.error.cure
    return str(result.error)


def value_for(butler: Butler, exposure: int, kind: str = "bias") -> float:
    """Pixel of the calibration that is valid for an exposure."""
    (record,) = butler.query_dimension_records("exposure", instrument="tiny", exposure=exposure)
    ref = butler.find_dataset(
        kind, instrument="tiny", detector=0, collections="tiny/defaults", timespan=record.timespan
    )
    assert ref is not None
    return float(butler.get(ref).image.array[0, 0])


def test_the_right_bias_for_each_date(butler: Butler, tiny: Camera, write_frame: WriteFrame, tmp_path: Path) -> None:
    dates = {5: "2026-01-02T03:05:00", 6: "2026-02-02T03:06:00"}
    ingest_raws(butler, tiny, [write_frame(number, 0, **{"DATE-OBS": date}) for number, date in dates.items()])
    bring(butler, tiny, "bias", write_master(tmp_path / "a.fits", 7.0), end="2026-01-15")
    bring(butler, tiny, "bias", write_master(tmp_path / "b.fits", 9.0), begin="2026-01-15")
    assert value_for(butler, 5) == 7.0
    assert value_for(butler, 6) == 9.0


def test_master_bias(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    path = write_master(tmp_path / "a.fits", 7.0, detector=1)
    with fits.open(path, mode="update") as hdus:
        hdus[0].data[3, 4] = np.nan
        hdus.append(fits.ImageHDU(np.full((30, 20), 3.0, np.float32), name="UNCERT"))
    (result,) = bring(butler, tiny, "bias", path)
    assert result.data_id == {"detector": 1}
    bias = butler.get(butler.query_datasets("bias", collections="tiny/calib", find_first=False)[0])
    assert bias.image.unit == u.adu
    assert bias.variance.array[0, 0] == 9.0
    assert bias.mask.get("BAD").sum() == 1
    assert bias.mask.get("BAD")[3, 4]


def test_darks_become_rates(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    counts = write_master(tmp_path / "a.fits", 24.0, EXPTIME=12.0)
    rate = write_master(tmp_path / "b.fits", 0.5, detector=1, unit="e-/s")
    bring(butler, tiny, "dark", counts, rate)
    refs = butler.query_datasets("dark", collections="tiny/calib", find_first=False)
    first, second = (butler.get(ref) for ref in sorted(refs, key=lambda ref: ref.dataId["detector"]))
    assert first.image.unit == u.adu / u.s
    assert first.image.array[0, 0] == 2.0
    assert second.image.unit == u.electron / u.s
    assert second.image.array[0, 0] == 0.5


def test_flats_know_their_filter(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    by_header = write_master(tmp_path / "a.fits", 20000.0)
    by_option = write_master(tmp_path / "b.fits", 1.0, unit=None, FILTER=None)
    assert bring(butler, tiny, "flat", by_header)[0].data_id == {"detector": 0, "physical_filter": "r"}
    assert bring(butler, tiny, "flat", by_option, physical_filter="g")[0].data_id["physical_filter"] == "g"
    flat = butler.get(
        "flat", instrument="tiny", detector=0, physical_filter="g", collections="tiny/calib/flat/open_open"
    )
    assert flat.image.unit == u.dimensionless_unscaled


def test_a_second_import_needs_replace(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    bring(butler, tiny, "bias", write_master(tmp_path / "a.fits", 7.0), begin="2026-01-01", end="2026-02-01")
    other = write_master(tmp_path / "b.fits", 9.0)
    for begin, end in (("2026-01-01", "2026-02-01"), ("2026-01-10", None), (None, None)):
        with pytest.raises(RepositoryError, match=r"certified already.*--replace"):
            bring(butler, tiny, "bias", other, begin=begin, end=end)
    bring(butler, tiny, "bias", other, begin="2026-01-01", end="2026-02-01", replace=True)
    (ref,) = butler.query_datasets("bias", collections="tiny/calib", find_first=False)
    assert butler.get(ref).image.array[0, 0] == 9.0
    bring(butler, tiny, "bias", write_master(tmp_path / "c.fits", 11.0), begin="2026-01-10", replace=True)
    spans = butler.registry.queryDatasetAssociations("bias", collections="tiny/calib")
    values = sorted((s.timespan.begin.isot[:10], float(butler.get(s.ref).image.array[0, 0])) for s in spans)
    assert values == [("2026-01-01", 9.0), ("2026-01-10", 11.0)]


def test_what_is_replaced_by_its_like_stays(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    """A new dataset would make all that was reduced with the old one out of date."""
    path = write_master(tmp_path / "a.fits", 7.0)
    bring(butler, tiny, "bias", path)
    (before,) = butler.query_datasets("bias", collections="tiny/calib", find_first=False)
    bring(butler, tiny, "bias", path, replace=True)
    (after,) = butler.query_datasets("bias", collections="tiny/calib", find_first=False)
    assert after.id == before.id


def test_nothing_is_kept_of_a_conflicting_call(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    bring(butler, tiny, "bias", write_master(tmp_path / "a.fits", 7.0, detector=1))
    paths = [write_master(tmp_path / "b.fits", 8.0), write_master(tmp_path / "c.fits", 9.0, detector=1)]
    with pytest.raises(RepositoryError, match="detector 1"):
        bring(butler, tiny, "bias", *paths, begin="2026-01-01")
    assert len(butler.query_datasets("bias", collections="tiny/calib", find_first=False)) == 1


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        ("bias", {"unit": "electron"}, "not in ADU"),
        ("bias", {"unit": "furlong"}, "unknown unit"),
        ("bias", {"DETNUM": 5}, "none of tiny"),
        ("dark", {"unit": None}, "--unit"),
        ("dark", {"EXPTIME": 0.0}, "dark time is zero"),
        ("dark", {"EXPTIME": None}, "EXPTIME"),
        ("dark", {"unit": "nJy"}, "in nJy"),
        ("flat", {"FILTER": None, "IMGTYPE": "flat"}, "FILTER"),
    ],
)
def test_unusable_masters_are_refused(
    butler: Butler, tiny: Camera, tmp_path: Path, kind: str, changes: dict[str, Any], words: str
) -> None:
    assert words in error_of(bring(butler, tiny, kind, write_master(tmp_path / "a.fits", 1.0, **changes)))


def test_untrimmed_and_doubled_masters_are_refused(butler: Butler, tiny: Camera, write_frame: WriteFrame) -> None:
    assert "without overscan" in error_of(bring(butler, tiny, "bias", write_frame(3, 0)))
    trimmed = [write_frame(n, 0, pixels=np.zeros((30, 20), np.float32)) for n in (4, 5)]
    results = bring(butler, tiny, "bias", *trimmed)
    assert [result.error is None for result in results] == [True, False]
    assert "tiny_4_0.fits is a bias" in str(results[1].error)


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits"])
def test_defects(butler: Butler, tiny: Camera, tmp_path: Path, suffix: str) -> None:
    table = Table({"X0": [3, 0], "Y0": [4, 29], "WIDTH": [1, 20], "HEIGHT": [26, 1]})
    path = tmp_path / f"defects.{suffix}"
    table.write(path, format={"csv": "ascii.csv", "ecsv": "ascii.ecsv", "fits": "fits"}[suffix])
    (result,) = bring(butler, tiny, "defects", path, detector=1)
    assert result.error is None
    stored = butler.get("defects", instrument="tiny", detector=1, collections="tiny/calib/defects/open_open")
    assert stored.colnames == ["x0", "y0", "width", "height"]
    assert stored["width"].tolist() == [1, 20]


@pytest.mark.parametrize(
    ("columns", "detector", "words"),
    [
        ({"x0": [3], "y0": [4], "width": [1]}, 0, "height"),
        ({"x0": [3], "y0": [4], "width": [1], "height": [27]}, 0, "leaves the 20x30 pixels"),
        ({"x0": [-1], "y0": [4], "width": [1], "height": [1]}, 0, "Count from 0"),
        ({"x0": [3], "y0": [4], "width": [1], "height": [1]}, None, "--detector"),
        ({"x0": [3], "y0": [4], "width": [1], "height": [1]}, 4, "no detector 4"),
    ],
)
def test_unusable_defects_are_refused(
    butler: Butler, tiny: Camera, tmp_path: Path, columns: dict[str, Any], detector: int | None, words: str
) -> None:
    Table(columns).write(tmp_path / "d.csv", format="ascii.csv")
    assert words in error_of(bring(butler, tiny, "defects", tmp_path / "d.csv", detector=detector))


@pytest.mark.parametrize(("begin", "end"), [("2026-02-01", "2026-01-01"), ("soon", None)])
def test_senseless_dates(begin: str, end: str | None) -> None:
    with pytest.raises(RepositoryError, match=r"date|ends"):
        parse_validity(begin, end)


def test_command(repo: Path, tmp_path: Path) -> None:
    good, bad = write_master(tmp_path / "a.fits", 7.0), write_master(tmp_path / "b.fits", 7.0, detector=7)
    result = CliRunner().invoke(command, ["import", str(repo), "bias", str(good), str(bad), "--begin", "2026-01-01"])
    assert result.exit_code == 0, result.output
    assert "a.fits: bias of detector 0" in result.output
    assert "1 of 2 imported" in result.output
    assert CliRunner().invoke(command, ["import", str(repo), "bias", str(bad)]).exit_code == 1


def test_replace_where_there_is_nothing_yet(butler: Butler, tiny: Camera, tmp_path: Path) -> None:
    (result,) = bring(butler, tiny, "dark", write_master(tmp_path / "a.fits", 24.0, EXPTIME=12.0), replace=True)
    assert result.error is None
    assert len(butler.query_datasets("dark", collections="tiny/calib", find_first=False)) == 1
