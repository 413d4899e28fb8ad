"""`skyloom camera check` shows what is understood, and fails when something essential lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_camera import TINY, WriteFrame

from skyloom.cli.camera import command
from skyloom.instruments import Camera
from skyloom.repo.frame_check import check_frame


def test_a_good_frame(tiny: Camera, write_frame: WriteFrame) -> None:
    rows = {row.quantity: row for row in check_frame(tiny, write_frame(5, 1))}
    assert not [row.quantity for row in rows.values() if row.essential_gap]
    assert rows["exposure time"].value == "12 s"
    assert rows["exposure time"].origin == "keyword EXPTIME"
    assert rows["dark time"].origin == "the exposure time"
    assert rows["filter"].value == "r, band r, calibrated against r"
    assert rows["detector"].value == "1 (right)"
    assert rows["airmass"].status == "optional"
    assert rows["whole frame"].value.startswith("24x30 pixels, centre 149.9")


@pytest.mark.parametrize(("keyword", "quantity"), [("EXPTIME", "exposure time"), ("RA", "ra"), ("FILTER", "filter")])
def test_gaps_are_shown(tiny: Camera, write_frame: WriteFrame, keyword: str, quantity: str) -> None:
    rows = {row.quantity: row for row in check_frame(tiny, write_frame(5, 1, **{keyword: None}))}
    assert rows[quantity].essential_gap
    assert keyword in rows[quantity].value


def test_biases_lack_nothing(tiny: Camera, write_frame: WriteFrame) -> None:
    rows = check_frame(tiny, write_frame(5, 1, IMGTYPE="bias", RA=None, DEC=None, FILTER=None))
    assert not [row for row in rows if row.essential_gap]
    assert rows[-1].value == "24x30 pixels, not of the sky"


def test_command(tmp_path: Path, write_frame: WriteFrame) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    good = CliRunner().invoke(command, ["check", str(tmp_path / "tiny.yaml"), str(write_frame(5, 1))])
    assert good.exit_code == 0, good.output
    assert "keyword EXPTIME" in good.output
    bad = CliRunner().invoke(command, ["check", str(tmp_path / "tiny.yaml"), str(write_frame(6, 1, EXPTIME=None))])
    assert bad.exit_code == 1
    assert "MISSING" in bad.output


def test_shipped_cameras_are_listed_and_shown() -> None:
    listed = CliRunner().invoke(command, ["list"]).output
    assert "simulated: 4 detector(s), filters g, r, i; raw frames" in listed
    assert CliRunner().invoke(command, ["show", "simulated"]).output == Camera.read("simulated").to_yaml()
