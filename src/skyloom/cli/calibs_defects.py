"""``skyloom calibs defects``: find bad pixels in the frames themselves."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("repo", type=click.Path(exists=True, file_okay=False))
@click.option("--instrument", "-i", help="Camera of the frames  [default: the repository's only one]")
@click.option("--where", "-d", default="", help='Which frames, e.g. "day_obs = 20260115"  [default: all]')
@click.option(
    "--detector", "detectors", type=int, multiple=True, help="Id of a detector; repeat for more  [default: all]"
)
@click.option("--type", "frame_type", type=click.Choice(["raw", "post_isr"]), help="[default: raw where there are any]")
@click.option("--collections", help="Where the frames are, comma-separated  [default: the camera's inputs]")
@click.option("--threshold", type=float, default=4.0, show_default=True, help="In units of the noise of one frame.")
@click.option("--significance", type=float, default=6.0, show_default=True, help="In units of the scatter over pixels.")
@click.option("--grow", type=click.IntRange(min=0), default=0, show_default=True, help="Pixels to grow defects by.")
@click.option("--max-frames", type=click.IntRange(min=5), default=25, show_default=True, help="Most frames a detector.")
@click.option("--max-fraction", type=float, default=0.05, show_default=True, help="More defects than this are refused.")
@click.option("--begin", help="First date of validity, UTC  [default: without bound]")
@click.option("--end", help="Date up to which they are valid, UTC  [default: without bound]")
@click.option("--replace", is_flag=True, help="Replace the defects that are certified for the same dates.")
def command(
    repo: str,
    instrument: str | None,
    where: str,
    detectors: tuple[int, ...],
    frame_type: str | None,
    collections: str | None,
    threshold: float,
    significance: float,
    grow: int,
    max_frames: int,
    max_fraction: float,
    begin: str | None,
    end: str | None,
    replace: bool,
) -> None:
    """Find hot, cold and dead pixels in the frames of REPO, in which the sky moves and defects stay, and certify them.

    At least five frames a detector are needed, best of a field that drifts or is dithered.
    """
    from lsst.daf.butler import Butler
    from rich.progress import Progress

    from skyloom.calibs import DefectSettings
    from skyloom.repo.calibrations import parse_validity
    from skyloom.repo.defects import DetectorDefects, make_defects
    from skyloom.repo.setup import read_camera

    def line(result: DetectorDefects) -> str:
        if result.found is None:
            return f"detector {result.detector}: {result.error}"
        hot, cold = result.found.hot.sum(), result.found.cold.sum()
        return (
            f"detector {result.detector}: {hot} hot and {cold} cold or dead pixels "
            f"({100 * result.found.fraction:.2f} %) in {result.boxes} boxes, from {result.frames} frames"
        )

    settings = DefectSettings(threshold=threshold, significance=significance, grow=grow, maximum_fraction=max_fraction)
    with Butler.from_config(repo, writeable=True) as butler, Progress(transient=True) as progress:
        camera = read_camera(butler, instrument)
        bar = progress.add_task("Detectors", total=len(detectors) or len(camera.detector_ids))
        results = make_defects(
            butler,
            camera,
            validity=parse_validity(begin, end),
            where=where,
            detectors=detectors or None,
            frame_type=frame_type,
            collections=collections.split(",") if collections else None,
            settings=settings,
            max_frames=max_frames,
            replace=replace,
            advance=lambda: progress.advance(bar),
        )
    for result in results:
        click.echo(line(result), err=result.found is None)
    if not any(result.found is not None for result in results):
        sys.exit(1)
