"""What the tasks that make masters share: how frames reach the algorithms, and what is told of the result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from lsst.daf.butler import CollectionType  # type: ignore[attr-defined]
from lsst.pex.config import RangeField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, QuantumContext
from lsst.pipe.base.connectionTypes import Input, Output, PrerequisiteInput

from skyloom.calibs import MasterSettings, Raw

from .failure import failing_frames

if TYPE_CHECKING:
    from lsst.daf.butler import DataCoordinate, DatasetRef, DatasetType, DeferredDatasetHandle
    from lsst.daf.butler.registry import Registry

    from skyloom.images import RawExposure
    from skyloom.instruments import Camera

__all__ = [
    "LevelConfig",
    "MasterConfig",
    "MasterRecord",
    "MasterTask",
    "camera_input",
    "chosen_calibration",
    "find_chosen_master",
    "new_calibration",
    "raw_frames",
    "raws_of",
    "record",
]


class MasterRecord(Protocol):
    """What is told of a calibration that was made, whatever holds it."""

    @property
    def figures(self) -> Mapping[str, float]:
        """By which it can be judged; the names carry the units."""

    @property
    def frames(self) -> Sequence[int]:
        """Exposures that were used."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """Frames that were not, with the reason, by file."""


def raw_frames(doc: str) -> Any:
    """A connection to the raw frames of a detector, read one by one."""
    return Input(
        doc=doc,
        name="raw",
        storageClass="RawExposure",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
    )


def camera_input() -> Any:
    """A connection to the description of the camera."""
    return PrerequisiteInput(
        doc="Description of the camera.", name="camera", storageClass="SkyloomCamera", dimensions=("instrument",)
    )


def chosen_calibration(name: str, doc: str, *dimensions: str, storage_class: str = "MaskedImageV2") -> Any:
    """A connection to a calibration that the frames are corrected with, where one was chosen for them.

    Parameters
    ----------
    name
        Dataset type.
    doc
        What it is.
    *dimensions
        Beside instrument and detector.
    storage_class
        Storage class.
    """
    return PrerequisiteInput(
        doc=doc,
        name=name,
        storageClass=storage_class,
        dimensions=("instrument", "detector", *dimensions),
        isCalibration=True,
        minimum=0,
        lookupFunction=find_chosen_master,
    )


def new_calibration(name: str, doc: str, *dimensions: str, storage_class: str = "MaskedImageV2") -> Any:
    """A connection to the calibration that is made; parameters as for `chosen_calibration`."""
    return Output(
        doc=doc,
        name=name,
        storageClass=storage_class,
        dimensions=("instrument", "detector", *dimensions),
        isCalibration=True,
    )


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


class MasterTask(PipelineTask):
    """A task that makes a calibration of raw frames: `run` takes what reads them, and the calibrations by name."""

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Hand over the frames one by one, write what is made of them; what cannot be made writes nothing."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        raws = raws_of(inputs.pop("raws"), inputs.pop("camera"))
        with failing_frames(self):
            outputs = cast("Any", self).run(raws, **inputs)
        butlerQC.put(outputs, outputRefs)


def record(task: PipelineTask, master: MasterRecord) -> None:
    """Keep frames and figures of a calibration in the metadata of the task."""
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
