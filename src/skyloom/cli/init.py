"""``skyloom init``: make a repository for a camera."""

from __future__ import annotations

import click


@click.command()
@click.argument("repo")
@click.option("--camera", "-c", required=True, help="YAML file of the camera, or the name of one that is shipped.")
@click.option("--registry-db", help="URL of the registry's database.  [default: SQLite in the repository]")
@click.option("--registry-schema", help="Schema of that database for this repository.  [default: the user's first]")
@click.option("--datastore", help="Folder or URI for the files, such as s3://BUCKET/FOLDER.  [default: the repository]")
@click.option("--update", is_flag=True, help="Replace the description of a camera that is there already.")
def command(
    repo: str,
    camera: str,
    registry_db: str | None,
    registry_schema: str | None,
    datastore: str | None,
    update: bool,
) -> None:
    """Make the repository REPO for a camera, or add the camera to it.

    REPO is a folder, or a URI such as s3://BUCKET/FOLDER, which needs a database elsewhere.
    """
    from skyloom.instruments import Camera
    from skyloom.repo.setup import Places, initialise

    described = Camera.read(camera)
    places = Places(registry_db, registry_schema, datastore)
    made, changed = initialise(repo, described, places=places, update=update)
    what = f"camera {described.name}: {len(described.detector_ids)} detector(s), filters {', '.join(described.filters)}"
    if made:
        click.echo(f"Made the repository {repo} with {what}.")
    else:
        click.echo(f"{'Added or changed' if changed else 'Nothing to do: the repository has'} {what}.")
