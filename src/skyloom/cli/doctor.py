"""``skyloom doctor``: whether the machine, the installation and a repository are well."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from skyloom.execute.finding import Finding

_MARKS = {"ok": ("ok", "green"), "look": ("look", "yellow"), "wrong": ("WRONG", "red")}


@click.command()
@click.argument("repo", required=False, type=REPOSITORY)
def command(repo: str | None) -> None:
    """Tell whether the machine and the installation are well, and REPO where it is given; nothing is changed.

    Exit status 1 if anything has to be mended.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table, states = Table(box=None, pad_edge=False, show_header=False), set[str]()
    for name in ("topic", "state", "text"):
        table.add_column(name, overflow="fold")
    for finding in _findings(repo):
        states.add(finding.state)
        mark, colour = _MARKS[finding.state]
        text = Text("\n".join([finding.text, *(f"  {one}" for one in finding.examples)]))
        if finding.cure:
            text.append(f"\n{finding.cure}", style=colour)
        table.add_row(finding.topic, Text(mark, style=colour), text)
    Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(table)
    if "wrong" in states:
        sys.exit(1)


def _findings(repo: str | None) -> Iterator[Finding]:
    from pathlib import Path

    from lsst.daf.butler import Butler

    from skyloom.execute.health import check_repository
    from skyloom.execute.machine import check_cache, check_machine, check_versions

    yield from check_machine(Path(repo) if repo is not None and Path(repo).is_dir() else Path())
    yield from check_versions()
    yield check_cache()
    if repo is not None:
        with Butler.from_config(repo) as butler:
            yield from check_repository(butler, repo)
