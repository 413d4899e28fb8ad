"""Calibrations from plain data."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import BadFrameError
from skyloom.isr import crosstalk_from_data, kernel_from_data, linearities_from_data


def test_a_crosstalk_matrix() -> None:
    matrix = crosstalk_from_data(
        {"amplifiers": ["A", "B"], "coefficients": [[0, 1e-4], [2e-4, 0]], "valid": [[True, False], [True, True]]}
    )
    assert matrix.sources == matrix.targets == ("A", "B")
    assert matrix.unit == "ADU"
    np.testing.assert_array_equal(matrix.ratios(), [[0, 0], [2e-4, 0]])


def test_linearities_of_different_kinds() -> None:
    found = linearities_from_data(
        {
            "amplifiers": {
                "A": {"kind": "Squared", "coefficients": [1e-6]},
                "B": {"kind": "LookupTable", "coefficients": [1, 0]},
                "C": {"kind": "None"},
            },
            "table": [[0, 0, 0], [0, 5, 5]],
        }
    )
    for name, expected in {"A": 100.01, "B": 105.0, "C": 100.0}.items():
        pixels = np.full((1, 1), 100.0, np.float32)
        found[name].apply(pixels)
        assert pixels[0, 0] == pytest.approx(expected)


def test_a_kernel() -> None:
    np.testing.assert_array_equal(kernel_from_data({"kernel": [[0, 1], [2, 3]]}), [[0, 1], [2, 3]])


@pytest.mark.parametrize(
    ("read", "data", "what"),
    [
        (crosstalk_from_data, {"amplifiers": ["A"]}, "lacks coefficients"),
        (crosstalk_from_data, {"amplifiers": ["A", "B"], "coefficients": [[1]]}, "shape"),
        (linearities_from_data, {"amplifiers": {"A": {"kind": "Cubic", "coefficients": [1]}}}, "'Cubic'"),
        (linearities_from_data, {"amplifiers": {}, "tables": []}, "unknown tables"),
        (kernel_from_data, {"kernel": [1, 2]}, "rows and columns"),
        (kernel_from_data, {"kernel": [["a"]]}, "no table of numbers"),
    ],
)
def test_what_does_not_fit_is_said(read: object, data: object, what: str) -> None:
    with pytest.raises(BadFrameError, match=what):
        read(data)  # type: ignore[operator]
