"""``skyloom calibs import``: masters and defects that other programs made."""

from __future__ import annotations

import sys

import click

from .options import REPOSITORY

_TYPES = (
    "bias",
    "dark",
    "flat",
    "fringe",
    "illum",
    "photometric_flat",
    "defects",
    "crosstalk",
    "linearizer",
    "brighter_fatter",
    "transmission_optics",
    "transmission_filter",
    "transmission_sensor",
    "transmission_atmosphere",
)


@click.command("import")
@click.argument("repo", type=REPOSITORY)
@click.argument("kind", metavar="TYPE", type=click.Choice(_TYPES))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True))
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--begin", help="First date of validity, UTC  [default: without bound]")
@click.option("--end", help="Date up to which they are valid, UTC  [default: without bound]")
@click.option("--detector", type=int, help="Id of the detector  [default: as the header tells]")
@click.option("--header-dates", is_flag=True, help="Valid as the headers of the masters say.")
@click.option("--filter", "physical_filter", help="Filter of the calibration  [default: as the header tells]")
@click.option(
    "--unit", help="Unit of the pixels, or of wavelengths  [default: as the file tells; bias: adu; flat: none]"
)
@click.option("--replace", is_flag=True, help="Replace what is certified for the same detector, filter and dates.")
def command(
    repo: str,
    kind: str,
    files: tuple[str, ...],
    instrument: str | None,
    begin: str | None,
    end: str | None,
    header_dates: bool,
    detector: int | None,
    physical_filter: str | None,
    unit: str | None,
    replace: bool,
) -> None:
    """Import calibrations of one TYPE into REPO and certify them for a range of dates.

    bias, dark, flat, fringe, illum, photometric_flat: FITS frames of the trimmed detector, or masters of the
    observatory; defects: tables with x0, y0, width, height, or images that are 0 where a pixel is bad; crosstalk,
    linearizer, brighter_fatter: YAML or JSON; transmission_...: tables of wavelength and throughput. FILES may be
    folders.
    """
    from lsst.daf.butler import Butler

    from skyloom.repo.calibration_files import calibration_files
    from skyloom.repo.calibrations import import_calibrations, parse_validity
    from skyloom.repo.setup import read_camera

    if header_dates and (begin or end):
        raise click.UsageError("--header-dates is given instead of --begin and --end.")
    validity = parse_validity(begin, end)
    paths = calibration_files(kind, files)
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
            header_dates=header_dates,
            replace=replace,
        )
    good = [result for result in results if result.error is None]
    for result in results:
        if result.error is None:
            of = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in result.data_id.items())
            note = f" ({result.note})" if result.note else ""
            click.echo(f"{result.path.name}: {kind}{' of ' + of if of else ''}{note}")
        else:
            click.echo(f"Left out: {result.error}", err=True)
    click.echo(f"{len(good)} of {len(results)} imported and certified.")
    if not good:
        sys.exit(1)
