"""The command line: one subcommand a file, imported only when it is called, so that ``--help`` answers at once."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import click

__all__ = ["main", "skyloom"]

_COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "A small simulated survey through the whole pipeline, compared with its truth."),
    "init": ("init", "Make a repository for a camera."),
    "camera": ("camera", "List the cameras; check what one understands of a raw frame."),
    "ingest": ("ingest", "Bring raw or post-ISR frames into a repository and define their visits."),
    "refcat": ("refcat", "Import a reference catalogue; print the query that fetches one."),
    "calibs": ("calibs", "Import and certify calibration frames; find defects from the frames themselves."),
    "skymap": ("skymap", "Make a sky map around the fitted frames."),
    "run": ("run", "Run a pipeline."),
    "compare": ("compare", "Tell whether two runs made the same."),
    "status": ("status", "Tell how far a run is, what failed, and where its time went."),
    "export": ("export", "Write frames and coadds as plain FITS, catalogues as FITS or CSV."),
}
"""Name of a subcommand: its module (which holds a click command named ``command``), and its line in the help."""


class _LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"skyloom.cli.{_COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()], col_max=12)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="skyloom")
def skyloom() -> None:
    """Raw CCD frames of any optical camera to calibrated exposures, catalogues and deep coadds."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error of skyloom ends in its one line and exit status 1."""
    from skyloom.errors import SkyloomError

    logging.getLogger().addHandler(logging.NullHandler())  # warnings of libraries go to logs, not to the terminal
    try:
        return skyloom.main(arguments, prog_name="skyloom")
    except SkyloomError as error:
        click.echo(f"skyloom: {error}", err=True)
        sys.exit(1)
    except Exception as error:
        # The butler's own word for what a user gave it, known by name, for to import it takes a second.
        if not any(kind.__name__ == "ButlerUserError" for kind in type(error).__mro__):
            raise
        click.echo(f"skyloom: {type(error).__name__}: {error}", err=True)
        sys.exit(1)
