"""Reference catalogues: their columns, proper motion, and the stars of a circle from shards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from skyloom.errors import RefcatError

from .htm import circle_shards, unit_vectors
from .matching import separation_arcsec

__all__ = [
    "POSITION_COLUMNS",
    "ShardedCatalogue",
    "filter_flux",
    "filter_names",
    "propagate",
    "reference_table",
    "select_circle",
]

type Floats = NDArray[np.float64]

POSITION_COLUMNS: dict[str, tuple[str, u.UnitBase | None, str]] = {
    "id": ("i8", None, "Identifier in the catalogue, or a number given at import."),
    "ra": ("f8", u.deg, "Right ascension, ICRS, at `epoch`."),
    "dec": ("f8", u.deg, "Declination, ICRS, at `epoch`."),
    "epoch": ("f8", u.yr, "Julian year (TDB) of the position."),
    "pm_ra": ("f8", u.mas / u.yr, "Proper motion in right ascension times cos(dec); NaN: unknown, taken as 0."),
    "pm_dec": ("f8", u.mas / u.yr, "Proper motion in declination; NaN: unknown, taken as 0."),
    "parallax": ("f8", u.mas, "Parallax; NaN: unknown."),
    "ra_err": ("f4", u.mas, "Error of the position along right ascension, on the sky."),
    "dec_err": ("f4", u.mas, "Error of the declination."),
}
"""Name of a column: its type, unit and meaning.  Each filter adds `flux_<name>` and `flux_<name>_err` in nJy (AB)."""

_MARGIN_DEG = 0.02
"""Widening of a circle when shards are chosen, for stars that have moved since the catalogue's epoch."""


def reference_table(columns: Mapping[str, NDArray[np.generic]], *, filters: Iterable[str] = ()) -> Table:
    """A reference table with all its columns, units and descriptions; those not given are NaN.

    Parameters
    ----------
    columns
        Values by column; `id`, `ra`, `dec` and `epoch` are needed.
    filters
        Names of filters, whose fluxes are columns too.
    """
    n = len(columns["ra"])
    table = Table()
    for name, (dtype, unit, text) in POSITION_COLUMNS.items():
        values = columns[name] if name in columns else np.full(n, np.nan)
        table[name] = np.asarray(values).astype(dtype)
        table[name].unit, table[name].description = unit, text
    for name in filters:
        for column, text in ((f"flux_{name}", f"Flux in {name}, AB."), (f"flux_{name}_err", f"Its error in {name}.")):
            table[column] = np.asarray(columns.get(column, np.full(n, np.nan)), np.float64)
            table[column].unit, table[column].description = u.nJy, text
    return table


def filter_names(table: Table) -> list[str]:
    """Names of the filters whose fluxes a reference table holds."""
    names = [name.removeprefix("flux_") for name in table.colnames if name.startswith("flux_")]
    return [name for name in names if not name.endswith("_err")]


def filter_flux(table: Table, name: str | None) -> Floats:
    """Fluxes (nJy) in the filter ``name``, or in the first filter where it is None.

    Raises
    ------
    RefcatError
        If the table lacks the filter.
    """
    present = filter_names(table)
    chosen = name if name is not None else next(iter(present), None)
    if chosen not in present:
        raise RefcatError(
            f"the reference catalogue has no filter {name!r}; it has {', '.join(present) or 'none'}.",
            cure="Name one of these as the reference filter in the camera description, or import that filter.",
            keyword=f"flux_{name}",
        )
    return np.asarray(table[f"flux_{chosen}"], np.float64)


def propagate(table: Table, epoch_year: float) -> Table:
    """The table with the stars where they stand at an epoch (Julian year), as a copy.

    A star moves uniformly along a straight line in space, its radial velocity taken as 0 (The Hipparcos and Tycho
    Catalogues, ESA SP-1200, vol. 1, section 1.5.5).  No parallax is applied: the position stays that seen from the
    barycentre, within one parallax of what the Earth sees.  Unknown proper motions are 0.
    """
    moved = table.copy()
    years = epoch_year - np.asarray(table["epoch"], np.float64)
    along_ra, along_dec = (_known(table[name]) * years for name in ("pm_ra", "pm_dec"))
    ra, dec = np.radians(np.asarray(table["ra"], float)), np.radians(np.asarray(table["dec"], float))
    east = np.stack([-np.sin(ra), np.cos(ra), np.zeros_like(ra)], axis=-1)
    north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=-1)
    radians = np.radians(np.stack([along_ra, along_dec], axis=-1) / 3.6e6)
    point = unit_vectors(table["ra"], table["dec"]) + radians[:, :1] * east + radians[:, 1:] * north
    moved["ra"][:] = np.degrees(np.arctan2(point[:, 1], point[:, 0])) % 360.0
    moved["dec"][:] = np.degrees(np.arctan2(point[:, 2], np.hypot(point[:, 0], point[:, 1])))
    moved["epoch"][:] = epoch_year
    return moved


def _known(column: NDArray[np.float64]) -> Floats:
    """The values, with 0 for NaN."""
    return np.nan_to_num(np.asarray(column, np.float64), nan=0.0)


def select_circle(table: Table, ra_deg: float, dec_deg: float, radius_deg: float) -> Table:
    """The rows within a circle on the sky, the edge included."""
    distance = separation_arcsec(table["ra"], table["dec"], ra_deg, dec_deg)
    return table[distance <= radius_deg * 3600.0]


@dataclass(eq=False)
class ShardedCatalogue:
    """A reference catalogue in shards, read when they are needed and kept.

    An instance is called as ``catalogue(ra_deg, dec_deg, radius_deg, epoch_year)``.
    """

    shards: Mapping[int, Callable[[], Table]]
    """Id of a shard: what reads it.  Shards that are not there hold no stars."""
    cache: dict[int, Table] = field(default_factory=dict, repr=False)

    def __call__(self, ra_deg: float, dec_deg: float, radius_deg: float, epoch_year: float | None) -> Table:
        """The stars that stand within a circle at an epoch, each id once, ascending.

        Parameters
        ----------
        ra_deg, dec_deg, radius_deg
            The circle, ICRS, degree.
        epoch_year
            Julian year of the observation; None leaves the stars at the catalogue's epoch.

        Returns
        -------
        table
            Without rows, and without fluxes, where the catalogue holds no shard of the circle at all.

        Raises
        ------
        RefcatError
            If two shards disagree about their columns.
        """
        wanted = [n for n in circle_shards(ra_deg, dec_deg, radius_deg + _MARGIN_DEG) if n in self.shards]
        if not wanted:
            return reference_table({name: np.zeros(0) for name in POSITION_COLUMNS})
        table = _join([self._shard(n) for n in wanted])
        table = table[np.unique(np.asarray(table["id"]), return_index=True)[1]]
        if epoch_year is not None:
            table = propagate(table, epoch_year)
        return select_circle(table, ra_deg, dec_deg, radius_deg)

    def _shard(self, shard: int) -> Table:
        """A shard, read once."""
        if shard not in self.cache:
            self.cache[shard] = self.shards[shard]()
        return self.cache[shard]


def _join(tables: list[Table]) -> Table:
    """One table of several with the same columns."""
    for table in tables[1:]:
        if set(table.colnames) != set(tables[0].colnames):
            raise RefcatError(
                f"shards of the reference catalogue have different columns: {sorted(tables[0].colnames)} and "
                f"{sorted(table.colnames)}.",
                cure="Read one catalogue at a time, from its own collection refcats/NAME.",
            )
    return vstack(tables, metadata_conflicts="silent") if len(tables) > 1 else tables[0]
