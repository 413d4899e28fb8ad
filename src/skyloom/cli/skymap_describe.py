"""What is told of a sky map, and of a tract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from skyloom.skymap import SkyMap, Tract

__all__ = ["describe", "stored"]


def stored(butler: Any, repo: str, name: str) -> SkyMap:
    """The sky map of a name, or a RepositoryError."""
    from skyloom.errors import RepositoryError
    from skyloom.repo.skymap_store import read_sky_map

    sky_map = read_sky_map(butler, name)
    if sky_map is None:
        raise RepositoryError(f"{repo} has no sky map {name!r}.", cure="Make it with 'skyloom skymap make'.", file=repo)
    return sky_map


def describe(butler: Any, sky_map: SkyMap) -> None:
    """One line for the sky map, one for each tract that is registered."""
    from skyloom.repo.skymap_records import registered_tracts

    dx, dy = sky_map.patch_size
    cells = sky_map.layout.n_cells
    click.echo(
        f'{sky_map.name}: {len(sky_map)} tract(s), {sky_map.pixel_scale}"/px, {sky_map.projection}, '
        f"patches of {dx} x {dy} px with a border of {sky_map.patch_border}"
        + (f", each of {cells} x {cells} cells" if cells else "")
    )
    counts = registered_tracts(butler, sky_map.name)
    for number, n_patches in counts.items():
        _describe_tract(sky_map.tract(number), n_patches)
    if len(counts) < len(sky_map):
        click.echo(f"  {len(sky_map) - len(counts)} tract(s) are not registered")


def _describe_tract(tract: Tract, n_patches: int) -> None:
    nx, ny = tract.n_patches
    some = "" if n_patches == len(tract) else f" ({n_patches} registered)"
    corners = ", ".join(f"{ra:.3f} {dec:+.3f}" for ra, dec in zip(*tract.corners, strict=True))
    click.echo(
        f"  tract {tract.id}: centre {tract.ra:.4f} {tract.dec:+.4f} deg, {nx} x {ny} patches{some}, "
        f"{tract.bbox.x.size} x {tract.bbox.y.size} px, corners {corners}"
    )
