"""The read-out mode of a master, and the refusal of masters of another mode than the frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.images.raw import RawExposure

__all__ = ["PEDESTAL_ONLY", "check_mode", "mode_cards"]

PEDESTAL_ONLY = "LSST CALIB PEDESTAL ONLY"
"""Metadata key: whether a bias holds nothing but the level of each amplifier, and so serves any mode."""

_PREFIX = "LSST CALIB MODE "


def mode_cards(mode: Mapping[str, str]) -> dict[str, str]:
    """Metadata that record the read-out mode of a master."""
    return {f"{_PREFIX}{keyword}": value for keyword, value in mode.items()}


def check_mode(master: MaskedImage, kind: str, raw: RawExposure) -> None:
    """See that a master was read out as the frame was; one that does not record its mode is trusted.

    Raises
    ------
    BadFrameError
        If a keyword of the mode has another value in the frame.
    """
    if master.metadata.get(PEDESTAL_ONLY):
        return
    for keyword, value in raw.mode.items():
        recorded = master.metadata.get(f"{_PREFIX}{keyword}")
        if recorded is not None and str(recorded) != value:
            bias = kind == "bias"
            raise BadFrameError(
                f"the frame was read out with {value}, the {kind} frame with {recorded}.",
                file=raw.file,
                keyword=keyword,
                cure=f"Build a {kind} from frames of this mode with 'skyloom calibs build --replace'"
                f"{', or take its level alone with --pedestal-only' if bias else ''}.",
            )
