"""``skyloom init``: make a repository for a camera."""

from __future__ import annotations

import click


@click.command()
@click.argument("repo")
@click.option("--camera", "-c", required=True, help="YAML file of the camera, or the name of one that is shipped.")
@click.option("--registry-db", help="URL of the registry's database  [default: SQLite in the repository]")
@click.option("--update", is_flag=True, help="Replace the description of a camera that is there already.")
def command(repo: str, camera: str, registry_db: str | None, update: bool) -> None:
    """Make the repository REPO for a camera, or add the camera to it."""
    from skyloom.instruments import Camera
    from skyloom.repo.setup import initialise

    described = Camera.read(camera)
    made, changed = initialise(repo, described, registry_db=registry_db, update=update)
    what = f"camera {described.name}: {len(described.detector_ids)} detector(s), filters {', '.join(described.filters)}"
    if made:
        click.echo(f"Made the repository {repo} with {what}.")
    else:
        click.echo(f"{'Added or changed' if changed else 'Nothing to do: the repository has'} {what}.")
