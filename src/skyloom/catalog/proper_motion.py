"""Where the stars of a catalogue stand at another epoch, and how well that is known."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from skyloom.errors import RefcatError

from .columns import float_column
from .htm import unit_vectors

__all__ = ["propagate"]

type Floats = NDArray[np.float64]

_MAS_PER_DEG = 3.6e6


def propagate(table: Table, epoch_year: float, *, required: bool = False) -> Table:
    """The table with the stars where they stand at an epoch (Julian year), as a copy.

    A star moves uniformly along a straight line in space, its radial velocity taken as 0 (The Hipparcos and Tycho
    Catalogues, ESA SP-1200, vol. 1, section 1.5.5), each row from its own `epoch`.  No parallax is applied: the
    position stays that seen from the barycentre, within one parallax of what the Earth sees.  Unknown proper motions
    are 0; rows without an epoch stay where they are.  Where there are `pm_ra_err` and `pm_dec_err`, what they amount to
    over the years is added in quadrature to `ra_err` and `dec_err`.

    Parameters
    ----------
    table
        A reference table; without columns of proper motion or epoch it is returned as it is.
    epoch_year
        Julian year.
    required
        Whether a table without proper motions is an error.

    Raises
    ------
    RefcatError
        If proper motions are required and a column lacks, or one has a unit that is none of proper motion.
    """
    lacking = [name for name in ("epoch", "pm_ra", "pm_dec") if name not in table.colnames]
    if lacking:
        if required:
            raise RefcatError(
                f"proper motions are required, and the reference catalogue has no column {', '.join(lacking)}.",
                cure="Import a catalogue with proper motions and their epoch.",
                keyword=lacking[0],
            )
        return table.copy()
    moved = table.copy()
    epoch = float_column(table, "epoch")
    years = np.where(np.isfinite(epoch), epoch_year - epoch, 0.0)
    radians = np.radians(np.stack([_per_year(table, name) * years for name in ("pm_ra", "pm_dec")], axis=-1))
    ra, dec = np.radians(float_column(table, "ra")), np.radians(float_column(table, "dec"))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    point = unit_vectors(np.degrees(ra), np.degrees(dec)) + (radians[:, :1] * east + radians[:, 1:] * north)
    moved["ra"][:] = np.degrees(np.arctan2(point[:, 1], point[:, 0])) % 360.0
    moved["dec"][:] = np.degrees(np.arctan2(point[:, 2], np.hypot(point[:, 0], point[:, 1])))
    moved["epoch"][:] = np.where(np.isfinite(epoch), epoch_year, epoch)
    for error, drift in (("ra_err", "pm_ra_err"), ("dec_err", "pm_dec_err")):
        if error in table.colnames and drift in table.colnames:
            moved[error][:] = np.hypot(float_column(table, error), _per_year(table, drift) * _MAS_PER_DEG * years)
    return moved


def _per_year(table: Table, name: str) -> Floats:
    """A proper motion, degree a year, 0 where it is unknown; mas/yr where the column has no unit."""
    unit = table[name].unit or u.mas / u.yr
    try:
        factor = u.Unit(unit).to(u.deg / u.yr)
    except u.UnitConversionError as error:
        raise RefcatError(
            f"{name} has the unit {unit}, which is none of proper motion.",
            cure="Import the catalogue anew.",
            keyword=name,
        ) from error
    values: Floats = np.nan_to_num(float_column(table, name), nan=0.0) * factor
    return values
