"""Transmission curves go to plain data and back, and senseless ones are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from skyloom.errors import BadFrameError
from skyloom.isr.transmission import (
    ConstantTransmission,
    RadialTransmission,
    RectangularTransmission,
    TransmissionCurve,
)
from skyloom.isr.transmission_data import transmission_from_data, transmission_to_data

LIGHT = np.array([4000.0, 5000.0, 6000.0])
CURVES = [
    ConstantTransmission(wavelengths=LIGHT, throughput=np.array([0.1, 0.8, 0.3]), beyond=(0.1, 0.0)),
    RadialTransmission(wavelengths=LIGHT, throughput=np.linspace(0, 1, 6).reshape(2, 3), radii=np.array([0.0, 90.0])),
    RectangularTransmission(
        wavelengths=LIGHT,
        throughput=np.linspace(0, 1, 18).reshape(3, 2, 3),
        x=np.array([0.0, 10.0]),
        y=np.array([0.0, 10.0, 30.0]),
    ),
]


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: type(curve).__name__)
def test_there_and_back(curve: TransmissionCurve) -> None:
    again = transmission_from_data(transmission_to_data(curve))
    assert type(again) is type(curve)
    x, y, light = [3.0, 60.0], [7.0, 0.0], [3500.0, 4400.0, 5900.0, 7000.0]
    np.testing.assert_array_equal(again.sample_at(x, y, light), curve.sample_at(x, y, light))


def test_products_have_no_table() -> None:
    with pytest.raises(TypeError, match="Product"):
        transmission_to_data(CURVES[0] * CURVES[1])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"throughput": None}, "lacks throughput"),
        ({"colour": "red"}, "unknown colour"),
        ({"x": [0.0]}, "unknown x"),
        ({"wavelengths": [5000.0, 4000.0]}, "rise"),
        ({"wavelengths": [5000.0]}, "does not fit"),
        ({"wavelengths": ["blue", "red"]}, "else than numbers"),
        ({"throughput": [10.0, 90.0]}, "10 to 90|0 to 90"),
        ({"throughput": [0.1, float("nan")]}, "not all numbers"),
        ({"beyond": [0.0, 2.0]}, "to 2 of the light"),
        ({"radii": [1.0, 2.0]}, "does not fit"),
    ],
)
def test_senseless_data_are_refused(changes: dict[str, Any], words: str) -> None:
    data = {"wavelengths": [4000.0, 5000.0], "throughput": [0.2, 0.9]} | changes
    with pytest.raises(BadFrameError, match=words) as caught:
        transmission_from_data({key: value for key, value in data.items() if value is not None})
    assert caught.value.cure
