from __future__ import annotations

import uuid

import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from toy_survey import Survey

from skyloom.errors import AstrometryError, RepositoryError
from skyloom.execute.journal import Journal, digest
from skyloom.execute.outcome import Outcome, Status, describe
from skyloom.tasks.failure import FrameFailure


@pytest.fixture
def butler(survey: Survey) -> Butler:
    return Butler.from_config(str(survey.root), writeable=True)


def test_a_journal_is_read_back(butler: Butler) -> None:
    kind = DatasetType("number", ("instrument", "detector"), "StructuredDataDict", universe=butler.dimensions)
    data_id = DataCoordinate.standardize(instrument="toy", detector=1, universe=butler.dimensions)
    ref = DatasetRef(kind, data_id, run="u/journal/1")
    first = Journal(butler, "u/journal/1")
    first.begin({"inputs": ["a"]})
    first.start(("double", "toy", "1"), [ref], "abc")
    first.end(("double", "toy", "1"), Outcome(Status.FAILED, (ref.id,), 1.5, "PSF", "too few"))
    first.registered()
    first.start(("double", "toy", "2"), [], "")
    first.start(("double", "toy", "3"), [], "")
    first.drop(("double", "toy", "3"))
    first.close()
    second = Journal(butler, "u/journal/1")
    second.close()
    assert second.quanta == first.quanta
    past = second.quanta["double", "toy", "1"]
    assert (past.status, past.line, past.inputs, past.registered) == (Status.FAILED, "[PSF] too few", "abc", True)
    assert past.outputs == [("number", {"instrument": "toy", "detector": 1}, ref.id)]
    assert second.quanta["double", "toy", "2"].status is None
    assert Journal.read_settings(butler, "u/journal/1")[0]["inputs"] == ["a"]


def test_a_run_has_one_writer(butler: Butler) -> None:
    journal = Journal(butler, "u/journal/2")
    with pytest.raises(RepositoryError, match="another process"):
        Journal(butler, "u/journal/2")
    journal.close()
    Journal(butler, "u/journal/2").close()


def test_the_digest_knows_members_but_no_order() -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    assert digest([one, two]) == digest([two, one, one])
    assert digest([one]) != digest([one, two])


def test_an_error_is_described_by_its_own_code() -> None:
    failure = FrameFailure(AstrometryError("no match"), "calibrate")
    failure.__cause__ = failure.error
    assert describe(failure) == ("ASTROMETRY", "calibrate: [ASTROMETRY] no match")
    assert Outcome(Status.FAILED, (), 0.0, *describe(failure)).line == "calibrate: [ASTROMETRY] no match"
    assert describe(ValueError("two\nlines")) == ("ValueError", "two lines")
