from __future__ import annotations

from fixtures.versions import versions_once

__all__ = ["versions_once"]
