"""What to do with an inventory: the parts of the whole way that its frames allow, in words and for the walk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from .costs import Estimate, Load, estimate
from .fields import Field, find_fields
from .inventory import SCIENCE, Inventory, Seen
from .masters_plan import MastersPlan, given_calibrations, plan_masters
from .references import References, check_filters

__all__ = ["MAX_PAGES", "OUTPUT", "Plan", "count_of", "make_plan"]

OUTPUT = "process"
"""Where the output chains are, one a pipeline: ``process/drp``, ``process/deep``, ``process/catalogues``."""
MAX_PAGES = 12
"""Frames of detectors in all, up to which each visit gets a page of its own; and patches."""
MIN_CLIP = 3
"""Visits from which on it can be told which one is wrong."""
_OWN_PIPELINES = {"megaprime": "megaprime"}
"""Camera: the pipeline for its raw frames."""


@dataclass(kw_only=True)
class Plan:
    """What will be done.

    Parameters
    ----------
    inventory, fields
        The frames, and the fields of those of the sky.
    masters
        Calibrations.
    references
        The catalogue to import; None where the repository has one, or none is needed.
    pipeline
        Name of the pipeline from frames to warps; empty where there is no frame of the sky.
    labels
        Its steps and tasks to run.
    deep
        Whether the coadds are made of warps of one sky.
    catalogue_labels
        Steps of the pipeline ``catalogues`` to run; none where there is no coadd.
    report
        Whether pages are written.
    bands
        The wanted ones; all when empty.
    lines
        What is said of each part: its name and what is done, or why not.
    """

    inventory: Inventory
    fields: list[Field]
    masters: MastersPlan
    references: References | None
    pipeline: str = ""
    labels: list[str] = field(default_factory=list)
    deep: bool = False
    catalogue_labels: list[str] = field(default_factory=list)
    report: bool = False
    bands: list[str] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    loads: dict[str, Load] = field(default_factory=dict)
    n_steps: int = 0
    rest: bool = False
    """Whether the loads are those that earlier calls have left."""

    @property
    def outputs(self) -> list[str]:
        """Names of the pipelines that are run."""
        found = [self.pipeline] if self.labels else []
        return found + ["deep"] * self.deep + ["catalogues"] * bool(self.catalogue_labels)

    @property
    def calibrates(self) -> bool:
        """Whether frames are calibrated, for which reference stars are needed."""
        return "single_frame" in self.labels

    def estimate(self, *, processes: int, compiled: bool) -> Estimate:
        """What it is expected to take."""
        return estimate(self.loads, processes=processes, n_steps=self.n_steps, compiled=compiled)


def make_plan(
    inventory: Inventory,
    *,
    references: References | None = None,
    calibs: Path | None = None,
    bands: Collection[str] = (),
    skip: Collection[str] = (),
    certified: Collection[str] = (),
) -> Plan:
    """Choose what the frames allow.

    Parameters
    ----------
    inventory
        The frames, those that a repository has already among them.
    references
        The catalogue that is given.
    calibs
        Folder with calibrations that are given.
    bands
        Bands to work on; all when empty.
    skip
        Some of `skyloom.execute.whole.skippable.SKIPPABLE`.
    certified
        Kinds of calibrations that the repository has from elsewhere.

    Raises
    ------
    RefcatError
        If the catalogue has no filter that frames are calibrated against.
    """
    masters = plan_masters(inventory, given_calibrations(calibs, inventory), skip, there=certified)
    plan = Plan(
        inventory=inventory,
        fields=find_fields(inventory),
        masters=masters,
        references=references,
        bands=sorted(bands),
    )
    plan.lines += [("masters", line) for line in masters.lines]
    if not inventory.science:
        plan.lines.append(("frames", "no frame of the sky: nothing but masters is made"))
    else:
        _plan_frames(plan, skip)
        if plan.calibrates:
            _plan_sky(plan, skip)
    _plan_report(plan, skip)
    _count(plan)
    return plan


def _plan_frames(plan: Plan, skip: Collection[str]) -> None:
    inventory = plan.inventory
    raw = not inventory.corrected
    plan.pipeline = _OWN_PIPELINES.get(inventory.camera.name, "drp") if raw else "drp_post_isr"
    if raw:
        plan.lines.append(("frames", "the instrument's signature is removed with what there is of the above"))
    if "calibrate" in skip:
        plan.labels = ["isr"] if raw else []
        plan.lines.append(
            ("frames", "not calibrated, as --skip calibrate says; what needs calibrated frames is left out")
        )
        return
    plan.labels = ["single_frame"]
    plan.lines.append(
        ("frames", f"{count_of(len(_wanted(plan)), 'frame')} calibrated one by one: sky, PSF, WCS, zero point")
    )
    if plan.references is not None:
        plan.lines.append(("references", plan.references.line))
        plan.lines += [("references", line) for line in check_filters(inventory, plan.references.filters)]


def _plan_sky(plan: Plan, skip: Collection[str]) -> None:
    """Joint calibration, coadds and what is made of them."""
    depths = _depths(plan)
    deepest = max(depths.values(), default=0)
    n_visits = len({one.exposure for one in _wanted(plan)})
    if len(plan.fields) > 1:
        plan.lines.append(("sky", f"{len(plan.fields)} fields, a tract each"))
    if "joint" in skip:
        plan.lines.append(("joint", "no joint calibration, as --skip joint says: frames keep their own"))
    elif deepest < 2:
        plan.lines.append(("joint", "no joint calibration: no two visits in a band overlap; frames keep their own"))
    else:
        plan.labels.append("jointcal")
        plan.lines.append(("joint", f"positions and zero points of {n_visits} visits fitted together"))
    if "coadd" in skip:
        plan.lines.append(("coadd", "none, as --skip coadd says; no catalogue of it"))
        return
    plan.labels.append("make_direct_warp")
    _plan_coadd(plan, depths, skip)
    if "catalogues" in skip:
        plan.lines.append(("catalogues", "none, as --skip catalogues says"))
        return
    plan.catalogue_labels = ["coadd_sources"]
    bands = sorted({plan.inventory.band(name) for name in depths})
    plan.lines.append(("catalogues", f"sources and objects of the coadds in {', '.join(bands)}"))
    if "light_curves" in skip:
        plan.lines.append(("light curves", "none, as --skip light_curves says"))
    elif n_visits < 2:
        plan.lines.append(("light curves", "none: one visit"))
    else:
        plan.catalogue_labels.append("light_curves")
        plan.lines.append(("light curves", f"fluxes of the objects in each of {n_visits} visits"))


def _plan_coadd(plan: Plan, depths: dict[str, int], skip: Collection[str]) -> None:
    deepest = max(depths.values(), default=0)
    plan.deep = deepest > 1 and "deep" not in skip
    if deepest < 2:
        plan.lines.append(("coadd", "one visit deep: its warp on the sky map, with nothing to match or to clip"))
    elif not plan.deep:
        plan.lines.append(
            ("coadd", "clipped mean of the warps, pixel by pixel, as --skip deep says: backgrounds are not matched")
        )
    if not plan.deep:
        plan.labels.append("assemble_coadd")
        return
    plan.lines.append(("coadd", "backgrounds of the warps matched to the best visit"))
    clipped = [f"{name} ({depth} visits)" for name, depth in depths.items() if depth >= MIN_CLIP]
    plain = [f"{name} ({count_of(depth, 'visit')})" for name, depth in depths.items() if depth < MIN_CLIP]
    if clipped:
        plan.lines.append(("coadd", f"artifacts found and masked, then the mean, in {', '.join(clipped)}"))
    if plain:
        why = "with fewer than three visits nobody can tell which is wrong"
        plan.lines.append(("coadd", f"plain mean in {', '.join(plain)}: {why}, artifacts stay"))


def _plan_report(plan: Plan, skip: Collection[str]) -> None:
    if "report" in skip:
        plan.lines.append(("report", "none, as --skip report says"))
        return
    plan.report = plan.calibrates
    if not plan.report:
        return
    pages = ["overview with metrics"]
    n_frames = len(_wanted(plan))
    if "jointcal" in plan.labels:
        pages.append("a page a tract")
    if plan.deep or "assemble_coadd" in plan.labels:
        pages += ["coadds to pan and zoom", "a page a patch"]
    pages.append("a page a visit" if n_frames <= MAX_PAGES else "pages of the visits that failed or stand out")
    plan.lines.append(("report", ", ".join(pages)))


def _wanted(plan: Plan) -> list[Seen]:
    """Frames of the sky in the bands that are wanted."""
    inventory = plan.inventory
    return [one for one in inventory.science if not plan.bands or inventory.band(one.physical_filter) in plan.bands]


def _depths(plan: Plan) -> dict[str, int]:
    """Filter: the greatest number of visits that overlap in a field."""
    depths: Counter[str] = Counter()
    for one in plan.fields:
        for name, depth in one.depth.items():
            if not plan.bands or plan.inventory.band(name) in plan.bands:
                depths[name] = max(depths[name], depth)
    return dict(sorted(depths.items()))


def count_of(number: int, what: str) -> str:
    """A number of things in words."""
    return f"{number} {what}{'s' if number != 1 else ''}"


def _count(plan: Plan) -> None:
    """The quanta of each task and their megapixels."""
    inventory, loads = plan.inventory, plan.loads
    sizes = {one.id: one.size[0] * one.size[1] / 1e6 for one in inventory.camera.description.detectors}
    for kind in plan.masters.kinds:
        types = (SCIENCE, "dark") if kind == "defects" else (kind,)
        frames = [one for name in types for one in inventory.of(name)]
        loads[f"make_{kind}"] = Load(len({one.detector for one in frames}), sum(sizes[one.detector] for one in frames))
    plan.n_steps += len(plan.masters.kinds)
    wanted = _wanted(plan)
    mpix = sum(sizes[one.detector] for one in wanted)
    n_visits = len({one.exposure for one in wanted})
    if inventory.new > 0:
        corrected = sum(sizes[one.detector] for one in inventory.frames if one.corrected)
        loads["ingest"] = Load(inventory.new, corrected, parallel=False)
    if plan.labels and not inventory.corrected:
        loads["isr"] = Load(len(wanted), mpix)
    if not plan.calibrates:
        plan.n_steps += bool(plan.labels)
        return
    loads["calibrate_image"] = Load(len(wanted), mpix)
    loads["visit_summary"] = Load(n_visits, mpix)
    if "jointcal" in plan.labels:
        loads["jointcal"] = Load(sum(len(one.visits) for one in plan.fields), mpix)
    plan.n_steps += len([label for label in plan.labels if label != "assemble_coadd"])
    if "make_direct_warp" in plan.labels:
        _count_sky(plan, mpix)
    if plan.report:
        n_pages = len(wanted) if len(wanted) <= MAX_PAGES else MAX_PAGES // 2
        loads["pages"] = Load(n_pages + 2 * len(plan.fields), mpix * n_pages / len(wanted))


def _count_sky(plan: Plan, mpix: float) -> None:
    """The same of warps, coadds and catalogues; of these the megapixels are those of the fields' boxes."""
    loads, scale = plan.loads, plan.inventory.camera.pixel_scale / 3600.0
    wanted = set(_depths(plan))
    on_sky = [
        (one, len(wanted & set(one.visits)), len({plan.inventory.band(name) for name in wanted & set(one.visits)}))
        for one in plan.fields
    ]
    coadd_mpix = sum(one.width_deg * one.height_deg / scale**2 / 1e6 * bands for one, _, bands in on_sky)
    n_coadds = sum(one.n_patches * bands for one, _, bands in on_sky)
    n_warps = sum(len(visits) * min(one.n_patches, 4) for one, _, _ in on_sky for visits in one.visits.values())
    loads["make_direct_warp"] = Load(n_warps, mpix)
    loads["assemble_coadd"] = Load(n_coadds, mpix)
    if plan.deep:
        plan.n_steps += 1
        loads["match_backgrounds"] = Load(sum(filters for _, filters, _ in on_sky), mpix)
    if plan.catalogue_labels:
        plan.n_steps += len(plan.catalogue_labels)
        loads["detect_coadd_sources"] = Load(n_coadds, coadd_mpix)
        loads["measure_objects"] = Load(sum(one.n_patches for one, _, _ in on_sky), coadd_mpix)
    if "light_curves" in plan.catalogue_labels:
        loads["forced_phot_visit"] = Load(len(_wanted(plan)), mpix)
