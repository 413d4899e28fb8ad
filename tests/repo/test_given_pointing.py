"""Frames whose headers have no pointing get the one that the user gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from astropy.io import fits
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.sphgeom import LonLat, UnitVector3d
from tiny_camera import WriteFrame

from skyloom.cli.ingest import command
from skyloom.images.projection import pixel_to_radec
from skyloom.instruments import Camera
from skyloom.instruments.given_pointing import given_pointing, with_pointing
from skyloom.repo import hdu_formatters


@pytest.mark.parametrize("transfer", ["direct", "copy"])
def test_a_frame_without_pointing_gets_a_region_and_a_projection(
    repo: Path, tiny: Camera, write_frame: WriteFrame, transfer: str
) -> None:
    bare, told = write_frame(5, 0, RA=None, DEC=None), write_frame(6, 0)
    files = [str(bare), str(told)]
    refused = CliRunner().invoke(command, [str(repo), str(bare)])
    assert refused.exit_code == 1
    center = ["--center", "12:00:00", "-30.25"]
    done = CliRunner().invoke(command, [str(repo), *files, *center, "--transfer", transfer], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with Butler.from_config(str(repo)) as butler:
        for exposure, (ra, dec) in ((5, (180.0, -30.25)), (6, (150.0, 2.0))):
            raw = butler.get("raw", instrument="tiny", exposure=exposure, detector=0, collections="tiny/raw/all")
            frame = tiny.complete(raw)
            assert frame.projection is not None
            # The left one of two detectors of 20 columns of 10 arcsec, 12 columns off the middle.
            ra_frame, dec_frame = pixel_to_radec(frame.projection, 9.5 + 12.0, 14.5)
            assert ra_frame == pytest.approx(ra, abs=1e-6)
            assert dec_frame == pytest.approx(dec, abs=1e-6)
            (record,) = butler.query_dimension_records("exposure", instrument="tiny", exposure=exposure)
            assert (record.tracking_ra, record.tracking_dec) == pytest.approx((ra, dec))
            (visit,) = butler.query_dimension_records("visit", instrument="tiny", visit=exposure)
            assert visit.region.contains(UnitVector3d(LonLat.fromDegrees(ra, dec)))
        header = butler.get("raw.header", instrument="tiny", exposure=5, detector=0, collections="tiny/raw/all")
        assert given_pointing(header) == (180.0, -30.25)


@pytest.mark.parametrize("center", [("north", "1"), ("10", "95")])
def test_what_is_no_position_is_refused(repo: Path, write_frame: WriteFrame, center: tuple[str, str]) -> None:
    done = CliRunner().invoke(command, [str(repo), str(write_frame(5, 0)), "--center", *center])
    assert done.exit_code == 2
    assert "--center" in done.output


def test_the_header_of_a_frame_goes_before_what_is_given(tiny: Camera, write_frame: WriteFrame) -> None:
    header = fits.getheader(write_frame(5, 0))
    assert tiny.reader(with_pointing(header, (1.0, 2.0))).pointing() == (150.0, 2.0)
    del header["DEC"]
    assert tiny.reader(with_pointing(header, (1.0, 2.0))).pointing() == (1.0, 2.0)
    assert with_pointing(header, None) is header


@pytest.mark.parametrize("hdu", [None, 3, (1, 2)])
@pytest.mark.parametrize("center", [None, (0.1234567, -89.5), (359.9999999, 0.0)])
def test_formatters_are_found_by_their_names(hdu, center) -> None:  # type: ignore[no-untyped-def]
    formatter = hdu_formatters.formatter_of(hdu, center)
    if (hdu, center) == (None, None):
        return
    found = getattr(hdu_formatters, formatter.__name__)
    assert found.hdu == hdu
    assert found.center == (None if center is None else pytest.approx(center, abs=1e-9))
