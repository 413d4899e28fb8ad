from __future__ import annotations

from pathlib import Path

import pytest

_LONG = ("real/test_hatp32", "faults/", "execute/", "repo/test_build", "real/", "repo/", "tasks/", "simulate/")
"""Files whose tests take long, in the order in which to begin them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left with it at the end when the others have nothing to do."""

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(Path(__file__).parent).as_posix()
        return next((place for place, start in enumerate(_LONG) if name.startswith(start)), len(_LONG))

    items.sort(key=place)
