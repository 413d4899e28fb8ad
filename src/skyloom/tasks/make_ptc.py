"""`MakePtcTask`: the photon-transfer curve of a detector, from pairs of flats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import ChoiceField, RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import PtcSettings, Raw, make_ptc

from .flat_pairs import PairConfig
from .master_frames import MasterTask, camera_input, chosen_calibration, new_calibration, raw_frames, record

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakePtcConfig", "MakePtcConnections", "MakePtcTask"]


class MakePtcConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """The flats of a detector, the master bias, and the photon-transfer curve."""

    raws = raw_frames("Flat frames, two of each of many levels.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    ptc = new_calibration(
        "ptc", "Gain, read noise, full well and covariances of each amplifier.", storage_class="StructuredDataDict"
    )


class MakePtcConfig(PairConfig, pipelineConnections=MakePtcConnections):
    """Settings of `MakePtcTask`."""

    model: Any = ChoiceField(
        dtype=str,
        default="EXPONENTIAL",
        allowed={
            "EXPONENTIAL": "Of pixels whose area changes in proportion to the charge (Astier et al. 2019).",
            "POLYNOMIAL": "Of the third degree.",
        },
        doc="How the variance grows with the level.",
    )
    lags: Any = RangeField(
        dtype=int, default=8, min=1, max=30, doc="Covariances are measured up to this many rows and columns apart."
    )


class MakePtcTask(MasterTask):
    """Measure the photon-transfer curve."""

    ConfigClass = MakePtcConfig
    _DefaultName = "make_ptc"
    config: MakePtcConfig

    def run(self, raws: Sequence[Raw], bias: MaskedImage | None = None) -> Struct:
        """Measure the photon-transfer curve.

        Parameters
        ----------
        raws
            What reads the flats, one by one.
        bias
            Master bias in ADU.

        Returns
        -------
        Struct
            ``ptc``: plain data, see `skyloom.calibs.make_ptc`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If there are too few pairs, or flats of different read-out modes.
        """
        measured = make_ptc(raws, bias=bias, settings=self.config.filled(PtcSettings()))
        record(self, measured)
        return Struct(ptc=measured.data)
