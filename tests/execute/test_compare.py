"""Runs are compared by what they made."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from conftest import Survey
from lsst.pipe.base import Pipeline

from skyloom.cli.compare import command
from skyloom.execute import run_pipeline


def test_equal_runs_and_runs_that_differ(survey: Survey) -> None:
    pipeline = Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))
    pipeline.addConfigOverride("tile", "factor", 3.0)
    run_pipeline(survey.request("u/one"))
    run_pipeline(survey.request("u/other", processes=2))
    run_pipeline(survey.request("u/tripled", pipeline=pipeline))
    run_pipeline(survey.request("u/part", where="detector in (0, 1)"))

    same = CliRunner().invoke(command, [f"{survey.root}:u/one", f"{survey.root}:u/other"])
    assert same.exit_code == 0, same.output
    assert same.output.endswith("identical, 0 different\n")
    tripled = CliRunner().invoke(command, [f"{survey.root}:u/one", "u/tripled"])
    assert tripled.exit_code == 1
    assert "tile skymap=flat tract=0: other bytes" in tripled.output
    part = CliRunner().invoke(command, [f"{survey.root}:u/one", "u/part"])
    assert part.exit_code == 1
    assert "doubled instrument=toy detector=3: missing in the second" in part.output
