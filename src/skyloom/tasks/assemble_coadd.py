"""`AssembleCoaddTask`: the warps of a patch combined into a coadd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from lsst.images import Box, SkyProjection
from lsst.pipe.base import NoWorkFound, PipelineTask, QuantumContext, Struct

from skyloom.images import MASK_PLANES, Exposure, bitmask, to_coadd

from .assemble_coadd_config import AssembleCoaddConfig, AssembleCoaddConnections
from .assemble_coadd_methods import AssembleCoaddMethods
from .classic_coadd import ClassicCoadd
from .failure import failing_frames

if TYPE_CHECKING:
    from astropy.table import Table

    from skyloom.coadd import WarpHandle
    from skyloom.skymap import SkyMap

    from .interp_image import InterpImageTask

__all__ = ["AssembleCoaddConfig", "AssembleCoaddConnections", "AssembleCoaddTask"]


class AssembleCoaddTask(ClassicCoadd, AssembleCoaddMethods, PipelineTask):
    """Combine the warps of a patch in one band; with too few warps there is no work.

    Raises
    ------
    RuntimeError
        If ``brightObjectMaskName`` is asked for and not a mask plane.
    """

    ConfigClass = AssembleCoaddConfig
    _DefaultName = "assemble_coadd"
    config: AssembleCoaddConfig
    interpImage: InterpImageTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("select", "interpImage", "scaleZeroPoint", "inputMapper", "matchBackgrounds"):
            self.makeSubtask(name)
        self.warpType: str = self.config.warpType
        """Which warps are combined: "direct" or "psfMatched"."""
        if self.config.doMaskBrightObjects:
            plane = self.config.brightObjectMaskName
            if plane not in MASK_PLANES:
                raise RuntimeError(f"There is no mask plane {plane!r}; there are {', '.join(MASK_PLANES)}.")
            self.brightObjectBitmask: int = bitmask(plane)
            """The bit of the plane of bright objects; only with ``doMaskBrightObjects``."""

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read the warps strip by strip; write the coadd and the number of its inputs."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        data_id = cast("Any", butlerQC.quantum.dataId)
        sky_map: SkyMap = inputs["sky_map"]
        tract = sky_map.tract(int(data_id["tract"]))
        box = tract.patch(int(data_id["patch"])).outer_bbox
        warps: Sequence[WarpHandle] = inputs["warps"]
        if self.config.doSelectVisits:
            warps = _selected(warps, inputs["selectedVisits"])
        with failing_frames(self):
            result = self.run(
                warps,
                box=box,
                projection=tract.projection,
                band=str(data_id["band"]),
                bright_objects=inputs.get("brightObjectMask"),
                sky_map=sky_map,
                data_id=data_id,
            )
        if self.config.doWrite:
            result.coadd = to_coadd(result.coadd)
            butlerQC.put(result, outputRefs)

    def run(
        self,
        warps: Sequence[WarpHandle],
        *,
        box: Box,
        projection: SkyProjection[Any],
        band: str,
        bright_objects: Table | None = None,
        sky_map: SkyMap | None = None,
        data_id: Any = None,
    ) -> Struct:
        """Combine warps.

        Parameters
        ----------
        warps
            References to the warps: deferred handles, or `skyloom.coadd.ExposureHandle`.
        box
            Pixels of the tract to fill: the patch's outer box.
        projection
            Sky projection of the tract.
        band
            Short name of the passband.
        bright_objects
            Catalogue of bright objects, for ``doMaskBrightObjects``.
        sky_map
            The sky map, for ``doMatchBackgrounds``.
        data_id
            Tract, patch and band, against which the catalogue is checked.

        Returns
        -------
        Struct
            ``coadd``: an `skyloom.images.Exposure` with the table of its inputs and their PSF.
            ``n_image``: number of warps in each pixel, uint16.
            ``inputMap``: None without ``doInputMap``.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If fewer than ``min_inputs`` warps can take part.
        """
        sky_info = Struct(bbox=box, wcs=projection, band=band)
        prepared = self.prepareInputs(warps, sky_info)
        matches = None
        if self.config.doMatchBackgrounds and prepared.tempExpRefList:
            prepared = self.backgroundMatching(Struct(**prepared.getDict(), skyMap=sky_map))
            matches = prepared.backgroundInfoList
        references = prepared.tempExpRefList
        if len(references) < self.config.min_inputs:
            raise NoWorkFound(
                f"{len(references)} of {len(warps)} warps can take part, {self.config.min_inputs} needed."
            )
        result = self.assemble(sky_info, references, prepared.imageScalerList, prepared.weightList, matches)
        coadd: Exposure = result.coaddExposure
        if matches is not None:
            self.addBackgroundMatchingMetadata(coadd, references, matches)
        self.finish_coadd(coadd, bright_objects, data_id)
        self._report(coadd, result.nImage.array)
        return Struct(coadd=coadd, n_image=result.nImage, inputMap=getattr(result, "inputMap", None))

    def finish_coadd(self, coadd: Exposure, bright_objects: Table | None = None, data_id: Any = None) -> None:
        """Interpolate missing pixels if ``doInterp``, then mask bright objects if ``doMaskBrightObjects``, in place.

        Parameters
        ----------
        coadd
            What `assemble` makes.
        bright_objects, data_id
            As for `run`.
        """
        if self.config.doInterp:
            self.interpImage.run(coadd, planeName="NO_DATA")
        if self.config.doMaskBrightObjects:
            self.setBrightObjectMasks(coadd, data_id, bright_objects)

    def _report(self, coadd: Exposure, n_image: np.ndarray) -> None:
        """Record the inputs, by which a stale coadd is found, and a few figures."""
        assert coadd.inputs is not None
        visits = sorted({int(visit) for visit in coadd.inputs["visit"]})
        self.metadata["visits"] = visits
        self.metadata["detectors"] = [f"{row['visit']}/{row['detector']}" for row in coadd.inputs]
        self.metadata["filled_fraction"] = float((n_image > 0).mean())
        self.metadata["median_n_image"] = float(np.median(n_image))
        self.log.info(
            "%d warps, %.0f %% of the patch filled", len(visits), 100.0 * float(self.metadata["filled_fraction"])
        )


def _selected(warps: Sequence[WarpHandle], visits: Any) -> list[WarpHandle]:
    """The warps of some visits, in their order."""
    by_visit = {int(warp.dataId["visit"]): warp for warp in warps}
    return [by_visit[visit] for visit in map(int, visits) if visit in by_visit]
