"""The classic commands, a function for each: ``runIsr.py``, ``jointcalCoadd.py``, ``assembleCoadd.py`` and the like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from skyloom.errors import SkyloomError
from skyloom.tasks.classic_arguments import ClassicArgumentParser, argument_parser

__all__ = ["assemble_coadd", "jointcal_coadd", "make_coadd_temp_exp", "run_isr", "safe_clip_assemble_coadd"]

_LEGACY = "--legacyCoadd"


def run_isr(words: Sequence[str] | None = None) -> None:
    """``runIsr.py``: raw frames to frames in electrons, by the task of the shipped pipeline of their camera."""
    _run(words, "isr", "ccdExposure", "Remove the instrument signature of raw frames.", _isr_task)


def make_coadd_temp_exp(words: Sequence[str] | None = None) -> None:
    """``makeCoaddTempExp.py``: calibrated frames to warps."""
    text = "Warp the calibrated frames of visits onto patches."
    _run(words, "make_coadd_temp_exp", "patch", text, lambda _: "skyloom.tasks.MakeCoaddTempExpTask")


def jointcal_coadd(words: Sequence[str] | None = None) -> None:
    """``jointcalCoadd.py``: the same by the joint fit of the tract."""
    text = "Warp the frames of visits onto patches, calibrated by the joint fit of the tract."
    _run(words, "jointcal_coadd", "patch", text, lambda _: "skyloom.tasks.JointcalCoaddTask")


def safe_clip_assemble_coadd(words: Sequence[str] | None = None) -> None:
    """``safeClipAssembleCoadd.py``: warps to coadds without artifacts."""
    text = "Combine the warps of patches, with artifacts masked in the visits that they come from."
    _run(words, "safeClipAssembleCoadd", "coadd", text, lambda _: "skyloom.tasks.SafeClipAssembleCoaddTask")


def assemble_coadd(words: Sequence[str] | None = None) -> None:
    """``assembleCoadd.py``: the same; with --legacyCoadd by the plain `AssembleCoaddTask`."""
    given = list(sys.argv[1:] if words is None else words)
    rest = [word for word in given if word != _LEGACY]
    name, task = ("safeClipAssembleCoadd", "SafeClipAssembleCoaddTask")
    if len(rest) < len(given):
        name, task = ("assemble_coadd", "AssembleCoaddTask")
    text = f"Combine the warps of patches, with artifacts masked; with {_LEGACY} by plain statistics of their pixels."
    _run(rest, name, "coadd", text, lambda _: f"skyloom.tasks.{task}")


def _run(
    words: Sequence[str] | None, name: str, kind: str, text: str, task_of: Callable[[argparse.Namespace], str]
) -> None:
    """Run a task; its module is imported once the options are understood."""
    given = list(sys.argv[1:] if words is None else words)
    parser: ClassicArgumentParser = argument_parser(name, kind, description=text)
    options = argparse.ArgumentParser.parse_args(parser, given or ["--help"])
    from lsst.utils import doImportType

    try:
        task_class = doImportType(task_of(options))
        task_class.parseAndRun(given)  # type: ignore[attr-defined]
    except SkyloomError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def _isr_task(options: argparse.Namespace) -> str:
    """The task of the camera whose frames are corrected."""
    from lsst.daf.butler import Butler

    from skyloom.tasks.classic_session import choose_instrument, task_class_of

    try:
        with Butler.from_config(options.input) as butler:
            return task_class_of(choose_instrument(butler, options.instrument), "isr")
    except FileNotFoundError:
        return "skyloom.tasks.IsrTask"  # which tells what is wrong
