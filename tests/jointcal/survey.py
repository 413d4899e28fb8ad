"""A survey of catalogues with truth: visits of a small camera, distorted each in its own way."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from lsst.images import Box, DetectorFrame

from jointcal.frames import tan_header
from skyloom.catalog.htm import unit_vectors
from skyloom.catalog.refcat import reference_table
from skyloom.images import PhotoCalib, projection_from_header
from skyloom.jointcal.catalogues import FrameCatalogue
from skyloom.jointcal.directions import from_plane, local_axes, project, to_degrees

SIZE = 1000
SCALE = 0.2
ZERO_POINT = 27.0


@dataclass(frozen=True, kw_only=True)
class Rig:
    """What is simulated."""

    n_visits: int = 6
    side: int = 3
    """Detectors a side."""
    n_stars: int = 1500
    noise_px: float = 0.01
    flux_noise: float = 0.003
    outliers: float = 0.0
    """Share of the measurements that are wrong by many sigma."""
    wrong_pointing_arcsec: float = 0.3
    distortion_arcsec: float = 0.4
    chip_offset_px: float = 2.0
    chip_throughput: float = 0.03
    visit_throughput: float = 0.2
    gradient: float = 0.02
    references: float = 0.3
    """Share of the stars that the reference catalogue has."""
    reference_err_mas: float = 20.0
    reference_flux_err: float = 0.01
    dither_px: float = 300.0
    ra: float = 30.0
    dec: float = 10.0
    seed: int = 1


@dataclass(kw_only=True)
class Survey:
    rig: Rig
    frames: list[FrameCatalogue] = field(default_factory=list)
    ra: np.ndarray
    dec: np.ndarray
    flux: np.ndarray
    references: object = None
    star: list[np.ndarray] = field(default_factory=list)
    """True star of every measurement, frame by frame."""
    wrong: list[np.ndarray] = field(default_factory=list)


def make_survey(rig: Rig) -> Survey:
    rng = np.random.default_rng(rig.seed)
    camera = rig.side * SIZE
    half = 0.5 * camera * SCALE + rig.dither_px * SCALE
    plane = local_axes(unit_vectors(rig.ra, rig.dec))
    flat = rng.uniform(-half, half, (rig.n_stars, 2))
    ra, dec = to_degrees(from_plane(flat, plane))
    flux = 10.0 ** rng.uniform(4.0, 6.0, rig.n_stars)
    survey = Survey(rig=rig, ra=ra, dec=dec, flux=flux)
    n_chips = rig.side**2
    chip_shift = rng.normal(0.0, rig.chip_offset_px, (n_chips, 2))
    chip_turn = rng.normal(0.0, 1e-3, n_chips)
    chip_factor = 1.0 + rng.normal(0.0, rig.chip_throughput, n_chips)
    for visit in range(rig.n_visits):
        _add_visit(survey, visit, rng, chip_shift, chip_turn, chip_factor)
    chosen = rng.permutation(rig.n_stars)[: int(rig.references * rig.n_stars)]
    error = rig.reference_err_mas / 3.6e6
    survey.references = reference_table(
        {
            "id": chosen,
            "ra": ra[chosen] + rng.normal(0.0, error, len(chosen)) / np.cos(np.radians(dec[chosen])),
            "dec": dec[chosen] + rng.normal(0.0, error, len(chosen)),
            "epoch": np.full(len(chosen), 2016.0),
            "ra_err": np.full(len(chosen), rig.reference_err_mas),
            "dec_err": np.full(len(chosen), rig.reference_err_mas),
            "flux_r": flux[chosen] * (1.0 + rng.normal(0.0, rig.reference_flux_err, len(chosen))),
            "flux_r_err": rig.reference_flux_err * flux[chosen],
        },
        filters=["r"],
    )
    return survey


def _add_visit(survey: Survey, visit: int, rng, chip_shift, chip_turn, chip_factor) -> None:
    rig = survey.rig
    middle = 0.5 * (rig.side * SIZE - 1)
    pointing = from_plane(
        rng.uniform(-rig.dither_px, rig.dither_px, (1, 2)) * SCALE, local_axes(unit_vectors(rig.ra, rig.dec))
    )
    plane = local_axes(pointing / np.linalg.norm(pointing))[0]
    stars = unit_vectors(survey.ra, survey.dec)
    position, _ = project(stars, local_axes(stars), np.broadcast_to(plane, (len(stars), 3, 3)))
    reach = 0.5 * rig.side * SIZE * SCALE
    bend = rng.normal(0.0, rig.distortion_arcsec, (2, 10))
    u, v = position.T / reach
    terms = np.stack([u**2, u * v, v**2, u**3, u**2 * v, u * v**2, v**3, u**4, u**2 * v**2, v**5], axis=1)
    seen = position + terms @ bend.T
    camera_x, camera_y = -seen[:, 0] / SCALE + middle, seen[:, 1] / SCALE + middle
    throughput = (1.0 + rng.normal(0.0, rig.visit_throughput)) * (
        1.0 + rig.gradient * (rng.normal(size=5) * np.stack([u, v, u * v, u**2, v**2], 1)).sum(1)
    )
    wrong = rng.normal(0.0, rig.wrong_pointing_arcsec, 2) / 3600.0
    centre = to_degrees(plane[2][None])
    for chip in range(rig.side**2):
        column, row = chip % rig.side, chip // rig.side
        dx, dy = camera_x - column * SIZE - 0.5 * SIZE, camera_y - row * SIZE - 0.5 * SIZE
        turn = chip_turn[chip]
        x = dx - turn * dy + chip_shift[chip, 0] + 0.5 * SIZE
        y = dy + turn * dx + chip_shift[chip, 1] + 0.5 * SIZE
        on = np.flatnonzero((x > 2) & (x < SIZE - 3) & (y > 2) & (y < SIZE - 3))
        bad = rng.random(len(on)) < rig.outliers
        x_seen = (
            x[on]
            + rng.normal(0.0, rig.noise_px, len(on))
            + bad * rng.choice([-1, 1], len(on)) * rng.uniform(0.5, 1.5, len(on))
        )
        y_seen = y[on] + rng.normal(0.0, rig.noise_px, len(on))
        counts = (
            survey.flux[on]
            * throughput[on]
            * chip_factor[chip]
            / PhotoCalib.from_zero_point(ZERO_POINT).calibration_mean
        )
        counts = counts * (1.0 + rng.normal(0.0, rig.flux_noise, len(on)) + bad * rng.uniform(0.2, 0.5, len(on)))
        header = tan_header(
            float(centre[0][0]) + wrong[0],
            float(centre[1][0]) + wrong[1],
            SCALE,
            (middle - column * SIZE, middle - row * SIZE),
        )
        box = Box.from_shape((SIZE, SIZE))
        corner_x, corner_y = column * SIZE * 0.01, row * SIZE * 0.01
        survey.frames.append(
            FrameCatalogue(
                visit=visit + 1,
                detector=chip,
                box=box,
                projection=projection_from_header(
                    header, DetectorFrame(instrument="rig", visit=visit + 1, detector=chip, bbox=box)
                ),
                photo_calib=PhotoCalib.from_zero_point(ZERO_POINT),
                focal_plane=lambda x, y, a=corner_x, b=corner_y: (a + 0.01 * np.asarray(x), b + 0.01 * np.asarray(y)),
                epoch_year=2016.0 + 0.1 * visit,
                x=x_seen,
                y=y_seen,
                covariance=np.tile(np.eye(2) * rig.noise_px**2, (len(on), 1, 1)),
                flux=counts,
                flux_err=rig.flux_noise * counts,
                source_id=on.astype(np.int64),
            )
        )
        survey.star.append(on)
        survey.wrong.append(bad)
