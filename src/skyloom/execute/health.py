"""What `skyloom doctor` looks at in a repository: files, dataset types, storage classes, calibrations, runs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from itertools import batched
from pathlib import Path

from lsst.daf.butler import Butler, ButlerConfig, CollectionType, Config, DatasetRef  # type: ignore[attr-defined]

from skyloom.repo.setup import DATASET_TYPES, instruments

from .finding import Finding
from .journal import Journal
from .status import read_status
from .stores import is_temporary

__all__ = ["check_repository"]

_BATCH = 5000
_EXAMPLES = 5
_OWN_FILES = ("butler.yaml", "gen3.sqlite3", "skyloom_run.jsonl", "skyloom_ingest.jsonl")
_OWN_FOLDERS = ("cameras",)
_SITE = {"index.html", "pages.json"}
"""What tells the folder of a site about a run, as `skyloom process` leaves one."""


def check_repository(butler: Butler, root: str) -> Iterator[Finding]:
    """Look at a repository; nothing is changed.

    Parameters
    ----------
    butler
        The repository, read only.
    root
        Its root, as the user gave it.
    """
    yield _overview(butler)
    yield from _storage_classes(root)
    yield from _dataset_types(butler)
    refs = list(_all_datasets(butler))
    yield from _files(butler, refs)
    yield from _runs(butler)


def _overview(butler: Butler) -> Finding:
    names = instruments(butler)
    return Finding(
        topic="repository",
        state="ok" if names else "look",
        text=f"cameras: {', '.join(names)}" if names else "no camera",
        cure="" if names else "skyloom init REPO --camera CAMERA",
    )


def _storage_classes(root: str) -> Iterator[Finding]:
    """Whether the repository knows all storage classes and formatters of this version."""
    wanted, there = Config(str(files("skyloom.repo") / "seed.yaml")), ButlerConfig(root)
    for section in (("storageClasses",), ("datastore", "formatters")):
        known = set(there[section].names(topLevelOnly=True)) if section in there else set()
        missing = sorted(set(wanted[section].names(topLevelOnly=True)) - known)
        yield Finding(
            topic="schema",
            state="wrong" if missing else "ok",
            text=f"{section[-1]}: {'unknown to it: ' + ', '.join(missing) if missing else 'as this version has them'}",
            cure="It was made by an older skyloom: add them to its butler.yaml from skyloom/repo/seed.yaml."
            if missing
            else "",
        )


def _dataset_types(butler: Butler) -> Iterator[Finding]:
    """Whether the inputs of the pipelines are registered as this version has them."""
    wrong = []
    for name, (dimensions, storage_class, calibration) in DATASET_TYPES.items():
        try:
            kind = butler.get_dataset_type(name)
        except LookupError:
            continue
        same = set(kind.dimensions.required) == set(butler.dimensions.conform(dimensions).required)
        if not same or kind.storageClass_name != storage_class or kind.isCalibration() != calibration:
            wrong.append(name)
    yield Finding(
        topic="schema",
        state="wrong" if wrong else "ok",
        text=f"dataset types: {'of another version: ' + ', '.join(wrong) if wrong else 'as this version has them'}",
        cure="Make a new repository, and ingest into that." if wrong else "",
    )


def _all_datasets(butler: Butler) -> Iterator[DatasetRef]:
    """Every dataset of every run."""
    runs = [one.name for one in butler.collections.query_info("*") if one.type is CollectionType.RUN]
    if not runs:
        return
    with butler.query() as query:
        for kind in butler.registry.queryDatasetTypes():
            yield from query.datasets(kind, collections=runs, find_first=False)


def _files(butler: Butler, refs: list[DatasetRef]) -> Iterator[Finding]:
    """Datasets without their files, and files without their datasets."""
    known, missing = set[str](), list[str]()
    for some in batched(refs, _BATCH):
        there = butler.stored_many(some)
        missing += [str(ref) for ref in some if not there[ref]]
        for uris in butler._datastore.getManyURIs(some, allow_missing=True).values():
            places = (uris.primaryURI, *uris.componentURIs.values())
            known |= {one.replace(fragment="").ospath for one in places if one is not None and one.isLocal}
    yield Finding(
        topic="files",
        state="wrong" if missing else "ok",
        text=f"{len(refs)} datasets, {len(missing)} of them without a file",
        cure="Put the files back; or `butler prune-datasets` the datasets and run again." if missing else "",
        examples=tuple(missing[:_EXAMPLES]),
    )
    temporary, orphaned = _others(butler, known)
    if temporary:
        yield Finding(
            topic="files",
            state="look",
            text=f"{len(temporary)} half-written files, of kills",
            cure="Going on with the run removes them; where nothing runs they may be deleted.",
            examples=tuple(temporary[:_EXAMPLES]),
        )
    yield Finding(
        topic="files",
        state="look" if orphaned else "ok",
        text=f"{len(orphaned)} files that no dataset has",
        cure="Outputs of a run that was stopped are registered when it goes on; others may be deleted."
        if orphaned
        else "",
        examples=tuple(orphaned[:_EXAMPLES]),
    )


def _others(butler: Butler, known: set[str]) -> tuple[list[str], list[str]]:
    """Files below the roots of the stores that no dataset has: half-written ones, and others."""
    temporary, orphaned = list[str](), list[str]()
    for root in butler.get_datastore_roots().values():
        if root is None or not root.isLocal:
            continue
        for place, folders, names in os.walk(root.ospath):
            if set(names) >= _SITE:
                folders.clear()
                continue
            folders[:] = [one for one in sorted(folders) if one not in _OWN_FOLDERS]
            for name in sorted(set(names) - set(_OWN_FILES)):
                path = str(Path(place) / name)
                if is_temporary(name):
                    temporary.append(path)
                elif path not in known and not name.startswith("gen3.sqlite3"):
                    orphaned.append(path)
    return temporary, orphaned


def _runs(butler: Butler) -> Iterator[Finding]:
    """Runs that go on, and runs that stopped before their end."""
    for info in butler.collections.query_info("*"):
        if info.type is not CollectionType.RUN or not Journal.read_settings(butler, info.name):
            continue
        status = read_status(butler, info.name)
        ends = sum(status.counts.values(), Counter[str]())
        failed, stopped = ends["failed"], ends["stopped"]
        if status.is_running:
            yield Finding(topic="runs", state="ok", text=f"{info.name} runs now: skyloom status")
        elif stopped:
            yield Finding(
                topic="runs",
                state="look",
                text=f"{info.name} was stopped at {stopped} quanta",
                cure="Give the same skyloom run command again: it goes on.",
            )
        elif failed:
            yield Finding(
                topic="runs",
                state="look",
                text=f"{info.name}: {failed} quanta failed",
                cure="skyloom status tells which, skyloom why the reason.",
            )
