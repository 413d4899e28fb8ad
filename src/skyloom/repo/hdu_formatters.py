"""Formatters for raw frames that share a file of the repository: the name of each tells the HDU that it reads.

The registry of files keeps the name of a formatter with every dataset, and no more about where in the file it is.
There is no such class in any file here: this module makes one for whatever name is asked of it, so that
``skyloom.repo.hdu_formatters.Hdu5`` reads HDU 5, and ``Hdu1And2`` the amplifiers in HDUs 1 and 2.  A pointing that was
given at ingest stands in the name too, in 1e-7 degree: ``Hdu5Ra1500000000DecM20000000``, or ``First...`` for the first
HDU with an image.
"""

from __future__ import annotations

import re

from .detector_hdus import Hdu
from .formatters import RawExposureFormatter

__all__ = ["formatter_of"]


_STEPS_A_DEGREE = 10_000_000
_NAME = re.compile(r"(First|Hdu\d+(?:And\d+)*)(?:Ra(\d+)Dec([MP])(\d+))?")


def formatter_of(hdu: Hdu, center: tuple[float, float] | None = None) -> type[RawExposureFormatter]:
    """The formatter that reads an HDU, or several of amplifiers; for None the first that holds an image.

    ``center`` is the boresight (ra, dec), degree, of a frame whose header has none.

    Raises
    ------
    ValueError
        If the HDU is told by name.
    """
    if hdu is None and center is None:
        return RawExposureFormatter
    if isinstance(hdu, str):
        raise ValueError(f"The HDU {hdu!r} has to be told by its number.")
    numbers = hdu if isinstance(hdu, tuple) else (hdu,)
    name = "First" if hdu is None else f"Hdu{'And'.join(map(str, numbers))}"
    if center is not None:
        ra, dec = (round(angle * _STEPS_A_DEGREE) for angle in center)
        name += f"Ra{ra}Dec{'M' if dec < 0 else 'P'}{abs(dec)}"
    return type(name, (RawExposureFormatter,), {"hdu": hdu, "center": center, "__module__": __name__})


def __getattr__(name: str) -> type[RawExposureFormatter]:
    told = _NAME.fullmatch(name)
    if told is None or name == "First":
        raise AttributeError(name)
    place, ra, sign, dec = told.groups()
    numbers = tuple(int(number) for number in re.findall(r"\d+", place))
    hdu = None if not numbers else (numbers if len(numbers) > 1 else numbers[0])
    if ra is None:
        return formatter_of(hdu)
    return formatter_of(hdu, (int(ra) / _STEPS_A_DEGREE, (-1 if sign == "M" else 1) * int(dec) / _STEPS_A_DEGREE))
