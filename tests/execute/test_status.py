"""What a run is at, what failed, and where its time went, from its journal alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from toy_survey import Survey

from skyloom.cli.status import command
from skyloom.errors import RepositoryError
from skyloom.execute import run_pipeline
from skyloom.execute.journal import Journal
from skyloom.execute.status import newest_run, progress_of, read_status


def test_a_finished_run(survey: Survey) -> None:
    survey.switch(d1="frame")
    summary = run_pipeline(survey.request("u/told", processes=2))
    butler = Butler.from_config(str(survey.root))
    assert newest_run(butler) == newest_run(butler, "u/told") == summary.run
    status = read_status(butler, summary.run)
    assert not status.is_running
    assert status.totals == {"double": 4, "sum": 1, "tile": 1}
    assert status.counts["double"] == Counter({"succeeded": 3, "failed": 1})
    assert status.failures == [("double toy 1", "[ASTROMETRY] no match")]
    parts = {part.name: part for part in status.times}
    assert list(parts) == ["start-up", "graph numbers", "work numbers", "register", "sky map", "graph sky", "work sky"]
    assert set(parts["work numbers"].busy) == {"double", "sum"}
    assert parts["work numbers"].capacity == pytest.approx(2 * parts["work numbers"].seconds)

    shown = CliRunner().invoke(command, [str(survey.root), "-o", "u/told", "--times"]).output
    assert "failed: double toy 1: [ASTROMETRY] no match" in shown
    assert "workers idle" in shown


def test_a_run_that_goes_on(survey: Survey) -> None:
    butler = Butler.from_config(str(survey.root), writeable=True)
    butler.collections.register("u/going/1")
    journal = Journal(butler, "u/going/1")
    journal.begin({"pipeline": "dummy"}, begun=0.0)
    journal.phase("work", step="numbers", totals={"double": 4}, processes=2)
    journal.start(("double", "toy", "0"), [], "")
    assert read_status(butler, "u/going/1").is_running
    going = read_status(butler, "u/going/1")
    assert going.counts == {"double": Counter({"running": 1})}
    assert going.progress is not None
    assert (going.progress.left, going.progress.seconds_left) == (4, None)
    shown = CliRunner().invoke(command, [str(survey.root), "-o", "u/going"]).output
    assert "step numbers: 4 left, 0.0 a minute\nat work: double toy 0, for " in shown
    journal.close()
    assert not read_status(butler, "u/going/1").is_running
    assert read_status(butler, "u/going/1").counts == {"double": Counter({"stopped": 1})}
    stopped = CliRunner().invoke(command, [str(survey.root), "-o", "u/going"]).output
    assert stopped.endswith("it was stopped; the same command as before goes on from here\n")


def test_rate_and_estimate_of_a_step_that_goes_on() -> None:
    """Two workers for 30 s: six quanta of 8 s are done, two of them at work since 4 and 1 s, one of a task unknown."""
    events = [
        {"event": "settings", "begun": 0.0, "t": 0.0},
        {"event": "phase", "name": "work", "step": "a", "processes": 2, "totals": {"x": 12, "y": 1}, "t": 100.0},
    ]
    for number in range(6):
        key = ["x", str(number)]
        events.append({"event": "start", "key": key, "outputs": [], "inputs": "", "t": 101.0})
        events.append(
            {"event": "end", "key": key, "status": "succeeded", "line": "", "written": [], "s": 8.0, "t": 125}
        )
    for name, begun in (("7", 129.0), ("8", 126.0)):
        events.append({"event": "start", "key": ["x", name], "outputs": [], "inputs": "", "t": begun})
    states = {("x", str(number)): ("succeeded", "") for number in range(6)}
    states |= {("x", "7"): ("running", ""), ("x", "8"): ("running", "")}
    told = progress_of(events, states, 130.0)
    assert told is not None
    assert (told.step, told.left, told.per_minute) == ("a", 7, pytest.approx(12.0))
    assert told.seconds_left == pytest.approx(7 * 8.0 / (48.0 / 30.0))
    assert told.running == [("x 8", 4.0), ("x 7", 1.0)]
    assert progress_of([*events, {"event": "phase", "name": "register", "t": 131.0}], states, 132.0) is None


def test_failures_are_told_by_their_reasons(survey: Survey) -> None:
    survey.switch(d0="frame", d1="runtime", d2="frame")
    run_pipeline(survey.request("u/reasons", steps=["numbers"]))
    shown = CliRunner().invoke(command, [str(survey.root), "-o", "u/reasons"]).output
    first = shown[shown.index("failed: ") :].splitlines()
    assert first == [
        "failed: double toy 0: [ASTROMETRY] no match",
        "  2 in all; also double toy 2",
        f"  skyloom why {survey.root} extra instrument=toy detector=0",
        "failed: double toy 1: [RuntimeError] out of the blue",
        f"  skyloom why {survey.root} extra instrument=toy detector=1",
    ]


def test_times_of_all_calls_are_added(survey: Survey) -> None:
    """Ten seconds and a kill, then four more: nobody counts the night between."""
    folder = survey.root / "u" / "nights"
    folder.mkdir(parents=True)
    events = [
        {"event": "settings", "begun": 100.0, "t": 102.0},
        {"event": "phase", "name": "work", "step": "a", "processes": 2, "totals": {"x": 2}, "t": 103.0},
        {"event": "start", "key": ["x", "1"], "outputs": [], "inputs": "", "t": 103.5},
        {"event": "end", "key": ["x", "1"], "status": "succeeded", "line": "", "written": [], "s": 5.0, "t": 110.0},
        {"event": "settings", "begun": 40000.0, "t": 40001.0},
        {"event": "phase", "name": "work", "step": "a", "processes": 1, "totals": {"x": 2}, "t": 40002.0},
        {"event": "phase", "name": "end", "t": 40004.0},
    ]
    (folder / "skyloom_run.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    status = read_status(Butler.from_config(str(survey.root)), "u/nights")
    parts = {part.name: part for part in status.times}
    assert {name: part.seconds for name, part in parts.items()} == {"start-up": 5.0, "work a": 9.0}
    assert parts["work a"].busy == {"x": 5.0}
    assert parts["work a"].capacity == 16.0
    assert status.wall == 14.0


def test_without_a_run(tmp_path: Path) -> None:
    butler = Butler.from_config(Butler.makeRepo(str(tmp_path / "repo")))
    with pytest.raises(RepositoryError, match="no run is here"):
        newest_run(butler)
