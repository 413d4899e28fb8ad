"""``skyloom export``: frames and coadds as plain FITS, catalogues as FITS or CSV."""

from __future__ import annotations

import click


@click.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.argument("collection")
@click.argument("dataset_type")
@click.option("-d", "--data-query", "where", default="", help='Which datasets, e.g. "visit = 42 AND detector = 3".')
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False),
    default=".",
    show_default=True,
    help="Folder to write to.",
)
@click.option("--format", "file_format", type=click.Choice(["fits", "csv"]), help="csv for catalogues  [default: fits]")
def command(repo: str, collection: str, dataset_type: str, where: str, folder: str, file_format: str | None) -> None:
    """Write datasets of DATASET_TYPE in COLLECTION of REPO to plain files.

    Images have the extensions SCI, WHT (1 / variance, 0 where a pixel is not to be used) and MASK.  Files of the same
    name are replaced.
    """
    from pathlib import Path
    from typing import cast

    from lsst.daf.butler import Butler

    from skyloom.repo.export import Format, export_datasets, find_exportable

    with Butler.from_config(repo) as butler:
        refs = find_exportable(butler, collection.split(","), dataset_type, where)
        for path in export_datasets(butler, refs, Path(folder), cast("Format | None", file_format)):
            click.echo(path)
