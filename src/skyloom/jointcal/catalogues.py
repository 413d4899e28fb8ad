"""What goes into a joint fit: the stars that each detector of each visit measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from lsst.images import Box, SkyProjection
from numpy.typing import NDArray

from skyloom.errors import JointFitError
from skyloom.images import PhotoCalib, pixel_to_radec

__all__ = ["FrameCatalogue", "Measurements", "gather"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameCatalogue:
    """The stars of one detector in one visit, with the calibration that they came with."""

    visit: int
    detector: int
    box: Box
    """Pixels of the frame."""
    projection: SkyProjection[Any]
    """The WCS to start from."""
    photo_calib: PhotoCalib
    """The flux scale to start from."""
    focal_plane: Callable[[Floats, Floats], tuple[Floats, Floats]]
    """Pixel positions to positions in the camera's focal plane, mm."""
    epoch_year: float
    """Julian year of the exposure; NaN where it is not known."""
    x: Floats
    """Positions, pixel, ``[n]``."""
    y: Floats
    covariance: Floats
    """Of the positions, pixel squared, ``[n, 2, 2]``."""
    flux: Floats
    """Instrumental fluxes, electrons."""
    flux_err: Floats
    source_id: NDArray[np.int64]

    def __post_init__(self) -> None:
        columns = (self.x, self.y, self.covariance, self.flux, self.flux_err)
        if any(len(column) != len(self.source_id) or not np.isfinite(column).all() for column in columns):
            raise JointFitError(
                f"The stars of {self.name} have columns of different lengths, or values that are no numbers.",
                cure="Make the catalogue with frame_catalogue, which leaves such stars out.",
            )

    @property
    def name(self) -> str:
        """Visit and detector, for messages."""
        return f"visit {self.visit}, detector {self.detector}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurements:
    """The stars of all frames in one list; frames are in the order of visit and detector."""

    frames: tuple[FrameCatalogue, ...]
    frame: Integers
    """Number of the frame of each measurement, ``[m]``."""
    x: Floats
    y: Floats
    covariance: Floats
    """Pixel squared, ``[m, 2, 2]``."""
    flux: Floats
    flux_err: Floats
    calibrated_flux: Floats
    """By the calibration that came with the frame, nJy."""
    ra: Floats
    """By the WCS that came with the frame, degree; `without_motion` brings them to one epoch."""
    dec: Floats

    def __len__(self) -> int:
        return len(self.x)

    @property
    def visits(self) -> list[int]:
        """The visits, ascending."""
        return sorted({frame.visit for frame in self.frames})

    @property
    def detectors(self) -> list[int]:
        """The detectors, ascending."""
        return sorted({frame.detector for frame in self.frames})

    @property
    def visit_of_frame(self) -> Integers:
        """Number of each frame's visit in `visits`."""
        return np.searchsorted(self.visits, [frame.visit for frame in self.frames]).astype(np.int32)

    @property
    def detector_of_frame(self) -> Integers:
        """Number of each frame's detector in `detectors`."""
        return np.searchsorted(self.detectors, [frame.detector for frame in self.frames]).astype(np.int32)

    @property
    def epoch_year(self) -> float:
        """Mean epoch of the frames whose epoch is known, NaN where none is."""
        epochs = np.array([frame.epoch_year for frame in self.frames])
        known = epochs[np.isfinite(epochs)]
        return float(known.mean()) if known.size else np.nan


def gather(frames: Sequence[FrameCatalogue]) -> Measurements:
    """All measurements of some frames; the order in which the frames are given makes no difference."""
    ordered = tuple(sorted(frames, key=lambda frame: (frame.visit, frame.detector)))
    sky = [pixel_to_radec(frame.projection, frame.x, frame.y) for frame in ordered]
    calibrated = [frame.photo_calib.to_njy(frame.flux, frame.x, frame.y) for frame in ordered]
    return Measurements(
        frames=ordered,
        frame=np.repeat(np.arange(len(ordered), dtype=np.int32), [len(frame.x) for frame in ordered]),
        x=np.concatenate([frame.x for frame in ordered]),
        y=np.concatenate([frame.y for frame in ordered]),
        covariance=np.concatenate([frame.covariance for frame in ordered]),
        flux=np.concatenate([frame.flux for frame in ordered]),
        flux_err=np.concatenate([frame.flux_err for frame in ordered]),
        calibrated_flux=np.concatenate(calibrated),
        ra=np.concatenate([ra for ra, _ in sky]),
        dec=np.concatenate([dec for _, dec in sky]),
    )
