"""``skyloom export``: images as plain FITS, catalogues as FITS, CSV or VOTable, joint fits as headers for SWarp."""

from __future__ import annotations

import click

from .options import REPOSITORY


@click.command()
@click.argument("repo", type=REPOSITORY)
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
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["fits", "csv", "votable", "head"]),
    help="csv or votable for catalogues; head for headers from joint_wcs, joint_photo_calib  [default: fits]",
)
@click.option(
    "--wcs",
    type=click.Choice(["sip", "tpv"]),
    help="How distortions are written: SWarp and SCAMP read tpv  [default: tpv for head, else sip]",
)
@click.option(
    "--pixels", type=click.Choice(["electron", "nJy"]), help="head: what the images are in  [default: electron]"
)
@click.option("--image", metavar="TYPE", help="head: dataset type of the images that the files are named as.")
def command(
    repo: str,
    collection: str,
    dataset_type: str,
    where: str,
    folder: str,
    file_format: str | None,
    wcs: str | None,
    pixels: str | None,
    image: str | None,
) -> None:
    """Write datasets of DATASET_TYPE in COLLECTION of REPO to plain files.

    Images have the extensions SCI, WHT (1 / variance, 0 where a pixel is not to be used) and MASK.  Header files are
    of one frame each; DATASET_TYPE is joint_wcs, joint_photo_calib, or both separated by a comma.  Files of the same
    name are replaced.
    """
    from pathlib import Path
    from typing import cast

    from lsst.daf.butler import Butler

    from skyloom.images import WcsForm
    from skyloom.repo.export import Format, export_datasets, export_heads, find_exportable
    from skyloom.repo.head_files import PixelUnit

    if file_format != "head" and (pixels or image):
        raise click.UsageError("--pixels and --image belong to --format head.")
    names = dataset_type.split(",") if file_format == "head" else [dataset_type]
    with Butler.from_config(repo, collections=collection.split(",")) as butler:  # these tell the instrument, too
        refs = [ref for name in names for ref in find_exportable(butler, collection.split(","), name, where)]
        if file_format == "head":
            form, unit = cast("WcsForm", wcs or "tpv"), cast("PixelUnit", pixels or "electron")
            paths = export_heads(butler, refs, Path(folder), wcs=form, pixels=unit, image=image)
        else:
            form = cast("WcsForm", wcs or "sip")
            paths = export_datasets(butler, refs, Path(folder), cast("Format | None", file_format), form)
        for path in paths:
            click.echo(path)
