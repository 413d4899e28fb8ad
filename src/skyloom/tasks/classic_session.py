"""What a classic command works on: the repository, its collections, and the settings of the camera."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    MissingCollectionError,
)
from lsst.pipe.base.configOverrides import ConfigOverrides

from skyloom.errors import RepositoryError
from skyloom.repo.collections import defaults_collection
from skyloom.repo.setup import instruments

__all__ = ["Collections", "camera_overrides", "choose_collections", "choose_instrument", "open_output", "task_class_of"]


@dataclass(frozen=True)
class Collections:
    """Where a command reads and writes."""

    output: str
    """Chain of the run and its inputs."""
    run: str
    """Run that everything is written to."""
    inputs: tuple[str, ...]
    """What is looked into after the run, the first first."""


def choose_instrument(butler: Butler, name: str | None) -> str:
    """The instrument of a name, or the only one of the repository.

    Raises
    ------
    RepositoryError
        If there is none of that name, or several and none is named.
    """
    known = instruments(butler)
    if name is None and len(known) == 1:
        return known[0]
    if name is None or name not in known:
        raise RepositoryError(
            f"the repository has the instruments {', '.join(known) or '(none)'}.",
            cure="Choose one by --instrument." if known else "Add one with 'skyloom init REPO --camera ...'.",
        )
    return name


def choose_collections(butler: Butler, instrument: str, inputs: Sequence[str], output: str | None) -> Collections:
    """Where to read and to write.

    Parameters
    ----------
    butler
        The repository.
    instrument
        Whose frames.
    inputs
        Collections that are named.  Without any: those of the output, if it is there, else the newest chain of runs in
        the repository, and last what the instrument always has.
    output
        The chain to write to; ``u/USER/classic`` without.

    Raises
    ------
    RepositoryError
        If an input is not there, or the output is no chain.
    """
    output = output or f"u/{getpass.getuser()}/classic"
    run = f"{output}/classic"
    own = _children(butler, output)
    found = list(inputs) or [name for name in own if name != run]
    for name in inputs:
        if not _exists(butler, name):
            raise RepositoryError(f"there is no collection {name}.", cure="'butler query-collections' lists them.")
    if not inputs and not own:
        found = [*_newest_chain(butler, instrument)]
    older = [name for name in own if name.startswith(f"{output}/") and name != run]
    places = dict.fromkeys([*older, *found, defaults_collection(instrument)])
    return Collections(output, run, tuple(name for name in places if name != output))


def open_output(butler: Butler, chosen: Collections, *, clobber: bool = False, create: bool = True) -> Butler:
    """A butler that reads and writes there.

    Parameters
    ----------
    butler
        The repository, writeable.
    chosen
        Where.
    clobber
        Whether what is in the run is removed.
    create
        Whether the run and the chain are made; without, the butler can only read.
    """
    there = _exists(butler, chosen.run)
    if not create:
        return butler.clone(collections=[*([chosen.run] if there else []), *chosen.inputs])
    if there and clobber:
        butler.removeRuns([chosen.run], unlink_from_chains=True)
    butler.collections.register(chosen.run, CollectionType.RUN)
    butler.collections.register(chosen.output, CollectionType.CHAINED)
    butler.collections.redefine_chain(chosen.output, [chosen.run, *chosen.inputs])
    return butler.clone(collections=[chosen.run, *chosen.inputs], run=chosen.run)


def camera_overrides(config: Any, task_class: type, instrument: str, repository: str) -> None:
    """Change settings as the camera needs it, in place.

    First those of the shipped pipeline of the camera's name, or of ``drp`` where there is none, if it has this task, or
    one that it derives from; then those of the files ``config/LABEL.py`` and ``config/INSTRUMENT/LABEL.py`` of the
    repository, which hold lines such as ``config.doBias = False``.
    """
    overrides: Any = ConfigOverrides()
    label = str(getattr(task_class, "_DefaultName", ""))
    described = _pipeline_of(instrument).get(label, {})
    if described.get("class") in {f"skyloom.tasks.{one.__name__}" for one in task_class.__mro__}:
        for field, value in (described.get("config") or {}).items():
            overrides.addValueOverride(field, value)
    for path in (f"{label}.py", f"{instrument}/{label}.py"):
        file = Path(repository) / "config" / path
        if file.is_file():
            overrides.addFileOverride(str(file))
    overrides.applyTo(config)


def task_class_of(instrument: str, label: str) -> str:
    """Full name of the class of the task of a label in the shipped pipeline of a camera."""
    return str(_pipeline_of(instrument)[label]["class"])


def _pipeline_of(instrument: str) -> Mapping[str, Any]:
    """By label, what the shipped pipeline of a camera says of its tasks."""
    folder = files("skyloom.pipelines")
    own = folder / f"{instrument}.yaml"
    text = (own if own.is_file() else folder / "drp.yaml").read_text()
    tasks: Mapping[str, Any] = yaml.safe_load(text)["tasks"]
    return tasks


def _exists(butler: Butler, name: str) -> bool:
    try:
        butler.collections.get_info(name)
    except MissingCollectionError:
        return False
    return True


def _children(butler: Butler, output: str) -> tuple[str, ...]:
    """The members of an output, none if it is not there."""
    try:
        info = butler.collections.get_info(output)
    except MissingCollectionError:
        return ()
    if info.type is not CollectionType.CHAINED:
        raise RepositoryError(f"{output!r} is a {info.type.name} collection.", cure="Name another output collection.")
    return tuple(info.children)


def _newest_chain(butler: Butler, instrument: str) -> tuple[str, ...]:
    """The chain of runs that was written to last, by the time in the names of its runs; none if there is none.

    What begins with the name of the instrument are runs that built its calibrations.
    """
    newest: tuple[str, str] | None = None
    for info in butler.collections.query_info("*", collection_types=CollectionType.CHAINED):
        runs = [name.removeprefix(f"{info.name}/") for name in info.children if name.startswith(f"{info.name}/")]
        times = [name for name in runs if name[:1].isdigit()]
        if times and not info.name.startswith(f"{instrument}/"):
            newest = max(newest or ("", ""), (max(times), str(info.name)))
    return (newest[1],) if newest else ()
