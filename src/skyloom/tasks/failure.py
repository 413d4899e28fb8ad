"""Failures of a frame as tasks report them: repeatable, and carrying their figures to the partial outputs."""

from __future__ import annotations

from lsst.pipe.base import AlgorithmError

from skyloom.errors import FrameError

__all__ = ["FrameFailure"]


class FrameFailure(AlgorithmError):  # noqa: N818
    """A `FrameError` in the terms of the execution framework: this quantum failed, and a retry cannot help.

    Raise it ``from`` the error; `runQuantum` annotates the partial outputs with it, so that the code of the error, its
    cure and its figures stay with what was written.

    Parameters
    ----------
    error
        What ended the processing of the frame.
    stage
        Name of the stage that raised it.
    """

    def __init__(self, error: FrameError, stage: str = "") -> None:
        self.error = error
        self.stage = stage or str(error.metadata.get("stage", ""))
        super().__init__(f"{self.stage}: {error}" if self.stage else str(error))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.error, self.stage))

    @property
    def metadata(self) -> dict[str, float | int | str | bool]:
        """Code, stage, cure, file and keyword of the error, and the figures that came with it."""
        known = {"stage": self.stage, "cure": self.error.cure, "file": self.error.file, "keyword": self.error.keyword}
        figures = dict(self.error.metadata)
        return figures | {"code": self.error.code} | {name: value for name, value in known.items() if value}
