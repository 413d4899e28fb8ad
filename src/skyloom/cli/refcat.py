"""``skyloom refcat``: import a reference catalogue; print the query that fetches one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import REPOSITORY

__all__ = ["command"]

_QUANTITIES = ("ra", "dec", "id", "pm_ra", "pm_dec", "parallax", "ra_err", "dec_err")


@click.group(name="refcat", context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Reference catalogues."""


@command.command(name="import")
@click.argument("repo", type=REPOSITORY)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="Name of the catalogue: it becomes the collection refcats/NAME.")
@click.option(
    "--system",
    required=True,
    type=click.Choice(["AB", "Vega"], case_sensitive=False),
    help="System of the magnitudes.",
)
@click.option("--ra", help="Column of the right ascension, degree (or radian where a FITS file says so).")
@click.option("--dec", help="Column of the declination.")
@click.option("--id", "id_", help="Column of the identifier.")
@click.option("--epoch", help="Julian year of the positions, or the column that holds it (years or MJD).")
@click.option("--pm-ra", help="Column of the proper motion in right ascension, mas/yr.")
@click.option("--pm-dec", help="Column of the proper motion in declination, mas/yr.")
@click.option(
    "--pm-ra-is",
    type=click.Choice(["cosdec", "coordinate"]),
    default="cosdec",
    show_default=True,
    help="Whether that in right ascension holds the factor cos(dec).",
)
@click.option("--parallax", help="Column of the parallax, mas.")
@click.option("--ra-err", help="Column of the error of the position along right ascension, mas.")
@click.option("--dec-err", help="Column of the error of the declination, mas.")
@click.option("--mag", multiple=True, metavar="FILTER=COLUMN", help="Column of a magnitude; may be repeated.")
@click.option("--mag-err", multiple=True, metavar="FILTER=COLUMN", help="Column of its error.")
@click.option("--flux", multiple=True, metavar="FILTER=COLUMN", help="Column of a flux.")
@click.option("--flux-err", multiple=True, metavar="FILTER=COLUMN", help="Column of its error.")
@click.option("--flux-unit", default="nJy", show_default=True, help="Unit of the fluxes.")
@click.option(
    "--vega-offset",
    multiple=True,
    metavar="FILTER=VALUE",
    help="AB less catalogue magnitude, where it is not the well-known one.",
)
@click.option("--replace", is_flag=True, help="Replace a catalogue of the same name.")
def import_(repo: str, files: tuple[Path, ...], name: str, system: str, **options: Any) -> None:
    """Import catalogue FILES (CSV, FITS, Parquet; gzip too) into REPO.

    Columns with well-known names are found by themselves.
    """
    from lsst.daf.butler import Butler

    from skyloom.repo.refcat import RefcatImport, import_refcat

    options["id"] = options.pop("id_")
    stated = {quantity: options[quantity] for quantity in _QUANTITIES if options[quantity] is not None}
    year = _number(options["epoch"])
    if options["epoch"] is not None and year is None:
        stated["epoch"] = options["epoch"]
    spec = RefcatImport(
        name=name,
        system=system,
        stated=stated,
        epoch_year=year,
        pm_ra_is_coordinate=options["pm_ra_is"] == "coordinate",
        magnitudes=_pairs("--mag", options["mag"]),
        magnitude_errors=_pairs("--mag-err", options["mag_err"]),
        fluxes=_pairs("--flux", options["flux"]),
        flux_errors=_pairs("--flux-err", options["flux_err"]),
        flux_unit=options["flux_unit"],
        vega_offsets=_numbers("--vega-offset", options["vega_offset"]),
    )
    with Butler.from_config(repo, writeable=True) as butler:
        report = import_refcat(butler, files, spec, replace=options["replace"])
    _tell(report)


def _tell(report: Any) -> None:
    """Say what was imported, and what was guessed."""
    columns = report.columns
    click.echo(f"{report.n_rows} stars in {report.n_shards} shards of {report.run}")
    if report.n_dropped:
        click.echo(f"{report.n_dropped} rows without a usable position were left out")
    used = {quantity: getattr(columns, quantity) for quantity in (*_QUANTITIES, "epoch")}
    click.echo("columns: " + ", ".join(f"{quantity}={column}" for quantity, column in used.items() if column))
    for name in columns.filters:
        column = columns.magnitudes.get(name) or columns.fluxes.get(name)
        shift = f", {report.offsets[name]:+.3f} mag to AB" if report.offsets.get(name) else ""
        click.echo(f"filter {name}: {column}{shift}, {report.unmeasured.get(name, 0)} rows without a value")
    if not columns.filters:
        click.echo("no fluxes: the catalogue serves astrometry only")


@command.command()
@click.option("--ra", type=float, required=True, help="Right ascension of the field, degree.")
@click.option("--dec", type=float, required=True, help="Declination, degree.")
@click.option("--radius", type=float, required=True, help="Radius, degree: half the diagonal plus the pointing error.")
@click.option("--epoch", type=float, help="Julian year of the observations.")
@click.option("--catalog", default="gaia_dr3", show_default=True, help="gaia_dr3, ps1, 2mass or tycho2.")
def query(ra: float, dec: float, radius: float, epoch: float | None, catalog: str) -> None:
    """Print the ADQL query that fetches the stars of a field."""
    from skyloom.repo.refcat_query import adql

    click.echo(adql(catalog, ra, dec, radius, epoch_year=epoch))


def _number(text: str | None) -> float | None:
    """A number, or None where the text is none."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _pairs(option: str, values: tuple[str, ...]) -> dict[str, str]:
    """FILTER=COLUMN options as a mapping."""
    pairs = {}
    for value in values:
        name, found, column = value.partition("=")
        if not (name and found and column):
            raise click.BadParameter(f"{value!r} is not FILTER=COLUMN", param_hint=option)
        pairs[name] = column
    return pairs


def _numbers(option: str, values: tuple[str, ...]) -> dict[str, float]:
    """FILTER=VALUE options as a mapping."""
    try:
        return {name: float(text) for name, text in _pairs(option, values).items()}
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
