"""The reference catalogue of a file: its name, system and filters, as far as the file tells them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler

from skyloom.errors import RefcatError
from skyloom.repo.collections import REFCATS
from skyloom.repo.refcat import RefcatImport, RefcatReport, reference_catalogue
from skyloom.repo.refcat_columns import RefcatColumns
from skyloom.repo.refcat_files import column_names

from .fields import Field
from .inventory import Inventory

__all__ = ["References", "check_filters", "has_references", "how_to_get_one", "references_of"]

_AB = frozenset("ugrizy")
"""Filters of the Sloan system, whose magnitudes catalogues give in AB; those of all others that are known are Vega."""


@dataclass(frozen=True)
class References:
    """A catalogue to import."""

    files: Sequence[Path]
    spec: RefcatImport
    filters: Sequence[str]
    line: str
    """What is said of it."""

    def check_measured(self, inventory: Inventory, report: RefcatReport) -> None:
        """See that an import found magnitudes in a filter that frames are calibrated against.

        Raises
        ------
        RefcatError
            If not.
        """
        wanted = _wanted(inventory)
        empty = {name for name in self.filters if report.unmeasured.get(name, 0) == report.n_rows}
        if wanted and empty.issuperset(wanted.values()):
            told = ", ".join(sorted(set(wanted.values())))
            raise RefcatError(
                f"none of its {report.n_rows} stars has a usable magnitude in {told}.",
                file=str(self.files[0]),
                cure="Look into that column, or give another catalogue.",
            )


def references_of(files: Sequence[Path], *, system: str | None = None, epoch: str | None = None) -> References:
    """What is known of catalogue files by the names of their columns; no row is read.

    Parameters
    ----------
    files
        CSV, FITS or Parquet files with the same columns.
    system
        AB or Vega; where it is None, that in which the filters are usually given.
    epoch
        Julian year of the positions, or the column that holds it.

    Raises
    ------
    RefcatError
        If there is no position, no magnitude, or the filters are of both systems.
    """
    for file in files:
        if not file.is_file():
            raise RefcatError("no such catalogue file.", file=str(file), cure="Check the path of --refcat.")
    present = column_names(files[0])
    year = _number(epoch)
    stated = {} if epoch is None or year is not None else {"epoch": epoch}
    columns = _columns(present, stated, str(files[0]))
    if columns.pm_ra is not None and columns.epoch is None and year is None:
        raise RefcatError(
            "the catalogue has proper motions, and nothing says at which epoch its positions hold.",
            file=str(files[0]),
            keyword="--refcat-epoch",
            cure="State it: --refcat-epoch 2016.0, or --refcat-epoch COLUMN.",
        )
    chosen = system or _usual_system(columns.filters, files[0])
    name = re.sub(r"[^A-Za-z0-9_]+", "_", files[0].name.split(".")[0]).strip("_") or "stars"
    told = "as said" if system else "as such filters usually are; --refcat-system says otherwise"
    what = ", ".join(f"{name} ({columns.magnitudes[name]})" for name in columns.filters)
    spec = RefcatImport(name=name, system=chosen, stated=stated, epoch_year=year)
    return References(files, spec, columns.filters, f"{files[0].name}: filters {what}; {chosen} magnitudes, {told}")


def _columns(present: Sequence[str], stated: Mapping[str, str], file: str) -> RefcatColumns:
    """The columns by their names.  What cannot be guessed, the command for catalogues takes."""
    there = f"the file has {', '.join(present) or 'no columns'}."
    command = "Import it with 'skyloom refcat import REPO FILE {} ...', and leave --refcat out."
    try:
        columns = RefcatColumns.choose(present, stated=stated, file=file)
    except RefcatError as error:
        if error.keyword not in ("--ra", "--dec"):
            raise
        cause = f"no column is known to hold {error.keyword[2:]}; {there}"
        raise RefcatError(cause, file=file, cure=command.format("--ra COLUMN --dec COLUMN")) from error
    if not columns.filters:
        cause = f"no column is known to hold a magnitude; {there}"
        raise RefcatError(cause, file=file, cure=command.format("--mag FILTER=COLUMN"))
    return columns


def _usual_system(filters: Sequence[str], file: Path) -> str:
    systems = {"AB" if name in _AB else "Vega" for name in filters}
    if len(systems) > 1:
        raise RefcatError(
            f"the filters {', '.join(filters)} are usually given in different systems.",
            file=str(file),
            keyword="--refcat-system",
            cure="Say in which these are: --refcat-system AB, or Vega.",
        )
    return systems.pop()


def check_filters(inventory: Inventory, filters: Collection[str]) -> list[str]:
    """Words about filters of the frames of the sky that the catalogue cannot calibrate.

    Raises
    ------
    RefcatError
        If it can calibrate none of them.
    """
    wanted = _wanted(inventory)
    lacking = {name: reference for name, reference in wanted.items() if reference not in filters}
    if wanted and len(lacking) == len(wanted):
        told = ", ".join(f"{name} against {reference}" for name, reference in lacking.items())
        raise RefcatError(
            f"frames are calibrated {told}, and the reference catalogue has {', '.join(filters) or 'no filter'}.",
            cure="Give another catalogue, or correct `reference` of the filters in the camera's description.",
        )
    return [
        f"frames in {name} get no zero point: no {reference} in the catalogue" for name, reference in lacking.items()
    ]


def _wanted(inventory: Inventory) -> dict[str, str]:
    """Filter of the frames of the sky: that of the catalogue which it is calibrated against."""
    used = {one.physical_filter for one in inventory.science}
    return {name: entry.reference or entry.band for name, entry in inventory.camera.filters.items() if name in used}


def has_references(butler: Butler) -> bool:
    """Whether a repository has a reference catalogue."""
    if not list(butler.collections.query(REFCATS)):
        return False
    try:
        return bool(reference_catalogue(butler).shards)
    except LookupError:
        return False


def how_to_get_one(inventory: Inventory, fields: Sequence[Field]) -> RefcatError:
    """The error of a repository without reference stars, with the commands that fetch those of its fields."""
    years = [one.mid_year for one in inventory.science if one.mid_year == one.mid_year]
    epoch = f" --epoch {sum(years) / len(years):.2f}" if years else ""
    pointing = inventory.camera.pointing_error_deg
    commands = [
        f"skyloom refcat query --ra {one.ra:.4f} --dec {one.dec:.4f} "
        f"--radius {0.5 * (one.width_deg**2 + one.height_deg**2) ** 0.5 + pointing:.2f}{epoch}"
        for one in fields[:3]
    ]
    how = f"'{commands[0]}' prints the query that fetches one" if commands else "See 'skyloom refcat query --help'"
    more = f" (and {len(fields) - 1} more for the other fields)" if len(fields) > 1 else ""
    return RefcatError(
        "there is no reference catalogue, and the frames cannot be calibrated without one.",
        keyword="--refcat",
        cure=f"Give its file with --refcat. {how}{more}. Or only remove the instrument's signature: --skip calibrate.",
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
