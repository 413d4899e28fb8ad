"""Pages of a site as text: templates, and files that are there as a whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from skyloom.files import write_beside

__all__ = ["json_for_page", "render", "write_text"]


def render(template: str, **values: Any) -> str:
    """The text that a template makes."""
    environment = Environment(
        loader=PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_text(text: str, path: Path) -> Path:
    """Put a page in place in one step."""
    return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))


def json_for_page(value: Any) -> str:
    """A value as JSON that may stand in a page's script element."""
    return json.dumps(value).replace("</", "<\\/")
