"""``skyloom compare``: whether two runs made the same."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lsst.daf.butler import Butler


@click.command()
@click.argument("first", metavar="REPO:COLLECTION")
@click.argument("second", metavar="[REPO:]COLLECTION")
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True, help="Most differences to print.")
@click.option("-q", "--quiet", is_flag=True, help="Print the last line only.")
def command(first: str, second: str, most: int, quiet: bool) -> None:
    """Compare the products of two collections, of one repository or of two.

    Pixels, masks, variances, table values, WCSs and PSFs have to be identical; ids, dates and names of runs may
    differ.  The exit status is 0 if all are, 1 if anything differs or is missing on one side.
    """
    from skyloom.repo.compare import compare_collections

    repo, collection = _split(first)
    if not repo:
        raise click.UsageError(f"{first!r} names no repository: write REPO:COLLECTION.")
    other_repo, other_collection = _split(second)
    with ExitStack() as stack:
        one = stack.enter_context(_open(repo))
        other = one if other_repo in ("", repo) else stack.enter_context(_open(other_repo))
        result = compare_collections((one, collection), (other, other_collection))
    if not quiet:
        for name, lines in list(result.differences.items())[:most]:
            for line in lines[:most]:
                click.echo(f"{name}: {line}")
        if len(result.differences) > most:
            click.echo(f"... and {len(result.differences) - most} more datasets")
    click.echo(f"{result.n_equal} identical, {len(result.differences)} different")
    sys.exit(0 if result.equal else 1)


def _split(text: str) -> tuple[str, str]:
    """Repository and collection; the repository is empty where none is named."""
    repo, _, collection = text.rpartition(":")
    return (repo, collection) if not collection.startswith("//") else ("", text)


def _open(repo: str) -> Butler:
    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError

    try:
        return Butler.from_config(repo)
    except FileNotFoundError as error:
        raise RepositoryError(f"no repository at {repo}.", cure="Check the path.") from error
