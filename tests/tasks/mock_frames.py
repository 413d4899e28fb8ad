"""Frames of a small detector of eight amplifiers of which every quantity is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import astropy.units as u
import numpy as np
import yaml
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, Image, Mask, MaskedImage
from lsst.images.cameras import Amplifier

from skyloom.images import MASK_SCHEMA, Exposure, RawExposure, bitmask
from skyloom.instruments import Camera
from skyloom.tasks.isr import IsrConfig, IsrTask

ROWS, COLUMNS, OVERSCAN = 51, 100, 20
"""Pixels of an amplifier, and columns of its overscan, which follow its data."""
DETECTOR = 20
_PLACES = [(row, column) for row in range(4) for column in range(2)]
NAMES = tuple(f"C{row}{column}" for row, column in _PLACES)
SHAPE = (4 * ROWS, 2 * COLUMNS)
REGIONS = [
    (slice(ROWS * row, ROWS * (row + 1)), slice(COLUMNS * column, COLUMNS * (column + 1))) for row, column in _PLACES
]
"""Pixels of the amplifiers on the trimmed detector."""
RAW_REGIONS = [(rows, slice(x.start + x.start // COLUMNS * OVERSCAN, None)) for rows, x in REGIONS]
"""The same in the raw image, without end."""


def _response() -> np.ndarray:
    """One in the middle, and 0.1 less where the left and the right edges are, ``[y, x]``."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.asarray(1.0 - 0.1 * ((x - 99.5) ** 2 + (y - 101.5) ** 2) / 99.5**2)


FLAT = _response()


@dataclass(frozen=True, kw_only=True)
class Mock:
    """What makes a frame."""

    sky: float = 1000.0
    source: float = 45000.0
    """Peak of the one star, electrons."""
    source_at: tuple[int, int] = (50, 25)
    """x, y."""
    source_sigma: float = 2.0
    bias: float = 8000.0
    """ADU, in the middle row of each amplifier."""
    overscan_ramp: float = 100.0
    """By which the level rises over the rows of an amplifier, ADU."""
    dark: float = 5.0
    """Electrons a second."""
    seconds: float = 5.0
    gain: float = 1.0
    read_noise: float = 5.0
    seed: int | None = None
    """Of noise, and of rounding to whole counts; None for neither."""

    def light(self) -> np.ndarray:
        """What falls on the detector, electrons ``[y, x]``."""
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        square = (x - self.source_at[0]) ** 2 + (y - self.source_at[1]) ** 2
        return np.asarray(self.sky + self.source * np.exp(-0.5 * square / self.source_sigma**2))

    def bias_structure(self) -> np.ndarray:
        """What the overscan does not tell of the bias, ADU ``[y, x]``."""
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        return np.asarray(3.0 * np.sin(x / 7.0) + 2.0 * np.cos(y / 5.0))

    def levels(self) -> np.ndarray:
        """Overscan level of the rows of each amplifier, ADU."""
        return self.bias + self.overscan_ramp * np.linspace(-0.5, 0.5, ROWS)

    def counts(self) -> np.ndarray:
        """The raw image ``[y, x]``."""
        electrons = FLAT * self.light() + self.dark * self.seconds
        rng = None if self.seed is None else np.random.default_rng(self.seed)
        if rng is not None:
            electrons = rng.poisson(electrons).astype(np.float64)
        return read_out(
            electrons / self.gain + self.bias_structure(),
            self.levels(),
            rng,
            self.read_noise / self.gain,
        )

    def raw(self, image: np.ndarray | None = None, **cards: Any) -> RawExposure:
        """A frame with its header, in which cards may be changed, or left out where None."""
        pixels = self.counts() if image is None else image
        return frame(camera(self.gain, self.read_noise), pixels, **{"EXPTIME": self.seconds, **cards})

    def masters(self) -> dict[str, MaskedImage]:
        """Bias (ADU), dark (electrons a second) and flat, without noise."""
        return {
            "bias": master(self.bias_structure(), u.adu),
            "dark": master(np.full(SHAPE, self.dark), u.electron / u.s),
            "flat": master(FLAT),
        }


def read_out(
    counts: np.ndarray, levels: np.ndarray, rng: np.random.Generator | None = None, noise: float = 0.0
) -> np.ndarray:
    """The raw image of counts above the level (ADU ``[y, x]``), with noise and rounding where there is a generator."""
    image = np.tile(np.tile(levels, 4)[:, None], (1, 2 * (COLUMNS + OVERSCAN)))
    for region, (rows, columns) in zip(REGIONS, RAW_REGIONS, strict=True):
        image[rows, columns][:, :COLUMNS] += counts[region]
    return image if rng is None else np.rint(rng.normal(image, noise)).astype(np.uint16)


@cache
def camera(gain: float = 1.0, read_noise: float = 5.0) -> Camera:
    """The camera, of one detector."""
    amplifiers = []
    for name, (rows, columns), (_, raw) in zip(NAMES, REGIONS, RAW_REGIONS, strict=True):
        y, x0 = [rows.start, rows.stop], raw.start
        raw_boxes = {
            "box": {"x": [x0, x0 + COLUMNS + OVERSCAN], "y": y},
            "data": {"x": [x0, x0 + COLUMNS], "y": y},
            "serial_overscan": {"x": [x0 + COLUMNS, x0 + COLUMNS + OVERSCAN], "y": y},
        }
        box = {"x": [columns.start, columns.stop], "y": y}
        amplifiers.append({"name": name, "box": box, "raw": raw_boxes, "gain": gain, "read_noise": read_noise})
    return camera_of(SHAPE, amplifiers)


def camera_of(shape: tuple[int, int], amplifiers: Sequence[dict[str, Any]]) -> Camera:
    """A camera of one detector with these amplifiers."""
    levels = {"gain": 1.0, "read_noise": 5.0, "saturation": 60000.0, "suspect_level": 40000.0}
    description = {
        "name": "mock",
        "recognise": {"INSTRUME": "mock"},
        "position_unit": "px",
        "pixel_scale": "0.2 arcsec",
        "pixel_size": "10 um",
        "pointing_error": "10 arcsec",
        "detectors": [
            {
                "id": DETECTOR,
                "name": "det20",
                "size": [shape[1], shape[0]],
                "amplifiers": [levels | one for one in amplifiers],
            }
        ],
        "filters": {"r": {"band": "r"}, "i": {"band": "i"}},
        "header": {
            "exposure_id": "EXPNUM", "exposure_time": "EXPTIME", "date": "DATE-OBS", "ra": "RA", "dec": "DEC",
            "filter": "FILTER",
        },
    }  # fmt: skip
    return Camera.from_yaml(yaml.safe_dump(description))


def frame(of: Camera, image: np.ndarray, **cards: Any) -> RawExposure:
    """A raw frame of a mock camera; cards that are None are left out of its header."""
    header = {
        "INSTRUME": "mock", "EXPNUM": 7, "EXPTIME": 5.0, "DATE-OBS": "2026-01-15T04:00:00", "RA": 150.0, "DEC": 2.2,
        "FILTER": "r",
    }  # fmt: skip
    known = {name: value for name, value in (header | cards).items() if value is not None}
    raw = RawExposure(image=image, header=Header(known), file="mock.fits")
    return of.complete(raw, detector_id=DETECTOR)


def master(pixels: np.ndarray, unit: u.UnitBase | None = None, *, variance: float = 0.0) -> MaskedImage:
    """A calibration frame."""
    box = Box.from_shape(pixels.shape)
    spread = Image(np.full(pixels.shape, variance, np.float32), bbox=box, unit=None if unit is None else unit**2)
    image = Image(pixels.astype(np.float32), bbox=box, unit=unit)
    return MaskedImage(image, mask=Mask(0, schema=MASK_SCHEMA, bbox=box), variance=spread)


def boxes(*rows: tuple[int, int, int, int]) -> Table:
    """Defects ``x0``, ``y0``, ``width``, ``height``."""
    return Table(rows=rows, names=("x0", "y0", "width", "height"))


def configured(**changes: Any) -> IsrTask:
    """A task that uses the calibrations that there are; settings of a group are named with dots."""
    config = IsrConfig()
    if_any = dict.fromkeys(f"do{kind}" for kind in ("Bias", "Dark", "Flat", "Defect", "Crosstalk", "BrighterFatter"))
    for name, value in (if_any | changes).items():
        *groups, field = name.split(".")
        target = config
        for group in groups:
            target = getattr(target, group)
        setattr(target, field, value)
    return IsrTask(config=config)


def untrimmed(raw: RawExposure) -> Exposure:
    """A frame as `IsrTask.convertIntToFloat` makes it."""
    return configured().convertIntToFloat(raw)


def amplifier(exposure: Exposure | RawExposure, name: str) -> Amplifier:
    """One amplifier of a frame's detector."""
    assert exposure.detector is not None
    (found,) = (one for one in exposure.detector.amplifiers if one.name == name)
    return found


def marked(exposure: Exposure, *planes: str) -> np.ndarray:
    """Bool ``[y, x]``: pixels with any of these planes."""
    return np.asarray((exposure.bits & bitmask(*planes)) != 0)
