"""``skyloom calibs defects``: find bad pixels in the frames themselves."""

from __future__ import annotations

import click

from .options import REPOSITORY
from .typed import command_line


@click.command()
@click.argument("repo", type=REPOSITORY)
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--where", "-d", default="", help='Which frames, e.g. "day_obs = 20260115"  [default: all]')
@click.option(
    "--detector", "detectors", type=int, multiple=True, help="Id of a detector; repeat for more  [default: all]"
)
@click.option("--collections", help="Where the frames are, comma-separated  [default: the camera's inputs]")
@click.option("--threshold", type=float, default=4.0, show_default=True, help="In units of the noise of one frame.")
@click.option("--significance", type=float, default=6.0, show_default=True, help="In units of the scatter over pixels.")
@click.option("--grow", type=click.IntRange(min=0), default=0, show_default=True, help="Pixels to grow defects by.")
@click.option("--max-frames", type=click.IntRange(min=5), default=25, show_default=True, help="Most frames a detector.")
@click.option("--max-fraction", type=float, default=0.05, show_default=True, help="More defects than this are refused.")
@click.option("--begin", help="First date of validity, UTC  [default: without bound]")
@click.option("--end", help="Date up to which they are valid, UTC  [default: without bound]")
@click.option("--replace", is_flag=True, help="Replace the defects that were imported for the same dates.")
@click.option("--processes", "-j", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("--quiet", "-q", is_flag=True, help="Print the defects at the end and nothing before.")
def command(
    repo: str,
    instrument: str | None,
    where: str,
    detectors: tuple[int, ...],
    collections: str | None,
    threshold: float,
    significance: float,
    grow: int,
    max_frames: int,
    max_fraction: float,
    begin: str | None,
    end: str | None,
    replace: bool,
    processes: int,
    quiet: bool,
) -> None:
    """Find hot, cold and dead pixels in the frames of REPO, in which the sky moves and defects stay, and certify them.

    Raw frames are searched, or post-ISR frames where there are no raw ones. At least five frames a detector are needed,
    best of a field that drifts or is dithered.
    """
    from skyloom.execute.masters import BuildRequest
    from skyloom.pipelines import load_pipeline
    from skyloom.repo.calibrations import parse_validity

    from .calibs_build import build, show

    settings = {
        "threshold": threshold,
        "significance": significance,
        "grow": grow,
        "max_frames": max_frames,
        "maximum_fraction": max_fraction,
    }
    terms = [f"({where})"] if where else []
    if detectors:
        terms.append(f"detector IN ({', '.join(str(one) for one in detectors)})")
    request = BuildRequest(
        repository=repo,
        validity=parse_validity(begin, end),
        instrument=instrument,
        kinds=["defects"],
        where=" AND ".join(terms),
        inputs=collections.split(",") if collections else (),
        pipeline=load_pipeline("masters", [f"make_defects:{name}={value}" for name, value in settings.items()]),
        replace=replace,
        processes=processes,
        command=command_line(),
    )
    show(build(request, quiet=quiet))
