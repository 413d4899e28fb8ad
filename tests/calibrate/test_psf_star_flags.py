"""Flags go to the nearest source of a PSF star, one to one."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.calibrate.psf_star_flags import carry_psf_flags
from skyloom.errors import NoSourcesError


def tables() -> tuple[Table, Table]:
    psf_stars = Table({"x": [10.0, 50.0, 52.0, 90.0], "y": [10.0, 50.0, 50.0, 90.0]})
    psf_stars["calib_psf_used"] = [True, False, True, True]
    psf_stars["calib_psf_reserved"] = [False, True, False, False]
    psf_stars["psf_flux"] = 1.0
    stars = Table({"x": [91.0, 51.8, 11.5, 10.5, 200.0], "y": [90.0, 50.0, 10.0, 10.0, 5.0]})
    return psf_stars, stars


def test_nearest_source_gets_the_flags() -> None:
    psf_stars, stars = tables()
    assert carry_psf_flags(psf_stars, stars) == 3
    # The source at 51.8 belongs to the star at 52, which is nearer than the one at 50.
    assert np.asarray(stars["calib_psf_used"]).tolist() == [True, True, False, True, False]
    assert not np.any(stars["calib_psf_reserved"])
    assert "psf_flux" not in stars.colnames


def test_order_of_the_rows_does_not_matter() -> None:
    psf_stars, stars = tables()
    turned = stars[::-1]
    carry_psf_flags(psf_stars, stars)
    carry_psf_flags(psf_stars[[3, 1, 0, 2]], turned)
    np.testing.assert_array_equal(turned["calib_psf_used"][::-1], stars["calib_psf_used"])


def test_none_found_is_an_error_with_both_counts() -> None:
    psf_stars, stars = tables()
    stars["x"] += 1000.0
    with pytest.raises(NoSourcesError, match="None of the 4 PSF stars") as caught:
        carry_psf_flags(psf_stars, stars)
    assert caught.value.metadata == {"n_psf_stars": 4, "n_stars": 5}
    assert carry_psf_flags(psf_stars[:0], stars) == 0
