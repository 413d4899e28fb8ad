"""`JointcalCoaddTask`: warps of frames that are calibrated by the joint fit of their tract."""

from __future__ import annotations

from .make_coadd_temp_exp import MakeCoaddTempExpConfig, MakeCoaddTempExpTask

__all__ = ["JointcalCoaddConfig", "JointcalCoaddTask"]


class JointcalCoaddConfig(MakeCoaddTempExpConfig):
    """Settings of `JointcalCoaddTask`: those of `MakeCoaddTempExpTask`, with ``doApplyUberCal`` set."""

    def setDefaults(self) -> None:
        """Calibrate by the joint fit."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.doApplyUberCal = True


class JointcalCoaddTask(MakeCoaddTempExpTask):
    """Warp the frames of a visit onto a patch, with the WCSs and flux scales of the joint fit.

    Parameters
    ----------
    reuse
        As of `MakeCoaddTempExpTask`.
    """

    ConfigClass = JointcalCoaddConfig
    _DefaultName = "jointcal_coadd"
    config: JointcalCoaddConfig
