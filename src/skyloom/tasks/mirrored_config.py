"""Configuration made from the settings of an algorithm: the same knobs, defaults and words, written once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import textwrap
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from lsst.pex.config import ChoiceField, Config, Field, ListField

__all__ = ["MirroredConfig", "mirror"]

_SIMPLE = {"int": int, "float": float, "bool": bool, "str": str}


class MirroredConfig(Config):
    """A group of a configuration whose fields are those of a settings dataclass.

    The class attributes are set by `mirror`.
    """

    _settings: Any = None
    """The settings that the defaults come from."""
    _fields_of: Mapping[str, str]
    """Field of the settings: name of it here."""

    def settings(self, **unset: Any) -> Any:
        """The settings that this configuration describes; fields that are None here take the values in ``unset``."""
        values = {}
        for field, name in self._fields_of.items():
            value, default = getattr(self, name), getattr(self._settings, field)
            if value is None:
                value = unset.get(field, default)
            values[field] = tuple(value) if isinstance(default, tuple) and value is not None else value
        return dataclasses.replace(self._settings, **values)


def mirror(
    settings: Any, *, documented: Mapping[str, str] | None = None, unset: Collection[str] = (), doc: str = ""
) -> type[MirroredConfig]:
    """Make the configuration class of a settings dataclass.

    Numbers, words, switches and tuples of them become fields; what else the settings hold has no field and keeps its
    default.

    Parameters
    ----------
    settings
        An instance, whose values are the defaults.
    documented
        Names under which the fields are known to users, where they differ: field of the settings to name.
    unset
        Fields that are None until the user sets them; `MirroredConfig.settings` is then told their values.
    doc
        What the group is for; the settings' own words where not given.
    """
    kind = type(settings)
    names = dict(documented or {})
    missing = set(names) - {field.name for field in dataclasses.fields(kind)}
    if missing:
        raise ValueError(f"{kind.__name__} has no {sorted(missing)}.")
    body: dict[str, Any] = {"__doc__": doc or inspect.getdoc(kind), "_settings": settings, "_fields_of": {}}
    for field in dataclasses.fields(kind):
        made = _field(settings, field, optional=field.name in unset)
        if made is not None:
            name = names.get(field.name, field.name)
            body[name] = made
            body["_fields_of"][field.name] = name
    return type(kind.__name__.replace("Settings", "Config"), (MirroredConfig,), body)


def _field(settings: Any, field: dataclasses.Field[Any], *, optional: bool) -> Any:
    """The field of a configuration for one of a dataclass; None where its type has no counterpart."""
    written = str(field.type).replace(" ", "")
    default = None if optional else getattr(settings, field.name)
    optional = optional or written.endswith("|None")
    words = {"doc": _docs(settings.__class__).get(field.name, field.name.replace("_", " ")), "optional": optional}
    base = written.removesuffix("|None")
    if base in _SIMPLE:
        return Field(dtype=_SIMPLE[base], default=default, **words)
    if choices := re.fullmatch(r"Literal\[(.*)\]", base):
        allowed = dict.fromkeys(ast.literal_eval(f"({choices[1]},)"), "See above.")
        return ChoiceField(dtype=str, default=default, allowed=allowed, **words)
    if element := re.fullmatch(r"tuple\[(int|float|str)(,(\.\.\.|int|float|str))*\]", base):
        values = None if default is None else list(default)
        return ListField(dtype=_SIMPLE[element[1]], default=values, **words)
    return None


@cache
def _docs(kind: type) -> dict[str, str]:
    """What is written below each field of a dataclass."""
    (body,) = (
        node for node in ast.parse(textwrap.dedent(inspect.getsource(kind))).body if isinstance(node, ast.ClassDef)
    )
    found = {}
    for field, below in zip(body.body, body.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = " ".join(words.split())
    return found
