"""The classic methods of `AssembleCoaddTask`: the coadd of a patch, by data references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lsst.pipe.base import Struct

from skyloom.images import to_coadd

from .classic import ClassicTask
from .classic_runner import CoaddTaskRunner
from .coadd_inputs import one_pixel
from .data_reference import ButlerDataRef, MissingDatasetError

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.daf.butler import DeferredDatasetHandle
    from lsst.utils.logging import LsstLogAdapter

    from skyloom.coadd import ImageScaler

    from .assemble_coadd_config import AssembleCoaddConfig
    from .scale_zero_point import ScaleZeroPointTask
    from .select_images import WcsSelectImagesTask

__all__ = ["ClassicCoadd"]


class ClassicCoadd(ClassicTask):
    """Combines the warps of a patch that a repository has."""

    if TYPE_CHECKING:
        config: AssembleCoaddConfig
        log: LsstLogAdapter
        select: WcsSelectImagesTask
        scaleZeroPoint: ScaleZeroPointTask
        getSkyInfo: Callable[..., Struct]
        selectExposures: Callable[..., list[Any]]
        run: Callable[..., Struct]

    RunnerClass = CoaddTaskRunner
    classic_kind = "coadd"

    def runDataRef(self, dataRef: ButlerDataRef, selectDataList: Sequence[Any] = ()) -> Struct | None:
        """Combine the warps of a patch in a band, and write the coadd as the pipeline does.

        Parameters
        ----------
        dataRef
            The patch, with its band.
        selectDataList
            References to the calibrated frames whose visits are combined.

        Returns
        -------
        Struct
            ``coaddExposure``, an `skyloom.images.Exposure`; ``nImage``, number of warps in each pixel; ``inputMap``.
            None if there is no frame, or no warp of one.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If fewer than ``min_inputs`` warps can take part.
        RuntimeError
            As of `getBackgroundReferenceScaler`, with ``doMatchBackgrounds``.
        """
        sky_info = self.getSkyInfo(dataRef)
        frames = self.selectExposures(dataRef, sky_info, selectDataList)
        if not frames:
            self.log.warning("no frame is selected for %s", dataRef)
            return None
        references = self.getTempExpRefList(dataRef, frames)
        warps = self._handles(references)
        self.log.info("%d of %d visits have a warp", len(warps), len(references))
        if not warps:
            self.log.warning("there is no warp of %s", dataRef)
            return None
        if self.config.doMatchBackgrounds:
            self.getBackgroundReferenceScaler(dataRef)
        self.makeSupplementaryData(dataRef, selectDataList)
        handles = {name: self._handles(references, name) for name in ("psfMatchedWarps",) if name in dataRef.names}
        result = self.run(
            self._chosen(dataRef, warps),
            box=sky_info.bbox,
            projection=sky_info.wcs,
            band=str(dataRef.dataId["band"]),
            bright_objects=self.readBrightObjectMasks(dataRef) if self.config.doMaskBrightObjects else None,
            sky_map=sky_info.skyMap,
            data_id=dataRef.dataId,
            **handles,
        )
        if self.config.doWrite:
            self._write(dataRef, result, str(frames[0].dataId["instrument"]))
        return Struct(coaddExposure=result.coadd, nImage=result.n_image, inputMap=result.inputMap)

    def getTempExpRefList(self, patchRef: ButlerDataRef, calExpRefList: Sequence[Any]) -> list[ButlerDataRef]:
        """References to the warps of the visits of some frames on a patch, whether or not they are there.

        Parameters
        ----------
        patchRef
            The patch.
        calExpRefList
            References to the frames, of which the visits count.

        Returns
        -------
        list of ButlerDataRef
            One a visit, in the order of the visits.
        """
        visits = {int(one.dataId["visit"]): str(one.dataId["instrument"]) for one in calExpRefList}
        return [patchRef.of("warps", instrument=visits[visit], visit=visit) for visit in sorted(visits)]

    def getBackgroundReferenceScaler(self, dataRef: ButlerDataRef) -> ImageScaler | None:
        """The zero point of the warp to whose sky the others are brought.

        Parameters
        ----------
        dataRef
            The patch.

        Returns
        -------
        skyloom.coadd.ImageScaler
            What takes it to the zero point of the coadd; None with ``autoReference``, where it is not yet known.

        Raises
        ------
        RuntimeError
            If the warp of ``matchBackgrounds.refWarpVisit`` is not there.
        """
        if self.config.autoReference:
            return None
        visit = int(self.config.matchBackgrounds.value.refWarpVisit)
        warp = dataRef.of("warps", instrument=_instrument(dataRef, visit), visit=visit)
        if not warp.datasetExists():
            raise MissingDatasetError(
                f"there is no warp of visit {visit}, to whose sky those of {dataRef} are to be brought.",
                cure="Make it, name another in matchBackgrounds.refWarpVisit, or set autoReference.",
            )
        scaler: ImageScaler = self.scaleZeroPoint.computeImageScaler(one_pixel(warp))
        return scaler

    def readBrightObjectMasks(self, dataRef: ButlerDataRef) -> Table | None:
        """The catalogue of bright objects of a patch in a band.

        Parameters
        ----------
        dataRef
            The patch, with its band.

        Returns
        -------
        astropy.table.Table
            As `skyloom.coadd.mask_bright_objects` takes it; None, with a warning, where there is none or it cannot be
            read.
        """
        try:
            found: Table = dataRef.get("brightObjectMask")
        except (RuntimeError, OSError, ValueError) as error:
            self.log.warning("no catalogue of bright objects is read: %s", error)
            return None
        return found

    def makeSupplementaryData(self, dataRef: ButlerDataRef, selectDataList: Sequence[Any] = ()) -> None:
        """Called before the warps of a patch are combined, for tasks that prepare something: nothing here."""

    def _handles(self, references: Sequence[ButlerDataRef], kind: str = "warps") -> list[DeferredDatasetHandle]:
        """Handles of those warps that are there."""
        found = [one.of(kind) for one in references]
        return [one.get(immediate=False) for one in found if one.datasetExists()]

    def _chosen(self, dataRef: ButlerDataRef, warps: Sequence[DeferredDatasetHandle]) -> list[Any]:
        """With ``doSelectVisits`` the warps of ``selectedVisits``, in their order."""
        if not self.config.doSelectVisits:
            return list(warps)
        by_visit = {int(warp.dataId["visit"]): warp for warp in warps}
        instrument = warps[0].dataId["instrument"]
        visits = dataRef.of("selectedVisits", instrument=instrument).get()
        return [by_visit[visit] for visit in map(int, visits) if visit in by_visit]

    def _write(self, dataRef: ButlerDataRef, result: Struct, instrument: str) -> None:
        """Write what the pipeline writes, under its names."""
        for name in sorted(self.connection_names(self.config)):
            product = getattr(result, name, None)
            if product is None:
                continue
            if name in ("coadd", "templateCoadd"):
                dataRef.put(to_coadd(product), name)
            elif name == "artifactMasks":
                for visit, mask in product.items():
                    dataRef.of(name, instrument=instrument, visit=visit).put(mask)
            else:
                dataRef.put(product, name)


def _instrument(ref: ButlerDataRef, visit: int) -> str:
    """The instrument of a visit."""
    records = ref.butler.query_dimension_records("visit", where=f"visit = {visit}", explain=False)
    names = sorted({str(record.instrument) for record in records})
    if len(names) != 1:
        raise MissingDatasetError(f"there is no visit {visit} of one instrument.", cure="Name a visit that is there.")
    return names[0]
