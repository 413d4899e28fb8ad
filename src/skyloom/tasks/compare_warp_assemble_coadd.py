"""`CompareWarpAssembleCoaddTask`: a mean of warps without what PSF-matched warps show to differ from the static sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsst.pipe.base import NoWorkFound, Struct

from .artifact_coadd import ArtifactCoaddTask
from .artifact_config import CompareWarpAssembleCoaddConfig, CompareWarpAssembleCoaddConnections
from .coadd_inputs import as_inputs

__all__ = ["CompareWarpAssembleCoaddConfig", "CompareWarpAssembleCoaddConnections", "CompareWarpAssembleCoaddTask"]


class CompareWarpAssembleCoaddTask(ArtifactCoaddTask):
    """Combine the warps of a patch into their mean, without artifacts that PSF-matched warps show.

    See `skyloom.coadd.compare_warps`.  A visit without a matched warp takes no part, unless ``doRequireMatched`` is
    off.
    """

    ConfigClass = CompareWarpAssembleCoaddConfig
    _DefaultName = "compareWarpAssembleCoadd"
    config: CompareWarpAssembleCoaddConfig

    def assemble(
        self,
        skyInfo: Struct,
        tempExpRefList: Sequence[Any],
        imageScalerList: Sequence[Any] | None,
        weightList: Sequence[float],
        bgInfoList: Sequence[Any] | None = None,
        altMaskList: Any = None,
        mask: int | None = None,
        supplementaryData: Struct | None = None,
    ) -> Struct:
        """Find artifacts, and combine warps without them.

        With ``altMaskList`` or ``mask`` it is `AssembleCoaddTask.assemble`: nothing is looked for.

        Parameters
        ----------
        skyInfo, tempExpRefList, imageScalerList, weightList, bgInfoList, altMaskList, mask
            As of `AssembleCoaddTask.assemble`.
        supplementaryData
            ``psfMatchedWarps``: references to the matched warps; those that `run` was given where None.

        Returns
        -------
        Struct
            What `AssembleCoaddTask.assemble` returns: ``coaddExposure``, ``nImage``, ...; and ``compared``, the
            `skyloom.coadd.CompareWarpResult`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If no warp has a matched one.
        """
        if altMaskList is not None or mask is not None:
            return super().assemble(skyInfo, tempExpRefList, imageScalerList, weightList, bgInfoList, altMaskList, mask)
        matched = self._matched if supplementaryData is None else supplementaryData.psfMatchedWarps
        lists = (tempExpRefList, imageScalerList, weightList, bgInfoList)
        if not tempExpRefList or not len(matched):
            raise NoWorkFound(f"{len(tempExpRefList)} warps and {len(matched)} PSF-matched ones: nothing to compare.")
        inputs = as_inputs(*lists)
        compared = self.compareWarps(skyInfo, inputs, self.config, matched)
        if self.config.doRequireMatched:
            kept = [place for place, part in enumerate(inputs) if part.visit not in compared.unmatched]
            lists = tuple(None if one is None else [one[place] for place in kept] for one in lists)  # type: ignore[assignment]
        result = self.assembleMasked(skyInfo, *lists, compared.masks)
        result.compared = compared
        return result
