"""What `IsrTask` keeps of a frame on its way: pictures, and the frame before its pixels were interpolated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyloom.images import Exposure
from skyloom.isr import AmplifierLayout, IsrFrame, thumbnail

if TYPE_CHECKING:
    import numpy as np

    from .isr import IsrTask

__all__ = ["IsrWatch"]


class IsrWatch:
    """Sees the frame after every step of `skyloom.isr.correct_raw`."""

    def __init__(self, task: IsrTask) -> None:
        self._task = task
        self.layouts: list[AmplifierLayout] = []
        self.oss_thumbnail: np.ndarray | None = None
        """uint8 ``[y, x, colour]``: without overscan."""
        self.flattened_thumbnail: np.ndarray | None = None
        """The same, flattened."""
        self.before_interpolation: Exposure | None = None

    def __call__(self, step: str, frame: IsrFrame) -> None:
        """Keep what is wanted of the frame after a step."""
        config = self._task.config
        if step == "overscan":
            self.layouts = frame.layouts
            if config.qa.doThumbnailOss:
                self.oss_thumbnail = self._picture(frame)
        elif step == "flat" and config.qa.doThumbnailFlattened:
            self.flattened_thumbnail = self._picture(frame)
        elif step == "illumination" and config.doSaveInterpPixels:
            self.before_interpolation = frame.exposure().copy()
        if step in self._task.debug_frames:
            self._task.debugView(frame.exposure(), step)

    def _picture(self, frame: IsrFrame) -> np.ndarray:
        return thumbnail(frame.image, frame.bits, self._task.config.qa.thumbnails())
