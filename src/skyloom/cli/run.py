"""``skyloom run``: a pipeline on the frames of a repository."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from .options import REPOSITORY, SIZE
from .typed import command_line

if TYPE_CHECKING:
    from lsst.daf.butler import Butler
    from rich.console import Console

    from skyloom.execute.progress import Reporter
    from skyloom.execute.run import RunRequest


@click.command()
@click.argument("pipeline")
@click.argument("repo", type=REPOSITORY)
@click.option("-d", "--where", default="", help="Data to run on, such as \"visit in (1..5) and band = 'r'\".")
@click.option("-i", "--input", "inputs", help="Input collections, by commas.  [default: INSTRUMENT/defaults]")
@click.option("-o", "--output", help="Output chain of runs.  [default: u/USER/PIPELINE]")
@click.option("-s", "--step", "steps", multiple=True, help="Only this step, subset or task; may be repeated.")
@click.option("-c", "--config", "settings", multiple=True, metavar="LABEL:FIELD=VALUE", help="Change a setting.")
@click.option("-C", "--config-file", "files", multiple=True, metavar="LABEL:FILE", help="Settings of a task.")
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, show_default=True, help="Workers.")
@click.option("--instrument", help="Whose frames.  [default: the only one of REPO]")
@click.option("--skymap", default="", help="Sky map to use, or to make.  [default: one around the frames]")
@click.option("--retry", is_flag=True, help="Try again what had failed or had no work.")
@click.option("--memory", type=SIZE, help="Ceiling for all processes together, such as 4G.  [default: none]")
@click.option("--timeout", type=click.FloatRange(min=0.0, min_open=True), help="Seconds that a quantum may take.")
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="How often a quantum is tried again that ended for want of memory or time, or by the machine.",
)
@click.option("--site", type=click.Path(exists=True, dir_okay=False), help="File of the cluster to submit the work to.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end and nothing before.")
@click.option("--log-file", type=click.Path(dir_okay=False), help="Write a line for each quantum to this file.")
def command(pipeline: str, repo: str, quiet: bool, log_file: str | None, **options: Any) -> None:
    """Run PIPELINE on the frames of REPO.

    PIPELINE is the name of a shipped pipeline (drp, drp_post_isr) or the path of a YAML file; ``drp#single_frame``
    runs a part of it. The same command again goes on where the last one was stopped.

    The exit status is 0 if every quantum succeeded or had no work, 1 if one failed (the rest is done all the same), 2
    if the command cannot be understood, 130 if it was interrupted.
    """
    set_up_logging(log_file)
    from rich.console import Console

    from skyloom.execute.run import run_pipeline

    console = Console()
    request = _request(pipeline, repo, **options)
    try:
        summary = run_pipeline(request, reporter(console, quiet=quiet))
    except KeyboardInterrupt:
        console.print("stopped; what was complete is registered, and the same command goes on from here")
        sys.exit(130)
    summary.show(console)
    sys.exit(summary.exit_status)


def _request(
    pipeline: str,
    repo: str,
    *,
    where: str,
    inputs: str | None,
    output: str | None,
    steps: tuple[str, ...],
    settings: tuple[str, ...],
    files: tuple[str, ...],
    processes: int,
    instrument: str | None,
    skymap: str,
    retry: bool,
    memory: int | None,
    timeout: float | None,
    retries: int,
    site: str | None,
) -> RunRequest:
    """The options as a request; what was not given is looked up."""
    if site is not None and (processes != 1 or memory is not None or timeout is not None):
        raise click.UsageError("-j, --memory and --timeout are of one machine: with --site, its file says such things.")
    import getpass
    from pathlib import Path

    from lsst.daf.butler import Butler

    from skyloom.execute.limits import Limits
    from skyloom.execute.run import RunRequest
    from skyloom.pipelines import load_pipeline, split_name

    name, labels = split_name(pipeline)
    short = Path(name).stem
    loaded = load_pipeline(name, settings, files)
    with Butler.from_config(repo) as butler:
        instrument = instrument or _only_instrument(butler)
    return RunRequest(
        repository=repo,
        pipeline=loaded,
        name=short,
        inputs=inputs.split(",") if inputs else [f"{instrument}/defaults"],
        output=output or f"u/{getpass.getuser()}/{short}",
        instrument=instrument,
        where=where,
        steps=[*labels, *steps],
        skymap=skymap,
        processes=processes,
        retry=retry,
        limits=Limits(memory, timeout, retries),
        site=site or "",
        command=command_line(),
    )


def _only_instrument(butler: Butler) -> str:
    """The instrument of a repository that has one."""
    names = sorted(str(record.name) for record in butler.query_dimension_records("instrument", explain=False))
    if len(names) != 1:
        found = f"has {', '.join(names)}" if names else "has no instrument"
        raise click.UsageError(f"The repository {found}: choose one by --instrument.")
    return names[0]


def reporter(console: Console, *, quiet: bool) -> Reporter:
    """What shows the progress: bars on a terminal, lines elsewhere, or nothing."""
    from skyloom.execute.progress import Bars, Lines, Silence

    if quiet:
        return Silence()
    return Bars(console) if console.is_terminal else Lines(console)


def set_up_logging(log_file: str | None) -> None:
    """Send the log to a file where one is named; the terminal shows failures by other means."""
    import logging

    root = logging.getLogger()
    if log_file is None:
        root.addHandler(logging.NullHandler())
        return
    handler = logging.FileHandler(log_file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
