"""``skyloom simulate``: raw frames of a camera, with calibration frames and the truth beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--camera", help="Shipped camera or path of a description.  [default: simulated]")
@click.option("--band", "bands", multiple=True, help="Bands to observe in; repeat for more.  [default: r]")
@click.option("--visits", type=click.IntRange(min=0), help="Visits in each band.  [default: 5]")
@click.option("--detector", "detectors", type=int, multiple=True, help="Id of a detector; repeat.  [default: all]")
@click.option("--ra", type=float, help="Centre of the field, degrees.  [default: 150]")
@click.option("--dec", type=float, help="Centre of the field, degrees.  [default: 2.2]")
@click.option("--seed", type=int, help="Equal seeds give equal files.  [default: 1]")
@click.option("--settings", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file.")
@click.option("-c", "--config", "changes", multiple=True, metavar="GROUP.NAME=VALUE", help="Change a setting.")
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    output: Path,
    camera: str | None,
    bands: tuple[str, ...],
    visits: int | None,
    detectors: tuple[int, ...],
    ra: float | None,
    dec: float | None,
    seed: int | None,
    file: Path | None,
    changes: tuple[str, ...],
    processes: int,
    quiet: bool,
) -> None:
    """Write raw frames of a camera to the folder OUTPUT: science, bias, dark and flat frames in raw, a reference
    catalogue, and the truth.

    Every effect of sky, air and detector is a setting, such as -c detector.cosmic_rays=0.1 or -c visits.trails=0.5; the
    file of --settings has the same names as YAML. Options win over -c, and -c over the file.
    """
    from dataclasses import replace

    from rich.progress import Progress

    from skyloom.simulate import SurveySettings, simulate_survey
    from skyloom.simulate.settings_file import changed, read_settings

    settings = changed(SurveySettings() if file is None else read_settings(file), changes)
    given: dict[str, Any] = {
        "camera": camera,
        "bands": bands,
        "detectors": detectors,
        "ra_deg": ra,
        "dec_deg": dec,
        "seed": seed,
    }
    settings = replace(settings, **{name: value for name, value in given.items() if value not in (None, ())})
    if visits is not None:
        settings = replace(settings, visits=replace(settings.visits, visits_per_band=visits))
    with Progress(transient=True, disable=quiet) as progress:
        bar = progress.add_task("Frames", total=None)
        survey = simulate_survey(
            output,
            settings,
            workers=processes,
            advance=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if not quiet:
        click.echo(
            f"{len(survey.raw_files)} science and {len(survey.calibration_files)} calibration files in "
            f"{output / 'raw'}, {len(survey.sky)} true sources in {output / 'truth'}"
        )
