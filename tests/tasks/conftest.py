from __future__ import annotations

from fixtures.versions import versions_once
from fixtures.workers import warm_workers

__all__ = ["versions_once", "warm_workers"]
