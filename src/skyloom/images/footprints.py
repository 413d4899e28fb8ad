"""Footprints: the pixels that a detected source covers, and the peaks within."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
import pydantic
from lsst.images import Box
from lsst.images.serialization import ArchiveTree, InputArchive, InvalidParameterError, OutputArchive, TableModel

from skyloom.psf.schema import SCHEMA_URL_BASE

from .spans import SpanSet

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PEAK_DTYPE", "Footprint", "FootprintSet", "FootprintSetModel", "SpanSet"]

PEAK_DTYPE = np.dtype([("x", np.int32), ("y", np.int32), ("value", np.float32)])
"""A peak: pixel (x, y) and its value, in the unit of the image that was searched."""

_SPAN_DTYPE = np.dtype([("footprint", np.int32), ("y", np.int32), ("x0", np.int32), ("x1", np.int32)])
_PEAK_ROW_DTYPE = np.dtype([("footprint", np.int32), *PEAK_DTYPE.descr])


@dataclass(frozen=True, eq=False)
class Footprint:
    """The pixels of one detection and its peaks, brightest first."""

    spans: SpanSet
    peaks: NDArray[np.void]
    """Structured array of `PEAK_DTYPE`."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Footprint):
            return NotImplemented
        return self.spans == other.spans and np.array_equal(self.peaks, other.peaks)

    __hash__ = None  # type: ignore[assignment]

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.spans.area

    @property
    def bbox(self) -> Box:
        """Smallest box that holds all pixels."""
        return self.spans.bbox


class FootprintSet(Sequence[Footprint]):
    """The footprints of one image, each with the id of its source.

    Parameters
    ----------
    footprints
        The footprints, in the order of the source table.
    bbox
        Bounding box of the image that was searched.
    ids
        Source id of each footprint; 1, 2, ... when they have none yet.
    """

    def __init__(
        self, footprints: Sequence[Footprint], bbox: Box, ids: NDArray[np.int64] | Sequence[int] | None = None
    ) -> None:
        self._footprints = list(footprints)
        self.bbox = bbox
        count = len(self._footprints)
        self.ids = np.arange(1, count + 1, dtype=np.int64) if ids is None else np.asarray(ids, np.int64)
        if self.ids.shape != (count,):
            raise ValueError(f"{count} footprints need as many ids; got {self.ids.shape}.")

    def __len__(self) -> int:
        return len(self._footprints)

    @overload
    def __getitem__(self, index: int) -> Footprint: ...

    @overload
    def __getitem__(self, index: slice) -> FootprintSet: ...

    def __getitem__(self, index: int | slice) -> Footprint | FootprintSet:
        if isinstance(index, slice):
            return FootprintSet(self._footprints[index], self.bbox, self.ids[index])
        return self._footprints[index]

    def __iter__(self) -> Iterator[Footprint]:
        return iter(self._footprints)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FootprintSet):
            return NotImplemented
        same = self.bbox == other.bbox and np.array_equal(self.ids, other.ids)
        return same and self._footprints == other._footprints

    __hash__ = None  # type: ignore[assignment]

    def to_mask(self, box: Box | None = None) -> NDArray[np.bool_]:
        """A ``[y, x]`` array over ``box`` (the image's by default), true inside any footprint."""
        inside = self.bbox if box is None else box
        mask = np.zeros(inside.shape, bool)
        for footprint in self._footprints:
            part = footprint.spans.clipped(inside)
            for row, start, stop in zip(part.y, part.x0, part.x1, strict=True):
                mask[row - inside.y.start, start - inside.x.start : stop - inside.x.start] = True
        return mask

    def serialize(self, archive: OutputArchive[Any]) -> FootprintSetModel:
        """Write to an archive of `lsst.images.serialization`."""
        spans = _stack([footprint.spans for footprint in self], _SPAN_DTYPE)
        peaks = _stack([footprint.peaks for footprint in self], _PEAK_ROW_DTYPE)
        return FootprintSetModel(
            bbox=self.bbox,
            ids=[int(value) for value in self.ids],
            spans=archive.add_structured_array(spans, name="spans"),
            peaks=archive.add_structured_array(peaks, name="peaks"),
        )

    @staticmethod
    def _get_archive_tree_type(pointer_type: type[Any]) -> type[FootprintSetModel]:  # noqa: ARG004  (signature of lsst.images)
        return FootprintSetModel


class FootprintSetModel(ArchiveTree):
    """A `FootprintSet` on disk: one table of runs and one of peaks, each row with its footprint's place."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_footprint_set"
    SCHEMA_VERSION: ClassVar[str] = "1.0.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = FootprintSet

    bbox: Box = pydantic.Field(description="Bounding box of the image that was searched.")
    ids: list[int] = pydantic.Field(description="Source id of each footprint.")
    spans: TableModel = pydantic.Field(description="Runs of pixels: place of the footprint, y, x0, x1 (exclusive).")
    peaks: TableModel = pydantic.Field(description="Peaks: place of the footprint, x, y, value.")

    def deserialize(self, archive: InputArchive[Any], **kwargs: Any) -> FootprintSet:
        """Read the footprints.

        Raises
        ------
        lsst.images.serialization.InvalidParameterError
            If any parameter is given: footprints are read whole.
        """
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for FootprintSet: {set(kwargs)}.")
        spans = archive.get_structured_array(self.spans)
        peaks = archive.get_structured_array(self.peaks)
        bounds = np.arange(len(self.ids) + 1)
        span_at = np.searchsorted(spans["footprint"], bounds)
        peak_at = np.searchsorted(peaks["footprint"], bounds)
        footprints = []
        for place in range(len(self.ids)):
            runs = spans[span_at[place] : span_at[place + 1]]
            rows = peaks[peak_at[place] : peak_at[place + 1]]
            own = np.empty(len(rows), PEAK_DTYPE)
            for name in PEAK_DTYPE.names or ():
                own[name] = rows[name]
            footprints.append(Footprint(SpanSet(runs["y"], runs["x0"], runs["x1"]), own))
        return FootprintSet(footprints, self.bbox, self.ids)


def _stack(parts: Sequence[Any], dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """Rows of all parts in one table, with the place of the part in the column ``footprint``."""
    table = np.empty(sum(len(part) for part in parts), dtype)
    start = 0
    for place, part in enumerate(parts):
        rows = table[start : start + len(part)]
        rows["footprint"] = place
        for name in (dtype.names or ())[1:]:
            rows[name] = getattr(part, name) if isinstance(part, SpanSet) else part[name]
        start += len(part)
    return table
