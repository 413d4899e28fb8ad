"""Reference catalogues: their columns, proper motion, and the stars of a circle from shards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
from astropy.table import Table, vstack
from numpy.typing import NDArray

from skyloom.errors import RefcatError

from .columns import float_column
from .htm import circle_shards
from .matching import separation_arcsec
from .proper_motion import propagate

__all__ = [
    "ERROR_COLUMNS",
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

ERROR_COLUMNS: dict[str, tuple[str, u.UnitBase | None, str]] = {
    "pm_ra_err": ("f4", u.mas / u.yr, "Error of pm_ra."),
    "pm_dec_err": ("f4", u.mas / u.yr, "Error of pm_dec."),
}
"""Columns that a table has only where the catalogue gives them."""

_NEEDED = ("id", "ra", "dec")
_LOG = logging.getLogger(__name__)

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
    given = {name: entry for name, entry in ERROR_COLUMNS.items() if name in columns}
    for name, (dtype, unit, text) in (POSITION_COLUMNS | given).items():
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
    require_proper_motion: bool = False
    """Whether stars whose catalogue has no proper motions are refused when an epoch is asked for."""
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
            Without rows, and without fluxes, where the catalogue holds no shard of the circle at all.  Its metadata
            name holes: `absent_shards`, of which the catalogue has nothing (the sky may be empty there), and
            `unreadable_shards`, whose files are gone.

        Raises
        ------
        RefcatError
            If two shards disagree about their columns, one lacks a column, or all of the circle are unreadable.
        """
        touched = circle_shards(ra_deg, dec_deg, radius_deg + _MARGIN_DEG)
        wanted = [n for n in touched if n in self.shards]
        if not wanted:
            table = reference_table({name: np.zeros(0) for name in POSITION_COLUMNS})
            table.meta |= {"absent_shards": touched, "unreadable_shards": []}
            return table
        read = {n: shard for n in wanted if (shard := self._shard(n)) is not None}
        unreadable = [n for n in wanted if n not in read]
        if not read:
            raise RefcatError(
                f"no shard of the reference catalogue around RA {ra_deg:.4f}, Dec {dec_deg:+.4f} deg can be read: "
                f"{', '.join(map(str, unreadable))}.",
                cure="Import the catalogue anew with --replace.",
            )
        table = _join(list(read.values()))
        table = table[np.unique(np.asarray(table["id"]), return_index=True)[1]]
        table = table[np.isfinite(float_column(table, "ra")) & np.isfinite(float_column(table, "dec"))]
        if epoch_year is not None:
            table = propagate(table, epoch_year, required=self.require_proper_motion)
        table = select_circle(table, ra_deg, dec_deg, radius_deg)
        table.meta |= {"absent_shards": [n for n in touched if n not in self.shards], "unreadable_shards": unreadable}
        return table

    def _shard(self, shard: int) -> Table | None:
        """A shard, read once; None where its file is gone."""
        if shard not in self.cache:
            try:
                table = self.shards[shard]()
            except OSError as error:
                _LOG.warning("Shard %d of the reference catalogue cannot be read: %s", shard, error)
                return None
            lacking = [name for name in _NEEDED if name not in table.colnames]
            if lacking:
                raise RefcatError(
                    f"shard {shard} of the reference catalogue has no column {', '.join(lacking)}.",
                    cure="Import the catalogue anew with --replace.",
                    keyword=lacking[0],
                )
            self.cache[shard] = table
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
