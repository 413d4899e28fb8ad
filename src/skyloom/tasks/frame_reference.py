"""References to calibrated frames and to patches: what the documented methods of the warp tasks take."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from lsst.daf.butler import DeferredDatasetHandle
from lsst.images import BackgroundMap, Box, VisitImage

from skyloom.coadd import ExposureHandle
from skyloom.errors import FrameError
from skyloom.images import Exposure, from_visit_image

if TYPE_CHECKING:
    from astropy.table import Table
    from lsst.images.fields import Field

    from skyloom.skymap import SkyMap

__all__ = ["DataReference", "FrameReference", "PatchReference", "as_references"]

type Sky = BackgroundMap | Field
_ATTRIBUTES = {"sky_projection": "projection"}
"""Components of a stored frame that an `Exposure` calls otherwise."""


class DataReference(Protocol):
    """A dataset that is read when it is asked for: what the butler's deferred handles are."""

    @property
    def dataId(self) -> Any:
        """Maps the names of dimensions to their values."""
        ...

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        """The dataset or a component of it; ``parameters["bbox"]`` cuts out."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameReference:
    """A reference to the calibrated frame of a detector, and to what belongs to it."""

    exposure: DataReference | Exposure
    """A reference to a stored `lsst.images.VisitImage`, or a frame in memory."""
    dataId: Any = field(default_factory=dict)
    """Visit and detector."""
    background: DataReference | Sky | None = None
    """The sky that was subtracted from the frame."""
    sky_correction: DataReference | BackgroundMap | None = None
    """What puts the sky of the whole camera in its place."""
    visit_summary: Table | None = None
    joint_wcs: Table | None = None
    joint_photo_calib: Table | None = None
    """Tables of the visit."""
    part: Box | None = None
    """The pixels of the frame that are read; None for all."""
    known: dict[str, Any] = field(default_factory=dict, repr=False)
    """Components of a stored frame that were read before."""

    @property
    def visit(self) -> int:
        """Visit id, 0 where it is unknown."""
        return int(self.dataId["visit"]) if "visit" in self.dataId else 0

    @property
    def detector(self) -> int:
        """Detector id."""
        return int(self.dataId["detector"])

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        """The part of the frame as an `Exposure` of its own, or a component of the frame: bbox, sky_projection, ..."""
        if component is not None:
            return self._component(component)
        box = (parameters or {}).get("bbox", self.part)
        if isinstance(self.exposure, Exposure):
            return (self.exposure if box is None else self.exposure[box]).copy()
        found = self.exposure.get(parameters=None if box is None else {"bbox": box})
        exposure = from_visit_image(found) if isinstance(found, VisitImage) else found
        # What the butler reads is nobody else's.
        return exposure if isinstance(self.exposure, DeferredDatasetHandle) else exposure.copy()

    def read(self, name: str) -> Any:
        """The background or the sky correction.

        Raises
        ------
        FrameError
            If there is none.
        """
        found = getattr(self, name)
        if found is None:
            raise FrameError(
                f"There is no {name.replace('_', ' ')} of it.", cure="Make it, or leave it out of the configuration."
            )
        return found.get() if hasattr(found, "dataId") else found

    def _component(self, name: str) -> Any:
        if isinstance(self.exposure, Exposure):
            return getattr(self.exposure, _ATTRIBUTES.get(name, name))
        if name not in self.known:
            self.known[name] = self.exposure.get(component=name)
        return self.known[name]


@dataclass(frozen=True, kw_only=True)
class PatchReference:
    """A reference to a patch: the sky map, and the numbers of tract and patch."""

    sky_map: SkyMap
    dataId: Any
    """Tract and patch; a patch by its number, or by column and row: ``(1, 2)`` or ``"1,2"``."""

    def get(self) -> SkyMap:
        """The sky map."""
        return self.sky_map


def as_references(frames: Any) -> list[FrameReference]:
    """Frames as `FrameReference`, by visit and detector; one that does not tell its detector has its place for that."""
    references = [_as_reference(frame, place) for place, frame in enumerate(frames)]
    return sorted(references, key=lambda one: (one.visit, one.detector))


def _as_reference(frame: Any, place: int) -> FrameReference:
    """A deferred handle, an exposure or a wrapped one, or a data reference of the classic command line."""
    if hasattr(frame, "frame_reference"):
        frame = frame.frame_reference()
    one = frame if isinstance(frame, FrameReference) else FrameReference(exposure=frame)
    if isinstance(frame, ExposureHandle):
        one = FrameReference(exposure=frame.get(), dataId=frame.dataId)
    known = one.dataId or getattr(one.exposure, "dataId", {})
    if "detector" not in known:
        detector = one.exposure.detector if isinstance(one.exposure, Exposure) else None
        known = {**known, "detector": place if detector is None else detector.id}
    return replace(one, dataId=known)
