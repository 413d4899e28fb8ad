"""Simulate a small survey with its truth, from one call."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .frames import write_masters, write_raw
from .settings import SurveySettings
from .sky import make_reference_catalogue, make_sky
from .visits import Visit, make_visits, visit_table

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Survey", "simulate_survey"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """Files and truth of a simulated survey."""

    directory: Path
    settings: SurveySettings
    raw_files: list[Path]
    master_files: list[Path]
    reference_file: Path
    """FITS table: id, ra, dec (deg), mag_g, mag_r, mag_i (AB)."""
    sky: Table
    """The true sources (also ``truth/sources.fits``)."""
    visits: list[Visit]
    """The true visits (also ``truth/visits.fits``)."""


def simulate_survey(directory: str | Path, settings: SurveySettings | None = None, *, workers: int = 1) -> Survey:
    """Write a survey of the simulated camera to ``directory``.

    The directory receives ``raw/sim_<visit>_<detector>.fits``, ``calibs/bias_<detector>.fits``,
    ``calibs/flat_<band>_<detector>.fits``, ``refcat.fits``, ``truth/sources.fits`` and ``truth/visits.fits``.
    Files depend on the settings alone, whatever the number of workers.

    Parameters
    ----------
    directory
        Made where it does not exist; files of an earlier survey are overwritten.
    settings
        The survey; five r-band visits of four CCDs when not given.
    workers
        Processes that draw frames.
    """
    settings = settings or SurveySettings()
    root = Path(directory)
    for folder in ("raw", "calibs", "truth"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    sky, visits = make_sky(settings), make_visits(settings)
    sky.write(root / "truth" / "sources.fits", overwrite=True)
    visit_table(visits).write(root / "truth" / "visits.fits", overwrite=True)
    make_reference_catalogue(settings, sky).write(root / "refcat.fits", overwrite=True)
    frames = [(root / "raw", settings, sky, visit, detector) for visit in visits for detector in settings.detectors]
    masters = [(root / "calibs", settings, detector) for detector in settings.detectors]
    if workers > 1:
        # Forked children would inherit locks of threads that this process may run.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            raw_jobs = [pool.submit(write_raw, *frame) for frame in frames]
            master_jobs = [pool.submit(write_masters, *master) for master in masters]
            raw_files = [job.result() for job in raw_jobs]
            master_files = [path for job in master_jobs for path in job.result()]
    else:
        raw_files = [write_raw(*frame) for frame in frames]
        master_files = [path for master in masters for path in write_masters(*master)]
    return Survey(
        directory=root,
        settings=settings,
        raw_files=raw_files,
        master_files=master_files,
        reference_file=root / "refcat.fits",
        sky=sky,
        visits=visits,
    )
