"""The classic methods of `MakeCoaddTempExpTask`: the warps of all visits of a patch, by data references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lsst.pipe.base import Struct

from skyloom.errors import FrameError
from skyloom.images import to_warp

from .classic import ClassicTask
from .classic_runner import CoaddTaskRunner
from .frame_reference import FrameReference

if TYPE_CHECKING:
    from lsst.utils.logging import LsstLogAdapter

    from .data_reference import ButlerDataRef
    from .make_coadd_temp_exp_config import MakeCoaddTempExpConfig

__all__ = ["ClassicWarps", "frames_on_tract"]


class ClassicWarps(ClassicTask):
    """Warps the visits of a patch one after the other."""

    if TYPE_CHECKING:
        config: MakeCoaddTempExpConfig
        log: LsstLogAdapter
        reuse: bool
        run: Callable[..., Struct]
        getSkyInfo: Callable[..., Struct]
        getWarpTypeList: Callable[[], list[str]]
        selectExposures: Callable[..., list[FrameReference]]
        emptyMetadata: Callable[[], None]

    RunnerClass = CoaddTaskRunner
    classic_kind = "patch"

    def runDataRef(self, patchRef: ButlerDataRef, selectDataList: Sequence[Any] = ()) -> list[ButlerDataRef] | None:
        """Warp visits onto a patch, and write the warps as the pipeline does.

        A visit of which nothing can be warped is named in a warning, and the others go on.

        Parameters
        ----------
        patchRef
            The patch.
        selectDataList
            References to the calibrated frames to choose from.

        Returns
        -------
        list of ButlerDataRef
            References to the warps, of the first type of `getWarpTypeList`; None if no frame is selected.

        Raises
        ------
        skyloom.errors.FrameError
            If visits failed, and no other gave a warp.
        """
        sky_info = self.getSkyInfo(patchRef)
        frames = self.selectExposures(patchRef, sky_info, selectDataList)
        if not frames:
            self.log.warning("no frame is selected for %s", patchRef)
            return None
        warps: list[ButlerDataRef] = []
        failures: list[str] = []
        for visit, members in groupby(frames, key=lambda one: one.visit):
            together = list(members)
            instrument = together[0].dataId["instrument"]
            warp = patchRef.of(self.getWarpTypeList()[0], instrument=instrument, visit=visit)
            if self.reuse and warp.datasetExists():
                self.log.info("%s has its warp already", warp)
                warps.append(warp)
                continue
            reason = self._warp(warp, together, sky_info)
            if reason is None:
                warps.append(warp)
            else:
                self.log.warning("%s has no warp: %s", warp, reason)
                failures += [f"visit {visit}: {reason}"] if reason else []
        if failures and not warps:
            raise FrameError("; ".join(failures))
        self.log.info("%s: %d warps", patchRef, len(warps))
        return warps

    def _warp(self, warp: ButlerDataRef, frames: list[FrameReference], sky_info: Struct) -> str | None:
        """Warp one visit and write its warps; the reason if there are none, empty if it has no pixel on the patch."""
        self.emptyMetadata()
        try:
            result = self.run(frames, sky_info, frames[0].visit)
        except FrameError as error:
            return str(error)
        made = {name: one for name, one in result.exposures.items() if one is not None}
        if not made:
            return "; ".join(f"detector {which}: {reason}" for which, reason in result.left_out.items())
        if self.config.doWrite:
            for name, one in made.items():
                warp.put(to_warp(one), name)
            self.writeMetadata(warp)
        return None


def frames_on_tract(patchRef: Any, frames: Sequence[Any]) -> list[Any]:
    """The frames, data references as references to frames with the joint fit of the patch's tract."""
    known = "skymap" in patchRef.dataId
    tract = {name: patchRef.dataId[name] for name in ("skymap", "tract")} if known else {}
    return [
        one.of("exposures", **tract).frame_reference() if hasattr(one, "frame_reference") else one for one in frames
    ]
