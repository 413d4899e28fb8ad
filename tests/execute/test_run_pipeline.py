"""Runs of the toy pipeline: what is written, what failures leave behind, and what a second call does."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from toy_survey import Survey, make_sky

from skyloom.cli.compare import command as compare
from skyloom.execute import RunRequest, RunSummary, Status, run_pipeline
from skyloom.execute.pool import WorkerPool

TASKS = ["double", "sum", "tile"]


def contents(butler: Butler, run: str) -> dict[tuple[str, str], Any]:
    """Every product of a run by type and data id."""
    return {
        (name, str(ref.dataId)): butler.get(ref)
        for name in ("doubled", "extra", "total", "tile")
        for ref in butler.query_datasets(name, collections=run, find_first=False, explain=False)
    }


def ids(butler: Butler, run: str) -> dict[tuple[str, str], object]:
    names = [f"{task}_{kind}" for task in TASKS for kind in ("log", "metadata")]
    return {
        (name, str(ref.dataId)): ref.id
        for name in ("doubled", "extra", "total", "tile", *names)
        for ref in butler.query_datasets(name, collections=run, find_first=False, explain=False)
    }


def loose_files(survey: Survey, run: str) -> set[str]:
    """Files in the folder of a run that the registry does not know."""
    butler = survey.butler(run)
    known = {
        butler.getURI(ref).ospath
        for one in butler.registry.queryDatasetTypes()
        for ref in butler.query_datasets(one, collections=run, find_first=False, explain=False)
    }
    there = {str(path) for path in (survey.root / run).rglob("*") if path.is_file()}
    return {path for path in there - known if not path.endswith("skyloom_run.jsonl")}


@pytest.fixture(scope="module")
def whole(survey: Survey) -> RunSummary:
    survey.switch()
    return run_pipeline(survey.request("u/whole"))


def test_products_of_all_steps(survey: Survey, whole: RunSummary) -> None:
    assert {task: dict(counts) for task, counts in whole.counts.items()} == {
        "double": {Status.SUCCEEDED: 4},
        "sum": {Status.SUCCEEDED: 1},
        "tile": {Status.SUCCEEDED: 1},
    }
    assert whole.exit_status == 0
    butler = survey.butler("u/whole")
    assert butler.get("total", instrument="toy")["values"] == {"0": 0.5, "1": 2.5, "2": 4.5, "3": 6.5}
    assert butler.get("tile", skymap="flat", tract=0) == {"sum": 14.0}
    assert any("value 2.25" in record.message for record in butler.get("double_log", instrument="toy", detector=2))
    assert butler.get("double_metadata", instrument="toy", detector=2)["quantum"].getArray("outputs")
    assert butler.get("double_config").factor == 2.0
    assert butler.collections.get_info("u/whole").children == (whole.run, "toy/defaults")
    assert loose_files(survey, whole.run) == set()


def test_the_same_command_again_keeps_everything(survey: Survey, whole: RunSummary) -> None:
    before = ids(survey.butler("u/whole"), whole.run)
    again = run_pipeline(survey.request("u/whole"))
    assert again.run == whole.run
    assert again.kept == Counter(double=4, sum=1, tile=1)
    assert ids(survey.butler("u/whole"), whole.run) == before


def test_what_is_registered_already_may_be_registered_again(survey: Survey) -> None:
    """A kill between the registration and the line in the journal that says so; and one before a product is redone."""
    request = survey.request("u/again", steps=["numbers"])
    first = run_pipeline(request)
    journal = survey.root / first.run / "skyloom_run.jsonl"
    lines = [line for line in journal.read_text().splitlines(keepends=True) if '"registered"' not in line]
    start = next(line for line in lines if '"start"' in line and '"double", "toy", "2"' in line)
    for old in json.loads(start)["outputs"]:
        start = start.replace(old[2], uuid.uuid4().hex)
    journal.write_text("".join([*lines, start]))
    second = run_pipeline(request)
    assert second.kept == Counter(double=3)
    assert second.counts["double"] == Counter({Status.SUCCEEDED: 4})
    assert second.stale == Counter(sum=1)
    assert survey.butler("u/again").get("total", instrument="toy")["sum"] == 14.0
    assert loose_files(survey, first.run) == set()


@pytest.fixture(scope="module")
def two(survey: Survey) -> RunSummary:
    survey.switch()
    return run_pipeline(survey.request("u/two", processes=2))


def test_two_workers_write_what_one_writes(survey: Survey, whole: RunSummary, two: RunSummary) -> None:
    assert contents(survey.butler("u/two"), two.run) == contents(survey.butler("u/whole"), whole.run)


def test_equal_runs_and_runs_that_differ(survey: Survey, whole: RunSummary, two: RunSummary) -> None:
    """What the command line says of them."""
    pipeline = Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))
    pipeline.addConfigOverride("tile", "factor", 3.0)
    run_pipeline(survey.request("u/tripled", pipeline=pipeline))
    run_pipeline(survey.request("u/part", where="detector in (0, 1)", steps=["double"]))

    same = CliRunner().invoke(compare, [f"{survey.root}:u/whole", f"{survey.root}:u/two"])
    assert same.exit_code == 0, same.output
    assert same.output.endswith("identical, 0 different\n")
    tripled = CliRunner().invoke(compare, [f"{survey.root}:u/whole", "u/tripled"])
    assert tripled.exit_code == 1
    assert "tile skymap=flat tract=0: other bytes" in tripled.output
    part = CliRunner().invoke(compare, [f"{survey.root}:u/whole", "u/part"])
    assert part.exit_code == 1
    assert "doubled instrument=toy detector=3: missing in the second" in part.output


def test_other_settings_make_a_new_run(survey: Survey, whole: RunSummary) -> None:
    def request(output: str, factor: float) -> RunRequest:
        pipeline = Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))
        pipeline.addConfigOverride("double", "factor", factor)
        return survey.request(output, pipeline=pipeline, steps=["double"], where="detector = 1")

    first = run_pipeline(request("u/settings", 2.0))
    second = run_pipeline(request("u/settings", 3.0))
    assert first.run != second.run
    butler = survey.butler("u/settings")
    assert butler.collections.get_info("u/settings").children == (second.run, first.run, "toy/defaults")
    assert butler.get("doubled", instrument="toy", detector=1) == {"value": 3.75}


def test_what_a_run_rejects_is_not_taken_from_an_older_run(survey: Survey) -> None:
    def request(factor: float) -> RunRequest:
        pipeline = Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))
        pipeline.addConfigOverride("double", "factor", factor)
        return survey.request("u/stricter", pipeline=pipeline)

    first = run_pipeline(request(2.0))
    survey.switch(d0="runtime", d1="runtime", d2="runtime", d3="runtime")
    second = run_pipeline(request(3.0))
    assert second.run != first.run
    assert second.counts["double"] == Counter({Status.FAILED: 4})
    assert "tile" not in second.counts
    found = survey.butler("u/stricter").query_datasets("tile", collections=second.run, explain=False)
    assert found == []


def test_a_step_alone_takes_what_an_older_run_made(survey: Survey) -> None:
    def request(factor: float, *steps: str) -> RunRequest:
        pipeline = Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))
        pipeline.addConfigOverride("tile", "factor", factor)
        return survey.request("u/alone", pipeline=pipeline, steps=steps)

    run_pipeline(request(1.0))
    second = run_pipeline(request(2.0, "sky"))
    assert survey.butler("u/alone").get("tile", skymap="flat", tract=0, collections=second.run) == {"sum": 28.0}


def test_a_wider_query_adds_to_the_run_and_what_depends_on_it_is_made_anew(survey: Survey) -> None:
    first = run_pipeline(survey.request("u/wider", where="detector in (0, 1)", steps=["numbers"]))
    assert survey.butler("u/wider").get("total", instrument="toy")["sum"] == 3.0
    second = run_pipeline(survey.request("u/wider", steps=["numbers"]))
    assert second.run == first.run
    assert second.kept == Counter(double=2)
    assert second.stale == Counter(sum=1)
    assert survey.butler("u/wider").get("total", instrument="toy")["sum"] == 14.0
    assert loose_files(survey, first.run) == set()


@pytest.fixture(scope="module")
def troubled(survey: Survey) -> RunSummary:
    """A frame that fails with partial outputs, one out of the blue, one that kills its worker, one without work."""
    survey.switch(d0="frame", d1="runtime", d2="kill", d3="no work")
    return run_pipeline(survey.request("u/troubled", processes=2))


def test_failures_are_accounted_for_and_the_rest_goes_on(survey: Survey, troubled: RunSummary) -> None:
    assert troubled.counts["double"] == Counter({Status.FAILED: 3, Status.NO_WORK: 1})
    assert troubled.exit_status == 1
    lines = {failure.name: failure.line for failure in troubled.failures}
    assert lines["instrument=toy detector=0"] == "[ASTROMETRY] no match"
    assert lines["instrument=toy detector=1"] == "[RuntimeError] out of the blue"
    assert lines["instrument=toy detector=2"].startswith("[WORKER-DIED] the worker process was killed by SIGKILL")
    butler = survey.butler("u/troubled")
    assert butler.get("total", instrument="toy")["values"] == {"0": 0.5}
    assert butler.get("tile", skymap="flat", tract=0) == {"sum": 0.5}


def test_failures_leave_what_is_valid_and_a_log(survey: Survey, troubled: RunSummary) -> None:
    butler = survey.butler("u/troubled")

    def detectors(name: str) -> list[int]:
        found = butler.query_datasets(name, collections=troubled.run, find_first=False, explain=False)
        return sorted(int(ref.dataId["detector"]) for ref in found)

    assert detectors("doubled") == [0]
    assert detectors("extra") == []
    assert detectors("double_metadata") == [0, 3]
    assert detectors("double_log") == [0, 1, 2, 3]
    assert "SIGKILL" in butler.get("double_log", instrument="toy", detector=2)[0].message
    assert butler.get("double_metadata", instrument="toy", detector=0)["double"]["failure"]["metadata"]["n_tried"] == 3
    assert loose_files(survey, troubled.run) == set()


def test_failures_are_kept_until_they_are_tried_again(survey: Survey, troubled: RunSummary) -> None:
    survey.switch(d2="runtime")
    again = run_pipeline(survey.request("u/troubled"))
    assert again.kept == Counter(double=4, sum=1, tile=1)
    assert {failure.line for failure in again.failures} == {failure.line for failure in troubled.failures}
    retried = run_pipeline(survey.request("u/troubled", retry=True))
    assert retried.run == troubled.run
    assert retried.counts["double"] == Counter({Status.SUCCEEDED: 3, Status.FAILED: 1})
    assert retried.stale == Counter(sum=1, tile=1)
    butler = survey.butler("u/troubled")
    assert butler.get("tile", skymap="flat", tract=0) == {"sum": 9.5}
    assert loose_files(survey, troubled.run) == set()


def test_workers_that_die_between_steps_are_replaced(survey: Survey, monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = WorkerPool._start

    def remember(pool: WorkerPool) -> object:
        member = start(pool)
        started.append(member.process)
        return member

    def kill_all(*arguments: Any) -> str:
        for process in started:
            process.kill()
            process.join()
        return make_sky(*arguments)

    monkeypatch.setattr(WorkerPool, "_start", remember)
    summary = run_pipeline(survey.request("u/bereaved", between=kill_all, processes=2))
    assert summary.exit_status == 0
    assert survey.butler("u/bereaved").get("tile", skymap="flat", tract=0) == {"sum": 14.0}


def test_a_step_on_the_sky_without_frames_is_left_out(survey: Survey) -> None:
    from skyloom.errors import RepositoryError

    def between(*_: object) -> str:
        raise RepositoryError("no calibrated frame")

    summary = run_pipeline(survey.request("u/nothing", between=between, where="detector = 0"))
    assert "tile" not in summary.counts
    assert summary.exit_status == 1
    assert "no calibrated frame" in summary.notes[0]
