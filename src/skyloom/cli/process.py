"""``skyloom process``: the whole way from a folder of frames to coadds, catalogues and pages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from skyloom.execute.whole.skippable import SKIPPABLE

from .options import REPOSITORY_FOLDER, SIZE, sky_position
from .typed import command_line

if TYPE_CHECKING:
    from rich.console import Console

    from skyloom.execute.whole.plan import Plan
    from skyloom.execute.whole.prepare import Given
    from skyloom.execute.whole.walk import Walked

_FILE = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("frames", nargs=-1, type=click.Path())
@click.option("-o", "--repo", required=True, type=REPOSITORY_FOLDER, help="Repository; made where there is none.")
@click.option("-c", "--camera", help="YAML file, or name of a shipped camera.  [default: the one that fits]")
@click.option("--refcat", "catalogue", multiple=True, type=_FILE, help="File with reference stars.")
@click.option(
    "--refcat-system", "system", type=click.Choice(["AB", "Vega"], case_sensitive=False), help="Of its fluxes."
)
@click.option("--refcat-epoch", "epoch", help="Julian year of its positions, or the column that holds it.")
@click.option("--calibs", type=click.Path(exists=True, path_type=Path), help="Folder with calibrations that you have.")
@click.option("--center", nargs=2, metavar="RA DEC", help="Pointing of frames whose headers have none.")
@click.option("--band", "bands", multiple=True, help="Only this one; may be repeated.")
@click.option("--skip", multiple=True, type=click.Choice(SKIPPABLE), help="Leave this out; may be repeated.")
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("--memory", type=SIZE, help="Ceiling for all processes together, such as 4G.  [default: none]")
@click.option("--retry", is_flag=True, help="Try again what had failed or had no work.")
@click.option("--plan", "only_plan", is_flag=True, help="Say what would be done, and write nothing.")
@click.option("--report", type=_FOLDER, help="Folder of the pages.  [default: REPO/report]")
@click.option("--export", type=_FOLDER, help="Folder for coadds and objects as plain FITS.  [default: none]")
@click.option("-q", "--quiet", is_flag=True, help="Print the account at the end and nothing before.")
@click.option("--log-file", type=_FILE, help="Write a line for each quantum to this file.")
def command(
    frames: tuple[str, ...],
    repo: Path,
    processes: int,
    memory: int | None,
    retry: bool,
    only_plan: bool,
    quiet: bool,
    log_file: Path | None,
    **options: Any,
) -> None:
    """Take FRAMES (files, or folders with all below them) all the way: masters, calibrated frames, joint calibration,
    coadds, catalogues, light curves, pages.

    What the frames allow is chosen, and said first. The same command again goes on where the last one was stopped, and
    takes in frames that are new; without FRAMES it goes on with those of the repository.

    The exit status is 0 if all succeeded, 1 if anything failed (the rest is done all the same) or the command cannot
    begin, 2 if it cannot be understood, 130 if it was interrupted. Files that are left out do not count as failures.
    """
    from rich.console import Console

    from skyloom.execute.limits import Limits

    from .run import set_up_logging

    set_up_logging(None if log_file is None else str(log_file))
    console = Console(quiet=quiet and not only_plan, highlight=False, soft_wrap=True)
    try:
        given = _given(frames, repo, **options)
        plan = _prepare(given, processes, console)
        if only_plan:
            return
        walked = _walk(given, plan, processes, Limits(memory), console, retry=retry)
        page = _pages(given, plan, walked, processes, console)
        exported = _export(repo, walked, given.export)
        _tell(repo, plan, walked, [*page, *exported])
    except KeyboardInterrupt:
        click.echo("stopped; what was complete is kept, and the same command goes on from here", err=True)
        sys.exit(130)
    sys.exit(walked.exit_status)


def _given(frames: tuple[str, ...], repo: Path, *, center: tuple[str, str] | None, **options: Any) -> Given:
    from skyloom.execute.whole.prepare import Given

    options["report"] = options["report"] or repo / "report"
    return Given(
        frames=frames, repository=str(repo), center=None if center is None else sky_position(*center), **options
    )


def _prepare(given: Given, processes: int, console: Console) -> Plan:
    """Look, plan, and say what will be done."""
    from rich.progress import Progress

    from skyloom.execute.whole.prepare import prepare
    from skyloom.execute.whole.words import describe_estimate, describe_plan
    from skyloom.warm_up import is_compiled

    with Progress(transient=True, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("Reading headers", total=None)
        plan = prepare(
            given,
            processes=processes,
            begin=lambda count: progress.update(bar, total=count),
            advance=lambda: progress.advance(bar),
            say=lambda line: console.print(line, markup=False),
        )
    estimate = describe_estimate(plan, processes, Path(given.repository), compiled=is_compiled())
    for line in ("Plan", *describe_plan(plan), estimate):
        console.print(line, markup=False)
    return plan


def _walk(given: Given, plan: Plan, processes: int, limits: Any, console: Console, *, retry: bool) -> Walked:
    from skyloom.execute.whole.walk import WalkRequest, walk
    from skyloom.pipelines import load_pipeline

    from .run import reporter

    names = {"masters", "deep", "catalogues", *([plan.pipeline] if plan.pipeline else [])}
    return walk(
        WalkRequest(
            repository=given.repository,
            plan=plan,
            pipelines={name: load_pipeline(name) for name in names},
            processes=processes,
            retry=retry,
            limits=limits,
            reporter=lambda: reporter(console, quiet=console.quiet),
            say=lambda line: console.print(line, markup=False),
            command=command_line(),
        )
    )


def _pages(given: Given, plan: Plan, walked: Walked, processes: int, console: Console) -> list[str]:
    """Write the pages, and say where."""
    from lsst.daf.butler import Butler

    from skyloom.execute.whole.plan import MAX_PAGES
    from skyloom.execute.whole.words import describe_left_out
    from skyloom.report.site import report_site
    from skyloom.report.site_choice import PageLimits
    from skyloom.report.site_run import Failure, SiteData

    from .site_runs import run_summaries

    if not plan.report:
        return []
    assert given.report is not None
    console.print("report:")
    with Butler.from_config(given.repository) as butler:
        output = walked.outputs[0]
        runs = run_summaries(butler, output)
        told = {task for run in runs for task in run.counts}
        data = SiteData(
            butler=butler,
            output=output,
            runs=runs,
            plan=[*plan.lines, *(("frames", line) for line in describe_left_out(plan.inventory.rejections))],
            other_failures=[
                Failure(task=one.task, name=one.name, reason=one.line)
                for one in walked.failures
                if one.task not in told
            ],
            sky_map=walked.sky_map,
        )
        site = report_site(
            data,
            given.report,
            processes=processes,
            limits=PageLimits(frames=MAX_PAGES, patches=MAX_PAGES),
            advance=lambda line: console.print(line, markup=False),
        )
    return [f"report: {site.page}"]


def _export(repo: Path, walked: Walked, folder: Path | None) -> list[str]:
    """Write coadds and objects as plain files, and say where."""
    from lsst.daf.butler import Butler

    from skyloom.errors import RepositoryError
    from skyloom.repo.export import export_datasets, find_exportable

    if folder is None:
        return []
    count = 0
    with Butler.from_config(str(repo)) as butler:
        for name in ("deep_coadd", "objects"):
            try:
                refs = find_exportable(butler, walked.runs, name, f"skymap = '{walked.sky_map}'")
            except RepositoryError:
                continue  # nothing of it was made
            count += len(list(export_datasets(butler, refs, folder)))
    return [f"exported: {count} files in {folder}" if count else "exported: nothing, there is no coadd"]


def _tell(repo: Path, plan: Plan, walked: Walked, places: list[str]) -> None:
    """Print what was made, what failed, and where things are."""
    from lsst.daf.butler import Butler

    from skyloom.execute.whole.account import describe_failures, describe_products, files_of

    with Butler.from_config(str(repo)) as butler:
        lines = describe_products(butler, plan, walked)
    lines += describe_failures(walked, str(repo), files_of(plan.inventory))
    for line in [*lines, *dict.fromkeys(walked.notes), *places]:
        click.echo(line)
