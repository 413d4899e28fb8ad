"""Runs that are killed or interrupted, and the call that goes on with them; the command line and pipetask."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from lsst.ctrl.mpexec.cli.pipetask import cli as pipetask
from lsst.daf.butler.cli.utils import LogCliRunner
from test_run_pipeline import loose_files
from toy_survey import HERE, Survey

from skyloom.cli import main
from skyloom.execute import Outcome, Silence, run_pipeline

COMMAND = "from skyloom.cli import main; main()"


def start(survey: Survey, output: str, environment: dict[str, str], *more: str) -> subprocess.Popen[str]:
    arguments = ["run", str(HERE / "dummy.yaml"), str(survey.root), "-o", output, "--step", "numbers", *more]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def events(survey: Survey, output: str) -> list[dict[str, object]]:
    (journal,) = (survey.root / output).glob("*/skyloom_run.jsonl")
    return [json.loads(line) for line in journal.read_text().splitlines()]


def wait_until_only_the_sleeper_is_left(survey: Survey, output: str, process: subprocess.Popen[str]) -> None:
    """Three numbers are done, and the fourth lies in its sleep with one file written."""
    deadline = time.monotonic() + 300
    while _count(survey, output) != (4, 3) or not list((survey.root / output).rglob("doubled*_3_*")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, _count(survey, output)
        time.sleep(0.05)


def _count(survey: Survey, output: str) -> tuple[int, int]:
    if not list((survey.root / output).glob("*/skyloom_run.jsonl")):
        return (0, 0)
    kinds = Counter(event["event"] for event in events(survey, output))
    return kinds["start"], kinds["end"]


@pytest.fixture
def killed(survey: Survey, environment: dict[str, str]) -> str:
    survey.switch(d3="sleep")
    process = start(survey, "u/killed", environment, "-q")
    wait_until_only_the_sleeper_is_left(survey, "u/killed", process)
    process.kill()
    process.wait()
    survey.switch()
    return "u/killed"


def test_a_killed_run_goes_on(survey: Survey, killed: str) -> None:
    (journal,) = (survey.root / killed).glob("*/skyloom_run.jsonl")
    with journal.open("a") as file:
        file.write('{"event": "end", "key": ["dou')  # the line that was being written
    temporary = next(journal.parent.rglob("doubled*_3_*"))
    temporary.with_name(f"0123456789abcdef{temporary.stem}.tmp{temporary.suffix}").write_text("half")
    assert survey.butler(killed).query_datasets("doubled", collections=killed, explain=False) == []
    summary = run_pipeline(survey.request(killed, steps=["numbers"], name="dummy"))
    assert summary.run == f"{killed}/{journal.parent.name}"
    assert summary.kept == Counter(double=3)
    assert survey.butler(killed).get("total", instrument="toy")["sum"] == 14.0
    assert loose_files(survey, summary.run) == set()


class Impatient(Silence):
    """Presses Ctrl-C when three quanta have ended."""

    ended = 0

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        self.ended += 1
        if self.ended == 3:
            raise KeyboardInterrupt


def test_an_interrupted_run_registers_what_is_whole(survey: Survey) -> None:
    survey.switch(d1="sleep")
    request = survey.request("u/stopped", steps=["numbers"], processes=2)
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(request, Impatient())
    butler = survey.butler("u/stopped")
    found = butler.query_datasets("doubled", collections="u/stopped", explain=False)
    assert sorted(int(ref.dataId["detector"]) for ref in found) == [0, 2, 3]
    run = butler.collections.get_info("u/stopped").children[0]
    assert loose_files(survey, run) == set()
    survey.switch()
    assert run_pipeline(request).kept == Counter(double=3)


def test_the_command_line_reports_failures(
    survey: Survey, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    survey.switch(d1="frame")
    log = tmp_path / "log"
    arguments = ["run", f"{HERE / 'dummy.yaml'}#numbers", str(survey.root), "-o", "u/cli", "-d", "detector < 2"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--log-file", str(log)])
    logging.getLogger().handlers[-1].close()
    logging.getLogger().handlers.pop()
    assert end.value.code == 1
    output = capsys.readouterr().out
    assert "failed: double instrument=toy detector=1: [ASTROMETRY] no match" in output
    assert "double instrument=toy detector=0: succeeded" in log.read_text()


def test_pipetask_runs_the_same_tasks(survey: Survey) -> None:
    arguments = ["run", "-b", str(survey.root), "-p", f"{HERE / 'dummy.yaml'}#numbers", "-i", "toy/defaults"]
    arguments += ["-o", "u/pipetask", "-d", "instrument = 'toy'", "--register-dataset-types"]
    result = LogCliRunner().invoke(pipetask, arguments)
    assert result.exit_code == 0, result.output
    ours = run_pipeline(survey.request("u/ours", steps=["numbers"]))
    for name in ("doubled", "extra", "total"):
        theirs = {ref.dataId: survey.butler("u/pipetask").get(ref) for ref in _all(survey, name, "u/pipetask")}
        assert theirs == {ref.dataId: survey.butler("u/ours").get(ref) for ref in _all(survey, name, ours.run)}
        assert theirs


def _all(survey: Survey, name: str, collection: str) -> list[object]:
    return survey.butler(collection).query_datasets(name, collections=collection, explain=False)
