"""What the tasks that make masters from frames of the sky share: how sources are told from the sky."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTaskConnections

from skyloom.calibs import MasterSettings

from .master_frames import MasterConfig

__all__ = ["SkyMasterConfig"]


class SkyMasterConfig(MasterConfig, pipelineConnections=PipelineTaskConnections):
    """Settings of every task that combines frames of the sky."""

    source_fwhm: Any = RangeField(
        dtype=float, default=3.5, min=1.0, doc="FWHM of stars (pixels), of the filter that looks for sources."
    )
    source_sigma: Any = RangeField(
        dtype=float, default=4.0, min=1.0, doc="Sources that stand out by this many sigma are left out."
    )
    source_grow: Any = RangeField(
        dtype=float, default=4.0, min=0.0, doc="And what is this near to them, in sigmas of the filter's width."
    )
    sky_bin: Any = RangeField(
        dtype=int, default=256, min=32, doc="Side of the cells (pixels) whose levels make the smooth sky of a frame."
    )
    minimum_sky_electrons: Any = RangeField(
        dtype=float, default=50.0, min=0.0, doc="Frames of a fainter sky are left out."
    )
    passes: Any = RangeField(dtype=int, default=3, min=2, doc="How often to look for sources and combine.")

    def values_of(self, settings: MasterSettings) -> dict[str, Any]:
        """What of an algorithm's settings stands here, by name."""
        given: dict[str, Any] = self.toDict()  # type: ignore[no-untyped-call]
        return {name: given[name] for name in vars(settings) if name in given}
