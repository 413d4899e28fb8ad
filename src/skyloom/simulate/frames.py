"""Draw the frames of a survey and write them: raw frames of the sky, calibration frames, ready-made masters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from skyloom.files import write_beside

from .calibration_plan import AFTERNOON, CalibrationFrame
from .headers import Exposure, check_header, exposure_id_of, make_header
from .passers import draw_asteroids, draw_trails
from .readout import RawFrame, expose
from .scene import draw_sky, draw_sources
from .signature import draw_fringes, make_signature
from .sky import sky_at
from .visits import Visit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from astropy.table import Table

    from .mosaic import Ccd, Mosaic
    from .settings import SurveySettings

__all__ = [
    "MASK_BITS",
    "Scene",
    "numbered",
    "simulate_raw",
    "write_calibrations",
    "write_masters",
    "write_science",
]

_STREAM_FRAME, _STREAM_MASTER, _STREAM_CALIBRATION = 401, 402, 403
_READY_MADE_FLAT_ELECTRONS = 30000.0
MASK_BITS = {"COSMIC": 1, "FULLWELL": 2, "TRAIL": 4, "ASTEROID": 8}
"""Bits of the masks of truth."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Everything that the frames of a survey are drawn from."""

    settings: SurveySettings
    mosaic: Mosaic
    sky: Table
    trails: Table
    asteroids: Table
    templates: Mapping[int, fits.Header] = field(default_factory=dict)
    """What the headers of each detector begin with."""

    def header(self, told: Exposure, ccd: Ccd) -> fits.Header:
        """The header of a frame."""
        return make_header(told, self.mosaic, ccd, self.settings.cards, self.templates.get(ccd.id))


def numbered(visits: list[Visit], scene: Scene) -> list[Visit]:
    """The visits under the ids that the camera gives them, for they may follow from the date."""
    ccd = next(iter(scene.mosaic.ccds.values()))
    camera = scene.mosaic.camera
    return [replace(visit, visit=exposure_id_of(camera, _science_header(scene, visit, ccd))) for visit in visits]


def simulate_raw(scene: Scene, visit: Visit, ccd: Ccd) -> tuple[RawFrame, np.ndarray]:
    """One raw frame of the sky; it depends on settings, visit and detector alone.

    Returns
    -------
    frame
        Counts, and what disturbed the detector.
    mask
        uint8 ``[y, x]`` over the trimmed detector, with `MASK_BITS`.
    """
    settings, mosaic, beta = scene.settings, scene.mosaic, scene.settings.visits.moffat_beta
    rng = np.random.default_rng([settings.seed, _STREAM_FRAME, visit.visit, ccd.id])
    signature = make_signature(settings.detector, settings.seed, mosaic, ccd, visit.band)
    light = draw_sky(visit, mosaic, ccd)
    if settings.visits.fringe_amplitude:
        light *= 1.0 + settings.visits.fringe_amplitude * draw_fringes(settings.seed, ccd, visit.band)
    draw_sources(visit, beta, mosaic, ccd, sky_at(scene.sky, settings.sky.epoch, visit.middle.jyear), light)
    trail = draw_trails(visit, mosaic, ccd, scene.trails, light)
    bodies = np.zeros_like(light)
    draw_asteroids(visit, beta, mosaic, ccd, scene.asteroids, bodies)
    light += bodies
    np.maximum(light, 0.0, out=light)
    frame = expose(light, ccd, signature, settings.detector, rng, seconds=visit.exposure_time_s)
    mask = np.zeros(ccd.shape, np.uint8)
    asteroid = bodies > np.sqrt(visit.sky_electrons)
    for name, where in zip(MASK_BITS, (frame.cosmic_rays, frame.full, trail, asteroid), strict=True):
        mask[where] |= MASK_BITS[name]
    return frame, mask


def write_science(folder: Path, scene: Scene, visit: Visit, detectors: tuple[int, ...]) -> Path:
    """Simulate the frames of a visit that share a file, and write it to the survey's ``raw``.

    Where the survey wants masks of truth, they go to ``truth/masks`` under the same name.
    """
    parts, masks = [], []
    for number in detectors:
        ccd = scene.mosaic.ccds[number]
        frame, mask = simulate_raw(scene, visit, ccd)
        parts.append((ccd, frame.raw, _science_header(scene, visit, ccd)))
        masks.append(mask)
    path = folder / "raw" / _file_name("sim", visit.visit, scene.mosaic, detectors)
    if scene.settings.truth_masks:
        hdus = [fits.CompImageHDU(mask, fits.Header(MASK_BITS)) for mask in masks]
        _write(folder / "truth" / "masks" / path.name, fits.HDUList([fits.PrimaryHDU(), *hdus]))
    return _write(path, _hdus(parts))


def write_calibrations(
    folder: Path, scene: Scene, frames: list[CalibrationFrame], detectors: tuple[int, ...]
) -> list[Path]:
    """Simulate calibration exposures of one band, for detectors that share files, to the survey's ``raw``."""
    settings, paths = scene.settings, []
    band = frames[0].band or settings.bands[0]
    ccds = [scene.mosaic.ccds[number] for number in detectors]
    signatures = [make_signature(settings.detector, settings.seed, scene.mosaic, ccd, band) for ccd in ccds]
    for frame in frames:
        parts = []
        for ccd, signature in zip(ccds, signatures, strict=True):
            rng = np.random.default_rng([settings.seed, _STREAM_CALIBRATION, frame.number, ccd.id])
            light = np.full(ccd.shape, frame.electrons)
            exposed = expose(light, ccd, signature, settings.detector, rng, seconds=frame.seconds)
            parts.append((ccd, exposed.raw, _calibration_header(scene, frame, ccd)))
        name = _file_name(frame.kind, frame.number, scene.mosaic, detectors)
        paths.append(_write(folder / "raw" / name, _hdus(parts)))
    return paths


def write_masters(folder: Path, scene: Scene, detector: int) -> list[Path]:
    """Write the ready-made masters of one detector to the survey's ``masters``, trimmed, in ADU.

    ``bias_<detector>.fits``, ``dark_<detector>.fits`` (ADU a second) and a ``flat_<band>_<detector>.fits`` a band: a
    lamp exposure with overscan and bias taken off, which still holds the gains.
    """
    settings, options, ccd = scene.settings, scene.settings.detector, scene.mosaic.ccds[detector]
    rng = np.random.default_rng([settings.seed, _STREAM_MASTER, detector])
    gains, paths = ccd.gain_map(), []
    for index, band in enumerate(settings.bands):
        signature = make_signature(options, settings.seed, scene.mosaic, ccd, band)
        if index == 0:
            noise = options.master_noise_adu * rng.standard_normal(ccd.shape) * options.noise
            planes = {"bias": (signature.bias + noise, "adu"), "dark": (signature.dark / gains, "adu/s")}
            for kind, (pixels, unit) in planes.items():
                header = _master_header(scene, ccd, kind, None, unit)
                paths.append(_write_master(folder, f"{kind}_{detector}", pixels, header))
        lamp = _READY_MADE_FLAT_ELECTRONS * signature.flat
        lamp *= 1.0 + options.master_flat_noise * rng.standard_normal(lamp.shape) * options.noise
        header = _master_header(scene, ccd, "flat", band, "adu")
        paths.append(_write_master(folder, f"flat_{band}_{detector}", lamp / gains, header))
    return paths


def _calibration_header(scene: Scene, frame: CalibrationFrame, ccd: Ccd) -> fits.Header:
    told = Exposure(
        number=frame.number, observation_type=frame.kind, begin=frame.begin, seconds=frame.seconds, band=frame.band
    )
    return check_header(scene.mosaic.camera, scene.header(told, ccd))


def _science_header(scene: Scene, visit: Visit, ccd: Ccd) -> fits.Header:
    told = Exposure(
        number=visit.visit,
        observation_type="science",
        begin=visit.date_obs,
        seconds=visit.exposure_time_s,
        band=visit.band,
        ra_deg=visit.header_ra_deg,
        dec_deg=visit.header_dec_deg,
        position_angle_deg=visit.header_rotation_deg,
        airmass=visit.airmass,
    )
    return check_header(scene.mosaic.camera, scene.header(told, ccd))


def _master_header(scene: Scene, ccd: Ccd, kind: str, band: str | None, unit: str) -> fits.Header:
    band = band or scene.settings.bands[0]  # a camera may not be able to tell a bias from the rest
    told = Exposure(number=0, observation_type=kind, begin=AFTERNOON.isot, seconds=0.0, band=band)
    header = scene.header(told, ccd)
    header["BUNIT"] = unit
    return header


def _write_master(folder: Path, name: str, pixels: np.ndarray, header: fits.Header) -> Path:
    hdus = fits.HDUList([fits.PrimaryHDU(pixels.astype(np.float32), header)])
    return _write(folder / "masters" / f"{name}.fits", hdus)


def _file_name(kind: str, number: int, mosaic: Mosaic, detectors: tuple[int, ...]) -> str:
    alone = all(mosaic.ccds[one].hdu is None for one in detectors)
    return f"{kind}_{number:06d}_{detectors[0]}.fits" if alone else f"{kind}_{number:06d}.fits"


def _hdus(parts: list[tuple[Ccd, np.ndarray, fits.Header]]) -> fits.HDUList:
    """One detector in the primary HDU, or each in the HDU that the camera expects."""
    if len(parts) == 1 and parts[0][0].hdu is None:
        return fits.HDUList([fits.PrimaryHDU(parts[0][1], parts[0][2])])
    hdus = fits.HDUList([fits.PrimaryHDU(header=parts[0][2])])
    for ccd, pixels, header in sorted(parts, key=lambda part: part[0].hdu if isinstance(part[0].hdu, int) else 0):
        name = ccd.hdu if isinstance(ccd.hdu, str) else None
        while isinstance(ccd.hdu, int) and len(hdus) < ccd.hdu:
            hdus.append(fits.ImageHDU())
        hdus.append(fits.ImageHDU(pixels, header, name=name))
    return hdus


def _write(path: Path, hdus: fits.HDUList) -> Path:
    return write_beside(path, hdus.writeto)
