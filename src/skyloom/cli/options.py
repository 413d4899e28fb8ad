"""Kinds of options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["PAGE_FOLDER", "PAGE_QUIET", "PAGE_SOURCES", "SIZE", "names_of"]


class _Size(click.ParamType[int]):
    """Bytes, written as ``800M`` or ``1.5G``."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from skyloom.execute.memory import parse_size

        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError:
            self.fail(f"{value!r} is no size; write 800M or 1.5G.", param, ctx)


SIZE = _Size()

PAGE_SOURCES = click.option(
    "-c", "--collections", help="Where the products are, with commas between several.  [default: the newest of each]"
)
"""Of the commands that write pages."""
PAGE_FOLDER = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder to write to.",
)
PAGE_QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing.")


def names_of(collections: str | None) -> list[str]:
    """The collections that an option names."""
    return [name for name in (collections or "").split(",") if name]
