"""What the parts of a plan cost: processor time, wall time and disk, from a small table that was measured once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["COSTS", "Cost", "Estimate", "Load", "estimate", "in_words"]


@dataclass(frozen=True)
class Cost:
    """What a task costs.

    Parameters
    ----------
    quantum_s
        CPU seconds of a quantum, whatever its size.
    mpix_s
        CPU seconds of a megapixel.
    mpix_mb
        Megabytes that are written for a megapixel, tables included.
    """

    quantum_s: float
    mpix_s: float
    mpix_mb: float = 0.0


@dataclass(frozen=True)
class Load:
    """The quanta of a task, and the megapixels of all of them together."""

    quanta: int
    mpix: float
    parallel: bool = True
    """Whether they can be shared by several workers."""


COSTS: dict[str, Cost] = {
    "ingest": Cost(0.05, 0.1, 12.0),
    "make_bias": Cost(0.1, 0.085, 2.5),
    "make_dark": Cost(0.1, 0.17, 4.0),
    "make_flat": Cost(0.1, 0.24, 2.5),
    "make_defects": Cost(0.3, 0.1),
    "isr": Cost(0.05, 0.22, 12.0),
    "calibrate_image": Cost(1.4, 0.3, 11.0),
    "visit_summary": Cost(0.1, 0.05, 0.1),
    "jointcal": Cost(0.5, 0.1, 0.3),
    "make_direct_warp": Cost(0.08, 0.5, 14.0),
    "match_backgrounds": Cost(1.5, 0.35, 14.0),
    "assemble_coadd": Cost(1.0, 0.6, 1.8),
    "detect_coadd_sources": Cost(0.5, 1.2, 0.7),
    "measure_objects": Cost(0.5, 0.8, 0.3),
    "forced_phot_visit": Cost(0.2, 0.03, 0.5),
    "pages": Cost(4.0, 1.0, 1.0),
}
"""By task.  CPU seconds are those that the metadata of quanta tell, medians of the simulated survey, a small
telescope's night and SDSS frames; see docs/process.md.  `pages` are those of visits (a quantum a detector), tracts and
patches; `ingest` writes frames that come corrected."""
STEP_S = 4.0
"""Wall seconds that a step takes beside its quanta: workers, graph, registry."""
QUANTUM_S = 0.03
"""Wall seconds of the parent for each quantum."""
COMPILE_S = 60.0
"""CPU seconds of the first run on a machine, which compiles the kernels."""


@dataclass(frozen=True)
class Estimate:
    """What a plan is expected to take."""

    quanta: int
    cpu_s: float
    wall_s: float
    disk_mb: float


def estimate(loads: Mapping[str, Load], *, processes: int, n_steps: int, compiled: bool) -> Estimate:
    """Add up what the parts of a plan cost.

    Parameters
    ----------
    loads
        Task: its quanta.
    processes
        Number of workers.
    n_steps
        Steps of pipelines, which are run one after the other.
    compiled
        Whether the kernels are compiled already.
    """
    cpu = wall = disk = 0.0
    for task, load in loads.items():
        cost = COSTS[task]
        busy = cost.quantum_s * load.quanta + cost.mpix_s * load.mpix
        cpu += busy
        wall += busy / (min(processes, load.quanta) if load.parallel and load.quanta else 1)
        disk += cost.mpix_mb * load.mpix
    quanta = sum(load.quanta for task, load in loads.items() if task not in ("ingest", "pages"))
    wall += STEP_S * n_steps + QUANTUM_S * quanta
    if not compiled:
        cpu, wall = cpu + COMPILE_S, wall + COMPILE_S / min(processes, 2)
    return Estimate(quanta, cpu, wall, disk)


def in_words(seconds: float) -> str:
    """A time to one or two digits: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{max(round(seconds, -1), 10):.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 36000 else f"{seconds / 3600:.0f} h"
