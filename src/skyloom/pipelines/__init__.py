"""Pipeline definitions: the ones that come with the package, by short name, and those of the user, by path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import SkyloomError

if TYPE_CHECKING:
    from lsst.pipe.base import Pipeline

__all__ = ["find_pipeline", "load_pipeline", "shipped_pipelines", "split_name"]

_HERE = Path(__file__).parent


def shipped_pipelines() -> list[str]:
    """Short names of the pipelines that come with the package."""
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


def split_name(name: str) -> tuple[str, list[str]]:
    """A name as given, apart from the labels behind its ``#`` (steps, subsets or tasks, separated by commas)."""
    bare, _, labels = name.partition("#")
    return bare, [label for label in labels.split(",") if label]


def find_pipeline(name: str) -> Path:
    """The file of a pipeline.

    Parameters
    ----------
    name
        Short name of a shipped pipeline, or path of a YAML file, without ``#`` labels.

    Raises
    ------
    SkyloomError
        Raised if there is no such pipeline.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise SkyloomError("no such pipeline file", file=name, cure="Check the path.")
    if name in shipped_pipelines():
        return _HERE / f"{name}.yaml"
    known = ", ".join(shipped_pipelines())
    raise SkyloomError(f"no pipeline is called {name!r}", cure=f"Shipped: {known}; or give the path of a .yaml file.")


def load_pipeline(name: str, settings: Sequence[str] = (), files: Sequence[str] = ()) -> Pipeline:
    """Load a pipeline and change settings of its tasks.

    Parameters
    ----------
    name
        As for `find_pipeline`.
    settings
        Changes of single settings, each ``LABEL:FIELD=VALUE``; they win over the files.
    files
        Configuration files for single tasks, each ``LABEL:FILE``.

    Raises
    ------
    SkyloomError
        Raised if the pipeline, a task or a file is unknown, or a change cannot be read.
    """
    from lsst.pipe.base import Pipeline

    pipeline = Pipeline.from_uri(str(find_pipeline(name)))
    for text in files:
        label, _, file = text.partition(":")
        _check_label(pipeline, label, text, "LABEL:FILE")
        if not Path(file).is_file():
            raise SkyloomError("no such configuration file", file=file, cure="Check the path.")
        pipeline.addConfigFile(label, file)
    for text in settings:
        label, _, change = text.partition(":")
        field, equals, value = change.partition("=")
        _check_label(pipeline, label, text, "LABEL:FIELD=VALUE")
        if not equals or not field:
            raise SkyloomError(f"{text!r} changes nothing", cure="Write LABEL:FIELD=VALUE.")
        pipeline.addConfigOverride(label, field.strip(), value.strip())
    return pipeline


def _check_label(pipeline: Pipeline, label: str, text: str, form: str) -> None:
    if label not in pipeline.task_labels:
        known = ", ".join(sorted(pipeline.task_labels))
        raise SkyloomError(f"{text!r} names no task of the pipeline", cure=f"Write {form}; its tasks are {known}.")
