"""What the tasks that make masters share: how frames reach the algorithms, and what is told of the result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import CollectionType  # type: ignore[attr-defined]
from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections

from skyloom.calibs import Master, MasterSettings, Raw

if TYPE_CHECKING:
    from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DeferredDatasetHandle
    from lsst.daf.butler.registry import Registry

    from skyloom.images import RawExposure
    from skyloom.instruments import Camera

__all__ = ["LevelConfig", "MasterConfig", "find_chosen_master", "raws_of", "record"]


class MasterConfig(PipelineTaskConfig, pipelineConnections=PipelineTaskConnections):
    """Settings of every task that combines raw frames."""

    minimum_frames: Any = RangeField(dtype=int, default=3, min=2, doc="Fewer usable frames are refused.")
    n_sigma: Any = RangeField(
        dtype=float, default=4.0, min=1.0, doc="Samples further than this from the others of their pixel are left out."
    )
    iterations: Any = RangeField(dtype=int, default=3, min=0, doc="How often to look for such samples.")
    memory_mb: Any = RangeField(
        dtype=float, default=400.0, min=0.0, doc="Frames are held in memory up to this size, then in a scratch file."
    )

    def settings(self) -> MasterSettings:
        """The same as the algorithm takes it; what a task adds is among them."""
        given: dict[str, Any] = self.toDict()  # type: ignore[no-untyped-call]
        return replace(MasterSettings(), **{name: given[name] for name in vars(MasterSettings()) if name in given})


class LevelConfig(MasterConfig, pipelineConnections=PipelineTaskConnections):
    """The same, with limits on the levels of frames."""

    level_deviation: Any = RangeField(
        dtype=float, default=5.0, min=0.0, doc="Largest deviation of a frame's level, in scatters of the others'."
    )
    level_tolerance: Any = RangeField(
        dtype=float, default=0.5, min=0.0, doc="Deviations below this never count, in units of the read noise."
    )


def raws_of(handles: Sequence[DeferredDatasetHandle], camera: Camera) -> list[Raw]:
    """What reads the raw frames of one detector, in the order of their exposures."""

    def reader(handle: DeferredDatasetHandle) -> Raw:
        def read() -> RawExposure:
            detector = int(handle.dataId["detector"])
            return camera.complete(handle.get(), detector_id=detector)

        return read

    return [reader(handle) for handle in sorted(handles, key=lambda one: int(one.dataId["exposure"]))]


def record(task: PipelineTask, master: Master) -> None:
    """Keep frames and figures of a master in the metadata of the task."""
    task.metadata["frames"] = [str(frame) for frame in master.frames]
    task.metadata["left_out"] = [f"{file}: {reason}" for file, reason in master.left_out.items()]
    for name, value in master.figures.items():
        task.metadata[name] = value
    for file, reason in master.left_out.items():
        task.log.warning("left out %s: %s", file, reason)


def find_chosen_master(
    dataset_type: DatasetType, registry: Registry, data_id: DataCoordinate, collections: Sequence[str]
) -> Iterable[DatasetRef]:
    """The master that whoever builds calibrations has chosen: a master spans nights, so no date can choose it."""
    plain = [
        name
        for name in registry.queryCollections(collections, flattenChains=True)
        if registry.getCollectionType(name) is not CollectionType.CALIBRATION
    ]
    found = registry.findDataset(dataset_type, data_id, collections=plain) if plain else None
    return [] if found is None else [found]
