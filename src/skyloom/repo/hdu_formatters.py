"""Formatters for raw frames that share a file of the repository: the name of each tells the HDU that it reads.

The registry of files keeps the name of a formatter with every dataset, and no more about where in the file it is.
There is no such class in any file here: this module makes one for whatever name is asked of it, so that
``skyloom.repo.hdu_formatters.Hdu5`` reads HDU 5, and ``Hdu1And2`` the amplifiers in HDUs 1 and 2.
"""

from __future__ import annotations

import re

from .detector_hdus import Hdu
from .formatters import RawExposureFormatter

__all__ = ["formatter_of"]


def formatter_of(hdu: Hdu) -> type[RawExposureFormatter]:
    """The formatter that reads an HDU, or several of amplifiers; for None the first that holds an image.

    Raises
    ------
    ValueError
        If the HDU is told by name.
    """
    if hdu is None:
        return RawExposureFormatter
    if isinstance(hdu, str):
        raise ValueError(f"The HDU {hdu!r} has to be told by its number.")
    numbers = hdu if isinstance(hdu, tuple) else (hdu,)
    return type(f"Hdu{'And'.join(map(str, numbers))}", (RawExposureFormatter,), {"hdu": hdu, "__module__": __name__})


def __getattr__(name: str) -> type[RawExposureFormatter]:
    if re.fullmatch(r"Hdu\d+(And\d+)*", name) is None:
        raise AttributeError(name)
    numbers = tuple(int(number) for number in re.findall(r"\d+", name))
    return formatter_of(numbers if len(numbers) > 1 else numbers[0])
