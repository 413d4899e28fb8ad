"""``skyloom calibs``: build or import calibration frames; find defects."""

from __future__ import annotations

import click

from .lazy import LazyGroup

_COMMANDS = {
    "build": ("calibs_build", "Make masters from raw frames, and certify them."),
    "defects": ("calibs_defects", "Find bad pixels in the frames themselves."),
    "import": ("calibs_import", "Take in masters and defects that other programs made."),
}


@click.group(cls=LazyGroup, modules=_COMMANDS)
def command() -> None:
    """Build or import calibration frames, and certify for which dates they hold; find defects."""
