"""Queries that fetch a reference catalogue, for users who are on line."""

from __future__ import annotations

import math
from dataclasses import dataclass

from skyloom.errors import RefcatError

__all__ = ["CATALOGUES", "OnlineCatalogue", "adql"]


@dataclass(frozen=True)
class OnlineCatalogue:
    """A table of a service that speaks the table access protocol (TAP)."""

    title: str
    service: str
    """Where the query is sent."""
    table: str
    ra: str
    dec: str
    columns: tuple[str, ...]
    epoch: float | None
    """Julian year of the positions; None where a column holds it."""
    system: str
    pm_columns: tuple[str, str] | None
    import_options: str
    """What `skyloom refcat import` is told."""


CATALOGUES: dict[str, OnlineCatalogue] = {
    "gaia_dr3": OnlineCatalogue(
        "Gaia DR3",
        "https://gea.esac.esa.int/tap-server/tap",
        "gaiadr3.gaia_source",
        "ra",
        "dec",
        (
            "source_id", "ra", "dec", "ra_error", "dec_error", "ref_epoch", "pmra", "pmdec", "parallax",
            "phot_g_mean_mag", "phot_bp_mean_mag", "phot_rp_mean_mag",
        ),
        2016.0,
        "Vega",
        ("pmra", "pmdec"),
        "--system vega",
    ),
    "ps1": OnlineCatalogue(
        "Pan-STARRS1 DR2",
        "https://mast.stsci.edu/vo-tap/api/v0.1/ps1dr2",
        "dbo.MeanObjectView",
        "raMean",
        "decMean",
        (
            "objID", "raMean", "decMean", "epochMean", "gMeanPSFMag", "gMeanPSFMagErr", "rMeanPSFMag", "rMeanPSFMagErr",
            "iMeanPSFMag", "iMeanPSFMagErr", "zMeanPSFMag", "zMeanPSFMagErr", "yMeanPSFMag", "yMeanPSFMagErr",
        ),
        None,
        "AB",
        None,
        "--system ab",
    ),
    "2mass": OnlineCatalogue(
        "2MASS point sources (VizieR)",
        "https://tapvizier.cds.unistra.fr/TAPVizieR/tap",
        '"II/246/out"',
        "RAJ2000",
        "DEJ2000",
        ('"2MASS"', "RAJ2000", "DEJ2000", "Jmag", "e_Jmag", "Hmag", "e_Hmag", "Kmag", "e_Kmag"),
        2000.0,
        "Vega",
        None,
        '--system vega --id 2MASS --epoch 2000',
    ),
    "tycho2": OnlineCatalogue(
        "Tycho-2 (VizieR)",
        "https://tapvizier.cds.unistra.fr/TAPVizieR/tap",
        '"I/259/tyc2"',
        "RAmdeg",
        "DEmdeg",
        ("recno", "RAmdeg", "DEmdeg", "pmRA", "pmDE", "BTmag", "e_BTmag", "VTmag", "e_VTmag"),
        2000.0,
        "Vega",
        ("pmRA", "pmDE"),
        "--system vega --ra RAmdeg --dec DEmdeg --epoch 2000",
    ),
}  # fmt: skip


def adql(catalogue: str, ra_deg: float, dec_deg: float, radius_deg: float, *, epoch_year: float | None = None) -> str:
    """The query for the stars around a place, with comments that say where to send it and how to import the answer.

    Parameters
    ----------
    catalogue
        A key of `CATALOGUES`.
    ra_deg, dec_deg, radius_deg
        The circle, ICRS, degree.
    epoch_year
        Julian year of the observations.  Positions are asked for at the catalogue's own epoch, with proper motions;
        the circle is made wider by the way that a star of 1 arcsec a year has gone, and skyloom moves the stars.

    Raises
    ------
    RefcatError
        If the catalogue is not known, or the circle is none.
    """
    if catalogue not in CATALOGUES:
        raise RefcatError(f"the catalogue {catalogue!r} is not known.", cure=f"Use one of {', '.join(CATALOGUES)}.")
    if not (math.isfinite(ra_deg) and abs(dec_deg) <= 90.0 and 0.0 < radius_deg <= 180.0):
        raise RefcatError(
            f"RA {ra_deg}, Dec {dec_deg}, radius {radius_deg} deg is no circle on the sky.", cure="Give degrees."
        )
    source = CATALOGUES[catalogue]
    years = 0.0 if epoch_year is None or source.epoch is None else abs(epoch_year - source.epoch)
    radius = radius_deg + years / 3600.0
    epoch = "in each row" if source.epoch is None else f"J{source.epoch:.1f}"
    notes = [
        f"-- {source.title}; send to {source.service}; ask for CSV, FITS or Parquet",
        f"-- positions at epoch {epoch}; magnitudes: {source.system}",
        f"-- then: skyloom refcat import REPO FILE --name {catalogue} {source.import_options}",
    ]
    if epoch_year is not None and source.pm_columns is not None:
        notes.insert(2, f"-- skyloom moves the stars to J{epoch_year:.2f} by {' and '.join(source.pm_columns)}")
    point = f"POINT('ICRS', {source.ra}, {source.dec})"
    circle = f"CIRCLE('ICRS', {ra_deg % 360.0:.6f}, {dec_deg:.6f}, {radius:.6f})"
    lines = [
        *notes,
        f"SELECT {', '.join(source.columns)}",
        f"FROM {source.table}",
        f"WHERE 1 = CONTAINS({point}, {circle})",
    ]
    return "\n".join(lines)
