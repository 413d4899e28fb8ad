from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from bad_night import Night, run_all
from click.testing import Result
from servers import ObjectStore, PostgreSQL

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("SKYLOOM_CLUSTER"):
        return
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.skip(reason="minutes of jobs and servers: set SKYLOOM_CLUSTER=1"))


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return Night(tmp_path_factory.mktemp("night"))


@pytest.fixture(scope="session")
def files(night: Night) -> str:
    """A repository of files and SQLite."""
    return night.repository(str(night.root / "repo"))


@pytest.fixture(scope="session")
def on_one_machine(files: str) -> dict[str, Result]:
    """What `skyloom run` makes of it without any cluster; its outputs are called ``here_PIPELINE``."""
    return run_all(files, "here", "-j", "2")


@pytest.fixture(scope="session")
def site() -> str:
    """The site of the documentation: two workers on this machine, one retry."""
    return str(HERE.parents[1] / "docs" / "examples" / "site_local.yaml")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    with ObjectStore() as server:
        yield server
