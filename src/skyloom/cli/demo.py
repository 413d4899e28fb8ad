"""``skyloom demo``: a small simulated survey, through the very commands that a user types, compared with its truth."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import SIZE

if TYPE_CHECKING:
    from rich.console import Console

    from skyloom.simulate import Survey

OUTPUT = "demo"
"""Output chain of the demo's run."""


@click.command()
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Folder."
)
@click.option("-j", "--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Workers.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulated survey.")
@click.option("--memory", type=SIZE, help="Ceiling for all processes together, such as 1G.  [default: none]")
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end and nothing before.")
def command(output: Path, processes: int, seed: int, memory: int | None, quiet: bool) -> None:
    """Simulate five visits of four CCDs with their calibration frames, run the pipeline from the raw frames to the
    coadd, and compare with the truth.

    The folder receives the raw frames, the repository and index.html: the table, the coadd, one calibrated frame and
    plots. The same command again goes on where the last one was stopped.
    """
    from rich.console import Console

    from skyloom.warm_up import start_compiling

    console = Console(quiet=quiet, highlight=False, soft_wrap=True)
    begun = time.monotonic()
    # On a fresh machine the kernels have to be compiled: once, while the frames are drawn, not in every worker.
    compiling = start_compiling() if memory is None else []
    survey = _simulate(output, seed, processes, console)
    for arguments in _commands(output, survey, processes, memory, quiet):
        if arguments[0] == "run":
            for process in compiling:
                process.wait()
        console.print(f"[bold]$ skyloom {' '.join(arguments)}[/bold]" if len(arguments) < 8 else _shortened(arguments))
        _call(arguments)
    passed = _report(output, survey)
    Console(highlight=False).print(f"{time.monotonic() - begun:.0f} s in all; see {output / 'index.html'}")
    sys.exit(0 if passed else 1)


def _simulate(output: Path, seed: int, processes: int, console: Console) -> Survey:
    from skyloom.simulate import DetectorSettings, SkySettings, SurveySettings, VisitSettings, simulate_survey

    console.print("simulating 5 visits of 4 CCDs, and their calibration frames")
    settings = SurveySettings(
        seed=seed,
        sky=SkySettings(proper_motion_mas_yr=5.0, asteroids=3),
        visits=VisitSettings(cloud_mag=0.1, trails=0.4),
        detector=DetectorSettings(cosmic_rays=0.05, bleed_level=1.02),
    )
    return simulate_survey(output / "sky", settings, workers=processes)


def _commands(output: Path, survey: Survey, processes: int, memory: int | None, quiet: bool) -> list[list[str]]:
    """What a user would type, command by command."""
    repo, jobs = str(output / "repo"), ["-j", str(processes)]
    limits = [] if memory is None else ["--memory", str(memory)]
    silence = ["--quiet"] if quiet else []
    magnitudes = [part for band in ("g", "r", "i") for part in ("--mag", f"{band}=mag_{band}")]
    epoch = ["--epoch", f"{survey.settings.sky.epoch:.1f}"]
    refcat = ["--name", "truth", "--system", "ab", *epoch, *magnitudes, "--replace"]
    return [
        ["init", repo, "--camera", "simulated"],
        ["ingest", repo, str(output / "sky" / "raw"), *jobs],
        ["calibs", "build", repo, *jobs, *limits, *silence],
        ["refcat", "import", repo, str(survey.reference_file), *refcat],
        ["run", "drp", repo, "-o", OUTPUT, *jobs, *limits, *silence],
    ]


def _shortened(arguments: list[str]) -> str:
    """A long command with its tail left out."""
    return f"[bold]$ skyloom {' '.join(arguments[:6])} ...[/bold]"


def _call(arguments: list[str]) -> None:
    """Run a subcommand in this process; a status other than 0 ends the demo."""
    from skyloom.cli import skyloom

    try:
        skyloom.main(arguments, prog_name="skyloom", standalone_mode=False)
    except SystemExit as stop:
        if stop.code:
            raise


def _report(output: Path, survey: Survey) -> bool:
    """Compare with the truth, write the page, print the table; tell whether the targets are met."""
    from rich.console import Console

    from skyloom.report.page import write_page
    from skyloom.report.survey import survey_page

    page, passed = survey_page(output / "repo", OUTPUT, survey)
    write_page(page, output / "index.html")
    for table in page.tables[:1]:
        _print_table(Console(highlight=False), table.columns, table.rows)
    return passed


def _print_table(console: Console, columns: list[str], rows: list[list[str]]) -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        shown.add_column(name, justify="right" if index else "left")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
