"""`MakeLinearizerTask`: the correction of the linearity of a detector, from pairs of flats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import ChoiceField, Field, RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import LinearizerSettings, Raw, make_linearizer

from .flat_pairs import PairConfig
from .master_frames import MasterTask, camera_input, chosen_calibration, new_calibration, raw_frames, record

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakeLinearizerConfig", "MakeLinearizerConnections", "MakeLinearizerTask"]


class MakeLinearizerConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """The flats of a detector, the master bias, and the correction of the linearity."""

    raws = raw_frames("Flat frames, two of each of many exposure times.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    linearizer = new_calibration(
        "linearizer", "How the counts of each amplifier become proportional.", storage_class="StructuredDataDict"
    )


class MakeLinearizerConfig(PairConfig, pipelineConnections=MakeLinearizerConnections):
    """Settings of `MakeLinearizerTask`."""

    kind: Any = ChoiceField(
        dtype=str,
        default="POLYNOMIAL",
        allowed={"POLYNOMIAL": "Of the counts.", "SPLINE": "An Akima spline of the counts."},
        doc="Form of the correction.",
    )
    order: Any = RangeField(dtype=int, default=3, min=2, max=8, doc="Highest power of the counts in a polynomial.")
    nodes: Any = RangeField(dtype=int, default=10, min=3, doc="Nodes of a spline.")
    monitor: Any = Field(
        dtype=str, default="", doc="Header keyword that holds the light of an exposure; empty: its exposure time."
    )
    drift_significance: Any = RangeField(
        dtype=float, default=5.0, min=0.0, doc="A drift of the lamp that shows by so many sigma is allowed for."
    )
    rate_tolerance: Any = RangeField(
        dtype=float,
        default=0.2,
        min=0.0,
        doc="Largest relative difference of the light a second from that of the rest.",
    )


class MakeLinearizerTask(MasterTask):
    """Fit the correction of the linearity."""

    ConfigClass = MakeLinearizerConfig
    _DefaultName = "make_linearizer"
    config: MakeLinearizerConfig

    def run(self, raws: Sequence[Raw], bias: MaskedImage | None = None) -> Struct:
        """Fit the correction of the linearity.

        Parameters
        ----------
        raws
            What reads the flats, one by one.
        bias
            Master bias in ADU.

        Returns
        -------
        Struct
            ``linearizer``: plain data that `skyloom.isr.linearities_from_data` takes.

        Raises
        ------
        skyloom.errors.BadFrameError
            If there are too few pairs, all of one exposure time, or flats of different read-out modes.
        """
        measured = make_linearizer(raws, bias=bias, settings=self.config.filled(LinearizerSettings(lags=0)))
        record(self, measured)
        return Struct(linearizer=measured.data)
