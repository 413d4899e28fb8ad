"""A simulated MegaCam CCD with every effect switched on, its masters, and what it should become."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, Image, Mask, MaskedImage

from skyloom.images import MASK_SCHEMA, Exposure, RawExposure, bitmask
from skyloom.instruments import Camera
from skyloom.isr import CrosstalkMatrix, linearity_of
from skyloom.simulate import DetectorSettings, Mosaic
from skyloom.simulate.charge import brighter_fatter_kernel
from skyloom.simulate.mosaic import Ccd
from skyloom.simulate.readout import expose
from skyloom.simulate.signature import Signature, draw_fringes, make_signature

ROWS = 4612
GAINS = {"A": 1.54, "B": 1.63}  # the simulator takes those of the description
SECONDS = 300.0
SKY = 1500.0
FRINGES = 45.0
SETTINGS = DetectorSettings(
    crosstalk=2e-4,
    nonlinearity=0.03,
    brighter_fatter=0.02,
    dark_electrons_per_s=0.05,
    vignetting=0.1,
    bias_structure_adu=3.0,
    bleed_level=0.0,
    cosmic_rays=0.0,
)
PLAIN = DetectorSettings(
    bias_structure_adu=0.0,
    pixel_response=0.0,
    vignetting=0.0,
    hot_pixels=0,
    bad_columns=0,
    overscan_slope_adu=0.0,
    dark_electrons_per_s=0.0,
    bleed_level=0.0,
)
DETECTOR = 0
LEVELS = (0.05, 0.2, 0.4, 0.6, 0.75, 0.9)
"""Squares of these parts of the full well stand on the sky in amplifier A."""
SIDE = 130


@dataclass(kw_only=True)
class EveryEffect:
    """The frame, what corrects it, and the truth."""

    camera: Camera
    ccd: Ccd
    signature: Signature
    raw: RawExposure
    light: np.ndarray
    """Electrons that the sky and the sources send, without fringes, ``[y, x]``."""
    pattern: np.ndarray
    """Of the fringes."""
    squares: list[tuple[slice, slice]]
    """Insides of the squares."""
    calibrations: dict[str, Any]

    @property
    def good(self) -> np.ndarray:
        """Bool ``[y, x]``: neither a defect nor next to one."""
        bad = self.signature.bad.copy()
        for axis in (0, 1):
            bad |= np.roll(bad, 1, axis) | np.roll(bad, -1, axis)
        return ~bad

    def victims(self, square: tuple[slice, slice]) -> tuple[slice, slice]:
        """The pixels of amplifier B that are read with a square in A."""
        rows, columns = square
        return rows, slice(2048 - columns.stop, 2048 - columns.start)


def camera_of(rows: int) -> Camera:
    """MegaPrime with CCDs of fewer rows."""
    text = (files("skyloom.instruments") / "megaprime.yaml").read_text()
    return Camera.from_yaml(text.replace("4644", str(rows + 32)).replace("4612", str(rows)))


def header() -> Header:
    """As MegaPrime writes it."""
    cards = {
        "INSTRUME": "MegaPrime", "DETECTOR": "MegaCam", "CCDNAME": "8341-7-5", "EXPNUM": 1000003, "OBSTYPE": "OBJECT",
        "OBJECT": "everything", "FILTER": "i.MP9702", "EXPTIME": SECONDS, "DARKTIME": SECONDS, "RA_DEG": 150.0,
        "DEC_DEG": 2.0, "DATE-OBS": "2010-01-01", "UTC-OBS": "10:00:00.00", "UTCEND": "10:05:00.00", "TELALT": 60.0,
        "TELAZ": 100.0, "AIRMASS": 1.1, "GAINA": GAINS["A"], "GAINB": GAINS["B"], "RDNOISEA": 4.8, "RDNOISEB": 5.1,
        "RDNOISE": 5.0, "SATURATE": 65535, "EQUINOX": 2000.0,
    }  # fmt: skip
    return Header(cards)


def make_every_effect(rows: int = ROWS) -> EveryEffect:
    """Draw the frame and its perfect masters; CCDs of fewer rows than MegaCam's are faster."""
    camera = camera_of(rows)
    mosaic = Mosaic.of(camera)
    ccd = mosaic.ccds[DETECTOR]
    signature = make_signature(SETTINGS, 1, mosaic, ccd, "i")
    y, x = np.mgrid[:rows, :2048]
    light = SKY * (1.0 + 0.05 * x / 2048 - 0.03 * y / rows)
    squares = []
    for place, level in enumerate(LEVELS):
        top = 40 + place * (rows - 80) // len(LEVELS)
        square = slice(top, top + SIDE), slice(300, 300 + SIDE)
        light[square] += level * 60000 * GAINS["A"]
        squares.append((slice(top + 12, top + SIDE - 12), slice(312, 300 + SIDE - 12)))
    pattern = draw_fringes(1, ccd, "i")
    frame = expose(light + FRINGES * pattern, ccd, signature, SETTINGS, np.random.default_rng(5), seconds=SECONDS)
    raw = camera.complete(RawExposure(image=frame.raw, header=header(), file="raw"), detector_id=DETECTOR)
    return EveryEffect(
        camera=camera,
        ccd=ccd,
        signature=signature,
        raw=raw,
        light=light,
        pattern=pattern,
        squares=squares,
        calibrations=perfect_masters(signature, pattern),
    )


def perfect_masters(signature: Signature, pattern: np.ndarray) -> dict[str, Any]:
    """Calibrations without noise or error, by the names of `skyloom.tasks.IsrTask.run`."""
    y, x = np.nonzero(signature.bad)
    return {
        "bias": frame_of(signature.bias, u.adu),
        "dark": frame_of(np.where(signature.bad, 0.0, signature.dark), u.electron / u.s),
        "flat": frame_of(signature.flat, u.dimensionless_unscaled),
        "fringes": frame_of(pattern, u.electron),
        "defects": Table({"x0": x, "y0": y, "width": np.ones_like(x), "height": np.ones_like(x)}),
        "crosstalk": CrosstalkMatrix(
            sources=("A", "B"), targets=("A", "B"), coefficients=SETTINGS.crosstalk * (1.0 - np.eye(2))
        ),
        "linearizer": {name: inverse_linearity() for name in GAINS},
        "bfKernel": -brighter_fatter_kernel(SETTINGS.brighter_fatter),
    }


def inverse_linearity() -> Any:
    """The series that undoes counts = signal (1 - k signal / saturation): its coefficients are Catalan numbers."""
    small = SETTINGS.nonlinearity / 65535.0
    catalan = np.array([1.0, 2.0, 5.0, 14.0, 42.0, 132.0])
    return linearity_of("Polynomial", catalan * small ** np.arange(1, 7))


def frame_of(pixels: np.ndarray, unit: u.UnitBase) -> MaskedImage:
    """A calibration frame without variance."""
    box = Box.from_shape(pixels.shape)
    return MaskedImage(
        Image(pixels.astype(np.float32), bbox=box, unit=unit),
        mask=Mask(0, schema=MASK_SCHEMA, bbox=box),
        variance=Image(np.zeros(pixels.shape, np.float32), bbox=box),
    )


def figures(truth: EveryEffect, exposure: Exposure) -> dict[str, float]:
    """What is left of each effect in a corrected frame."""
    image, light = exposure.image.array.astype(np.float64), truth.light
    good = truth.good & ((exposure.bits & bitmask("BAD", "SAT", "NO_DATA", "EDGE")) == 0)
    sky = good & (light < 1.2 * SKY)
    found: dict[str, float] = {}
    for name, columns in (("A", slice(0, 1024)), ("B", slice(1024, 2048))):
        part = sky[:, columns]
        offset = (image - light)[:, columns][part].mean()
        found[f"overscan residual {name} (ADU)"] = offset / GAINS[name]
    centred = truth.pattern - truth.pattern[sky].mean()
    left = np.sum((image - light)[sky] * centred[sky]) / np.sum(centred[sky] ** 2)
    found["fringe suppression"] = FRINGES / abs(left)
    for level, square in zip(LEVELS, truth.squares, strict=True):
        inside = good[square]
        ratio = image[square][inside].sum() / light[square][inside].sum() - 1.0
        found[f"linearity at {level:.0%} of full well (%)"] = 100 * ratio
    brightest, source = truth.squares[-1], light[truth.squares[-1]].mean()
    victim = truth.victims(brightest)
    rows, columns = victim
    around = (slice(rows.start, rows.stop), slice(columns.start - 160, columns.start - 30))
    difference = [np.mean((image - light)[part][good[part]]) for part in (victim, around)]
    found["crosstalk over its source"] = (difference[0] - difference[1]) / source
    pull = (image - light)[sky] / np.sqrt(exposure.variance.array[sky])
    found["width of residuals over their errors"] = float(np.std(pull))
    return found
