"""An answer to why: a product, what became of it, and the causes below, down to the first thing that went wrong."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = ["Kind", "Link", "grouped", "without_repeats"]


class Kind(enum.StrEnum):
    """What became of a product."""

    THERE = "there"
    WITHOUT = "there, but without"
    GONE = "written, and no longer there"
    FAILED = "failed"
    NO_WORK = "no work"
    NO_INPUT = "its inputs are missing"
    NOT_WRITTEN = "not written"
    LEFT_OUT = "left out"
    RUNNING = "being made"
    PENDING = "its turn has not come"
    STOPPED = "stopped"
    NOT_ASKED = "not asked for"
    NEWER = "newer than the run"
    NO_RUN = "never run"
    NOT_INGESTED = "not ingested"
    REFUSED = "refused at ingest"
    NO_CALIBRATION = "no calibration"
    NO_OVERLAP = "no overlap"
    NO_FRAMES = "no frames"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Link:
    """One link of the chain: a product or a part of one, and why it is as it is."""

    name: str
    """What it is about, such as ``direct_warp tract=0 patch=3 visit=12``."""
    kind: Kind
    cause: str
    """One line."""
    cure: str = ""
    """What to do about it, in words."""
    command: str = ""
    """What to run."""
    because: tuple[Link, ...] = ()
    """The causes of this one."""

    @property
    def is_there(self) -> bool:
        """Whether there is nothing wrong with it."""
        return self.kind is Kind.THERE

    def roots(self) -> Iterator[Link]:
        """What went wrong first: links without causes of their own."""
        if not self.because:
            yield self
        for one in self.because:
            yield from one.roots()

    def lines(self, most: int = 10, depth: int = 0) -> Iterator[str]:
        """The chain as text, causes indented below what they cause; links alike are told once.

        Parameters
        ----------
        most
            Most groups of causes of one link.
        depth
            How far it is indented.
        """
        mark = " " if self.kind is Kind.WITHOUT else ": "
        yield f"{'  ' * depth}{self.name}: {self.kind}{mark + self.cause if self.cause else ''}"
        groups = grouped(self.because)
        for group in groups[:most]:
            first, *rest = group
            yield from first.lines(most, depth + 1)
            if rest:
                yield f"{'  ' * (depth + 1)}  likewise {_names(rest)}"
        if len(groups) > most:
            yield f"{'  ' * (depth + 1)}... and {sum(map(len, groups[most:]))} more"

    def remedies(self) -> list[tuple[str, str, str]]:
        """What went wrong first, its cure and command, each cure once, that of the most first."""
        found: dict[tuple[str, str], list[Link]] = {}
        for one in self.roots():
            if (one.cure or one.command) and not one.is_there:
                known = found.setdefault((one.cure, one.command), [])
                known += [one] if one.name not in {other.name for other in known} else []
        ordered = sorted(found.items(), key=lambda item: -len(item[1]))
        return [(_those(links), cure, command) for (cure, command), links in ordered]

    def as_dict(self) -> dict[str, Any]:
        """The same for other programs."""
        told = {"name": self.name, "kind": str(self.kind), "cause": self.cause, "cure": self.cure}
        return told | {"command": self.command, "because": [one.as_dict() for one in self.because]}


def grouped(links: Iterable[Link]) -> list[list[Link]]:
    """Links with like causes together, numbers aside; those with the most first."""
    groups: dict[tuple[Any, ...], list[Link]] = {}
    for one in links:
        groups.setdefault(_likeness(one), []).append(one)
    return sorted(groups.values(), key=lambda group: -len(group))


def without_repeats(links: Iterable[Link]) -> list[Link]:
    """Links but for those that go back to what others before them go back to."""
    kept: list[Link] = []
    told: set[tuple[str, Kind]] = set()
    for link in links:
        roots = {(one.name, one.kind) for one in link.roots()}
        if not roots <= told:
            kept.append(link)
            told |= roots
    return kept


def _likeness(link: Link) -> tuple[Any, ...]:
    alike = re.sub(r"\S*/\S*", "", link.cause)
    return (link.name.split()[0], link.kind, re.sub(r"[\d.]+", "#", alike), tuple(map(_likeness, link.because[:1])))


def _those(links: list[Link]) -> str:
    """The first of several links, and how many more they are."""
    return links[0].name + (f" and {len(links) - 1} more" if len(links) > 1 else "")


def _names(links: list[Link], most: int = 8) -> str:
    """What several links are about; what all of them share is said once."""
    told = [link.name.split()[1:] for link in links[:most]]
    common = set.intersection(*map(set, told)) if len(told) > 1 else set()
    text = ", ".join(" ".join(word for word in words if word not in common) for words in told)
    return f"{text} and {len(links) - most} more" if len(links) > most else text
