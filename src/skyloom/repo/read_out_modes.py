"""The read-out modes of the raw frames of a repository, and the refusal of calibration frames of another mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from lsst.daf.butler import Butler, DatasetRef

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera

__all__ = ["Mode", "check_modes", "mode_of"]

type Mode = Mapping[str, str]


def mode_of(butler: Butler, camera: Camera, ref: DatasetRef) -> Mode:
    """Read-out mode of a raw frame, from its header."""
    return camera.reader(butler.get(ref.makeComponentRef("header"))).mode()


def check_modes(
    butler: Butler, camera: Camera, frames: Mapping[str, Sequence[DatasetRef]], *, pedestal_only: bool
) -> None:
    """See that the calibration frames were read out as the frames they are for.

    One detector is looked at, that of the first frame; the tasks look at every frame.

    Parameters
    ----------
    butler
        The repository.
    camera
        Tells which keywords make the mode.
    frames
        Raw frames by observation type.
    pedestal_only
        Whether biases may be of another mode, since nothing but their level is used.

    Raises
    ------
    BadFrameError
        If frames of one type are of several modes, or those of two types are of different ones.
    """
    if not camera.description.mode_keywords:
        return
    representatives: list[tuple[str, DatasetRef, Mode]] = []
    for kind, refs in frames.items():
        if not refs:
            continue
        detector = refs[0].dataId["detector"]
        modes = [(ref, mode_of(butler, camera, ref)) for ref in refs if ref.dataId["detector"] == detector]
        for (one, mode), (other, other_mode) in pairwise(modes):
            _compare(butler, (kind, one, mode), (kind, other, other_mode))
        if not (kind == "bias" and pedestal_only):
            representatives.append((kind, *modes[0]))
    for one_kind, other_kind in pairwise(representatives):
        _compare(butler, one_kind, other_kind)


def _compare(butler: Butler, one: tuple[str, DatasetRef, Mode], other: tuple[str, DatasetRef, Mode]) -> None:
    (kind, ref, mode), (other_kind, other_ref, other_mode) = one, other
    differing = [key for key in {**mode, **other_mode} if mode.get(key) != other_mode.get(key)]
    if not differing:
        return
    told = ", ".join(f"{key} {mode.get(key)} and {other_mode.get(key)}" for key in differing)
    what = f"{kind} frames" if kind == other_kind else f"{kind} and {other_kind} frames"
    only_level = ", or take nothing but the level of the biases with --pedestal-only"
    pedestal = only_level if kind == "bias" != other_kind else ""
    raise BadFrameError(
        f"{what} of different read-out modes: {told} (the other is {butler.getURI(other_ref).basename()}).",
        file=butler.getURI(ref).basename(),
        keyword=differing[0],
        cure=f"Select frames of one mode with --where{pedestal}.",
    )
