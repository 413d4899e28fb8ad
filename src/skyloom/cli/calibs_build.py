"""``skyloom calibs build``: masters from raw frames."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from skyloom.execute.kinds import KINDS

from .calibs_figures import figures_line
from .options import REPOSITORY, SIZE
from .typed import command_line

if TYPE_CHECKING:
    from skyloom.execute.masters import BuildRequest, Built


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.option("--kind", "kinds", type=click.Choice(list(KINDS)), multiple=True, help="Repeat for more; see above.")
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--where", "-d", default="", help='Which frames, e.g. "day_obs = 20260115"  [default: all]')
@click.option("--collections", help="Where the frames are, comma-separated  [default: the camera's inputs]")
@click.option("--begin", help="First date of validity, UTC  [default: without bound]")
@click.option("--end", help="Date up to which they are valid, UTC  [default: without bound]")
@click.option(
    "--pedestal-only",
    is_flag=True,
    help="Take nothing but its level from the bias, whose frames may then be of another read-out mode.",
)
@click.option("--replace", is_flag=True, help="Replace what was imported for the same detector, filter and dates.")
@click.option("--config", "-c", "settings", multiple=True, metavar="LABEL:FIELD=VALUE", help="Change a setting.")
@click.option("--processes", "-j", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("--memory", type=SIZE, help="Ceiling for all processes together, such as 4G.  [default: none]")
@click.option("--quiet", "-q", is_flag=True, help="Print the masters at the end and nothing before.")
def command(
    repo: str,
    kinds: tuple[str, ...],
    instrument: str | None,
    where: str,
    collections: str | None,
    begin: str | None,
    end: str | None,
    pedestal_only: bool,
    replace: bool,
    settings: tuple[str, ...],
    processes: int,
    memory: int | None,
    quiet: bool,
) -> None:
    """Make calibrations from the raw frames of REPO, and certify them for a range of dates.

    Without --kind these are bias, dark, flat and defects, whatever the frames allow. The others are made when they are
    asked for. From flats, two of each of many exposure times: ptc (gain, read noise, full well), linearizer,
    brighter_fatter. From frames of the sky: crosstalk, sky_flat (which takes the place of the flat), fringe. From
    calibrated frames whose sky was binned (pipeline sky_correction#bin_sky_of_frames): sky_frame.

    The same command again keeps what was made of the same frames, and makes anew what has more of them now. Frames of
    different read-out modes (gain, speed, binning) are refused. The exit status is 1 if anything could not be made.
    """
    from skyloom.execute.limits import Limits
    from skyloom.execute.masters import BuildRequest
    from skyloom.pipelines import load_pipeline
    from skyloom.repo.calibrations import parse_validity

    request = BuildRequest(
        repository=repo,
        validity=parse_validity(begin, end),
        instrument=instrument,
        kinds=kinds,
        where=where,
        inputs=collections.split(",") if collections else (),
        pipeline=load_pipeline("masters", settings),
        pedestal_only=pedestal_only,
        replace=replace,
        processes=processes,
        limits=Limits(memory),
        command=command_line(),
    )
    show(build(request, quiet=quiet))


def build(request: BuildRequest, *, quiet: bool) -> Built:
    """Build with a progress bar, or lines where there is no terminal."""
    from rich.console import Console

    from skyloom.execute.masters import build_masters

    from .run import reporter

    return build_masters(request, reporter(Console(stderr=True), quiet=quiet))


def show(built: Built) -> None:
    """Print a line for each calibration and each failure, and leave with the exit status."""
    for master in built.masters:
        what = " ".join(f"{name} {value}" for name, value in master.data_id.items())
        click.echo(f"{master.kind} of {what}: {figures_line(master.kind, master.figures)}")
        for line in master.figures.get("left_out") or ():
            click.echo(f"  left out {line}")
    for failure in built.failures:
        click.echo(f"failed: {failure.name}: {failure.line}", err=True)
    for note in built.notes:
        click.echo(note, err=True)
    if built.exit_status:
        sys.exit(built.exit_status)
