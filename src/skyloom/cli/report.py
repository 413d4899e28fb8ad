"""``skyloom report``: pages with figures about what was made."""

from __future__ import annotations

import click

from .lazy import LazyGroup

_COMMANDS = {
    "coadd": ("report_coadd", "The pictures of the coadds of a patch."),
    "isr": ("report_isr", "Frames before and after the removal of the instrument's signature."),
    "site": ("report_site", "One site about a run: overview, metrics, all pages, coadds to pan and zoom."),
    "tract": ("report_tract", "The pictures of the joint calibration and the warps of a tract."),
    "visit": ("report_visit", "The pictures of the calibration of a visit."),
}


@click.group(cls=LazyGroup, modules=_COMMANDS)
def command() -> None:
    """Write pages with figures about what was made: HTML files that need nothing else, and the figures as PNG."""
