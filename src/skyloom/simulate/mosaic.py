"""The geometry of a described camera as the simulator needs it: plain values that go to other processes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skyloom.errors import CameraError
from skyloom.instruments import Camera
from skyloom.isr import AmplifierLayout, layout_of

__all__ = ["Ccd", "Mosaic", "SimulatedAmplifier"]


@dataclass(frozen=True, kw_only=True)
class SimulatedAmplifier:
    """One amplifier."""

    layout: AmplifierLayout
    raw: tuple[slice, slice]
    """All its pixels in the raw frame, rows and columns."""
    bias_level_adu: float
    """What the camera's description takes off where there is no overscan."""
    mirrored: tuple[bool, bool]
    """Whether rows, columns of its raw data are read from their far end."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Ccd:
    """One detector: its place in the mosaic and its amplifiers."""

    id: int
    shape: tuple[int, int]
    """Rows and columns of the trimmed detector."""
    raw_shape: tuple[int, int]
    centre: tuple[float, float]
    """x, y of its middle in the focal plane (pixels from the boresight)."""
    rotation_deg: float
    hdu: int | str | None
    amplifiers: tuple[SimulatedAmplifier, ...]

    def to_focal_plane(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels from the boresight, of positions x, y on the trimmed detector."""
        cos, sin = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        dx, dy = np.asarray(x) - (self.shape[1] - 1) / 2, np.asarray(y) - (self.shape[0] - 1) / 2
        return self.centre[0] + cos * dx - sin * dy, self.centre[1] + sin * dx + cos * dy

    def from_focal_plane(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions x, y on the trimmed detector, of pixels from the boresight."""
        cos, sin = np.cos(np.radians(self.rotation_deg)), np.sin(np.radians(self.rotation_deg))
        du, dv = np.asarray(u) - self.centre[0], np.asarray(v) - self.centre[1]
        return (self.shape[1] - 1) / 2 + cos * du + sin * dv, (self.shape[0] - 1) / 2 - sin * du + cos * dv

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Focal-plane u, v (pixels from the boresight) of every trimmed pixel, ``[y, x]``."""
        y, x = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float64)
        return self.to_focal_plane(x, y)

    def gain_map(self) -> np.ndarray:
        """Electrons an ADU of every trimmed pixel, float64 ``[y, x]``."""
        gains = np.ones(self.shape)
        for amplifier in self.amplifiers:
            gains[amplifier.layout.trimmed] = amplifier.layout.gain
        return gains


@dataclass(frozen=True, kw_only=True, eq=False)
class Mosaic:
    """All detectors of a camera."""

    camera: Camera
    ccds: dict[int, Ccd]
    pixel_scale: float
    """Arcseconds a pixel at the boresight."""
    radius: float
    """Pixels from the boresight to the farthest corner."""

    @classmethod
    def of(cls, camera: Camera) -> Mosaic:
        """The mosaic of a described camera.

        Raises
        ------
        CameraError
            If its frames come without instrument signature: there are no raw frames to simulate.
        """
        if camera.post_isr:
            raise CameraError(
                f"frames of {camera.name} come without instrument signature.", cure="Simulate a camera with raw frames."
            )
        ccds = {number: _ccd(camera, number) for number in camera.detector_ids}
        corners = [
            np.hypot(*ccd.to_focal_plane(np.array([x]), np.array([y])))[0]
            for ccd in ccds.values()
            for x in (-0.5, ccd.shape[1] - 0.5)
            for y in (-0.5, ccd.shape[0] - 0.5)
        ]
        return cls(camera=camera, ccds=ccds, pixel_scale=camera.pixel_scale, radius=float(max(corners)))

    @property
    def half_width(self) -> float:
        """Pixels from the boresight to the side of the square whose corner is the farthest one."""
        return self.radius / float(np.sqrt(2.0))

    @property
    def flipped(self) -> bool:
        """Whether images are mirrored with respect to the sky."""
        return self.camera.description.flipped

    def filter_of(self, band: str) -> str:
        """Name of the first filter of a band.

        Raises
        ------
        CameraError
            If the camera has none.
        """
        for name, entry in self.camera.filters.items():
            if band in (name, entry.band):
                return name
        known = ", ".join(sorted({entry.band for entry in self.camera.filters.values()}))
        raise CameraError(f"{self.camera.name} has no filter of the band {band!r}.", cure=f"It has {known}.")


def _ccd(camera: Camera, number: int) -> Ccd:
    described = camera.description_of(number)
    to_pixel = 1.0 if camera.description.position_unit == "px" else 1.0 / camera.description.pixel_size
    layouts = layout_of(camera.detector(number), camera.raw_shape(number), camera.name)
    amplifiers = []
    for layout, entry in zip(layouts, described.amplifiers, strict=True):
        box = entry.raw.box if entry.raw else entry.box
        amplifiers.append(
            SimulatedAmplifier(
                layout=layout,
                raw=(slice(*box.y), slice(*box.x)),
                bias_level_adu=entry.bias_level,
                mirrored=("U" in entry.readout_corner, "R" in entry.readout_corner),
            )
        )
    return Ccd(
        id=number,
        shape=(described.size[1], described.size[0]),
        raw_shape=camera.raw_shape(number),
        centre=(described.position[0] * to_pixel, described.position[1] * to_pixel),
        rotation_deg=described.rotation,
        hdu=described.hdu,
        amplifiers=tuple(amplifiers),
    )
