"""``skyloom skymap make``: a sky map around the fitted frames, or one of the whole sky."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from skyloom.skymap import SkyMap

_KINDS = ("discrete", "rings", "equatorial", "healpix", "dodecahedron")


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), help="What to make  [default: discrete, around the frames]")
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="YAML file with the definition.")
@click.option("-c", "--collections", help="Where the visit summaries are, separated by commas.")
@click.option("-i", "--instrument", help="Whose frames to enclose, or to register patches for.")
@click.option("--where", default="", help="A butler expression that picks visits.")
@click.option("--append-to", default="", help="Discrete: begin with the tracts of this sky map.")
@click.option("--pixel-scale", type=float, help="Arcseconds a pixel  [default: discrete: the median of the frames]")
@click.option("--patch-size", type=int, help="Inner side of a patch in pixels  [default: discrete 2000, others 4000]")
@click.option("--border", "patch_border", type=int, help="Border of a patch in pixels.")
@click.option("--cells", is_flag=True, help="Patches of 20 x 20 cells of 150 pixels, and a ring of cells around them.")
@click.option("--projection", help="Its code in FITS headers, such as TAN.")
@click.option("--overlap", "tract_overlap", type=float, help="Degrees that neighbouring tracts share.")
@click.option("--rotation", type=float, help="Angle of the pixel grids, degrees.")
@click.option("--num-rings", type=int, help="Rings: how many.")
@click.option("--ra-start", type=float, help="Rings: right ascension of the first tract of each, degrees.")
@click.option("--numbering", type=int, help="Rings: 0 for the public data of Hyper Suprime-Cam.")
@click.option("--num-tracts", type=int, help="Equatorial: how many.")
@click.option("--dec-range", type=float, nargs=2, help="Equatorial: lower and upper declination, degrees.")
@click.option("--nside", type=int, help="Healpix: the resolution, a power of 2.")
@click.option("--nest", is_flag=True, help="Healpix: number tracts in the nested scheme.")
@click.option("--tracts-on-poles", is_flag=True, help="Dodecahedron: centre a tract on each pole.")
def command(
    repo: str,
    name: str,
    kind: str | None,
    file: str | None,
    collections: str | None,
    instrument: str | None,
    where: str,
    append_to: str,
    **options: Any,
) -> None:
    """Make the sky map NAME in REPO.

    Around the frames that were calibrated in -c COLLECTIONS unless --kind or --file says otherwise; those frames get
    their fitted regions.  Of a sky map of the whole sky, with -i INSTRUMENT the patches are registered that its
    frames touch.
    """
    from lsst.daf.butler import Butler

    from .skymap_describe import describe

    settings = _settings(options)
    around = file is None and kind in (None, "discrete")
    if around and not (collections and instrument):
        raise click.UsageError("A discrete sky map needs -c COLLECTIONS and -i INSTRUMENT, or a --file.")
    if not around and append_to:
        raise click.UsageError("--append-to is for discrete sky maps.")
    with Butler.from_config(repo, writeable=True) as butler:
        if around:
            sky_map = _make_around(butler, name, collections, instrument, where, append_to, settings)
        else:
            sky_map = _define(butler, name, kind, file, settings)
            if instrument:
                _register_frames(butler, sky_map, collections, instrument, where)
        describe(butler, sky_map)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Fields of the definition from the options that were given."""
    settings = {key: value for key, value in options.items() if value not in (None, False)}
    if settings.pop("cells", False):
        settings["layout"] = {"kind": "cells"}
        if settings.keys() & {"patch_size", "patch_border"}:
            raise click.UsageError("--cells has a size and a border of its own; others are given in a --file.")
    return settings


def _make_around(
    butler: Any, name: str, collections: str | None, instrument: str | None, where: str, append_to: str, settings: Any
) -> SkyMap:
    from skyloom.repo.regions import update_regions
    from skyloom.repo.skymaps import make_sky_map

    assert collections
    assert instrument
    names = collections.split(",")
    update_regions(butler, names, instrument, where=where)
    return make_sky_map(
        butler,
        name,
        names,
        instrument=instrument,
        pixel_scale_arcsec=settings.pop("pixel_scale", None),
        patch_size=settings.pop("patch_size", None),
        border=settings.pop("patch_border", None),
        where=where,
        append_to=append_to,
        settings=settings,
    )


def _define(butler: Any, name: str, kind: str | None, file: str | None, settings: dict[str, Any]) -> SkyMap:
    from pathlib import Path

    from skyloom.repo.skymap_definitions import read_definition, sky_map_of
    from skyloom.repo.skymap_store import register_sky_map

    if file is not None:
        if settings or kind:
            raise click.UsageError("With a --file the definition is that of the file; give no other settings.")
        sky_map = read_definition(Path(file), name=name)
    else:
        sky_map = sky_map_of({"kind": kind, "name": name, **settings})
    register_sky_map(butler, sky_map)
    return sky_map


def _register_frames(butler: Any, sky_map: SkyMap, collections: str | None, instrument: str, where: str) -> None:
    from skyloom.repo.fitted_frames import read_fitted_frames
    from skyloom.repo.regions import update_regions
    from skyloom.repo.skymap_records import outlines_in_registry, register_around

    if collections:
        names = collections.split(",")
        update_regions(butler, names, instrument, where=where)
        frames = read_fitted_frames(butler, names, instrument=instrument, where=where)
        register_around(butler, sky_map, frames.ra_corners, frames.dec_corners)
    else:
        register_around(butler, sky_map, *outlines_in_registry(butler, instrument, where))
