"""A toy pipeline as jobs of ``bps`` with parsl's workers on this machine, with everything that may go wrong."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bad_night import call

from skyloom.errors import SkyloomError
from skyloom.execute import run_pipeline
from skyloom.execute.ends import Ends
from skyloom.execute.submission import reason_in
from skyloom.execute.submitted import SubmittedStep

TOY = Path(__file__).parents[1] / "execute"


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The toy survey of the runner's tests: four numbers, doubled, summed, and copied to the sky."""
    monkeypatch.setenv("PYTHONPATH", str(TOY))
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.chdir(tmp_path)
    from toy_survey import Survey

    survey = Survey(tmp_path)
    survey.make()
    return survey


def test_lost_jobs_sink_nothing_but_themselves(toy: Any, site: str) -> None:
    """Jobs add to what one machine began: one dies each time, one dies once, one raises what nobody foresaw."""
    first = run_pipeline(toy.request("out", where="detector = 3", steps=["numbers"]))
    toy.switch(d0="kill", d1="kill once", d2="runtime")
    summary = run_pipeline(toy.request("out", site=site, steps=["numbers"]))
    assert (summary.run, summary.kept["double"]) == (first.run, 1)
    assert {(one.task, one.name) for one in summary.failures} == {
        ("double", "instrument=toy detector=0"),
        ("double", "instrument=toy detector=2"),
    }
    assert "WORKER-DIED" in summary.failures[-1].line
    assert any("out of the blue" in one.line for one in summary.failures)
    with toy.butler("out") as butler:
        assert set(butler.get("total", instrument="toy")["values"]) == {"1", "3"}
        assert {ref.dataId["detector"] for ref in butler.query_datasets("doubled")} == {1, 3}
        assert {ref.dataId["detector"] for ref in butler.query_datasets("double_log")} == {0, 1, 2, 3}
    assert not list(toy.root.rglob("skyloom_jobs/*"))
    toy.switch()
    again = run_pipeline(toy.request("out", steps=["numbers"], retry=True))
    assert (again.exit_status, again.kept["double"]) == (0, 2)
    with toy.butler("out") as butler:
        assert butler.get("total", instrument="toy")["values"] == {str(one): 2 * (one + 0.25) for one in range(4)}


def test_what_jobs_finished_without_their_submitter_is_taken_in(
    toy: Any, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that submits is stopped when two jobs are done, of which it has seen one."""
    take_in = SubmittedStep._take_in

    def stop(self: SubmittedStep, ends: Ends, open_: set[UUID], *, final: bool) -> None:
        ended = ends.ended()
        if not final and len(ended) > 1:
            take_in(self, ends, {min(ended)}, final=False)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SubmittedStep, "_take_in", stop)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline(toy.request("out", site=site))
    (log,) = tmp_path.rglob("bps.log")
    assert "DFK cleanup complete" in log.read_text(), "its jobs are left in the queue"
    with toy.butler("out") as butler:
        (seen,) = butler.query_datasets("doubled")
    summary = run_pipeline(toy.request("out"))
    assert summary.kept["double"] >= 2
    with toy.butler("out") as butler:
        assert set(butler.get("total", instrument="toy")["values"]) == {"0", "1", "2", "3"}
        assert butler.find_dataset("doubled", seen.dataId) == seen
    assert not list(toy.root.rglob("skyloom_jobs/*"))


def test_what_is_wrong_with_a_site_is_told_in_a_line(toy: Any, tmp_path: Path) -> None:
    file, known = tmp_path / "site.yaml", "computeSite: one\nsite:\n  one:\n    class: skyloom.execute.sites.Slurm\n"
    for text, complaint in [
        ("project: survey\n", "names no site"),
        ("computeSite: one\n", r"site\.one\.class: the file does not say what 'one' is"),
        (f"{known}    environment: true\n", r"site\.one\.environment: .* Leave it out"),
    ]:
        file.write_text(text)
        with pytest.raises(SkyloomError, match=complaint):
            run_pipeline(toy.request("out", site=str(file)))
    result = call("run", "drp", str(toy.root), "-o", "none", "--site", str(file), "-j", "2")
    assert result.exit_code == 2
    assert "one machine" in result.output


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("INFO: begun\nTypeError: no argument 'partitoin'\n", "TypeError: no argument 'partitoin'"),
        (
            "a.TooManyJobFailuresError: Error 1:\n\tFailed: sbatch: error: no\nsbatch: x\nError 2:\n",
            "Failed: sbatch: error: no",
        ),
        ("a.b INFO: all went well\n", ""),
    ],
)
def test_the_reason_of_bps_is_found_in_its_log(log: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "bps.log"
    file.write_text(log)
    assert reason_in(file).endswith(reason)
    assert bool(reason_in(file)) is bool(reason)


def test_a_site_on_which_no_job_can_begin_is_told_with_its_log(toy: Any, site: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"{Path(site).read_text()}\nskyloomPython: /no/such/python\n")
    with pytest.raises(SkyloomError, match=r"bps\.log: .*4 of 4 quanta are open"):
        run_pipeline(toy.request("out", site=str(file), steps=["double"]))
    with toy.butler("out") as butler:
        assert not butler.query_datasets("double_log", explain=False)


def test_bps_is_interrupted_when_the_command_that_called_it_is_gone() -> None:
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # tests in the background do not
    call_watch = f"{heed}; from skyloom.execute.submitter import _watch; _watch(parent=0)"
    done = subprocess.run([sys.executable, "-c", call_watch], capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGINT
