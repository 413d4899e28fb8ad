from __future__ import annotations

import math

import pytest

from skyloom.isr.zero_point import ZeroPointSettings, rough_zero_point

SETTINGS = ZeroPointSettings(counts_per_second={"r.MP9601": 10**10.4})


def test_known_filter() -> None:
    found = rough_zero_point("r.MP9601", 200.0, SETTINGS)
    assert found is not None
    assert found.known_filter
    assert found.calibration.zero_point_mag == pytest.approx(26.0 + 2.5 * math.log10(200.0), abs=1e-12)
    assert found.calibration.calibration_mean == pytest.approx(3.630780547701e12 / (10**10.4 * 200.0), rel=1e-12)
    assert found.calibration.calibration_err == 0
    assert found.calibration.to_njy(10**10.4 * 200.0) == pytest.approx(3.630780547701e12)  # magnitude 0


@pytest.mark.parametrize("name", ["Y", None])
def test_unknown_filter_takes_the_default(name: str | None) -> None:
    found = rough_zero_point(name, 1.0, SETTINGS)
    assert found is not None
    assert not found.known_filter
    assert found.calibration.zero_point_mag == pytest.approx(28.0, abs=1e-12)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_no_exposure_time_no_zero_point(seconds: float) -> None:
    assert rough_zero_point("r.MP9601", seconds, SETTINGS) is None


@pytest.mark.parametrize("rate", [0.0, -5.0, math.nan])
def test_counts_have_to_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="r gives"):
        rough_zero_point("r", 1.0, ZeroPointSettings(counts_per_second={"r": rate}))
