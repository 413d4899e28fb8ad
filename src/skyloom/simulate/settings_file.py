"""Settings of a survey from a YAML file and from changes of single values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from skyloom.errors import SkyloomError

from .settings import SurveySettings

__all__ = ["changed", "read_settings"]


def read_settings(path: Path) -> SurveySettings:
    """Settings from a YAML file that names what differs from the defaults, group by group.

    Raises
    ------
    SkyloomError
        If the file is no YAML, or a name or value in it is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise SkyloomError(f"not valid YAML: {error}", file=str(path), cure="Correct the indentation.") from error
    if not isinstance(content, Mapping):
        raise SkyloomError("holds no mapping of settings", file=str(path), cure="See docs/simulate.md.")
    settings: SurveySettings = _filled(SurveySettings(), content, "")
    return settings


def changed(settings: SurveySettings, changes: Sequence[str]) -> SurveySettings:
    """The same settings with single values changed, each ``[GROUP.]NAME=VALUE`` with the value as YAML has it.

    Raises
    ------
    SkyloomError
        If a change has another form, or its name or value is wrong.
    """
    for text in changes:
        name, equals, value = text.partition("=")
        if not equals:
            raise SkyloomError(f"{text!r} changes nothing", cure="Write GROUP.NAME=VALUE.")
        content: Any = yaml.safe_load(value)
        for part in reversed(name.strip().split(".")):
            content = {part: content}
        settings = _filled(settings, content, "")
    return settings


def _filled(settings: Any, content: Mapping[str, Any], prefix: str) -> Any:
    """A dataclass of settings with the values of a mapping in place of its own."""
    hints = get_type_hints(type(settings))
    known = [field.name for field in fields(settings)]
    values: dict[str, Any] = {}
    for name, value in content.items():
        if name not in known:
            raise SkyloomError(f"no setting {prefix}{name}.", cure=f"There are {', '.join(known)}.")
        present = getattr(settings, name)
        if is_dataclass(present):
            if not isinstance(value, Mapping):
                raise SkyloomError(f"{prefix}{name} is a group.", cure=f"Write {prefix}{name}.NAME=VALUE.")
            values[name] = _filled(present, value, f"{prefix}{name}.")
            continue
        try:
            values[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise SkyloomError(f"{prefix}{name} = {value!r}: {why}", cure=f"Its default is {present!r}.") from error
    return replace(settings, **values)
