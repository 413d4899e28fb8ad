"""The end of a walk in words: what was made, what failed and why, and where things are."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from textwrap import shorten

from lsst.daf.butler import Butler, MissingCollectionError, MissingDatasetTypeError

from skyloom.execute.outcome import Status
from skyloom.execute.summary import Failure

from .inventory import Inventory
from .plan import OUTPUT, Plan
from .walk import Walked

__all__ = ["describe_failures", "describe_products", "files_of"]

_MOST_REASONS, _MOST_LETTERS = 5, 240
_CODE = re.compile(r"\[[A-Z]+(-[A-Z]+)*\]")
"""Of an error, see `skyloom.errors`; the names of classes that wrap it are no such."""
_EXPOSURE = re.compile(r"\b(?:exposure|visit)=(\d+)")
"""Of the name of a quantum; each exposure is a visit here."""
_PRODUCTS = {
    "deep_coadd": ("coadd", "coadds"),
    "objects": ("catalogue of objects", "catalogues of objects"),
    "forced_sources": ("table of light curves", "tables of light curves"),
}
"""Dataset type: what one and several are called."""


def describe_products(butler: Butler, plan: Plan, walked: Walked) -> list[str]:
    """A line for what was made of each kind."""
    lines = []
    if walked.masters:
        lines.append("masters: " + ", ".join(f"{count} {kind}" for kind, count in walked.masters.items()))
    if plan.pipeline in walked.summaries:
        made = walked.count(plan.pipeline, "calibrate_image") if plan.calibrates else walked.count(plan.pipeline, "isr")
        failed = walked.count(plan.pipeline, "calibrate_image", Status.FAILED) + walked.count(
            plan.pipeline, "isr", Status.FAILED
        )
        what = "calibrated" if plan.calibrates else "reduced"
        without = len({one.path for one in plan.inventory.rejections})
        left = f", {without} file{'s' if without != 1 else ''} left out" if without else ""
        lines.append(f"{made} frame{'s' if made != 1 else ''} {what}, {failed} failed{left} ({OUTPUT}/{plan.pipeline})")
    for name, words in _PRODUCTS.items():
        found = _count(butler, name, walked)
        if found:
            places = sorted({place.rpartition("/")[0] for place in found})
            what = words[found.total() != 1]
            lines.append(f"{found.total()} {what}: {name} in {', '.join(places)}")
    return lines


def files_of(inventory: Inventory) -> dict[int, str]:
    """Names of files by exposure, of those that are in one file of which the name is known."""
    names: dict[int, set[str]] = defaultdict(set)
    for one in inventory.science:
        names[one.exposure].add("" if one.path is None else one.path.name)
    return {exposure: name for exposure, (name, *others) in names.items() if name and not others}


def _of_file(failure: Failure, files: Mapping[int, str]) -> str:
    """What a quantum worked on, with its file where the reason does not name it."""
    found = _EXPOSURE.search(failure.name)
    file = files.get(int(found[1])) if found else None
    return f"{failure.name} ({file})" if file and file not in failure.line else failure.name


def _count(butler: Butler, name: str, walked: Walked) -> Counter[str]:
    """By run, the datasets of a type on the sky map."""
    try:
        refs = butler.query_datasets(
            name,
            walked.runs,
            where=f"skymap = '{walked.sky_map}'",
            explain=False,
            limit=None,
        )
    except (MissingDatasetTypeError, MissingCollectionError):
        return Counter()
    return Counter(str(ref.run) for ref in refs)


def describe_failures(walked: Walked, repository: str, files: Mapping[int, str] | None = None) -> list[str]:
    """The most frequent reasons with one example each, and what tells more; ``files`` are names by exposure."""
    failures = walked.failures
    if not failures:
        return []
    groups: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for one in failures:
        code = _CODE.search(one.line)
        groups[one.task, code[0] if code else one.line.partition(":")[0]].append(one)
    ranked = sorted(groups.items(), key=lambda item: -len(item[1]))
    lines = [f"{len(failures)} failure{'s' if len(failures) != 1 else ''}, the rest was done all the same:"]
    for (task, _), members in ranked[:_MOST_REASONS]:
        reason = shorten(members[0].line, _MOST_LETTERS, placeholder=" ...")
        lines.append(f"  {len(members)} x {task}, such as {_of_file(members[0], files or {})}: {reason}")
    if len(ranked) > _MOST_REASONS:
        lines.append(f"  and {len(ranked) - _MOST_REASONS} other reasons")
    failed = [one.output for one in walked.summaries.values() if one.failures]
    return lines + [f"  more: skyloom status {repository} -o {output}" for output in failed]
