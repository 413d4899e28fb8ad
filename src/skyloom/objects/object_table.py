"""The object table: a row an object, columns of its reference band, and of every band under the name of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

from skyloom.catalog.columns import flag_column, float_column
from skyloom.catalog.sources import PIXEL_FLAGS, PLUGINS, SourceColumn, aperture_name, source_columns

from .calibrated import COADD_FLAGS, is_inner

if TYPE_CHECKING:
    from skyloom.skymap import Patch, SkyMap

    from .merge import BandSources, MergedObjects

__all__ = ["band_columns", "make_object_table", "object_columns", "reference_values"]

_OF_REFERENCE = (
    "x_err",
    "y_err",
    "ixx",
    "iyy",
    "ixy",
    "psf_ixx",
    "psf_iyy",
    "psf_ixy",
    "extendedness",
    "flux_extendedness",
    "kron_radius",
    "blendedness",
    "flag_centroid",
    "flag_shape",
    "flag_kron_radius",
)
"""Columns that are those of the source in the reference band."""
_OF_FOOTPRINT = ("footprint_area", "flag_blended", "is_isolated")
_WORDS = {
    "extendedness": "How much the size differs from that of the PSF in the reference band: 0 like a star, up to 1.",
}


def object_columns() -> tuple[SourceColumn, ...]:
    """The columns of the object table that belong to no band."""
    known = {column.name: column for column in source_columns(u.nJy, plugins=PLUGINS)}
    of_reference = [
        SourceColumn(name, known[name].dtype, known[name].unit, _WORDS.get(name, known[name].description))
        for name in _OF_REFERENCE
    ]
    return (
        SourceColumn("object_id", "i8", None, "Identifier, unique over the sky map; the same in every run."),
        SourceColumn("parent_id", "i8", None, "Identifier of the first object of the blend; 0 when alone."),
        SourceColumn("tract", "i4", None, "Number of the tract."),
        SourceColumn("patch", "i4", None, "Number of the patch."),
        SourceColumn("ra", "f8", u.deg, "Right ascension in the reference band, ICRS."),
        SourceColumn("dec", "f8", u.deg, "Declination in the reference band, ICRS."),
        SourceColumn("x", "f8", u.pix, "Column on the tract in the reference band; pixel centres are integers."),
        SourceColumn("y", "f8", u.pix, "Row on the tract in the reference band."),
        SourceColumn("reference_band", "U16", None, "Band of the position and the shape."),
        SourceColumn("n_bands", "i4", None, "Bands in which the object was detected."),
        *of_reference,
        SourceColumn(
            "footprint_area", "i4", u.pix**2, "Pixels in the footprint, that of all of the blend in all bands."
        ),
        SourceColumn("flag_blended", "?", None, "The footprint has other objects."),
        SourceColumn("is_isolated", "?", None, "Alone in its footprint."),
        SourceColumn("is_inner_patch", "?", None, "In the inner box of the patch."),
        SourceColumn("is_inner_tract", "?", None, "In the part of the sky that the tract stands for."),
        SourceColumn("is_primary", "?", None, "In both: an object counts once over all patches and tracts."),
    )


def band_columns(radii: Sequence[float]) -> tuple[SourceColumn, ...]:
    """The columns of each band, without its name before theirs."""
    known = {column.name: column for column in source_columns(u.nJy, radii, plugins=())}
    fluxes = [
        SourceColumn("psf_flux", "f8", u.nJy, "Flux of the fitted PSF at the reference position."),
        SourceColumn("kron_flux", "f8", u.nJy, "Sum of the image in Kron's ellipse of the reference band."),
    ]
    columns = [
        SourceColumn("source_id", "i8", None, "Source of the band that is the object; 0 where it was not detected."),
        SourceColumn("detected", "?", None, "The object was detected."),
        SourceColumn("flag_no_coadd", "?", None, "There is no measured coadd of the patch."),
    ]
    for flux in fluxes:
        name = flux.name.removesuffix("_flux")
        columns += [
            flux,
            SourceColumn(f"{flux.name}_err", "f8", u.nJy, f"Standard error of {flux.name}."),
            SourceColumn(f"{name}_mag", "f8", u.mag, f"AB magnitude of {flux.name}."),
            SourceColumn(f"{name}_mag_err", "f8", u.mag, f"Standard error of {name}_mag."),
            SourceColumn(
                f"flag_{flux.name}",
                "?",
                None,
                f"{flux.name} is missing or lacks pixels.",
            ),
        ]
    for radius in radii:
        suffix = aperture_name(radius)
        columns += [known[f"aperture_{name}"] for name in (f"flux_{suffix}", f"flux_{suffix}_err", f"flag_{suffix}")]
    columns += [known[f"flag_{name}_center"] for name in PIXEL_FLAGS]
    columns += [
        SourceColumn(f"flag_{name}_center", "?", None, f"One of the 3 x 3 pixels at the position {text}.")
        for name, (_, text) in COADD_FLAGS.items()
    ]
    return (*columns, SourceColumn("n_inputs", "i4", None, "Frames that have a pixel at the position."))


_FAILURES = ("flag_no_coadd", "flag_psf_flux", "flag_kron_flux", "flag_no_data_center", "aperture_flag_")
"""Flags that say that a value is missing: set where a band is."""


def reference_values(merged: MergedObjects, sources: Mapping[str, BandSources], name: str) -> np.ndarray:
    """A column of the reference bands, a value an object; NaN, or set flags, where the table lacks it."""
    flag = name.startswith("flag_")
    values = np.full(len(merged), True if flag else np.nan)
    for band, one in sources.items():
        mine = merged.reference_band == band
        if name in one.table.colnames:
            column = flag_column(one.table, name) if flag else float_column(one.table, name)
            values[mine] = column[merged.rows[band][mine]]
    return values


def make_object_table(
    merged: MergedObjects,
    sources: Mapping[str, BandSources],
    forced: Mapping[str, Table],
    bands: Sequence[str],
    radii: Sequence[float],
    patch: Patch,
    sky_map: SkyMap,
) -> Table:
    """Put the objects of a patch into one table.

    Parameters
    ----------
    merged
        The objects.
    sources
        By band, what they were merged from.
    forced
        By band, their forced measurements; at least one where there are objects.
    bands
        Bands to have columns, in order.  Where one has no forced measurement, its numbers are NaN and flagged.
    radii
        Of the apertures, px.
    patch, sky_map
        Where they are.
    """
    table = Table(meta={"aperture_radii": [float(radius) for radius in radii], "bands": list(bands)})
    for column in object_columns():
        _add(table, column, column.name, len(merged))
    if len(merged):
        _fill_general(table, merged, sources, next(iter(forced.values())), patch, sky_map)
    for band in bands:
        for column in band_columns(radii):
            _add(table, column, f"{band}_{column.name}", len(merged), band)
        _fill_band(table, band, merged, sources.get(band), forced.get(band), radii)
    return table


def _add(table: Table, column: SourceColumn, name: str, n: int, band: str = "") -> None:
    """Add an empty column: NaN, 0, False; flags of a band that say that something is missing are set."""
    fill = np.nan if column.dtype.startswith("f") else bool(band) and column.name.startswith(_FAILURES)
    values = np.full(n, "" if column.dtype.startswith("U") else fill, dtype=column.dtype)
    text = f"{column.description} Band {band}." if band else column.description
    table[name] = Column(values, unit=column.unit, description=text)


def _fill_general(
    table: Table,
    merged: MergedObjects,
    sources: Mapping[str, BandSources],
    measured: Table,
    patch: Patch,
    sky_map: SkyMap,
) -> None:
    """Fill what belongs to no band."""
    table["object_id"][:], table["parent_id"][:] = measured["source_id"], measured["parent_id"]
    table["tract"][:], table["patch"][:] = patch.tract.id, patch.id
    for name in ("x", "y", "ra", "dec", *_OF_FOOTPRINT):
        table[name][:] = np.asarray(measured[name])
    for name in _OF_REFERENCE:
        table[name][:] = reference_values(merged, sources, name)
    table["reference_band"][:] = merged.reference_band
    table["n_bands"][:] = np.sum([rows >= 0 for rows in merged.rows.values()], axis=0)
    in_patch, in_tract = is_inner(table, patch, sky_map)
    table["is_inner_patch"][:], table["is_inner_tract"][:] = in_patch, in_tract
    table["is_primary"][:] = in_patch & in_tract


def _fill_band(
    table: Table,
    band: str,
    merged: MergedObjects,
    sources: BandSources | None,
    measured: Table | None,
    radii: Sequence[float],
) -> None:
    """Fill the columns of a band."""
    if sources is not None:
        rows = merged.rows[band]
        found = rows >= 0
        table[f"{band}_detected"][:] = found
        table[f"{band}_source_id"][found] = np.asarray(sources.table["source_id"])[rows[found]]
    if measured is None:
        return
    table[f"{band}_flag_no_coadd"][:] = False
    for column in band_columns(radii):
        if column.name in measured.colnames and column.name != "source_id":
            table[f"{band}_{column.name}"][:] = np.asarray(measured[column.name])
