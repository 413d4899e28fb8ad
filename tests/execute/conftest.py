from __future__ import annotations

import os
from pathlib import Path

import pytest
from toy_survey import HERE, Survey

from fixtures.versions import versions_once
from fixtures.workers import warm_workers

__all__ = ["versions_once", "warm_workers"]


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("survey")
    Survey(root).make()
    return root


@pytest.fixture(scope="module")
def survey(pristine: Path) -> Survey:
    """One repository for all tests: each writes to its own output."""
    return Survey(pristine)


@pytest.fixture(autouse=True)
def _no_switches(survey: Survey) -> None:
    survey.switch()


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    folders = (str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", ""))
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
