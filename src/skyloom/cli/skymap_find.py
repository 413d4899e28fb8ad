"""``skyloom skymap find``: the tracts and patches at a position."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .options import REPOSITORY

if TYPE_CHECKING:
    from skyloom.skymap import Tract


# A declination may begin with a minus sign.
@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("repo", type=REPOSITORY)
@click.argument("name")
@click.argument("ra")
@click.argument("dec")
def command(repo: str, name: str, ra: str, dec: str) -> None:
    """Find the tracts and patches of the sky map NAME of REPO at a position.

    RA and DEC are in degrees, or like 10:00:28.6 +02:12:21.  The first tract is the one that stands for the position.
    """
    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError

    from .skymap_describe import stored

    where = _degrees(ra, "hourangle"), _degrees(dec, "deg")
    with Butler.from_config(repo) as butler:
        sky_map = stored(butler, repo, name)
    own = sky_map.find_tract(*where).id
    tracts = sorted(sky_map.tracts_containing(*where), key=lambda tract: tract.id != own)
    if not tracts:
        raise RepositoryError(f"Position ({where[0]:.6f}, {where[1]:.6f}) is on no tract of {name!r}.")
    for tract in tracts:
        _tell(tract, *where)


def _degrees(text: str, unit: str) -> float:
    """Degrees from a number of them, or from hours or degrees with minutes and seconds."""
    from astropy.coordinates import Angle

    try:
        return float(text)
    except ValueError:
        pass
    try:
        return float(Angle(text, unit=unit).deg)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no angle.") from error


def _tell(tract: Tract, ra: float, dec: float) -> None:
    import numpy as np

    own = tract.find_patch(ra, dec)
    x, y = (float(pixel) for pixel in tract.pixels_of(np.asarray(ra), np.asarray(dec)))
    at = {"x": int(np.floor(x + 0.5)), "y": int(np.floor(y + 0.5))}
    near = tract.patches_around(np.array([ra]), np.array([dec]))
    on = [str(patch.id) for patch in near if patch.outer_bbox.contains(**at)]
    click.echo(
        f"tract {tract.id}, patch {own.id} ({own.ix},{own.iy}), pixel {x:.2f} {y:.2f}"
        + (f", on patches {' '.join(on)}" if len(on) > 1 else "")
    )
