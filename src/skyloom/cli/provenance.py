"""``skyloom provenance``: where a product comes from, and whether it can be made again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from uuid import UUID

    from lsst.daf.butler import Butler

    from skyloom.execute.provenance import Provenance
    from skyloom.repo.file_record import FileRecord


@click.command()
@click.argument("source", metavar="FILE|REPO")
@click.argument("product", required=False)
@click.argument("terms", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--repo", type=REPOSITORY, help="Repository that FILE was made in.")
@click.option("-o", "--output", help="Output chain, or run.  [default: the newest that has the product]")
@click.option("--hash", "hashes", is_flag=True, help="SHA-256 of the files that it was made from.")
@click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON, with hashes.")
@click.option("--check", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Compare with such a JSON.")
@click.option("--rerun", metavar="RUN", help="Make it anew in this new RUN collection, and compare.")
def command(
    source: str,
    product: str | None,
    terms: tuple[str, ...],
    repo: str | None,
    output: str | None,
    hashes: bool,
    as_json: bool,
    check: Path | None,
    rerun: str | None,
) -> None:
    """Tell where a product comes from: FILE, or PRODUCT of REPO with KEY=VALUE.

    FILE is a file of a repository, an exported FITS file or a copy of either; what it was made from is looked up in the
    repository around it or in --repo.  The exit status is 1 if --check or --rerun finds a difference.
    """
    from lsst.daf.butler import Butler

    from skyloom.execute.make_again import make_again
    from skyloom.execute.provenance import changes_since, hash_files, read_provenance

    file = _file(source)
    found = None if file is None else _read(file)
    root = source if file is None else repo or _repository_around(file)
    if root is None:
        assert found is not None
        _print_record(found)
        click.echo("what it was made from is known to its repository: name that with --repo")
        return
    with Butler.from_config(root) as butler:
        one = found.id if found is not None else _find(butler, product, terms, output)
        told = read_provenance(butler, one)
    if hashes or as_json or check is not None:
        hash_files(told.nodes.values() if as_json or check is not None else told.sources)
    if as_json:
        click.echo(json.dumps(told.as_dict(), indent=1))
    elif check is None and rerun is None:
        _print(told, file)
    status = 0
    if check is not None:
        lines = changes_since(told, json.loads(check.read_text()))
        click.echo("\n".join(lines) if lines else "nothing has changed")
        status = 1 if lines else 0
    if rerun is not None:
        result = make_again(root, told, rerun, advance=_advance)
        for line in result.versions:
            click.echo(f"other version: {line}")
        for line in result.differences:
            click.echo(line)
        if result.first:
            click.echo(f"the first that differs is {result.first}")
        click.echo(f"made anew in {rerun}: {'identical' if result.identical else 'different'}")
        status = max(status, 0 if result.identical else 1)
    sys.exit(status)


def _file(source: str) -> Path | None:
    """The file that is asked about; None where it is a repository."""
    path = Path(source)
    if "://" in source or path.is_dir():
        return None
    if not path.is_file():
        raise click.UsageError(f"There is no {source}.")
    return path


def _read(path: Path) -> FileRecord:
    from lsst.resources import ResourcePath

    from skyloom.errors import BadFrameError
    from skyloom.repo.file_record import read_file_record

    found = read_file_record(ResourcePath(str(path.absolute())))
    if found is None:
        raise BadFrameError(
            "the file does not say which dataset it is.",
            file=str(path),
            cure="Name the repository and the product instead: skyloom provenance REPO PRODUCT KEY=VALUE.",
        )
    return found


def _repository_around(path: Path) -> str | None:
    """The repository in whose folder a file lies."""
    return next((str(one) for one in path.absolute().parents if (one / "butler.yaml").exists()), None)


def _find(butler: Butler, product: str | None, terms: tuple[str, ...], output: str | None) -> UUID:
    from skyloom.execute.why import find_product

    if product is None:
        raise click.UsageError("Name a product of the repository, such as deep_coadd tract=0 patch=3 band=r.")
    return find_product(butler, product, terms, output=output).id


def _print_record(found: FileRecord) -> None:
    click.echo(" ".join([found.dataset_type, *(f"{key}={value}" for key, value in found.data_id.items())]))
    click.echo(f"  id {found.id}, in {found.run}")
    for one in found.inputs:
        click.echo(f"  made from {one.dataset_type} {one.id}, in {one.run}")


def _print(told: Provenance, file: Path | None) -> None:
    from skyloom.execute.provenance import file_hash

    for line in told.lines():
        click.echo(line)
    original = told.nodes[told.product].file
    if file is not None and str(file.absolute()) != original:
        same = file_hash(str(file)) == file_hash(original)
        words = "is the same, byte by byte" if same else "is not the same, byte by byte: an export, or changed"
        click.echo(f"{file} {words}")


def _advance(name: str, number: int, total: int) -> None:
    click.echo(f"{number} of {total}: {name}", err=True)
