"""`CoaddInputRecorderTask`: what became of each detector of a warp."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from lsst.pex.config import Config, Field
from lsst.pipe.base import Task

if TYPE_CHECKING:
    from lsst.images import Box

    from skyloom.images import Exposure

__all__ = ["CoaddInputRecorderConfig", "CoaddInputRecorderTask"]


class CoaddInputRecorderConfig(Config):
    """Settings of `CoaddInputRecorderTask`."""

    saveEmptyCcds: Any = Field(
        dtype=bool, default=False, doc="Write into the warp which detectors have no pixel in it, though they were read?"
    )
    saveErrorCcds: Any = Field(dtype=bool, default=False, doc="Write into the warp which detectors failed, and why?")


class CoaddInputRecorderTask(Task):
    """Keep what became of each detector; the table of inputs that each warp carries has those with pixels."""

    ConfigClass = CoaddInputRecorderConfig
    _DefaultName = "inputRecorder"
    config: CoaddInputRecorderConfig

    def run(
        self, warpType: str, warp: Exposure | None, box: Box, taken: Collection[int], failures: Mapping[str, str]
    ) -> None:
        """Record one warp of a visit, in the metadata of the task and of the warp.

        Parameters
        ----------
        warpType
            "direct" or "psfMatched".
        warp
            The warp; None where there is none.
        box
            The pixels that it could have filled.
        taken
            Detectors that were read for it.
        failures
            Detector, in words, to the reason why it is left out.
        """
        inputs = {} if warp is None or warp.inputs is None else _pixels(warp)
        empty = sorted(set(taken) - set(inputs))
        self.metadata[f"{warpType}_detectors"] = list(inputs)
        self.metadata[f"{warpType}_n_pixels"] = sum(inputs.values())
        self.metadata[f"{warpType}_filled_fraction"] = sum(inputs.values()) / box.area
        self.metadata[f"{warpType}_empty_detectors"] = empty
        if warp is None:
            return
        if self.config.saveEmptyCcds:
            warp.metadata["empty_detectors"] = empty
        if self.config.saveErrorCcds:
            warp.metadata["failed_detectors"] = [f"{which}: {reason}" for which, reason in failures.items()]


def _pixels(warp: Exposure) -> dict[int, int]:
    """Pixels of each detector."""
    assert warp.inputs is not None
    return {int(row["detector"]): int(row["n_pixels"]) for row in warp.inputs}
