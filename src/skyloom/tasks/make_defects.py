"""`MakeDefectsTask`: the defects of a detector, from frames in which the sky moves and defects stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from lsst.pex.config import ChoiceField, RangeField
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, QuantumContext, Struct
from lsst.pipe.base.connectionTypes import Input

from skyloom.calibs import DefectSettings, find_defects
from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.isr import InterpolationSettings, IsrSettings, correct_raw

from .failure import failing_frames
from .master_frames import camera_input, new_calibration, raw_frames

if TYPE_CHECKING:
    from skyloom.instruments import Camera

__all__ = ["MakeDefectsConfig", "MakeDefectsConnections", "MakeDefectsTask"]

# Pixels as they were read: what is known of bad ones must not hide them, nor the flat even them out.
_AS_READ = IsrSettings(
    use_bias=False,
    use_dark=False,
    use_flat=False,
    use_defects=False,
    interpolation=InterpolationSettings(planes=()),
)


class MakeDefectsConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """Frames of a detector, and its defects."""

    raws = raw_frames("Raw frames.")
    post_isr = Input(
        doc="Frames without instrument signature.",
        name="post_isr",
        storageClass="PostIsrImage",
        dimensions=("instrument", "exposure", "detector"),
        multiple=True,
        deferLoad=True,
    )
    camera = camera_input()
    defects = new_calibration(
        "defects",
        "Boxes of defective pixels: x0, y0, width, height on the trimmed detector.",
        storage_class="ArrowAstropy",
    )

    def __init__(self, *, config: Any = None) -> None:
        super().__init__(config=config)
        delattr(self, "post_isr" if config.frame_type == "raw" else "raws")


class MakeDefectsConfig(PipelineTaskConfig, pipelineConnections=MakeDefectsConnections):
    """Settings of `MakeDefectsTask`."""

    frame_type: Any = ChoiceField(
        dtype=str,
        default="raw",
        allowed={"raw": "Raw frames.", "post_isr": "Frames without instrument signature; pixels masked BAD stay so."},
        doc="What the defects are looked for in.",
    )
    threshold: Any = RangeField(dtype=float, default=4.0, min=0.0, doc="In units of the noise of one frame.")
    significance: Any = RangeField(dtype=float, default=6.0, min=0.0, doc="In units of the scatter over pixels.")
    minimum_frames: Any = RangeField(dtype=int, default=5, min=3, doc="Fewer cannot tell what stays from what moves.")
    grow: Any = RangeField(dtype=int, default=0, min=0, doc="Pixels to grow defects by.")
    maximum_fraction: Any = RangeField(
        dtype=float, default=0.05, min=0.0, max=1.0, doc="More of a detector than this cannot be defects."
    )
    memory_mb: Any = RangeField(
        dtype=float,
        default=DefectSettings().memory_mb,
        min=0.0,
        doc="Memory for the frames; with more of them they are in a scratch file.",
    )
    max_frames: Any = RangeField(dtype=int, default=25, min=5, doc="Most frames, chosen evenly.")

    def settings(self) -> DefectSettings:
        """The same as the algorithm takes it."""
        return DefectSettings(
            threshold=self.threshold,
            significance=self.significance,
            minimum_frames=self.minimum_frames,
            grow=self.grow,
            memory_mb=self.memory_mb,
            maximum_fraction=self.maximum_fraction,
        )


class MakeDefectsTask(PipelineTask):
    """Find the pixels that stand out in most frames."""

    ConfigClass = MakeDefectsConfig
    _DefaultName = "make_defects"
    config: MakeDefectsConfig

    def runQuantum(
        self,
        butlerQC: QuantumContext,
        inputRefs: Any,
        outputRefs: Any,
    ) -> None:
        """Read frames, find the defects, write them; frames that cannot be read say nothing of the detector."""
        inputs = cast("dict[str, Any]", butlerQC.get(inputRefs))
        handles = inputs["raws"] if self.config.frame_type == "raw" else inputs["post_isr"]
        ordered = sorted(handles, key=lambda one: int(one.dataId["exposure"]))
        chosen = _evenly(ordered, self.config.max_frames)
        with failing_frames(self):
            outputs = self.run(self._read_each(chosen, inputs["camera"]), capacity=len(chosen))
        butlerQC.put(outputs, outputRefs)

    def _read_each(self, handles: Iterable[Any], camera: Camera) -> Iterator[np.ndarray]:
        """Frame after frame, those left out that cannot be read."""
        for handle in handles:
            try:
                yield _read(handle, camera)
            except BadFrameError as error:
                self.log.warning("left out: %s", error)

    def run(self, images: Iterable[np.ndarray], capacity: int | None = None) -> Struct:
        """Find the defects.

        Parameters
        ----------
        images
            Trimmed pixels ``[y, x]``, not a number where nothing was read; taken one by one.
        capacity
            Most images to come, where `images` has no length.

        Returns
        -------
        Struct
            ``defects``: table of boxes ``x0``, ``y0``, ``width``, ``height``.

        Raises
        ------
        skyloom.errors.BadFrameError
            If there are too few frames, or more of the detector stands out than can be defects.
        """
        found = find_defects(images, self.config.settings(), capacity=capacity)
        boxes = found.boxes()
        self.metadata["n_frames"] = found.n_frames
        self.metadata["hot_pixels"] = int(found.hot.sum())
        self.metadata["cold_pixels"] = int(found.cold.sum())
        self.metadata["defective_fraction"] = found.fraction
        self.metadata["boxes"] = len(boxes)
        return Struct(defects=boxes)


def _evenly(handles: list[Any], most: int) -> list[Any]:
    if len(handles) <= most:
        return handles
    return [handles[index] for index in np.linspace(0, len(handles) - 1, most).round().astype(int)]


def _read(handle: Any, camera: Any) -> np.ndarray:
    """Pixels ``[y, x]`` of the trimmed detector, not a number where nothing was read."""
    dataset = handle.get()
    if handle.ref.datasetType.name == "raw":
        raw = camera.complete(dataset, detector_id=int(handle.dataId["detector"]))
        return np.asarray(correct_raw(raw, settings=_AS_READ).image.array)
    bad = (dataset.mask.array[..., 0] & bitmask("BAD", "NO_DATA")) != 0
    return np.where(bad, np.float32(np.nan), dataset.image.array)
