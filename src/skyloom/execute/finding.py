"""`Finding`: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of what `skyloom doctor` says."""

    topic: str
    state: Literal["ok", "look", "wrong"]
    """Well; worth a look; to be mended."""
    text: str
    cure: str = ""
    examples: tuple[str, ...] = ()
    """Files or datasets that it is about, the first few."""
