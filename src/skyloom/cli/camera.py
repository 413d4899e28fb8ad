"""``skyloom camera``: list the cameras that are shipped; check what one understands of a frame."""

from __future__ import annotations

import sys

import click


@click.group()
def command() -> None:
    """List the cameras; check what one understands of a raw frame."""


@command.command("list")
def list_cameras() -> None:
    """List the cameras that come with skyloom."""
    from skyloom.instruments import Camera

    for name in Camera.shipped():
        camera = Camera.read(name)
        kind = "frames without instrument signature" if camera.post_isr else "raw frames"
        click.echo(f"{name}: {len(camera.detector_ids)} detector(s), filters {', '.join(camera.filters)}; {kind}")


@command.command()
@click.argument("camera")
def show(camera: str) -> None:
    """Print the description of CAMERA, a good start for one of your own."""
    from skyloom.instruments import Camera

    click.echo(Camera.read(camera).to_yaml(), nl=False)


@command.command()
@click.argument("camera")
@click.argument("raw", type=click.Path(exists=True, dir_okay=False))
@click.option("--hdu", help="Number or name of the HDU  [default: the first that holds an image]")
def check(camera: str, raw: str, hdu: str | None) -> None:
    """Print what CAMERA, a YAML file or a shipped name, understands of the frame RAW, and where it takes it from.

    Exit status 1 if anything essential is missing.
    """
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from skyloom.instruments import Camera
    from skyloom.repo.frame_check import check_frame

    rows = check_frame(Camera.read(camera), Path(raw), int(hdu) if hdu is not None and hdu.isdigit() else hdu)
    table = Table("", "quantity", "value", "from", title=f"{raw}")
    marks = {"ok": "ok", "missing": "MISSING", "optional": "-"}
    for row in rows:
        table.add_row(
            marks[row.status], row.quantity, row.value, row.origin, style="red" if row.essential_gap else None
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)
    gaps = [row.quantity for row in rows if row.essential_gap]
    if gaps:
        click.echo(f"Not usable yet: {', '.join(gaps)}.", err=True)
        sys.exit(1)
    click.echo("Usable: everything essential is there.")
