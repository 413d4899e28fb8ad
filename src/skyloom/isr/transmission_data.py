"""Transmission curves as plain data, as files hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skyloom.errors import BadFrameError

from .transmission import ConstantTransmission, RadialTransmission, RectangularTransmission, TransmissionCurve

__all__ = ["transmission_from_data", "transmission_to_data"]

_CURE = "It holds wavelengths (Angstrom, rising), throughput, and beyond; radii, or x and y, where it varies."
_AXES = ({"radii"}, {"x", "y"}, set[str]())


def transmission_from_data(data: Mapping[str, Any]) -> TransmissionCurve:
    """A curve from ``wavelengths`` (Angstrom, rising) and ``throughput``.

    With ``radii`` the throughput is ``[radius, wavelength]``, with ``x`` and ``y`` it is ``[y, x, wavelength]``, else
    ``[wavelength]``; ``beyond`` is that at shorter and at longer wavelengths, none if it is left out.

    Raises
    ------
    BadFrameError
        If a part is missing, unknown, of the wrong shape, no number, or outside 0 to 1.
    """
    axes = next((names for names in _AXES if names <= set(data)), set())
    wanted = {"wavelengths", "throughput"} | axes
    missing, unknown = sorted(wanted - set(data)), sorted(set(data) - wanted - {"beyond"})
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown {', '.join(unknown)}"
        raise BadFrameError(f"the transmission curve {what}.", cure=_CURE)
    try:
        arrays = {name: np.asarray(data[name], np.float64) for name in wanted}
        shorter, longer = (float(value) for value in data.get("beyond", (0.0, 0.0)))
    except (TypeError, ValueError) as error:
        raise BadFrameError(
            f"the transmission curve holds something else than numbers: {error}.", cure=_CURE
        ) from error
    _check_values(arrays, (shorter, longer))
    kind = {"radii": RadialTransmission, "x": RectangularTransmission}.get(min(axes, default=""), ConstantTransmission)
    try:
        curve: TransmissionCurve = kind(**arrays, beyond=(shorter, longer))
    except ValueError as error:
        raise BadFrameError(f"the transmission curve does not fit together: {error}", cure=_CURE) from error
    return curve


def _check_values(arrays: Mapping[str, np.ndarray], beyond: tuple[float, float]) -> None:
    for name, values in arrays.items():
        if not values.size or not np.isfinite(values).all():
            raise BadFrameError(f"the {name} of the transmission curve are none, or not all numbers.", cure=_CURE)
    throughput = np.concatenate([arrays["throughput"].ravel(), beyond])
    if throughput.min() < 0 or throughput.max() > 1:
        raise BadFrameError(
            f"the transmission curve lets {throughput.min():g} to {throughput.max():g} of the light through.",
            cure="Give parts of one, from 0 to 1.",
        )


def transmission_to_data(curve: TransmissionCurve) -> dict[str, Any]:
    """Plain data of a curve that `transmission_from_data` understands.

    Raises
    ------
    TypeError
        If the curve is a product, or in other coordinates: those have no table of their own.
    """
    match curve:
        case RadialTransmission():
            axes = {"radii": curve.radii}
        case RectangularTransmission():
            axes = {"x": curve.x, "y": curve.y}
        case ConstantTransmission():
            axes = {}
        case _:
            raise TypeError(f"A {type(curve).__name__.strip('_')} has no table of its own.")
    arrays = {"wavelengths": curve.wavelengths, "throughput": curve.throughput, **axes}
    return {name: np.asarray(values).tolist() for name, values in arrays.items()} | {"beyond": list(curve.beyond)}
