"""What the tasks that work on the sky of a camera share: their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.background import SkyCells, from_cells_table

if TYPE_CHECKING:
    from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DeferredDatasetHandle
    from lsst.daf.butler.registry import Registry

__all__ = ["cells_input", "cells_of", "cells_output", "find_sky_frames", "frame_background"]

_CELLS: dict[str, Any] = {
    "doc": "The sky of a frame in cells, electrons.",
    "name": "sky_cells",
    "storageClass": "ArrowAstropy",
    "dimensions": ("instrument", "visit", "detector"),
}


def cells_output() -> Any:
    """A connection to the cells of one frame."""
    return Output(**_CELLS)


def cells_input() -> Any:
    """A connection to the cells of several frames."""
    return Input(**_CELLS, multiple=True, deferLoad=True)


def frame_background(*, multiple: bool = False) -> Any:
    """A connection to the background that frames have lost."""
    return Input(
        doc="The sky that was subtracted from the frame.",
        name="initial_pvi_background",
        storageClass="BackgroundMap",
        dimensions=("instrument", "visit", "detector"),
        multiple=multiple,
        deferLoad=multiple,
    )


def cells_of(handles: Sequence[DeferredDatasetHandle]) -> dict[int, dict[int, SkyCells]]:
    """Cells by visit and detector."""
    visits: dict[int, dict[int, SkyCells]] = {}
    for handle in handles:
        visit, detector = int(handle.dataId["visit"]), int(handle.dataId["detector"])
        visits.setdefault(visit, {})[detector] = from_cells_table(handle.get())
    return visits


def find_sky_frames(
    dataset_type: DatasetType, registry: Registry, data_id: DataCoordinate, collections: Sequence[str]
) -> Iterable[DatasetRef]:
    """The sky frames of all detectors that hold when a visit was taken."""
    filter_id = {name: data_id[name] for name in ("instrument", "physical_filter")}
    detectors = registry.queryDataIds(["instrument", "detector"], instrument=filter_id["instrument"])
    found = (
        registry.findDataset(
            dataset_type,
            registry.expandDataId(filter_id, detector=one["detector"]),
            collections=collections,
            timespan=data_id.timespan,
        )
        for one in sorted(detectors)
    )
    return [ref for ref in found if ref is not None]
