"""What the tasks that measure pairs of flats share: their settings, and what becomes of the result."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections

from skyloom.calibs import PairSettings

__all__ = ["PairConfig"]


class PairConfig(PipelineTaskConfig, pipelineConnections=PipelineTaskConnections):
    """Settings of every task that measures pairs of flats."""

    time_tolerance: Any = RangeField(
        dtype=float, default=0.01, min=0.0, doc="Largest relative difference of the exposure times of a pair."
    )
    level_tolerance: Any = RangeField(
        dtype=float, default=0.05, min=0.0, doc="Largest relative difference of the levels of a pair."
    )
    n_sigma: Any = RangeField(
        dtype=float, default=5.0, min=3.0, doc="Pixels, and pairs, further than this from the rest do not count."
    )
    turn_over: Any = RangeField(
        dtype=float, default=0.05, min=0.0, max=1.0, doc="Fall of the variance by which the well is known to be full."
    )
    fit_to: Any = RangeField(
        dtype=float, default=0.95, min=0.0, max=1.0, doc="Pairs up to this fraction of the full well are fitted."
    )
    minimum_levels: Any = RangeField(dtype=int, default=5, min=5, doc="Fewer usable pairs are refused.")
    memory_mb: Any = RangeField(
        dtype=float,
        default=400.0,
        min=0.0,
        doc="Frames that wait for their like are held in memory up to this size, then in a scratch file.",
    )

    def filled[T: PairSettings](self, settings: T) -> T:
        """Settings of the algorithm with the values of this configuration."""
        given: dict[str, Any] = self.toDict()  # type: ignore[no-untyped-call]
        known = [field.name for field in fields(settings)]
        return replace(settings, **{name: given[name] for name in known if name in given})
