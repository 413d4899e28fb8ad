"""How headers write dates and temperatures."""

from __future__ import annotations

import pytest

from skyloom.instruments.quantities import in_base_units, parse_date


@pytest.mark.parametrize("text", ["2010-11-03T4:37:54.31", "2010-11-03 4:37:54.31", " 2010-11-03T04:37:54.310 "])
def test_hours_before_ten_may_have_one_digit(text: str) -> None:
    assert parse_date(text, None, "utc").utc.isot == "2010-11-03T04:37:54.310"


def test_a_date_alone_is_no_time() -> None:
    with pytest.raises(ValueError, match="no time of day"):
        parse_date("2010-11-03", None, "utc")


def test_units_of_headers() -> None:
    assert in_base_units(5.66, "deg_C") == pytest.approx(278.81)
    assert in_base_units(250.0, "ms") == pytest.approx(0.25)
