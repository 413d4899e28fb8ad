"""What a run has done with a product, or not come to: by its journal, or by the logs of a run that keeps none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from toy_survey import HERE, Survey

from skyloom.errors import AstrometryError
from skyloom.execute import run_pipeline
from skyloom.execute.journal import Journal
from skyloom.execute.outcome import Outcome, Status, describe
from skyloom.execute.records import TaskRecord
from skyloom.execute.why import explain_product
from skyloom.execute.why_chain import Kind, Link, grouped, without_repeats
from skyloom.execute.why_cures import cure_of_code
from skyloom.tasks.failure import FrameFailure


def why(survey: Survey, output: str | None, product: str, *terms: str) -> Link:
    with Butler.from_config(str(survey.root)) as butler:
        (link,) = explain_product(butler, product, terms, repository="REPO", output=output, shipped=shipped)
    return link


def shipped(dataset_type: str) -> list[tuple[str, TaskRecord]]:
    """A pipeline that nobody has run."""
    nodes = Pipeline.from_uri(str(HERE / "dummy.yaml")).to_graph().tasks
    tasks = [TaskRecord.of_config(label, node.config) for label, node in nodes.items()]
    return [("toy", task) for task in tasks if any(one.name == dataset_type for one in task.outputs)]


@pytest.fixture(scope="module")
def numbers(survey: Survey) -> str:
    """A run of the first step, in which some tasks failed."""
    survey.switch(d0="frame", d1="no work")
    return run_pipeline(survey.request("w/numbers", steps=["numbers"])).run


def test_before_anything_was_run(survey: Survey, tmp_path_factory: pytest.TempPathFactory) -> None:
    fresh = Survey(tmp_path_factory.mktemp("fresh"))
    fresh.make(1)
    link = why(fresh, None, "total")
    (root,) = link.roots()
    assert root.kind is Kind.NO_RUN
    assert root.name == "doubled detector=0"
    assert (root.cause, root.command) == ("double of the pipeline toy was never run", "skyloom run toy REPO")


def test_a_failed_quantum(survey: Survey, numbers: str) -> None:
    link = why(survey, "w/numbers", "extra", "detector=0")
    assert (link.name, link.kind) == ("extra detector=0", Kind.FAILED)
    assert link.cause == "double: [ASTROMETRY] no match"
    assert "double_log" in link.cure
    assert link.command == "skyloom run dummy REPO -o w/numbers --retry"
    partial = why(survey, "w/numbers", "doubled", "detector=0")
    assert partial.is_there


def test_a_quantum_without_work(survey: Survey, numbers: str) -> None:
    link = why(survey, "w/numbers", "doubled", "detector=1")
    assert (link.kind, link.cause) == (Kind.NO_WORK, "double: nothing in it")


def test_a_step_that_was_not_asked_for(survey: Survey, numbers: str) -> None:
    with Butler.from_config(str(survey.root), writeable=True) as butler:
        butler.registry.syncDimensionData("skymap", {"name": "flat", "hash": b"0", "tract_max": 1})
        butler.registry.syncDimensionData("tract", {"skymap": "flat", "id": 0})
    link = why(survey, "w/numbers", "tile", "tract=0")
    assert link.kind is Kind.NOT_ASKED
    assert link.cause == f"tile was not among the steps that {numbers} was asked for"
    assert link.command == "skyloom run dummy REPO -o w/numbers"


@pytest.fixture
def going(survey: Survey) -> Iterator[Journal]:
    """A run that has ended with detector 0, and is at detector 1."""
    run = run_pipeline(survey.request("w/going", steps=["numbers"], where="detector = 0")).run
    journal = Journal(Butler.from_config(str(survey.root), writeable=True), run)
    settings = {**journal.settings[-1], "where": "", "command": "skyloom run dummy there -o w/going -j 8"}
    journal.begin({name: value for name, value in settings.items() if name not in ("begun", "t")})
    journal.phase("graph", step="numbers")
    journal.phase("work", step="numbers", totals={"double": 4, "sum": 1}, processes=1)
    journal.start(("double", "toy", "1"), [], "")
    yield journal
    journal.close()


def test_a_run_that_goes_on_and_one_that_was_stopped(survey: Survey, going: Journal) -> None:
    at_work, to_come = (("w/going", "doubled", f"detector={one}") for one in (1, 2))
    assert why(survey, *at_work).kind is Kind.RUNNING
    assert why(survey, *to_come).kind is Kind.PENDING
    going.close()
    stopped, not_reached = why(survey, *at_work), why(survey, *to_come)
    assert (stopped.kind, not_reached.kind) == (Kind.STOPPED, Kind.STOPPED)
    assert stopped.cause == f"double had begun it in {going.run} when the run was stopped"
    assert not_reached.cause == f"{going.run} was stopped before double came to it"
    assert why(survey, None, *at_work[1:]) == stopped  # the newest run
    assert stopped.command == not_reached.command == "skyloom run dummy there -o w/going -j 8"


def test_a_run_of_another_program_is_known_by_its_logs(survey: Survey, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    survey.switch(d0="runtime", d1="no work", d2="frame")
    pipeline = Pipeline("other")
    pipeline.addTask("dummy_tasks.DoubleTask", "double")
    for detector in (0, 1, 2):
        run = f"w/other/{detector}"
        butler = Butler.from_config(str(survey.root), collections=["toy/defaults"], run=run, writeable=True)
        executor = SimplePipelineExecutor.from_pipeline(pipeline, where=f"detector = {detector}", butler=butler)
        with suppress(Exception):  # the first failure ends its run
            executor.run(register_dataset_types=True)
    links = [why(survey, f"w/other/{detector}", "extra", f"detector={detector}") for detector in (0, 1, 2)]
    assert [link.kind for link in links] == [Kind.FAILED, Kind.NO_WORK, Kind.FAILED]
    assert why(survey, "w/other/2", "doubled", "detector=2").is_there
    assert links[0].cause == "double: RuntimeError: out of the blue"
    assert links[1].cause == "double: nothing in it"
    assert "[ASTROMETRY] no match" in links[2].cause
    assert links[0].command.startswith("pipetask run")
    silent = why(survey, "w/other/2", "extra", "detector=0")
    assert (silent.kind, silent.cause) == (Kind.UNKNOWN, "w/other/2 has no log of it")


def test_a_failure_is_known_by_the_code_of_its_error() -> None:
    failure = FrameFailure(AstrometryError("no match"), "isr")
    assert describe(failure) == ("ASTROMETRY", "isr: [ASTROMETRY] no match")
    assert Outcome(Status.FAILED, (), 0.0, *describe(failure)).line == "isr: [ASTROMETRY] no match"


@pytest.mark.parametrize(
    ("code", "options"),
    [
        ("WORKER-DIED", ("--retry -j 1",)),
        ("MEMORY", ("--retry --memory SIZE",)),
        ("TIMEOUT", ("--retry --timeout SECONDS",)),
        ("OSError", ("--retry",)),
        ("PSF", ("--retry",)),
    ],
)
def test_what_the_machine_did_has_a_cure_of_its_own(code: str, options: tuple[str, ...]) -> None:
    cure, told = cure_of_code(code, "Do that." if code == "PSF" else "", "/log.json")
    assert told == options
    assert (cure == "Do that.") == (code == "PSF")


def frame(visit: int, cause: str, *because: Link) -> Link:
    return Link(f"pvi visit={visit} detector=0", Kind.FAILED, cause, "Do that.", because=because)


def test_causes_alike_are_told_once() -> None:
    links = [frame(visit, f"{visit} stars of 8") for visit in range(1, 5)] + [frame(9, "no light")]
    assert [len(group) for group in grouped(links)] == [4, 1]
    text = list(Link("coadd", Kind.WITHOUT, "five visits", because=tuple(links)).lines())
    assert text == [
        "coadd: there, but without five visits",
        "  pvi visit=1 detector=0: failed: 1 stars of 8",
        "    likewise visit=2, visit=3, visit=4",
        "  pvi visit=9 detector=0: failed: no light",
    ]
    assert Link("coadd", Kind.NO_INPUT, "", because=tuple(links)).remedies() == [
        ("pvi visit=1 detector=0 and 4 more", "Do that.", "")
    ]
    root = frame(1, "no light")
    again = [Link("a", Kind.NO_INPUT, "", because=(root,)), Link("b", Kind.NO_INPUT, "", because=(root,))]
    assert without_repeats(again) == again[:1]
