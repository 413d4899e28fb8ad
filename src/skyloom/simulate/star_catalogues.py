"""Star catalogues of a survey with truth, without pixels: visits of a mosaic camera, each distorted in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io.fits import Header
from astropy.table import Table
from lsst.images import Box, DetectorFrame
from numpy.typing import NDArray

from skyloom.catalog.htm import unit_vectors
from skyloom.catalog.refcat import reference_table
from skyloom.images import PhotoCalib, projection_from_header
from skyloom.jointcal import FrameCatalogue
from skyloom.jointcal.directions import ARCSEC, from_plane, local_axes, project, to_degrees

__all__ = ["CatalogueSurvey", "CatalogueSurveySettings", "SimulatedFrame", "simulate_catalogues"]

type Floats = NDArray[np.float64]
type Generator = np.random.Generator

_MARGIN_PX = 2.0
_PIXEL_MM = 0.01
_EPOCH = 2016.0
_TERMS = ((2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3), (4, 0), (2, 2), (0, 5))
"""Powers of the distortions."""
_WAVES = 12
"""Waves of the turbulence."""


@dataclass(frozen=True, kw_only=True)
class CatalogueSurveySettings:
    """What is simulated."""

    n_visits: int = 6
    grid: tuple[int, int] = (3, 3)
    """Detectors along x and y."""
    size: tuple[int, int] = (1000, 1000)
    """Pixels of a detector along x and y."""
    pixel_scale: float = 0.2
    """Arcseconds."""
    n_stars: int = 1500
    """On the whole field."""
    min_flux: float = 1e4
    max_flux: float = 1e6
    """nJy; as many stars in each interval of magnitude."""
    position_noise_px: float = 0.01
    flux_noise: float = 0.003
    """Relative."""
    full_well_noise: bool = False
    """Whether both noises are those of the brightest stars, and grow for fainter ones as photon noise does."""
    atmosphere_mas: float = 0.0
    """Rms, a coordinate, of the turbulence of a visit: waves of a few arcminutes."""
    outliers: float = 0.0
    """Share of the measurements that are wrong by many sigma."""
    wrong_pointing_arcsec: float = 0.3
    """Rms error of the WCSs to begin with."""
    distortion_arcsec: float = 0.4
    """Rms of each term of a visit's distortion at the edge of the camera."""
    chip_offset_px: float = 2.0
    chip_rotation: float = 1e-3
    """Radians; how far detectors are from where the camera's description has them."""
    chip_throughput: float = 0.03
    visit_throughput: float = 0.2
    """Rms of the throughputs of detectors and visits."""
    gradient: float = 0.02
    """Rms of each term of a visit's throughput over the camera."""
    flat_error: float = 0.0
    """Rms of a smooth error of the flat field that all visits share."""
    references: float = 0.3
    """Share of the stars that the reference catalogue has."""
    reference_err_mas: float = 20.0
    reference_flux_err: float = 0.01
    reference_errors_told: bool = True
    """Whether the catalogue tells the errors of its positions."""
    moving: float = 0.0
    """Share of the stars that move."""
    proper_motion: float = 1.0
    """Of these, arcseconds a year, each in a direction of its own."""
    epoch_step_year: float = 0.1
    """Between visits; the first one is at the epoch of the reference catalogue."""
    dither_px: float = 300.0
    """Half the range of the pointings."""
    ra: float = 30.0
    dec: float = 10.0
    zero_point: float = 27.0
    """That the frames come with."""
    seed: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class SimulatedFrame:
    """A frame and its truth."""

    catalogue: FrameCatalogue
    star: NDArray[np.int64]
    """True star of every measurement."""
    wrong: NDArray[np.bool_]
    """Whether it was made an outlier."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CatalogueSurvey:
    """A simulated survey."""

    settings: CatalogueSurveySettings
    simulated: tuple[SimulatedFrame, ...]
    ra: Floats
    dec: Floats
    flux: Floats
    """Of the stars; degree and nJy, positions at the epoch of the reference catalogue."""
    motion: Floats
    """To the east and to the north, arcsec a year, ``[n, 2]``."""
    references: Table

    @property
    def frames(self) -> list[FrameCatalogue]:
        """The catalogues."""
        return [one.catalogue for one in self.simulated]

    def sky(self, star: NDArray[np.int64], epoch_year: float) -> tuple[Floats, Floats]:
        """Right ascension and declination of some stars at a Julian year, degree."""
        return _moved(self.ra[star], self.dec[star], self.motion[star], epoch_year)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Camera:
    """What all visits share."""

    shift: Floats
    """Pixels, ``[chips, 2]``."""
    turn: Floats
    throughput: Floats
    flat: Floats
    """Coefficients of the error of the flat."""

    @classmethod
    def draw(cls, settings: CatalogueSurveySettings, rng: Generator) -> _Camera:
        n_chips = settings.grid[0] * settings.grid[1]
        return cls(
            shift=rng.normal(0.0, settings.chip_offset_px, (n_chips, 2)),
            turn=rng.normal(0.0, settings.chip_rotation, n_chips),
            throughput=1.0 + rng.normal(0.0, settings.chip_throughput, n_chips),
            flat=rng.normal(0.0, settings.flat_error, 5),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Exposed:
    """The stars of a visit in the camera."""

    x: Floats
    """Camera pixels."""
    y: Floats
    throughput: Floats
    centre: tuple[float, float]
    """Where the WCSs of the frames believe the camera to point, degree."""


def simulate_catalogues(settings: CatalogueSurveySettings) -> CatalogueSurvey:
    """Simulate a survey; the same settings give the same survey."""
    rng = np.random.default_rng(settings.seed)
    half = 0.5 * np.array(settings.grid) * settings.size * settings.pixel_scale
    half += settings.dither_px * settings.pixel_scale
    plane = local_axes(unit_vectors(settings.ra, settings.dec))
    ra, dec = to_degrees(from_plane(rng.uniform(-half, half, (settings.n_stars, 2)), plane))
    flux = np.exp(rng.uniform(np.log(settings.min_flux), np.log(settings.max_flux), settings.n_stars))
    motion = _motions(settings)
    camera = _Camera.draw(settings, rng)
    simulated: list[SimulatedFrame] = []
    for visit in range(1, settings.n_visits + 1):
        exposed = _expose(settings, camera, *_moved(ra, dec, motion, _epoch(settings, visit)), rng)
        simulated += [_frame(settings, camera, exposed, flux, visit, chip, rng) for chip in range(len(camera.turn))]
    return CatalogueSurvey(
        settings=settings,
        simulated=tuple(simulated),
        ra=ra,
        dec=dec,
        flux=flux,
        motion=motion,
        references=_references(settings, ra, dec, flux, motion, rng),
    )


def _epoch(settings: CatalogueSurveySettings, visit: int) -> float:
    return _EPOCH + settings.epoch_step_year * (visit - 1)


def _motions(settings: CatalogueSurveySettings) -> Floats:
    """Proper motions, arcsec a year; random numbers of their own, so that the survey stays the same otherwise."""
    rng = np.random.default_rng((settings.seed, settings.n_stars))
    speed = settings.proper_motion * (rng.random(settings.n_stars) < settings.moving)
    angle = rng.uniform(0.0, 2.0 * np.pi, settings.n_stars)
    return np.stack([speed * np.sin(angle), speed * np.cos(angle)], axis=1)


def _moved(ra: Floats, dec: Floats, motion: Floats, epoch_year: float) -> tuple[Floats, Floats]:
    """Positions at an epoch, along great circles."""
    if not motion.any():
        return ra, dec
    axes = local_axes(unit_vectors(ra, dec))
    tangent = np.einsum("ni,nij->nj", motion * (epoch_year - _EPOCH) / ARCSEC, axes[:, :2])
    return to_degrees(axes[:, 2] + tangent)


def _expose(settings: CatalogueSurveySettings, camera: _Camera, ra: Floats, dec: Floats, rng: Generator) -> _Exposed:
    """Point, distort and absorb."""
    field = local_axes(unit_vectors(settings.ra, settings.dec))
    step = settings.dither_px * settings.pixel_scale
    pointing = from_plane(rng.uniform(-step, step, (1, 2)), field)[0]
    plane = local_axes(pointing / np.linalg.norm(pointing))
    stars = unit_vectors(ra, dec)
    position, _ = project(stars, local_axes(stars), np.broadcast_to(plane, (len(stars), 3, 3)))
    reach = 0.5 * np.max(np.array(settings.grid) * settings.size) * settings.pixel_scale
    u, v = position.T / reach
    bend = rng.normal(0.0, settings.distortion_arcsec, (2, len(_TERMS)))
    seen = position + np.stack([u**p * v**q for p, q in _TERMS], axis=1) @ bend.T
    seen += _turbulence(position, settings.atmosphere_mas / 1e3, rng)
    smooth = np.stack([u, v, u * v, u**2, v**2], axis=1)
    level = 1.0 + rng.normal(0.0, settings.visit_throughput)
    throughput = level * (1.0 + smooth @ rng.normal(0.0, settings.gradient, 5)) * (1.0 + smooth @ camera.flat)
    middle_x, middle_y = _middle(settings)
    wrong = rng.normal(0.0, settings.wrong_pointing_arcsec, 2) / 3600.0
    centre = to_degrees(plane[2])
    return _Exposed(
        x=middle_x - seen[:, 0] / settings.pixel_scale,
        y=middle_y + seen[:, 1] / settings.pixel_scale,
        throughput=throughput,
        centre=(float(centre[0]) + wrong[0] / np.cos(np.radians(settings.dec)), float(centre[1]) + wrong[1]),
    )


def _turbulence(position: Floats, rms_arcsec: float, rng: Generator) -> Floats:
    """A random field of displacements ``[n, 2]``, arcsec, of waves between 1 and 10 arcmin."""
    if rms_arcsec == 0.0:
        return np.zeros_like(position)
    field = np.zeros_like(position)
    for axis in (0, 1):
        angle, length = rng.uniform(0.0, 2.0 * np.pi, _WAVES), rng.uniform(60.0, 600.0, _WAVES)
        wave = 2.0 * np.pi * np.stack([np.cos(angle), np.sin(angle)]) / length
        field[:, axis] = np.cos(position @ wave + rng.uniform(0.0, 2.0 * np.pi, _WAVES)).sum(axis=1)
    return np.asarray(rms_arcsec * np.sqrt(2.0 / _WAVES) * field, np.float64)


def _middle(settings: CatalogueSurveySettings) -> tuple[float, float]:
    """Middle of the camera, camera pixels."""
    return 0.5 * (settings.grid[0] * settings.size[0] - 1), 0.5 * (settings.grid[1] * settings.size[1] - 1)


def _frame(
    settings: CatalogueSurveySettings,
    camera: _Camera,
    exposed: _Exposed,
    flux: Floats,
    visit: int,
    chip: int,
    rng: Generator,
) -> SimulatedFrame:
    """The measurements of one detector."""
    width, height = settings.size
    left, bottom = (chip % settings.grid[0]) * width, (chip // settings.grid[0]) * height
    dx, dy = exposed.x - left - 0.5 * width, exposed.y - bottom - 0.5 * height
    x = dx - camera.turn[chip] * dy + camera.shift[chip, 0] + 0.5 * width
    y = dy + camera.turn[chip] * dx + camera.shift[chip, 1] + 0.5 * height
    inside = (x > _MARGIN_PX) & (x < width - 1 - _MARGIN_PX) & (y > _MARGIN_PX) & (y < height - 1 - _MARGIN_PX)
    star = np.flatnonzero(inside)
    n = len(star)
    wrong = rng.random(n) < settings.outliers
    faintness = np.sqrt(flux.max() / flux[star]) if settings.full_well_noise else np.ones(n)
    error, relative = settings.position_noise_px * faintness, settings.flux_noise * faintness
    jump = wrong * rng.choice([-1.0, 1.0], n) * rng.uniform(0.5, 1.5, n)
    counts = flux[star] * exposed.throughput[star] * camera.throughput[chip]
    counts /= PhotoCalib.from_zero_point(settings.zero_point).calibration_mean
    box = Box.from_shape((height, width))
    frame = DetectorFrame(instrument="simulated", visit=visit, detector=chip, bbox=box)
    header = _header(settings, exposed.centre, left, bottom)

    def focal_plane(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        return _PIXEL_MM * (left + np.asarray(x, float)), _PIXEL_MM * (bottom + np.asarray(y, float))

    catalogue = FrameCatalogue(
        visit=visit,
        detector=chip,
        box=box,
        projection=projection_from_header(header, frame),
        photo_calib=PhotoCalib.from_zero_point(settings.zero_point),
        focal_plane=focal_plane,
        epoch_year=_epoch(settings, visit),
        x=x[star] + rng.normal(0.0, 1.0, n) * error + jump,
        y=y[star] + rng.normal(0.0, 1.0, n) * error,
        covariance=error[:, None, None] ** 2 * np.eye(2),
        flux=counts * (1.0 + rng.normal(0.0, 1.0, n) * relative + wrong * rng.uniform(0.2, 0.5, n)),
        flux_err=relative * counts,
        source_id=star,
    )
    return SimulatedFrame(catalogue=catalogue, star=star, wrong=wrong)


def _header(settings: CatalogueSurveySettings, centre: tuple[float, float], left: int, bottom: int) -> Header:
    """The tangent plane that a frame comes with."""
    middle_x, middle_y = _middle(settings)
    header = Header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = centre
    header["CRPIX1"], header["CRPIX2"] = middle_x - left + 1.0, middle_y - bottom + 1.0
    header["CD1_1"], header["CD1_2"] = -settings.pixel_scale / 3600.0, 0.0
    header["CD2_1"], header["CD2_2"] = 0.0, settings.pixel_scale / 3600.0
    return header


def _references(
    settings: CatalogueSurveySettings, ra: Floats, dec: Floats, flux: Floats, motion: Floats, rng: Generator
) -> Table:
    """Some of the stars, with errors."""
    chosen = rng.permutation(len(ra))[: int(settings.references * len(ra))]
    n, error = len(chosen), settings.reference_err_mas / 3.6e6
    told = settings.reference_err_mas if settings.reference_errors_told else np.nan
    return reference_table(
        {
            "id": chosen,
            "ra": ra[chosen] + rng.normal(0.0, error, n) / np.cos(np.radians(dec[chosen])),
            "dec": dec[chosen] + rng.normal(0.0, error, n),
            "epoch": np.full(n, _EPOCH),
            "pm_ra": 1e3 * motion[chosen, 0],
            "pm_dec": 1e3 * motion[chosen, 1],
            "ra_err": np.full(n, told),
            "dec_err": np.full(n, told),
            "flux_r": flux[chosen] * (1.0 + rng.normal(0.0, settings.reference_flux_err, n)),
            "flux_r_err": settings.reference_flux_err * flux[chosen],
        },
        filters=["r"],
    )
