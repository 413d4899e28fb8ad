"""Signature removal of one CCD beside bare numpy and ccdproc: checks the answers first, then times each correction.

Run ``python bench/bench_isr.py``; the frame is made up, 2112 x 4644 raw and 2048 x 4612 trimmed pixels, of two
amplifiers.  ccdproc takes part where it is installed.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.images import Image, Mask, MaskedImage
from numba import njit

from skyloom.images import MASK_SCHEMA, RawExposure
from skyloom.instruments import Camera
from skyloom.isr import (
    CrosstalkMatrix,
    CrosstalkSettings,
    IsrFrame,
    IsrSettings,
    OverscanSettings,
    correct_raw,
    linearity_of,
)

SHAPE = (4612, 2048)
HALF = 1024
GAINS = {"A": 1.6, "B": 1.7}
NOISE_ADU = 3.0
SKY_ELECTRONS = 900.0
DARK_RATE = 0.02
SECONDS = 300.0
REPEATS = 5
UNITS = {"bias": u.adu, "dark": u.electron / u.s, "flat": u.dimensionless_unscaled}


@dataclass
class Frame:
    """A raw frame with its masters, and what it should become."""

    raw: RawExposure
    masters: dict[str, Any]
    truth: np.ndarray
    """Electrons, float32 ``[y, x]``."""


def master(pixels: np.ndarray, unit: u.UnitBase) -> MaskedImage:
    """A calibration frame with a small variance."""
    image = Image(pixels.astype(np.float32), unit=unit)
    variance = Image(np.full(pixels.shape, 1e-6, np.float32))
    return MaskedImage(image, mask=Mask(0, schema=MASK_SCHEMA, bbox=image.bbox), variance=variance)


def make_frame() -> Frame:
    """Sky and stars through bias, dark, flat, gains, overscan and noise, with defects."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    truth = SKY_ELECTRONS + 0.02 * x + 0.01 * y
    for _ in range(1500):
        row, column = rng.integers(20, SHAPE[0] - 20), rng.integers(20, SHAPE[1] - 20)
        stamp = np.exp(-np.add.outer(np.arange(-10, 11) ** 2, np.arange(-10, 11) ** 2) / 8.0)
        truth[row - 10 : row + 11, column - 10 : column + 11] += (200.0 / rng.random() ** 1.2) * stamp
    flat = (1.0 + 0.02 * rng.standard_normal(SHAPE) - 1e-8 * ((x - HALF) ** 2 + (y - 2306) ** 2)).astype(np.float32)
    flat /= np.median(flat)
    bias = (2.0 * np.sin(x / 97.0) + rng.normal(0, 0.5, SHAPE)).astype(np.float32)
    dark = np.full(SHAPE, DARK_RATE, np.float32)
    gain = np.where(x < HALF, GAINS["A"], GAINS["B"]).astype(np.float32)
    electrons = rng.poisson(np.clip(truth * flat + DARK_RATE * SECONDS, 0, None))
    raw = rng.normal(1200.0, NOISE_ADU, (4644, 2112)) + 0.002 * np.arange(4644)[:, None]
    raw[: SHAPE[0], 32:2080] += electrons / gain + bias
    header = headers()
    camera = Camera.read("megaprime")
    frame = camera.complete(
        RawExposure(image=np.clip(np.round(raw), 0, 65535).astype(np.uint16), header=header, file="bench"),
        detector_id=0,
    )
    columns = rng.integers(0, SHAPE[1], 60)
    defects = Table(
        {
            "x0": np.r_[columns, rng.integers(0, SHAPE[1], 2000)],
            "y0": np.r_[rng.integers(0, 3000, 60), rng.integers(0, SHAPE[0], 2000)],
            "width": np.r_[np.ones(60, int), rng.integers(1, 3, 2000)],
            "height": np.r_[rng.integers(100, 1600, 60), rng.integers(1, 3, 2000)],
        }
    )
    masters = {
        **{kind: master(pixels, UNITS[kind]) for kind, pixels in (("bias", bias), ("dark", dark), ("flat", flat))},
        "defects": defects,
    }
    return Frame(frame, masters, truth)


def headers() -> Any:
    """What MegaPrime's camera wants to know."""
    from astropy.io.fits import Header

    cards = {
        "INSTRUME": "MegaPrime", "CCDNAME": "8341-7-5", "EXTNAME": "ccd00", "EXPNUM": 1000003, "OBSTYPE": "OBJECT",
        "OBJECT": "bench", "FILTER": "r.MP9601", "EXPTIME": SECONDS, "DARKTIME": SECONDS, "RA_DEG": 150.0,
        "DEC_DEG": 2.0, "DATE-OBS": "2010-01-01", "UTC-OBS": "10:00:00.00", "UTCEND": "10:05:00.00", "TELALT": 60.0,
        "TELAZ": 100.0, "AIRMASS": 1.1, "GAINA": GAINS["A"], "GAINB": GAINS["B"], "RDNOISEA": 4.8, "RDNOISEB": 5.1,
        "RDNOISE": 5.0, "SATURATE": 65000, "DETECTOR": "MegaCam", "RADECSYS": "FK5", "EQUINOX": 2000.0,
    }  # fmt: skip
    header = Header()
    for keyword, value in cards.items():
        header[keyword] = value
    return header


def bare_numpy(frame: Frame) -> np.ndarray:
    """What a script does: overscan medians, bias, dark, flat; image alone."""
    raw = frame.raw.image
    image = np.empty(SHAPE, np.float32)
    image[:, :HALF] = raw[: SHAPE[0], 32:1056] - np.median(raw[:, :32])
    image[:, HALF:] = raw[: SHAPE[0], 1056:2080] - np.median(raw[:, 2080:])
    image -= frame.masters["bias"].image.array
    image[:, :HALF] *= GAINS["A"]
    image[:, HALF:] *= GAINS["B"]
    image -= frame.masters["dark"].image.array * np.float32(SECONDS)
    image /= frame.masters["flat"].image.array
    return image


def with_ccdproc(frame: Frame) -> Any:
    """The same with ccdproc, with uncertainties; each half by itself."""
    import ccdproc
    from astropy.nddata import CCDData, StdDevUncertainty

    halves = []
    for name, data, overscan, part in (
        ("A", slice(32, 1056), slice(0, 32), slice(0, HALF)),
        ("B", slice(1056, 2080), slice(2080, 2112), slice(HALF, 2048)),
    ):
        ccd = CCDData(frame.raw.image[: SHAPE[0]].astype(np.float32), unit="adu")
        ccd = ccdproc.subtract_overscan(ccd, overscan=ccd[:, overscan], overscan_axis=1, median=True)
        ccd = ccdproc.trim_image(ccd[:, data])
        ccd = ccdproc.create_deviation(
            ccd, gain=GAINS[name] * u.electron / u.adu, readnoise=5.0 * u.electron, disregard_nan=True
        )
        calibrations = {
            kind: CCDData(
                frame.masters[kind].image.array[:, part],
                unit=unit,
                uncertainty=StdDevUncertainty(np.full((SHAPE[0], HALF), 1e-3, np.float32)),
            )
            for kind, unit in (("bias", "adu"), ("dark", "electron"), ("flat", ""))
        }
        ccd = ccdproc.subtract_bias(ccd, calibrations["bias"])
        ccd = ccdproc.gain_correct(ccd, GAINS[name] * u.electron / u.adu)
        ccd = ccdproc.subtract_dark(
            ccd, calibrations["dark"], dark_exposure=1 * u.s, data_exposure=SECONDS * u.s, scale=True
        )
        halves.append(ccdproc.flat_correct(ccd, calibrations["flat"], norm_value=1.0))
    return halves


def validate(frame: Frame) -> None:
    """The residual from the truth must be what photons and read-out leave; stops at the first disagreement."""
    exposure = correct_raw(frame.raw, **frame.masters)
    good = exposure.bits == 0
    pull = (exposure.image.array - frame.truth)[good] / np.sqrt(exposure.variance.array[good])
    print(f"residual over its error: mean {pull.mean():+.4f}, width {pull.std():.4f}; {np.mean(~good):.2%} masked")
    assert abs(pull.mean()) < 0.02
    assert abs(pull.std() - 1.0) < 0.02
    simple = bare_numpy(frame)
    difference = np.median(np.abs((simple - exposure.image.array)[good]))
    print(f"bare numpy, which takes one overscan level for all rows, differs by {difference:.2f} electrons (median)")


def seconds(call: Callable[[], Any]) -> tuple[float, float]:
    """Least wall and processor time of a few calls; the first, which may compile, is not counted."""
    call()
    wall, processor = [], []
    for _ in range(REPEATS):
        start, start_processor = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        processor.append(time.process_time() - start_processor)
    return min(wall), min(processor)


@njit(cache=True)
def _triad(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    for i in range(a.size):
        a[i] = b[i] + 3.0 * c[i]


def bandwidth() -> float:
    """Bytes a second of one core: a = b + 3 c on arrays far larger than the caches."""
    a, b, c = (np.ones(20_000_000, np.float32) for _ in range(3))
    wall, _ = seconds(lambda: _triad(a, b, c))
    return 3 * a.nbytes / wall


class Clock:
    """Times the steps of one correction."""

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {}
        self.last = 0.0

    def __call__(self, step: str, frame: IsrFrame) -> None:
        now = time.process_time()
        self.steps.setdefault(step, []).append(now - self.last)
        self.last = time.process_time()


_FRAME = SHAPE[0] * SHAPE[1]
_PLANES = 4 * _FRAME
BYTES = {
    "overscan": 2 * 4644 * 2112 * 2 + 4 * _PLANES,  # counts twice; image filled and written, bits filled and cleared
    "bias": 7 * _PLANES,  # two planes read and written, three of the master read
    "linearity": 2 * _PLANES,
    "crosstalk": 6 * _PLANES,  # image and bits in two passes for the median; image read and written
    "gains": 4 * _PLANES,
    "masks": 5 * _PLANES,  # image and variance, bits for three masks
    "dark": 7 * _PLANES,
    "flat": 11 * _PLANES,  # image and mask in two passes for the level, and as bias
    "interpolation": 2 * _PLANES + 3 * _FRAME,
}
"""Least bytes that a correction reads and writes, float32 planes of the trimmed detector."""


def timed_steps(frame: Frame, settings: IsrSettings, more: dict[str, Any]) -> dict[str, float]:
    """Least processor time of each step, over a few frames."""
    clock = Clock()
    for repeat in range(REPEATS + 1):
        if repeat == 1:
            clock.steps.clear()
        clock.last = time.process_time()
        correct_raw(frame.raw, **frame.masters, **more, settings=settings, watch=clock)
    return {step: min(times) for step, times in clock.steps.items()}


def peak_memory(frame: Frame) -> float:
    """Peak memory (MB) of a process that corrects a frame, and reads each master when its turn comes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.npz"
        images = {kind: frame.masters[kind].image.array for kind in UNITS}
        np.savez(path, raw=frame.raw.image, defects=frame.masters["defects"].as_array(), **images)
        command = [sys.executable, __file__, "--correct", str(path)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def correct_file(path: str) -> None:
    """Correct the frame in a file, and print the peak memory of this process in MB."""
    with np.load(path) as stored:
        raw = Camera.read("megaprime").complete(
            RawExposure(image=stored["raw"], header=headers(), file="bench"), detector_id=0
        )
        masters: dict[str, Any] = {
            kind: lambda kind=kind, unit=unit: master(stored[kind], unit) for kind, unit in UNITS.items()
        }
        correct_raw(raw, defects=Table(stored["defects"]), **masters)
    status = Path("/proc/self/status").read_text()  # what getrusage says begins with the memory of the parent
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)


def main() -> None:
    """Validate, then print the tables."""
    if sys.argv[1:2] == ["--correct"]:
        correct_file(sys.argv[2])
        return
    frame = make_frame()
    validate(frame)
    speed = bandwidth()
    print(f"bandwidth of one core: {speed / 1e9:.1f} GB/s")
    wall_numpy, cpu_numpy = seconds(lambda: bare_numpy(frame))
    print(f"{'':34s} {'wall ms':>9s} {'cpu ms':>9s} {'of numpy':>9s}")
    print(f"{'bare numpy (image alone)':34s} {wall_numpy * 1e3:9.0f} {cpu_numpy * 1e3:9.0f} {1:9.2f}")
    rows: list[tuple[str, Callable[[], Any]]] = [
        ("skyloom, overscan to interpolation", lambda: correct_raw(frame.raw, **frame.masters)),
    ]
    if importlib.util.find_spec("ccdproc"):
        rows.append(("ccdproc, overscan to flat", lambda: with_ccdproc(frame)))
    for name, call in rows:
        wall, cpu = seconds(call)
        print(f"{name:34s} {wall * 1e3:9.0f} {cpu * 1e3:9.0f} {cpu / cpu_numpy:9.2f}")
    settings = IsrSettings(crosstalk=CrosstalkSettings(), serial_overscan=OverscanSettings())
    more: dict[str, Any] = {
        "crosstalk": CrosstalkMatrix(
            sources=("A", "B"), targets=("A", "B"), coefficients=np.array([[0.0, 1e-4], [2e-4, 0.0]])
        ),
        "linearities": {name: linearity_of("Polynomial", np.array([1e-7, 1e-13])) for name in GAINS},
    }
    print(f"{'correction':18s} {'cpu ms':>8s} {'MB':>7s} {'GB/s':>6s} {'of bandwidth':>13s}")
    for step, spent in timed_steps(frame, settings, more).items():
        moved = BYTES.get(step, 0)
        if spent > 0.002:
            share = f"{moved / spent / 1e9:6.1f} {moved / spent / speed:13.0%}" if moved else ""
            print(f"{step:18s} {spent * 1e3:8.0f} {moved / 1e6:7.0f} {share}")
    from skyloom.simulate.charge import brighter_fatter_kernel  # here, for the memory of the child

    with_kernel = {"brighter_fatter": -brighter_fatter_kernel(0.05)}
    spent = timed_steps(frame, IsrSettings(), with_kernel)["brighter_fatter"]
    print(f"{'brighter-fatter':18s} {spent * 1e3:8.0f}")
    print(f"peak memory of a process that corrects the frame: {peak_memory(frame):.0f} MB")


if __name__ == "__main__":
    main()
