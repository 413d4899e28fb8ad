"""``skyloom why``: why a product is there or not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skyloom.execute.records import TaskRecord
    from skyloom.execute.why_chain import Link


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("product")
@click.argument("terms", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("-o", "--output", help="Output chain, or run.  [default: the newest that has or makes the product]")
@click.option("--most", type=click.IntRange(min=1), default=10, show_default=True, help="Most causes of one thing.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(repo: str, product: str, terms: tuple[str, ...], output: str | None, most: int, as_json: bool) -> None:
    """Tell whether a PRODUCT of REPO is there; if not, what went wrong first, and what it would take.

    PRODUCT is a dataset type (deep_coadd, direct_warp, initial_pvi or visit_image, raw, ...).  Of a product that is
    there, KEY=VALUE may choose a part: with visit=12, whether that visit is in the coadd, with what weight, or where it
    was lost.

    The exit status is 0 if everything that was asked for is there, 1 if not.
    """
    from lsst.daf.butler import Butler

    from skyloom.execute.why import explain_product

    with Butler.from_config(repo) as butler:
        links = explain_product(butler, product, terms, repository=repo, output=output, shipped=_shipped)
    if as_json:
        click.echo(json.dumps([link.as_dict() for link in links], indent=1))
    else:
        for link in links:
            _print(link, most)
    sys.exit(0 if all(link.is_there for link in links) else 1)


def _print(link: Link, most: int) -> None:
    """The chain, and below it what it would take."""
    for line in link.lines(most):
        click.echo(line)
    remedies = link.remedies()[:most]
    if remedies:
        click.echo("what it would take:")
    for name, cure, shell in remedies:
        click.echo("\n      ".join(filter(None, (f"  {name}", cure, shell))))


def _shipped(dataset_type: str) -> Sequence[tuple[str, TaskRecord]]:
    """The pipelines of the package that make a dataset type."""
    from skyloom.execute.records import TaskRecord
    from skyloom.pipelines import load_pipeline, shipped_pipelines

    found = []
    for name in sorted(shipped_pipelines(), key=lambda one: (one != "drp", one)):
        for label, node in load_pipeline(name).to_graph().tasks.items():
            task = TaskRecord.of_config(label, node.config)
            if any(one.name == dataset_type for one in task.outputs):
                found.append((name, task))
    return found
