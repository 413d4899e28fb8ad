"""Calibrations as plain data, as files hold them: crosstalk, linearity, brighter-fatter kernels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from skyloom.errors import BadFrameError

from .crosstalk_matrix import CrosstalkMatrix
from .linearity import Linearity
from .linearity_kinds import linearity_of

__all__ = ["crosstalk_from_data", "kernel_from_data", "linearities_from_data"]


def crosstalk_from_data(data: Mapping[str, Any]) -> CrosstalkMatrix:
    """A matrix from ``amplifiers`` (names), ``coefficients`` ``[source][target]``, and where they are there
    ``quadratic``, ``valid`` and ``unit`` (ADU or ELECTRON); ``errors`` and ``pixels`` tell how well it was measured.

    Raises
    ------
    BadFrameError
        If a part is missing, unknown or of the wrong shape.
    """
    optional = {"quadratic", "valid", "unit", "errors", "pixels"}
    _check("crosstalk", data, {"amplifiers", "coefficients"}, optional)
    names = tuple(str(name) for name in data["amplifiers"])
    arrays = {name: _numbers("crosstalk", data[name]) for name in ("coefficients", "quadratic") if name in data}
    valid = np.asarray(data["valid"], bool) if "valid" in data else None
    return CrosstalkMatrix(sources=names, targets=names, valid=valid, unit=data.get("unit", "ADU"), **arrays)


def linearities_from_data(data: Mapping[str, Any]) -> dict[str, Linearity]:
    """The correction of each amplifier from ``amplifiers``, a mapping of name to ``kind`` and ``coefficients``, and for
    look-up tables ``table`` ``[row][entry]``.

    Raises
    ------
    BadFrameError
        If a part is missing, unknown or does not fit.
    """
    _check("linearity", data, {"amplifiers"}, {"table"})
    table = _numbers("linearity", data["table"]) if "table" in data else None
    found = {}
    for name, given in data["amplifiers"].items():
        _check("linearity", given, {"kind"}, {"coefficients"})
        found[str(name)] = linearity_of(given["kind"], _numbers("linearity", given.get("coefficients", [])), table)
    return found


def kernel_from_data(data: Mapping[str, Any]) -> np.ndarray:
    """A brighter-fatter kernel ``[y, x]`` from ``kernel``, per electron.

    Raises
    ------
    BadFrameError
        If it is missing or no table of numbers.
    """
    _check("brighter-fatter", data, {"kernel"}, set())
    kernel = _numbers("brighter-fatter", data["kernel"])
    if kernel.ndim != 2:
        raise BadFrameError(
            f"a brighter-fatter kernel has rows and columns, this one {kernel.ndim} axes.", cure="Import another one."
        )
    return kernel


def _check(kind: str, data: Mapping[str, Any], needed: set[str], allowed: set[str]) -> None:
    missing, unknown = sorted(needed - set(data)), sorted(set(data) - needed - allowed)
    if missing or unknown:
        what = f"lacks {', '.join(missing)}" if missing else f"has the unknown {', '.join(unknown)}"
        raise BadFrameError(f"the {kind} calibration {what}.", cure=f"It holds {', '.join(sorted(needed | allowed))}.")


def _numbers(kind: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise BadFrameError(
            f"the {kind} calibration holds no table of numbers: {error}.", cure="Correct it."
        ) from error
