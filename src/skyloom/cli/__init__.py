"""The command line: one subcommand a file, imported only when it is called, so that ``--help`` answers at once."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import click

from .lazy import LazyGroup

__all__ = ["main", "skyloom"]

_COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "A small simulated survey through the whole pipeline, compared with its truth."),
    "simulate": ("simulate", "Raw frames of any described camera, with the truth."),
    "process": ("process", "The whole way in one command: frames to coadds, catalogues and pages."),
    "init": ("init", "Make a repository for a camera."),
    "camera": ("camera", "List the cameras; check what one understands of a raw frame."),
    "ingest": ("ingest", "Bring raw or post-ISR frames into a repository and define their visits."),
    "refcat": ("refcat", "Import a reference catalogue; print the query that fetches one."),
    "calibs": ("calibs", "Build or import calibration frames, certify them; find defects."),
    "skymap": ("skymap", "Make sky maps, which divide the sky into tracts and patches; look things up in them."),
    "run": ("run", "Run a pipeline."),
    "compare": ("compare", "Tell whether two runs made the same."),
    "status": ("status", "Tell how far a run is, what failed, and where its time went."),
    "why": ("why", "Tell why a product is there or not, and what it would take."),
    "provenance": ("provenance", "Tell what a product was made from; make it anew."),
    "report": ("report", "Pages with figures about what was made."),
    "export": ("export", "Write frames and coadds as plain FITS, catalogues as FITS or CSV."),
    "doctor": ("doctor", "Tell whether the machine, the installation and a repository are well."),
}
"""Name of a subcommand: its module (which holds a click command named ``command``), and its line in the help."""


@click.group(cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
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
        known = any(kind.__name__ == "ButlerUserError" for kind in type(error).__mro__) or isinstance(error, OSError)
        if not known and os.environ.get("SKYLOOM_TRACEBACK"):
            raise
        logging.getLogger("skyloom").debug("the command ended so", exc_info=error)
        what = "" if known else "unexpected, SKYLOOM_TRACEBACK=1 shows where: "
        click.echo(f"skyloom: {what}{type(error).__name__}: {error}", err=True)
        sys.exit(1)
