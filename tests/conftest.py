from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from fixtures import fits_settings


@pytest.fixture(scope="session", autouse=True)
def _settings_once() -> Iterator[None]:
    """What no test changes is looked up once."""
    with pytest.MonkeyPatch.context() as patch:
        fits_settings.hold(patch.setattr)
        yield


@event.listens_for(Engine, "connect")
def _do_not_wait(connection: Any, _: object) -> None:
    """Registries of tests need not outlive the machine: nobody waits until the disk has them."""
    if type(connection).__module__ == "sqlite3":
        connection.execute("PRAGMA synchronous=OFF").close()
