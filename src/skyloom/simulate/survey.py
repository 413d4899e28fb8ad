"""Simulate a survey with its truth, from one call."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import Table

from skyloom.errors import CameraError
from skyloom.files import write_beside
from skyloom.instruments import Camera

from .calibration_plan import calibration_frames
from .frames import Scene, numbered, write_calibrations, write_masters, write_science
from .header_template import read_templates
from .mosaic import Mosaic
from .passers import make_asteroids, make_trails
from .settings import SurveySettings
from .sky import make_reference_catalogue, make_sky, sky_at
from .visits import make_visits, visit_table

if TYPE_CHECKING:
    from .visits import Visit

__all__ = ["Survey", "simulate_survey"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """Files and truth of a simulated survey."""

    directory: Path
    settings: SurveySettings
    raw_files: list[Path]
    """Raw frames of the sky."""
    calibration_files: list[Path]
    """Raw calibration frames."""
    master_files: list[Path]
    """Ready-made masters."""
    reference_file: Path
    """FITS table: id, ra, dec (deg), pm_ra, pm_dec (mas / yr), mag_g, mag_r, mag_i, ... (AB)."""
    sky: Table
    """The true sources at the settings' epoch (also ``truth/sources.fits``)."""
    visits: list[Visit]
    """The true visits (also ``truth/visits.fits``)."""

    @property
    def sky_now(self) -> Table:
        """The true sources where they stand in the middle of the survey."""
        year = float(np.mean([visit.middle.jyear for visit in self.visits]))
        return sky_at(self.sky, self.settings.sky.epoch, year)


def simulate_survey(
    directory: str | Path,
    settings: SurveySettings | None = None,
    *,
    workers: int = 1,
    advance: Callable[[int, int], object] = lambda _done, _total: None,
) -> Survey:
    """Write a survey to ``directory``.

    The directory receives ``raw/sim_<visit>_<detector>.fits``, ``raw/bias_...``, ``raw/dark_...``, ``raw/flat_...``,
    the ready-made ``masters``, ``refcat.fits``, and ``truth`` with ``sources.fits``, ``visits.fits``, ``trails.fits``
    and ``asteroids.fits``.  Detectors that the camera keeps in HDUs of one file share a file.  Files depend on the
    settings alone, whatever the number of workers.

    Parameters
    ----------
    directory
        Made where it does not exist; files of an earlier survey are overwritten.
    settings
        The survey; five r-band visits of four detectors when not given.
    workers
        Processes that draw frames.
    advance
        Called with the number of pieces of work done and that of all.

    Raises
    ------
    CameraError
        If the camera is unknown, lacks a band or a detector, or has no raw frames.
    """
    settings, root = settings or SurveySettings(), Path(directory)
    mosaic = Mosaic.of(Camera.read(settings.camera))
    detectors = settings.detectors or tuple(mosaic.ccds)
    _check(settings, mosaic, detectors)
    for folder in ("raw", "masters", "truth/masks" if settings.truth_masks else "truth"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    visits = make_visits(settings, mosaic)
    scene = Scene(
        settings=settings,
        mosaic=mosaic,
        sky=make_sky(settings, mosaic),
        trails=make_trails(settings, mosaic, visits),
        asteroids=make_asteroids(settings, mosaic),
        templates=read_templates(settings.header_file, mosaic) if settings.header_file else {},
    )
    visits = _renumber(scene, visits)
    _write_truth(root, scene, visits)
    shared = any(mosaic.ccds[one].hdu is not None for one in detectors)
    groups = [tuple(detectors)] if shared else [(one,) for one in detectors]
    jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
    jobs += [(write_science, (root, scene, visit, group)) for visit in visits for group in groups]
    n_science = len(jobs)
    frames = calibration_frames(settings, mosaic)
    for band in dict.fromkeys(frame.band for frame in frames):
        alike = [frame for frame in frames if frame.band == band]
        jobs += [(write_calibrations, (root, scene, alike, group)) for group in groups]
    n_raw = len(jobs)
    jobs += [(write_masters, (root, scene, detector)) for detector in detectors]
    written = _carry_out(jobs, workers, advance)
    return Survey(
        directory=root,
        settings=settings,
        raw_files=written[:n_science],
        calibration_files=[path for paths in written[n_science:n_raw] for path in paths],
        master_files=[path for paths in written[n_raw:] for path in paths],
        reference_file=root / "refcat.fits",
        sky=scene.sky,
        visits=visits,
    )


def _check(settings: SurveySettings, mosaic: Mosaic, detectors: Sequence[int]) -> None:
    """See that the camera has what the survey asks for."""
    for band in settings.bands:
        mosaic.filter_of(band)
    for number in detectors:
        if number not in mosaic.ccds:
            raise CameraError(
                f"{mosaic.camera.name} has no detector {number}.", cure=f"It has {', '.join(map(str, mosaic.ccds))}."
            )


def _renumber(scene: Scene, visits: list[Visit]) -> list[Visit]:
    """The visits under the camera's ids, in the truth of what passed through as well."""
    renamed = numbered(visits, scene)
    ids = {old.visit: new.visit for old, new in zip(visits, renamed, strict=True)}
    scene.trails["visit"] = [ids[int(one)] for one in scene.trails["visit"]]
    return renamed


def _write_truth(root: Path, scene: Scene, visits: list[Visit]) -> None:
    tables = {
        "truth/sources.fits": scene.sky,
        "truth/visits.fits": visit_table(visits),
        "truth/trails.fits": scene.trails,
        "truth/asteroids.fits": scene.asteroids,
        "refcat.fits": make_reference_catalogue(scene.settings, scene.sky),
    }
    for name, table in tables.items():
        write_beside(root / name, table.write)


def _carry_out(
    jobs: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]], workers: int, advance: Callable[[int, int], object]
) -> list[Any]:
    """What the jobs return, in their order."""
    if workers <= 1:
        results = []
        for done, (function, arguments) in enumerate(jobs, start=1):
            results.append(function(*arguments))
            advance(done, len(jobs))
        return results
    # Forked children would inherit locks of threads that this process may run.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [pool.submit(function, *arguments) for function, arguments in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            advance(done, len(jobs))
        return [future.result() for future in futures]
