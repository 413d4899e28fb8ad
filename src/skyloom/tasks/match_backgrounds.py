"""`MatchBackgroundsTask`: the warps of all visits on a tract, brought to the sky of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, overload

import numpy as np
from lsst.images import BackgroundMap, Image
from lsst.images.fields import ChebyshevField
from lsst.pipe.base import PipelineTask, QuantumContext, Struct
from lsst.utils.timer import timeMethod

from skyloom.background import render_field
from skyloom.backmatch import (
    FIGURES,
    PatchWarp,
    SuperpixelGrid,
    VisitOffset,
    VisitQuality,
    by_visit,
    figures_table,
    match_visits,
    visit_figures,
)
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, to_warp

from .failure import failing_frames
from .match_backgrounds_config import MatchBackgroundsConfig
from .warp_reference import WarpReference, as_warp_references

if TYPE_CHECKING:
    from lsst.images.fields import Field

    from skyloom.skymap import SkyMap, Tract

    from .choose_reference_visit import ChooseReferenceVisitTask

__all__ = ["DIFFERENCE", "MatchBackgroundsConfig", "MatchBackgroundsTask", "MatchedWarps"]

DIFFERENCE = "background_difference"
"""Name in the stored map of what is added to a warp."""
_WORDS = "Sky of the reference visit less that of this one: to be added to the warp."


class MatchedWarps(Sequence[Exposure]):
    """Warps with their offsets added, each read and made when it is asked for: none is kept."""

    def __init__(self, warps: Sequence[WarpReference], backgrounds: Sequence[BackgroundMap]) -> None:
        self.warps = warps
        """Where they come from."""
        self._backgrounds = backgrounds

    def __len__(self) -> int:
        return len(self.warps)

    @overload
    def __getitem__(self, index: int) -> Exposure: ...
    @overload
    def __getitem__(self, index: slice) -> MatchedWarps: ...
    def __getitem__(self, index: int | slice) -> Exposure | MatchedWarps:
        if isinstance(index, slice):
            return MatchedWarps(self.warps[index], self._backgrounds[index])
        exposure, field = self.warps[index].exposure(), self._backgrounds[index][DIFFERENCE].field
        if not _is_zero(field):
            pixels = exposure.image.array + render_field(field, exposure.bbox)
            exposure.image = Image(pixels, bbox=exposure.bbox)
        return exposure


@dataclass(frozen=True, kw_only=True, eq=False)
class _Warps:
    """What the task works on."""

    references: list[WarpReference]
    visits: dict[int, dict[int, PatchWarp]]
    """Those in nJy."""
    tract: Tract


class MatchBackgroundsTask(PipelineTask):
    """Bring all visits on a tract to the sky of one of them; pixels are read one warp at a time."""

    ConfigClass = MatchBackgroundsConfig
    _DefaultName = "matchBackgrounds"
    config: MatchBackgroundsConfig
    reference: ChooseReferenceVisitTask

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.statsCtrl = self.config.settings().statistic
        """Statistic of the superpixels, a `skyloom.backmatch.BinStatistic`."""
        self.makeSubtask("reference")

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read warps as they are needed; write backgrounds, matched warps, each as it is made, and figures."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        with failing_frames(self):
            result = self.run(inputs["warps"], inputs["skyMap"])
            backgrounds, images = _by_warp(outputRefs.backgroundInfoList), _by_warp(outputRefs.matchedImageList)
            matched = cast("MatchedWarps", result.matchedImageList)
            for place, warp in enumerate(matched.warps):
                key = (warp.visit, warp.patch.id)
                if warp.is_usable:
                    butlerQC.put(result.backgroundInfoList[place], backgrounds[key])
                    butlerQC.put(to_warp(matched[place]), images[key])
        butlerQC.put(result.figures, outputRefs.figures)

    @timeMethod
    def run(self, warps: Sequence[Any], skyMap: SkyMap) -> Struct:
        """Choose the reference visit where none is configured, and match the others to it.

        Parameters
        ----------
        warps
            Warps of several visits on the patches of one tract: deferred handles, other objects with ``dataId`` and
            ``get()``, or `skyloom.images.Exposure`.  They are left as they are.
        skyMap
            The sky map, a `skyloom.skymap.SkyMap`.

        Returns
        -------
        Struct
            ``backgroundInfoList``: an `lsst.images.BackgroundMap` a warp, in the order of ``warps``; its field
            ``background_difference``, nJy, is what is added.  ``matchedImageList``: the warps with that added, a
            sequence of `skyloom.images.Exposure` each of which is made when it is asked for.  ``figures``: table with
            a row a visit, see `skyloom.backmatch.FIGURES`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If no warp can be used, ``refWarpVisit`` is not among them, two are of one visit and patch, or they are of
            several tracts.
        """
        if len(warps) == 0:
            self.log.warning("There are no warps to match.")
            return Struct(backgroundInfoList=[], matchedImageList=[], figures=figures_table([]))
        found = self._warps(warps, skyMap)
        visit, qualities = self.config.refWarpVisit, dict[int, VisitQuality]()
        if visit is None and len(found.visits) == 1:
            visit = next(iter(found.visits))
        elif visit is None:
            choice = self.reference.run(found.visits, found.tract)
            visit, qualities = choice.visit, choice.qualities
        return self._match(found, int(visit), qualities)

    @timeMethod
    def matchBackgrounds(
        self, warps: Sequence[Any], skyMap: SkyMap, refVisitId: int
    ) -> tuple[list[BackgroundMap], Sequence[Exposure]]:
        """Match warps to one of their visits.

        Parameters
        ----------
        warps, skyMap
            As for `run`.
        refVisitId
            The reference visit.

        Returns
        -------
        tuple
            ``backgroundInfoList`` and ``matchedImageList`` of `run`.

        Raises
        ------
        skyloom.errors.BadFrameError
            If the reference is not among the warps, two are of one visit and patch, or they are of several tracts.
        """
        if len(warps) == 0:
            self.log.warning("There are no warps to match.")
            return [], []
        result = self._match(self._warps(warps, skyMap), int(refVisitId), {})
        return result.backgroundInfoList, result.matchedImageList

    def _warps(self, warps: Sequence[Any], sky_map: SkyMap) -> _Warps:
        """The warps by visit and patch, without those that are not in nJy."""
        references, tract = as_warp_references(warps, sky_map)
        for one in references:
            if not one.is_usable:
                self.log.warning(
                    "the warp of visit %d on patch %d is in %s, not nJy, and is left out: calibrate its frames",
                    one.visit,
                    one.patch.id,
                    one.unit,
                )
        usable = [one.patch_warp() for one in references if one.is_usable]
        if not usable:
            raise BadFrameError(f"none of {len(references)} warps is in nJy.", cure="Calibrate their frames.")
        return _Warps(references=references, visits=by_visit(usable), tract=tract)

    def _match(self, warps: _Warps, reference: int, qualities: Mapping[int, VisitQuality]) -> Struct:
        settings = self.config.settings()
        grid = SuperpixelGrid(warps.tract.bbox, settings.model.x_bin, settings.model.y_bin)
        offsets = match_visits(warps.visits, reference, grid, settings)
        rows = [
            visit_figures(visit, offsets[visit], patches, qualities.get(visit), joint=settings.solution == "JOINT")
            for visit, patches in warps.visits.items()
        ]
        self._report(rows, reference)
        if settings.solution == "REFERENCE":
            self._tell_patches_without_reference(warps.visits, offsets, reference)
        backgrounds = [self._background(one, offsets) for one in warps.references]
        return Struct(
            backgroundInfoList=backgrounds,
            matchedImageList=MatchedWarps(warps.references, backgrounds),
            figures=figures_table(rows),
        )

    def _background(self, warp: WarpReference, offsets: Mapping[int, VisitOffset | None]) -> BackgroundMap:
        """What is added to a warp; a constant 0 for the reference, and for what cannot be matched."""
        offset = offsets.get(warp.visit) if warp.is_usable else None
        if offset is None or offset.differences is None:
            field: Field = ChebyshevField(warp.bbox, np.zeros((1, 1)), unit=warp.unit)
        else:
            field = offset.field(warp.bbox, self.config.tractBgModel.binning)
        background = BackgroundMap()
        background.add(DIFFERENCE, field, _WORDS)
        return background

    def _report(self, rows: list[dict[str, float]], reference: int) -> None:
        """Log the figures of the visits, and keep them in the metadata."""
        sky = "the mean sky" if not any(row["is_reference"] for row in rows) else f"the sky of visit {reference}"
        self.log.info("%d visits get %s", sum(bool(row["is_matched"]) for row in rows), sky)
        self.metadata["reference_visit"] = reference
        for name, (kind, _, _) in FIGURES.items():
            self.metadata[f"visit_{name}" if name != "visit" else "visits"] = [_plain(row[name], kind) for row in rows]
        for row in rows:
            if not row["is_matched"]:
                self.log.warning(
                    "visit %d is not matched: it has no superpixel in common with the reference %d; "
                    "name another (refWarpVisit), or match all visits together (solution=JOINT)",
                    row["visit"],
                    reference,
                )
            elif not row["is_reference"]:
                self.log.info(
                    "visit %d: offset %.4g nJy, %d superpixels measured, %d continued; "
                    "left over: rms %.3g nJy, mean square of a pixel %.4g of %.4g nJy^2",
                    row["visit"],
                    row["offset_median"],
                    row["n_measured"],
                    row["n_extrapolated"],
                    row["rms"],
                    row["mse"],
                    row["difference_variance"],
                )

    def _tell_patches_without_reference(
        self,
        visits: Mapping[int, Mapping[int, PatchWarp]],
        offsets: Mapping[int, VisitOffset | None],
        reference: int,
    ) -> None:
        """Say where offsets do not come from a comparison with the reference."""
        alone = {
            visit: sorted(patches.keys() - visits[reference].keys())
            for visit, patches in visits.items()
            if offsets[visit] is not None
        }
        lacking = sorted({number for numbers in alone.values() for number in numbers})
        if lacking:
            self.log.warning(
                "the reference visit %d has no warp on patches %s; the offsets of visits %s are continued there from "
                "the rest: name a reference that covers them (refWarpVisit), or match all together (solution=JOINT)",
                reference,
                lacking,
                [visit for visit, numbers in alone.items() if numbers],
            )


def _plain(value: float, kind: type) -> float | int:
    return int(value) if kind in (np.int64, np.bool_) else float(value)


def _is_zero(field: Field) -> bool:
    return isinstance(field, ChebyshevField) and not field.coefficients.any()


def _by_warp(refs: Iterator[Any]) -> dict[tuple[int, int], Any]:
    return {(int(ref.dataId["visit"]), int(ref.dataId["patch"])): ref for ref in refs}
