"""Astrometry from a header pointing alone: a night of a small telescope whose field drifts and turns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from lsst.images import Box

from skyloom.astrometry import AstrometricSolution, AstrometrySettings, solve_astrometry
from skyloom.background import subtract_background
from skyloom.catalog import match_sky
from skyloom.detection import DetectionSettings, detect_sources
from skyloom.errors import FrameError
from skyloom.images import Exposure, pixel_scale, pixel_to_radec
from skyloom.instruments import Camera
from skyloom.measurement import measure_sources

CECILIA = Path(__file__).parents[2] / "docs" / "examples" / "cecilia.yaml"
SETTINGS = AstrometrySettings(pointing_error_deg=0.5, rotation_error_deg=3.0, scale_error=0.02)
BOX = Box.factory[0:500, 0:650]
NIGHT = 24
N_FRAMES = NIGHT if os.environ.get("SKYLOOM_ALL_FRAMES") else 9
"""From the first to the last of the night, evenly, unless all are wanted."""


@dataclass
class Frame:
    hours: float
    stars: Table
    solution: AstrometricSolution | None


def measured(image: np.ndarray) -> Table:
    """Sources of a raw frame with its hot pixels, which are detected too."""
    sky = np.median(image)
    noise = 1.4826 * np.median(np.abs(image - sky))
    exposure = Exposure.from_arrays(image, variance=np.full(image.shape, noise**2), unit=u.adu)
    subtract_background(exposure)
    table = measure_sources(exposure, detect_sources(exposure, 1.3, DetectionSettings(threshold=8.0)), psf_sigma=1.3)
    return table[~table["flag_centroid"]]


@pytest.fixture(scope="module")
def reference(data_dir: Path) -> Table:
    table = Table.read(data_dir / "hatp32_raw" / "reference_stars.csv")
    table.rename_columns(table.colnames, ["ra", "dec", "mag"])
    table["flux"] = 10.0 ** (-0.4 * table["mag"])
    return table


@pytest.fixture(scope="module")
def frames(data_dir: Path, reference: Table) -> list[Frame]:
    camera, found = Camera.read(CECILIA), []
    paths = sorted((data_dir / "hatp32_raw").glob("*.fits.fz"))
    assert len(paths) == NIGHT
    for number in np.linspace(0, NIGHT - 1, N_FRAMES).round().astype(int):
        path = paths[number]
        header, image = fits.getheader(path, 1), fits.getdata(path).astype(np.float32)
        guess = camera.projection(0, ra=float(header["RA"]), dec=float(header["DEC"]), rotation_deg=0.0)
        stars = measured(image)
        flux = stars["aperture_flux_4_5"]
        try:
            solution = solve_astrometry(stars["x"], stars["y"], flux, reference, guess, box=BOX, settings=SETTINGS)
        except FrameError:
            solution = None
        hours = Time(header["MJD-OBS"], format="mjd").mjd % 1 * 24.0
        found.append(Frame(hours, stars, solution))
    return found


def test_nearly_all_frames_are_solved(frames: list[Frame]) -> None:
    assert len(frames) == N_FRAMES
    solved = [frame.solution for frame in frames if frame.solution is not None]
    assert len(solved) >= N_FRAMES - N_FRAMES // NIGHT
    assert max(solution.rms_px for solution in solved) < 0.5
    assert min(solution.n_matches for solution in solved) >= 20


def test_no_solution_is_wrong(frames: list[Frame]) -> None:
    """The telescope drifts smoothly, turns smoothly, and has one scale."""
    solved = [frame for frame in frames if frame.solution is not None]
    hours = np.array([frame.hours for frame in solved])
    centres = np.array([pixel_to_radec(frame.solution.projection, 324.5, 249.5) for frame in solved])
    for coordinate, limit_px in ((centres[:, 0] * np.cos(np.radians(46.8)), 12.0), (centres[:, 1], 12.0)):
        rest = coordinate - np.polyval(np.polyfit(hours, coordinate, 3), hours)
        assert np.abs(rest).max() * 3600.0 / 5.16 < limit_px
    rotation = np.array([frame.solution.verdict.rotation_deg for frame in solved])
    assert np.abs(rotation - np.polyval(np.polyfit(hours, rotation, 2), hours)).max() < 0.02
    assert np.ptp(rotation) == pytest.approx(0.57, abs=0.05)
    scale = np.array([float(pixel_scale(frame.solution.projection, 324.5, 249.5)) for frame in solved])
    assert np.ptp(scale) / scale.mean() < 1e-3


def test_stars_that_were_held_out_fall_into_place(frames: list[Frame], reference: Table) -> None:
    order = np.argsort(reference["mag"])
    bright, faint = reference[order[::2]], reference[order[1::2]]
    camera = Camera.read(CECILIA)
    for frame in frames[::4]:
        x, y, flux = (frame.stars[name] for name in ("x", "y", "aperture_flux_4_5"))
        guess = camera.projection(0, ra=31.312099, dec=46.769087, rotation_deg=0.0)
        found = solve_astrometry(x, y, flux, bright, guess, box=BOX, settings=SETTINGS)
        ra, dec = pixel_to_radec(found.projection, x, y)
        _, _, distance = match_sky(ra, dec, faint["ra"], faint["dec"], 10.0)
        near = distance < 2.6
        assert near.sum() >= 10
        assert near.mean() > 0.8
        assert np.median(distance) < 1.5


def test_the_field_of_another_place_is_refused(frames: list[Frame], reference: Table) -> None:
    """The same catalogue, moved and mirrored: no frame may find itself in it."""
    other = reference.copy()
    other["ra"] = 2 * 31.3 - other["ra"]
    guess = Camera.read(CECILIA).projection(0, ra=31.312099, dec=46.769087, rotation_deg=0.0)
    for frame in frames[::4]:
        x, y, flux = (frame.stars[name] for name in ("x", "y", "aperture_flux_4_5"))
        with pytest.raises(FrameError):
            solve_astrometry(x, y, flux, other, guess, box=BOX, settings=SETTINGS)
