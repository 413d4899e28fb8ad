"""``skyloom calibs import``: masters and defects that other programs made."""

from __future__ import annotations

import sys

import click


@click.command("import")
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.argument("kind", metavar="TYPE", type=click.Choice(["bias", "dark", "flat", "defects"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--begin", help="First date of validity, UTC  [default: without bound]")
@click.option("--end", help="Date up to which they are valid, UTC  [default: without bound]")
@click.option("--detector", type=int, help="Id of the detector  [default: as the header tells]")
@click.option("--filter", "physical_filter", help="Filter of flats  [default: as the header tells]")
@click.option("--unit", help="Unit of the pixels  [default: BUNIT; bias: adu; flat: none]")
@click.option("--replace", is_flag=True, help="Replace what is certified for the same detector, filter and dates.")
def command(
    repo: str,
    kind: str,
    files: tuple[str, ...],
    instrument: str | None,
    begin: str | None,
    end: str | None,
    detector: int | None,
    physical_filter: str | None,
    unit: str | None,
    replace: bool,
) -> None:
    """Import calibrations of one TYPE (bias, dark, flat: FITS frames of the trimmed detector; defects: tables with
    x0, y0, width, height) into REPO and certify them for a range of dates.
    """
    from pathlib import Path

    from lsst.daf.butler import Butler

    from skyloom.repo.calibrations import import_calibrations, parse_validity
    from skyloom.repo.frame_files import find_files
    from skyloom.repo.setup import read_camera

    validity = parse_validity(begin, end)
    paths = [Path(file).absolute() for file in files] if kind == "defects" else find_files(files)
    with Butler.from_config(repo, writeable=True) as butler:
        results = import_calibrations(
            butler,
            read_camera(butler, instrument),
            kind,
            paths,
            validity=validity,
            detector=detector,
            physical_filter=physical_filter,
            unit=unit,
            replace=replace,
        )
    good = [result for result in results if result.error is None]
    for result in results:
        if result.error is None:
            click.echo(f"{result.path.name}: {kind} of {', '.join(f'{k} {v}' for k, v in result.data_id.items())}")
        else:
            click.echo(f"Left out: {result.error}", err=True)
    click.echo(f"{len(good)} of {len(results)} imported and certified.")
    if not good:
        sys.exit(1)
