"""What earlier calls have made of the same frames: it is not done, nor counted, again."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from lsst.daf.butler import Butler

from skyloom.execute.journal import Journal
from skyloom.execute.runs import installed_versions, runs_of
from skyloom.execute.status import read_status
from skyloom.repo.calibrations import build_chain, parse_validity

from .costs import Load
from .plan import OUTPUT, Plan

__all__ = ["subtract_made"]


def subtract_made(butler: Butler, plan: Plan) -> bool:
    """Take from the loads of a plan what a repository has; False where that cannot be told beforehand.

    It can where no frame and no calibration is new, for what is made of the old ones depends on these, and where the
    last runs were made by the same software.
    """
    if plan.inventory.new or plan.masters.given.files or not plan.inventory.n_known:
        return False
    made: Counter[str] = Counter()
    build = build_chain(plan.inventory.camera.name, parse_validity(None, None))
    chains = [*(f"{build}/{kind}" for kind in plan.masters.kinds), *(f"{OUTPUT}/{name}" for name in plan.outputs)]
    for chain in chains:
        for run in runs_of(butler, chain)[:1]:
            settings = Journal.read_settings(butler, run)
            if not settings or settings[-1]["versions"] != installed_versions():
                return False
            for task, counts in read_status(butler, run).counts.items():
                made[task] += counts.total() - counts["stopped"] - counts["running"]
    plan.loads.update({task: _rest(load, made[task]) for task, load in plan.loads.items()})
    worked = [task for task, load in plan.loads.items() if load.quanta and task != "pages"]
    if "pages" in plan.loads and not worked:
        plan.loads["pages"] = Load(0, 0.0)
    return True


def _rest(load: Load, made: int) -> Load:
    left = max(load.quanta - made, 0)
    return replace(load, quanta=left, mpix=load.mpix * left / max(load.quanta, 1))
