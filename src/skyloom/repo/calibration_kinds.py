"""The kinds of calibrations that can be imported, and what a reader of their files hands over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import Timespan
from lsst.images import MaskedImage

from skyloom.errors import BadFrameError

__all__ = ["CALIBRATION_TYPES", "Calibration", "ImportOptions", "Item", "dataset_type_of"]

_DATASET_TYPES = {"brighter_fatter": "brighterFatterKernel"}

CALIBRATION_TYPES = (
    "bias",
    "dark",
    "flat",
    "fringe",
    "illum",
    "photometric_flat",
    "defects",
    "crosstalk",
    "linearizer",
    "brighter_fatter",
    "transmission_optics",
    "transmission_filter",
    "transmission_sensor",
    "transmission_atmosphere",
)
"""What ``skyloom calibs import`` takes."""


def dataset_type_of(kind: str) -> str:
    """Name of the dataset type of a kind."""
    return _DATASET_TYPES.get(kind, kind)


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What the files themselves do not tell."""

    detector: int | None = None
    """Id of the detector."""
    physical_filter: str | None = None
    unit: str | None = None
    """Unit of the pixels, or of the wavelengths."""
    header_dates: bool = False
    """Whether the headers say when the calibrations hold."""
    bias_of: Callable[[int, Timespan | None], MaskedImage | None] = lambda *_: None
    """The bias of a detector for the dates of its header, or of the call: to be taken off darks that hold it still."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """One calibration of a file."""

    data_id: dict[str, Any]
    """Detector and filter, as far as the kind has them."""
    dataset: Any
    validity: Timespan | None = None
    """When it holds, where its header was asked."""
    note: str = ""
    """What people should know of it."""


type Item = Calibration | BadFrameError
"""A calibration, or why an image or table of a file is none."""
