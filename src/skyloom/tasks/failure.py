"""Failures of a frame as tasks report them: repeatable, and carrying their figures to the partial outputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lsst.pipe.base import AlgorithmError, AnnotatedPartialOutputsError, PipelineTask

from skyloom.errors import FrameError

__all__ = ["FrameFailure", "failing_frames"]


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


@contextmanager
def failing_frames(task: PipelineTask) -> Iterator[None]:
    """Turn a `FrameError` into the end of the quantum that the framework expects of a failure, with nothing to write.

    Raises
    ------
    lsst.pipe.base.AnnotatedPartialOutputsError
        In place of the error.
    """
    try:
        yield
    except FrameError as error:
        failure = FrameFailure(error, task.getName())
        raise AnnotatedPartialOutputsError.annotate(failure, task, log=task.log) from failure
