"""From what a user gives to a plan: the files, the camera that fits them, the look at them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lsst.daf.butler import Butler
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from skyloom.errors import CameraError, RepositoryError
from skyloom.instruments import Camera
from skyloom.repo.frame_files import SUFFIXES
from skyloom.repo.rollback import roll_back
from skyloom.repo.setup import instruments, read_camera

from .inventory import Inventory, fitting_camera, frame_paths, look
from .made_before import subtract_made
from .masters_plan import certified_before
from .plan import Plan, make_plan
from .references import has_references, how_to_get_one, references_of
from .words import describe_inventory

__all__ = ["Given", "prepare"]

_TRIED = 5
"""Files, evenly chosen, that a camera is looked for with."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a user gives.

    Parameters
    ----------
    frames
        Files and folders; none to go on with what a repository has.
    repository
        Its root, which need not exist.
    camera
        YAML file or name of a shipped camera; None for that which fits.
    catalogue, system, epoch
        Files of the reference catalogue, AB or Vega, year or column of the epoch.
    calibs
        Folder with calibrations.
    center
        Boresight (ra, dec), degree, of frames whose headers have none.
    bands
        Wanted ones; all when empty.
    skip
        Some of `skyloom.execute.whole.skippable.SKIPPABLE`.
    report, export
        Folders of the pages, and of plain files.
    """

    frames: Sequence[str]
    repository: str
    camera: str | None = None
    catalogue: Sequence[Path] = ()
    system: str | None = None
    epoch: str | None = None
    calibs: Path | None = None
    center: tuple[float, float] | None = None
    bands: Sequence[str] = ()
    skip: Sequence[str] = ()
    report: Path | None = None
    export: Path | None = None


def prepare(
    given: Given,
    *,
    processes: int = 1,
    begin: Callable[[int], object] = lambda _: None,
    advance: Callable[[], object] = lambda: None,
    say: Callable[[str], object] = lambda _: None,
) -> Plan:
    """Look at the frames and plan; nothing is written.

    Parameters
    ----------
    given
        What the user gives.
    processes
        Files read at a time.
    begin
        Called with the number of files before they are read.
    advance
        Called once a file.
    say
        Takes lines about the camera and the frames, before anything is found amiss with them.

    Raises
    ------
    SkyloomError
        If there is no frame, no camera fits, or frames of the sky have no reference catalogue.
    """
    leave_out = [Path(given.repository), *given.catalogue]
    leave_out += [path for path in (given.calibs, given.report, given.export) if path is not None]
    paths, n_others = frame_paths(given.frames, leave_out)
    with ExitStack() as stack:
        butler = None
        if (Path(given.repository) / "butler.yaml").exists():
            butler = stack.enter_context(_open(given.repository))
        if given.frames and not paths:
            names, count = " ".join(given.frames), f" ({n_others} other files)" if n_others else ""
            raise RepositoryError(
                f"no FITS file in {names}{count}.", cure=f"Names of FITS files end in {', '.join(SUFFIXES)}."
            )
        camera, line = _camera(given, paths, butler)
        say(line)
        begin(len(paths))
        inventory = look(
            camera,
            paths,
            butler=butler,
            n_others=n_others,
            center=given.center,
            workers=processes,
            advance=advance,
        )
        for line in describe_inventory(inventory):
            say(line)
        _check_frames(inventory, given)
        references = None
        if given.catalogue:
            references = references_of(given.catalogue, system=given.system, epoch=given.epoch)
        plan = make_plan(
            inventory,
            references=references,
            calibs=given.calibs,
            bands=given.bands,
            skip=given.skip,
            certified=() if butler is None else certified_before(butler, camera),
        )
        if plan.calibrates and references is None and (butler is None or not has_references(butler)):
            raise how_to_get_one(inventory, plan.fields)
        plan.rest = butler is not None and subtract_made(butler, plan)
    return plan


def _open(repository: str) -> Butler:
    """A repository for reading.

    Raises
    ------
    RepositoryError
        If its database or its configuration is broken.
    """
    roll_back(repository)
    try:
        return Butler.from_config(repository)
    except (LookupError, OSError, RuntimeError, SQLAlchemyError, ValueError, YAMLError) as error:
        told = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RepositoryError(
            f"the repository cannot be opened: {told.rstrip('.')}.",
            file=repository,
            cure="See 'skyloom doctor REPO'; if nothing of worth is in it, delete the folder or give another -o.",
        ) from error


def _camera(given: Given, paths: Sequence[Path], butler: Butler | None) -> tuple[Camera, str]:
    """The camera that is named, that of the repository, or the only one that fits."""
    if given.camera is not None:
        camera = Camera.read(given.camera)
        return camera, f"camera {camera.name}"
    there = [] if butler is None else [read_camera(butler, name) for name in instruments(butler)]
    if not paths:
        if len(there) == 1:
            return there[0], f"camera {there[0].name}, that of the repository"
        raise RepositoryError(
            f"the repository has {len(there)} cameras." if there else "there is no repository, and no frame is named.",
            file=given.repository,
            cure="Name the frames, or choose a camera with --camera.",
        )
    known = {camera.name: camera for camera in (*map(Camera.read, Camera.shipped()), *there)}
    step = max(len(paths) // _TRIED, 1)
    tried = paths[::step]
    counts = fitting_camera(tried, list(known.values()))
    best = sorted(counts, key=lambda name: -counts[name])
    if not counts[best[0]]:
        raise CameraError(
            f"none of {len(tried)} files, such as {tried[0].name}, is of a camera that is known ({', '.join(known)}).",
            keyword="--camera",
            cure="Describe yours in a YAML file and name it (docs/cameras.md), or name the one that it is.",
        )
    if len(best) > 1 and counts[best[1]] == counts[best[0]]:
        raise CameraError(
            f"the files fit {' and '.join(name for name in best if counts[name] == counts[best[0]])} alike.",
            keyword="--camera",
            cure="Name one of them.",
        )
    return known[best[0]], f"camera {best[0]}, which fits {counts[best[0]]} of {len(tried)} files that were tried"


def _check_frames(inventory: Inventory, given: Given) -> None:
    """See that there is anything to work on.

    Raises
    ------
    RepositoryError
        If no frame can be used, or none of the wanted bands.
    """
    if not inventory.frames:
        worst = f", such as {inventory.rejections[0].error}" if inventory.rejections else ""
        raise RepositoryError(
            f"none of {inventory.n_files} files can be used{worst}",
            file=" ".join(given.frames) or given.repository,
            cure="See what is lacking with 'skyloom camera check CAMERA FILE'.",
        )
    there = {inventory.band(one.physical_filter) for one in inventory.science}
    if given.bands and not there & set(given.bands):
        raise RepositoryError(
            f"no frame of the sky is in {', '.join(given.bands)}; there are {', '.join(sorted(there)) or 'none'}.",
            keyword="--band",
            cure="Choose among these.",
        )
