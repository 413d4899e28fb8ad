"""Kinds of options that several commands share."""

from __future__ import annotations

import click

__all__ = ["SIZE"]


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
