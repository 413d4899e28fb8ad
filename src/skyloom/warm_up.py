"""Compile the kernels before they are needed, by taking small frames all the way from raw to a coadd."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from lsst.images import GeneralFrame, Image, Mask, MaskedImage
from lsst.images.psfs import GaussianPointSpreadFunction

from skyloom.deblend import deblend_sources
from skyloom.detection import detect_sources
from skyloom.images import Exposure
from skyloom.images.projection import projection_from_header
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.measurement import measure_sources, place_sky_sources

if TYPE_CHECKING:
    from skyloom.images import RawExposure

__all__ = ["compile_frames", "compile_kernels", "compile_stars", "is_compiled", "start_compiling"]


def is_compiled() -> bool:
    """Whether the cache on disk holds compiled kernels of a frame that was calibrated."""
    return any(Path(fit_stamps.stats.cache_path).glob("psf_flux.fit_stamps-*.nbi"))


def start_compiling() -> list[subprocess.Popen[bytes]]:
    """Compile in two processes beside other work; none where it was done before."""
    if is_compiled():
        return []
    return [
        subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import {part.__name__}; {part.__name__}()"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for part in (compile_stars, compile_frames)
    ]


def compile_kernels() -> None:
    """Compile what masters, single frames, joint fits, warps and coadds need; numba's cache on disk keeps it."""
    compile_stars()
    compile_frames()


def compile_stars() -> None:
    """Compile the kernels of masters and joint fits, and those that take a frame whose PSF and WCS are known."""
    _compile_masters()
    frame = _frame_of_stars()
    footprints = detect_sources(frame)
    light = deblend_sources(frame, footprints).pixels
    measure_sources(frame, footprints, light=light, sky_sources=place_sky_sources(frame, 1))
    frame.unit = u.nJy
    _compile_coadds(frame)
    _compile_joint_fit()


def _compile_masters() -> None:
    from skyloom.calibs import find_defects
    from skyloom.calibs.frame_stack import FrameStack
    from skyloom.calibs.settings import MasterSettings

    frames = np.random.default_rng(1).normal(1000.0, 5.0, (5, 128, 128)).astype(np.float32)
    with FrameStack(len(frames), 100.0) as stack:
        for frame in frames:
            stack.add(frame)
        stack.combine(np.ones(len(frames)), lambda median, _: np.full_like(median, 25.0), MasterSettings())
    find_defects(list(frames))


def compile_frames() -> None:
    """Compile what takes a raw frame to a calibrated one."""
    from skyloom.images import from_post_isr, to_post_isr
    from skyloom.instruments import Camera
    from skyloom.simulate import CalibrationSettings, SkySettings, SurveySettings, VisitSettings, simulate_survey
    from skyloom.tasks import CalibrateImageTask, IsrTask

    settings = SurveySettings(
        detectors=(0,),
        sky=SkySettings(stars_per_square_arcmin=12.0, galaxies_per_square_arcmin=0.0),
        visits=VisitSettings(visits_per_band=1),
        calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
    )
    camera = Camera.read(settings.camera)
    with tempfile.TemporaryDirectory(prefix="skyloom-warm-up-") as folder:
        survey = simulate_survey(folder, settings)
        raw = camera.complete(_read(survey.raw_files[0]))
    stars = survey.sky[survey.sky["is_star"] & (survey.sky["flux_r"] > (21.0 * u.ABmag).to_value(u.nJy))]
    references = Table({name: np.asarray(stars[name]) for name in ("id", "ra", "dec", "flux_g", "flux_r", "flux_i")})
    config = IsrTask.ConfigClass()
    config.doDefect = False
    config.overscan.fitType = "MEDIAN_PER_ROW"
    corrected = IsrTask(config=config).run(raw, camera=camera, **_plain_masters(raw)).exposure
    frame: Exposure = from_post_isr(to_post_isr(corrected))
    CalibrateImageTask().run(exposures=frame, astrometry_loader=lambda *_: references, camera=camera)


def _frame_of_stars() -> Exposure:
    """Pairs of stars on a flat sky, with the PSF and WCS that they were drawn with."""
    size, sigma = 256, 1.5
    y, x = np.mgrid[:size, :size]
    pixels = np.random.default_rng(1).normal(0.0, 10.0, (size, size))
    for row in range(30, size, 50):
        for column in range(30, size, 50):
            for step, flux in ((0.0, 30000.0), (8.0, 15000.0)):
                square = (x - column - step) ** 2 + (y - row) ** 2
                pixels += flux * np.exp(-0.5 * square / sigma**2) / (2 * np.pi * sigma**2)
    header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0})
    header.update({"CRPIX1": 128.0, "CRPIX2": 128.0, "CD1_1": -5e-5, "CD2_2": 5e-5, "CUNIT1": "deg", "CUNIT2": "deg"})
    frame = Exposure.from_arrays(
        pixels.astype(np.float32), variance=np.full(pixels.shape, 100.0, np.float32), unit=u.electron
    )
    frame.psf = GaussianPointSpreadFunction(sigma, frame.bbox, 25)
    frame.projection = projection_from_header(header, GeneralFrame(unit=u.pix))
    return frame


def _compile_coadds(frame: Exposure) -> None:
    from skyloom.coadd import ExposureHandle, assemble_coadd, prepare_inputs
    from skyloom.warp import VisitWarp

    assert frame.projection is not None
    handles = []
    for visit in range(3):
        warp = VisitWarp(visit, frame.bbox, frame.projection)
        warp.add(0, frame)
        handles.append(ExposureHandle(warp.finish(), visit))
    inputs, _ = prepare_inputs(handles, ("BAD", "NO_DATA"))
    assemble_coadd(inputs, frame.bbox, frame.projection)


def _compile_joint_fit() -> None:
    from skyloom.jointcal import fit_jointly
    from skyloom.simulate.star_catalogues import CatalogueSurveySettings, simulate_catalogues

    survey = simulate_catalogues(CatalogueSurveySettings(n_visits=3, grid=(2, 1), n_stars=300))
    fit_jointly(survey.frames, survey.references, flux="r")


def _plain_masters(raw: RawExposure) -> dict[str, MaskedImage]:
    """Masters that change nothing."""
    from skyloom.images import MASK_SCHEMA

    assert raw.detector is not None
    box = raw.detector.bbox
    levels = {"bias": (0.0, u.adu), "dark": (0.0, u.electron / u.s), "flat": (1.0, u.dimensionless_unscaled)}
    return {
        kind: MaskedImage(
            Image(np.full(box.shape, level, np.float32), bbox=box, unit=unit),
            mask=Mask(0, schema=MASK_SCHEMA, bbox=box),
            variance=Image(np.zeros(box.shape, np.float32), bbox=box),
        )
        for kind, (level, unit) in levels.items()
    }


def _read(path: Path) -> RawExposure:
    from skyloom.images import RawExposure

    return RawExposure(image=fits.getdata(path), header=fits.getheader(path), file=path.name)
