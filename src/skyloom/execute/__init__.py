"""The local runner: the steps of a pipeline in a pool of warm workers, resumable, with every failure accounted for."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Bars": "progress",
    "Lines": "progress",
    "Outcome": "outcome",
    "RunRequest": "run",
    "RunSummary": "summary",
    "Silence": "progress",
    "Status": "outcome",
    "run_pipeline": "run",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
