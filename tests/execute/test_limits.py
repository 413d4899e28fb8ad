"""Memory, time and retries of a run, and the test mode that kills it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_run_pipeline import loose_files
from toy_survey import HERE, Survey

from skyloom.execute import Outcome, Silence, Status, run_pipeline
from skyloom.execute.budget import Budget, Running
from skyloom.execute.limits import Limits
from skyloom.execute.memory import PeakMemory, parse_size, process_tree, shared_memory
from skyloom.repo.compare import compare_collections


class Notes(Silence):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.ends: list[tuple[str, Outcome]] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self, task: str, name: str, outcome: Outcome, *, kept: bool) -> None:
        self.ends.append((task, outcome))


def run(survey: Survey, output: str, **limits: object) -> tuple[Notes, object]:
    notes = Notes()
    request = survey.request(output, steps=["numbers"], limits=Limits(**limits))  # type: ignore[arg-type]
    return notes, run_pipeline(request, notes)


def test_sizes() -> None:
    assert parse_size("800M") == 800_000_000
    assert parse_size("1.5G") == parse_size("1.5 GB") == 1_500_000_000
    assert parse_size("1GiB") == 1 << 30
    assert parse_size("12345") == 12345
    for wrong in ("", "much", "-1G", "1X", "0"):
        with pytest.raises(ValueError, match=r"."):
            parse_size(wrong)


def test_memory_of_processes() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert child.pid in process_tree(os.getpid())
    assert shared_memory(os.getpid()) > 50e6
    child.communicate(b"\n")
    assert shared_memory(child.pid) == 0


def test_peak_memory_is_that_of_the_work_alone() -> None:
    memory = PeakMemory()
    memory.begin()
    data = bytearray(80_000_000)
    del data
    assert 70e6 < memory.growth() < 120e6
    memory.begin()
    assert memory.growth() < 20e6


def test_a_budget_lets_begin_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(1_000_000_000)
    monkeypatch.setattr(budget, "used", lambda: 400_000_000)
    monkeypatch.setattr("skyloom.execute.budget.shared_memory", lambda pid: 200_000_000)
    beside = [Running("warp", 1, 200_000_000)]
    assert budget.fits("warp", [], fresh=True)
    assert not budget.fits("warp", beside, fresh=False)  # the first of its kind runs alone
    budget.learn("warp", 250_000_000)
    assert budget.fits("warp", beside, fresh=False)
    budget.learn("warp", 350_000_000)
    assert not budget.fits("warp", beside, fresh=False)
    assert budget.fits("small", beside, fresh=False) is False  # unknown, and less than a quarter is left
    budget.learn("small", 50_000_000)
    assert budget.fits("small", beside, fresh=False)
    assert budget.fits("small", beside, fresh=True)


def test_a_quantum_that_takes_too_long_is_ended(survey: Survey) -> None:
    survey.switch(d3="sleep")
    notes, summary = run(survey, "u/late", timeout_s=3.0, retries=0)
    (failure,) = summary.failures  # type: ignore[attr-defined]
    assert "it took more than 3 s" in failure.line
    assert "[TIMEOUT]" in failure.line
    assert sum(outcome.status is Status.SUCCEEDED for _, outcome in notes.ends) == 4  # three numbers and their sum
    assert not loose_files(survey, summary.run)  # type: ignore[attr-defined]


def test_what_the_machine_ended_is_tried_again_and_then_given_up(survey: Survey) -> None:
    survey.switch(d1="kill")
    notes, summary = run(survey, "u/twice", retries=1)
    assert ["it is tried again, alone" in note for note in notes.notes] == [True]
    (failure,) = summary.failures  # type: ignore[attr-defined]
    assert "SIGKILL" in failure.line


def test_what_the_frame_causes_is_not_tried_again(survey: Survey) -> None:
    survey.switch(d1="frame", d2="runtime")
    notes, summary = run(survey, "u/once", retries=3)
    assert not notes.notes
    assert len(summary.failures) == 2  # type: ignore[attr-defined]


def test_a_second_try_may_succeed(survey: Survey) -> None:
    survey.switch(d1="kill once")
    notes, summary = run(survey, "u/better", retries=1)
    assert len(notes.notes) == 1
    assert not summary.failures  # type: ignore[attr-defined]
    assert not loose_files(survey, summary.run)  # type: ignore[attr-defined]


def test_a_quantum_beyond_the_ceiling_fails_alone_and_the_others_pass(survey: Survey) -> None:
    survey.switch(d2="memory")
    ceiling = sum(shared_memory(pid) for pid in process_tree(os.getpid())) + 900_000_000
    notes, summary = run(survey, "u/big", memory_bytes=ceiling, retries=1, timeout_s=60.0)
    (failure,) = summary.failures  # type: ignore[attr-defined]
    assert "[MEMORY]" in failure.line
    assert "raise --memory" in failure.line
    assert sum(outcome.status is Status.SUCCEEDED for _, outcome in notes.ends) == 4


@pytest.fixture
def apart(survey: Survey, tmp_path: Path) -> Survey:
    """A repository of its own."""
    copy = Survey(tmp_path)
    shutil.copytree(survey.root, copy.root)
    copy.switches = survey.switches
    return copy


@pytest.fixture(scope="module")
def reference(survey: Survey) -> str:
    """The output of a run that nothing disturbed."""
    survey.switch()
    assert run_pipeline(survey.request("u/reference")).exit_status == 0
    return "u/reference"


@pytest.mark.parametrize("where", ["main:9", "main:35", "worker:3"])
def test_a_run_killed_at_a_change_goes_on_to_the_same(
    apart: Survey, survey: Survey, environment: dict[str, str], reference: str, where: str
) -> None:
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); from toy_survey import Survey; from pathlib import Path\n"
    code += "from skyloom.execute import run_pipeline\n"
    code += f"survey = Survey(Path({str(apart.root.parent)!r}))\nrun_pipeline(survey.request('u/ended'))\n"
    killed = subprocess.run([sys.executable, "-c", code], env=environment | {"SKYLOOM_KILL": where}, check=False)
    assert killed.returncode == -9
    summary = run_pipeline(apart.request("u/ended"))
    assert summary.exit_status == 0
    assert not loose_files(apart, summary.run)
    comparison = compare_collections((apart.butler("u/ended"), "u/ended"), (survey.butler(reference), reference))
    assert comparison.equal, comparison.differences
