"""The map of the inputs of a coadd: who is there, who is not, and what it is called."""

from __future__ import annotations

import numpy as np
import pytest
from lsst.images import Box

from coadd.mock_warps import BOX, TRACT, inputs_of, warp
from skyloom.coadd import CoaddSettings, InputMapSettings, Statistic, assemble_coadd, make_input_map
from skyloom.coadd import input_map as module
from skyloom.errors import PsfError, SkyloomError
from skyloom.images import SpanSet, bitmask, radec_to_pixel

SETTINGS = CoaddSettings(statistic=Statistic.MEAN, bad_planes=("NO_DATA", "BAD", "CLIPPED"))
FINE = InputMapSettings(nside=1 << 18, nside_coverage=1024)
"""Pixels of 0.8 arcsec: 3.2 of the coadd's."""
BAD = Box.factory[50:150, -50:50]
HALF = Box.factory[-45:100, -123:78]


def visits() -> list:
    """Ten visits: the third has a bad region, the fifth half of the box, the eighth two detectors."""
    warps = [warp(visit, np.zeros(BOX.shape), detectors=(4, 5) if visit == 7 else (1,), box=BOX) for visit in range(10)]
    warps[2].bits[BAD.slice_within(BOX)] = bitmask("BAD")
    warps[4] = warp(4, np.zeros(HALF.shape), box=HALF)
    return warps


def test_inputs_are_where_they_have_pixels() -> None:
    hpgeom = pytest.importorskip("hpgeom")
    pytest.importorskip("healsparse")
    inputs = inputs_of(visits(), [float(n + 1) for n in range(10)])
    coadd, _ = assemble_coadd(inputs, BOX, TRACT, SETTINGS)
    masks = {6: {"CLIPPED": SpanSet.from_box(BAD)}}
    found = make_input_map(inputs, coadd.psf, BOX, SETTINGS, FINE, masks)
    x, y = radec_to_pixel(TRACT, *hpgeom.pixel_to_angle(FINE.nside, found.valid_pixels))
    area = np.pi / (3 * FINE.nside**2) * (206264.806 / 0.25) ** 2
    assert len(x) * area == pytest.approx(BOX.area, rel=0.01)
    inside = (np.abs(x) < 45) & (np.abs(y - 100) < 45)
    outside = (np.abs(x) > 55) | (np.abs(y - 100) > 55)
    values = {
        (found.metadata[f"B{bit:04d}VIS"], found.metadata[f"B{bit:04d}CCD"]): found.check_bits_pix(
            found.valid_pixels, [bit]
        )
        for bit in range(11)
    }
    for (visit, detector), here in values.items():
        if visit in (2, 6):
            assert not here[inside].any()
            assert here[outside].all()
        elif visit == 4:
            np.testing.assert_array_equal(here[np.abs(y - 99.5) > 2], (y < 99.5)[np.abs(y - 99.5) > 2])
        else:
            # Of detectors in one place the first one counts, as in the warp.
            assert here.all() if detector != 5 else not here.any()
    assert found.metadata["B0003WT"] == 4.0


def test_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib, "import_module", lambda name: __import__(f"no_{name}"))
    with pytest.raises(SkyloomError, match=r"pip install skyloom\[healsparse\]"):
        make_input_map(inputs_of(visits()[:1]), None, BOX, SETTINGS)


def test_coadd_without_a_psf_has_no_map() -> None:
    pytest.importorskip("healsparse")
    with pytest.raises(PsfError, match="places of the inputs"):
        make_input_map(inputs_of(visits()[:1]), None, BOX, SETTINGS)
