"""Which RUN collection a command writes to: that of the run it goes on with, or a new one."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from lsst.daf.butler import Butler, CollectionType, MissingCollectionError  # type: ignore[attr-defined]
from lsst.pipe.base import Instrument
from lsst.pipe.base.pipeline_graph import PipelineGraph

from skyloom.errors import RepositoryError

from .journal import Journal

__all__ = ["choose_run", "installed_versions", "join_chain", "runs_of", "settings_of"]

_PACKAGES = ("skyloom", "numpy", "scipy", "numba", "astropy", "lsst-images", "lsst-daf-butler", "lsst-pipe-base")


def settings_of(name: str, graph: PipelineGraph, inputs: Sequence[str], where: str, basis: str = "") -> dict[str, Any]:
    """What a run depends on: the tasks with a fingerprint of their settings, the inputs, their basis, the software.

    The query is kept for the reader; a run may be gone on with under another one, which only adds to it.
    """
    tasks = {
        label: _fingerprint(f"{node.task_class_name}\n{node.get_config_str()}") for label, node in graph.tasks.items()
    }
    classes = {label: node.task_class_name for label, node in graph.tasks.items()}
    given = {"inputs": list(inputs), "basis": basis, "where": where}
    return {"pipeline": name, "tasks": tasks, "classes": classes, "versions": installed_versions(), **given}


def installed_versions() -> dict[str, str]:
    """Versions of the software that products depend on."""
    return {package: metadata.version(package) for package in _PACKAGES} | {"python": platform.python_version()}


def choose_run(butler: Butler, output: str, settings: Mapping[str, Any]) -> tuple[str, bool]:
    """The RUN collection to write to, and whether it is there already.

    The newest run of the output is gone on with if it was made by the same software from the same input collections on
    the same basis, and if every task that both know has the same settings.

    Raises
    ------
    RepositoryError
        Raised if the output is no chain of runs.
    """
    runs = runs_of(butler, output)
    if runs and _agree(Journal.read_settings(butler, runs[0]), settings):
        return runs[0], True
    return _new_name(f"{output}/{Instrument.makeCollectionTimestamp()}", runs), False


def _new_name(name: str, runs: Sequence[str]) -> str:
    """The name, numbered where another run began in the same second."""
    names = (name, *(f"{name}_{number}" for number in range(2, len(runs) + 3)))
    return next(one for one in names if one not in runs)


def runs_of(butler: Butler, output: str) -> list[str]:
    """The RUN collections of an output, newest first.

    Raises
    ------
    RepositoryError
        Raised if the output is no chain of collections.
    """
    try:
        info = butler.collections.get_info(output)
    except MissingCollectionError:
        return []
    if info.type is not CollectionType.CHAINED:
        raise RepositoryError(f"{output!r} is a {info.type.name} collection", cure="Name another output collection.")
    return [child for child in info.children if child.startswith(f"{output}/")]


def join_chain(butler: Butler, output: str, run: str, inputs: Sequence[str]) -> None:
    """Register a run and put it at the head of its output's chain, which ends in the inputs."""
    butler.collections.register(run, CollectionType.RUN)
    butler.collections.register(output, CollectionType.CHAINED)
    runs = [one for one in runs_of(butler, output) if one != run]
    butler.collections.redefine_chain(output, [run, *runs, *(one for one in inputs if one != output)])


def _agree(past: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> bool:
    """Whether a run that was made under the settings `past` may be gone on with under those of `now`."""
    if not past:
        return False
    tasks = {label: mark for settings in past for label, mark in settings["tasks"].items()}
    common = tasks.keys() & now["tasks"].keys()
    return all(settings[name] == now[name] for settings in past for name in ("inputs", "basis", "versions")) and all(
        tasks[label] == now["tasks"][label] for label in common
    )


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
