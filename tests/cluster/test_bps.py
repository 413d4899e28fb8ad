"""Pipelines as jobs of ``bps`` with parsl's workers on this machine: the same products, the same failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml
from bad_night import EMPTY, call, failures
from click.testing import Result
from lsst.daf.butler import Butler

from skyloom.errors import SkyloomError
from skyloom.execute import run_pipeline
from skyloom.execute.ends import Ends
from skyloom.execute.submitted import SubmittedStep

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
TOY = Path(__file__).parents[1] / "execute"


@pytest.fixture(scope="session")
def site() -> str:
    """The site of the documentation: two workers on this machine, one retry."""
    return str(EXAMPLES / "site_local.yaml")


@pytest.fixture(scope="module")
def by_jobs(files: str, on_one_machine: Result, site: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("submit"))
        return call("run", "drp", files, "-o", "jobs", "--site", site, "-q")


def test_jobs_make_what_one_machine_makes(files: str, on_one_machine: Result, by_jobs: Result) -> None:
    assert by_jobs.exit_code == 1, by_jobs.output
    compared = call("compare", f"{files}:here", "jobs")
    assert compared.exit_code == 0, compared.output


def test_the_same_frame_fails_for_the_same_reason(on_one_machine: Result, by_jobs: Result) -> None:
    (line,) = failures(by_jobs.output)
    assert f"exposure={EMPTY}" in line
    assert "BAD-FRAME" in line
    assert failures(on_one_machine.output) == [line]


def test_the_coadd_is_made_of_the_rest(files: str, by_jobs: Result) -> None:
    with Butler.from_config(files, collections=["jobs"]) as butler:
        (coadd,) = butler.query_datasets("deep_coadd")
        assert set(butler.get(coadd.makeComponentRef("inputs"))["visit"]) == set(range(1, EMPTY))


def test_status_and_a_second_call_know_what_jobs_did(files: str, by_jobs: Result, site: str) -> None:
    status = call("status", files, "-o", "jobs").output
    assert "assemble_coadd" in status
    again = call("run", "drp", files, "-o", "jobs", "--site", site, "-q")
    assert failures(again.output) == failures(by_jobs.output)
    assert call("compare", f"{files}:here", "jobs").exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in again.output.splitlines() if line[:1].isalpha()}
    assert [int(number) for number in rows["calibrate_image"]] == [EMPTY - 1, 1, 0, EMPTY, 0]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The toy survey of the runner's tests: four numbers, doubled, summed, and copied to the sky."""
    monkeypatch.setenv("PYTHONPATH", str(TOY))
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.chdir(tmp_path)
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("toy_survey", TOY / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    survey = module.Survey(tmp_path)
    survey.make()
    return survey


def test_lost_jobs_sink_nothing_but_themselves(toy: Any, site: str) -> None:
    """One job dies each time, one dies once, one raises what nobody foresaw; the sum is that of the rest."""
    toy.switch(d0="kill", d1="kill once", d2="runtime")
    summary = run_pipeline(toy.request("out", site=site, steps=["numbers"]))
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


def test_what_jobs_finished_without_their_submitter_is_taken_in(
    toy: Any, site: str, monkeypatch: pytest.MonkeyPatch
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
    with toy.butler("out") as butler:
        (seen,) = butler.query_datasets("doubled")
    summary = run_pipeline(toy.request("out"))
    assert summary.kept["double"] >= 2
    with toy.butler("out") as butler:
        assert set(butler.get("total", instrument="toy")["values"]) == {"0", "1", "2", "3"}
        assert butler.find_dataset("doubled", seen.dataId) == seen
    assert not list(toy.root.rglob("skyloom_jobs/*"))


def test_jobs_may_hold_several_quanta(toy: Any, site: str, tmp_path: Path) -> None:
    """Jobs add to what one machine began, and what depends on it is made anew."""
    clustered = tmp_path / "clustered.yaml"
    config = yaml.safe_load(Path(site).read_text())
    config["clusterAlgorithm"] = "lsst.ctrl.bps.quantum_clustering_funcs.dimension_clustering"
    config["cluster"] = {"numbers": {"pipetasks": "double", "dimensions": "instrument"}}
    clustered.write_text(yaml.safe_dump(config))
    first = run_pipeline(toy.request("out", where="detector in (0, 1)", steps=["numbers"]))
    assert first.exit_status == 0
    second = run_pipeline(toy.request("out", site=str(clustered), steps=["numbers"]))
    assert (second.kept["double"], second.run) == (2, first.run)
    with toy.butler("out") as butler:
        assert set(butler.get("total", instrument="toy")["values"]) == {"0", "1", "2", "3"}
    logs = [path.name for path in (tmp_path / "submit").rglob("*.stderr")]
    assert sum("numbers" in name for name in logs) == 1, logs


def test_a_site_that_cannot_be_submitted_to_is_told_in_a_line(files: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("wmsServiceClass: lsst.ctrl.bps.parsl.ParslService\n")
    result = call("run", "drp", files, "-o", "none", "--site", str(file), "-j", "2")
    assert result.exit_code == 2
    assert "one machine" in result.output
    result = call("run", "drp", files, "-o", "none", "--site", str(file))
    assert "computeSite" in str(result.exception)


def test_a_site_on_which_no_job_can_begin_is_told_with_its_log(toy: Any, site: str, tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text(f"{Path(site).read_text()}\nskyloomPython: /no/such/python\n")
    with pytest.raises(SkyloomError, match=r"bps\.log: .*4 of 4 quanta are open"):
        run_pipeline(toy.request("out", site=str(file), steps=["double"]))
    with toy.butler("out") as butler:
        assert not butler.query_datasets("double_log", explain=False)
