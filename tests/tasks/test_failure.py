"""A frame's failure keeps its code and figures through the framework's annotation and through a pickle."""

from __future__ import annotations

import logging
import pickle

from lsst.pipe.base import AnnotatedPartialOutputsError, TaskMetadata

from skyloom.errors import PsfError
from skyloom.tasks.failure import FrameFailure


class _Holder:
    def __init__(self) -> None:
        self.metadata = TaskMetadata()


def test_annotation_records_code_stage_and_figures() -> None:
    failure = FrameFailure(PsfError("3 stars.", cure="Lower the S/N cut.", n_stars=3), "psf")
    holder = _Holder()
    AnnotatedPartialOutputsError.annotate(failure, holder, log=logging.getLogger(__name__))  # type: ignore[arg-type]
    recorded = holder.metadata.get_dict("failure")
    assert recorded["metadata"] == {"n_stars": 3, "code": "PSF", "stage": "psf", "cure": "Lower the S/N cut."}
    assert "[PSF]" in str(recorded["message"])


def test_survives_a_pickle() -> None:
    failure = FrameFailure(PsfError("3 stars.", n_stars=3), "psf")
    again = pickle.loads(pickle.dumps(failure))
    assert again.metadata == failure.metadata
    assert str(again) == str(failure)
