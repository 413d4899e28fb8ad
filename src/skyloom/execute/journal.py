"""The journal of a RUN collection: what was begun and how it ended, line by line, beside the files of the run.

It outlives a kill at any moment. What the registry does not know yet is found again by it, and the runner that goes
on with a run reads in it what failed, what had no work, and from which inputs a product was made.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from lsst.daf.butler import Butler, DatasetRef, Quantum
from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError

from .claim import Claim
from .outcome import Outcome, Status

__all__ = ["SKY_MAP_PHASE", "Journal", "Key", "Past", "digest", "folder_of", "key_of"]

SKY_MAP_PHASE = "sky map"
"""The phase in which a run writes outside its own folder."""

type Key = tuple[str, ...]
"""A quantum, whatever its id: the label of its task and the values of its data id."""

_NAME = "skyloom_run.jsonl"


def key_of(label: str, quantum: Quantum) -> Key:
    """The key of a quantum."""
    assert quantum.dataId is not None
    return (label, *(str(value) for value in quantum.dataId.required_values))


def digest(ids: Iterable[uuid.UUID]) -> str:
    """A short fingerprint of a set of datasets."""
    return hashlib.sha256("".join(sorted(one.hex for one in set(ids))).encode()).hexdigest()[:16]


@dataclass
class Past:
    """What the journal knows of a quantum: where it began, how it ended, what it was made from."""

    outputs: list[tuple[str, dict[str, Any], uuid.UUID]] = field(default_factory=list)
    inputs: str = ""
    status: Status | None = None
    line: str = ""
    written: frozenset[uuid.UUID] = frozenset()
    registered: bool = False


class Journal:
    """The journal of one run, open for writing by one process.

    Parameters
    ----------
    butler
        Butler of the repository.
    run
        The RUN collection.

    Raises
    ------
    RepositoryError
        Raised if the repository keeps no files, or if another process is writing to this run.
    """

    def __init__(self, butler: Butler, run: str) -> None:
        self.uri = _location(butler, run)
        self.run = run
        self.settings: list[dict[str, Any]] = []
        self.quanta: dict[Key, Past] = {}
        self.was_stopped = False
        self.last_phase = ""
        self._lines: list[str] = []
        self._file: IO[str] | None = self._open() if self.uri.isLocal else None
        self._claim = None if self.uri.isLocal else Claim(_claim_on(self.uri), run)
        if self.uri.exists():
            self._replay(self.uri.read().decode())

    @staticmethod
    def read_events(butler: Butler, run: str) -> list[dict[str, Any]]:
        """All that was noted in a run, also while it goes on; nothing if no journal is there."""
        uri = _location(butler, run)
        return list(_events(uri.read().decode())) if uri.exists() else []

    @staticmethod
    def read_settings(butler: Butler, run: str) -> list[dict[str, Any]]:
        """The settings with which a run was begun and gone on with; none if no journal is there."""
        return [event for event in Journal.read_events(butler, run) if event["event"] == "settings"]

    @staticmethod
    def is_open(butler: Butler, run: str) -> bool:
        """Whether a process is writing to a run."""
        uri = _location(butler, run)
        if not uri.isLocal:
            return Claim.is_held(_claim_on(uri))
        if not uri.exists():
            return False
        with Path(uri.ospath).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def begin(self, settings: Mapping[str, Any], begun: float | None = None) -> None:
        """Note that the run is begun, or gone on with, under these settings; since when, in Unix time."""
        self.settings.append(dict(settings))
        self._write({"event": "settings", **settings, "begun": time.time() if begun is None else begun})
        self.flush()

    def phase(self, name: str, **details: Any) -> None:
        """Note that from now on, until the next phase, this is what the run does."""
        self._write({"event": "phase", "name": name, **details})

    def start(self, key: Key, outputs: Sequence[DatasetRef], inputs: str) -> None:
        """Note that a quantum is handed to a worker."""
        listed = [(ref.datasetType.name, dict(ref.dataId.required), ref.id) for ref in outputs]
        self.quanta[key] = Past(listed, inputs)
        self._write({"event": "start", "key": key, "outputs": [(n, d, i.hex) for n, d, i in listed], "inputs": inputs})

    def end(self, key: Key, outcome: Outcome) -> None:
        """Note how a quantum ended."""
        past = self.quanta[key]
        past.status, past.line, past.written = outcome.status, outcome.line, frozenset(outcome.written)
        written = [one.hex for one in outcome.written]
        figures = {"s": round(outcome.seconds, 3), "mb": round(outcome.growth / 1e6)}
        self._write(
            {"event": "end", "key": key, "status": outcome.status, "line": past.line, "written": written, **figures}
        )

    def drop(self, key: Key) -> None:
        """Note that nothing is left of a quantum: its files and its registry entries are gone."""
        self.quanta.pop(key, None)
        self._write({"event": "drop", "key": key})

    def registered(self) -> None:
        """Note that the registry knows all that has ended so far."""
        for past in self.quanta.values():
            past.registered = past.registered or past.status is not None
        self._write({"event": "registered"})
        self.flush()

    def flush(self) -> None:
        """Bring a journal in an object store up to date; a local one always is."""
        if self._file is None and self._lines:
            self.uri.write("".join(self._lines).encode())

    def close(self) -> None:
        """Close the journal and let others write."""
        self.flush()
        if self._file is not None:
            self._file.close()
        if self._claim is not None:
            self._claim.release()

    def _open(self) -> IO[str]:
        self.uri.dirname().mkdir()
        file = Path(self.uri.ospath).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise RepositoryError(
                f"another process is running in {self.run!r}", cure="Wait for its end, or name another output."
            ) from None
        return file

    def _write(self, event: Mapping[str, Any]) -> None:
        line = json.dumps({**event, "t": round(time.time(), 3)}) + "\n"
        sys.audit("skyloom.journal", self.uri.ospath if self.uri.isLocal else str(self.uri))
        if self._file is not None:
            self._file.write(line)
        else:
            self._lines.append(line)

    def _replay(self, text: str) -> None:
        if self._file is None:
            self._lines = text.splitlines(keepends=True)
        elif text and not text.endswith("\n"):
            self._file.write("\n")  # the line that was being written at the kill
        last: dict[str, Any] = {}
        for last in _events(text):
            self._replay_one(last)
        self.was_stopped = bool(last) and (last["event"], last.get("name")) != ("phase", "end")

    def _replay_one(self, event: dict[str, Any]) -> None:
        key = tuple(event.get("key", ()))
        match event["event"]:
            case "settings":
                self.settings.append({name: value for name, value in event.items() if name != "event"})
            case "start":
                outputs = [(name, data_id, uuid.UUID(one)) for name, data_id, one in event["outputs"]]
                self.quanta[key] = Past(outputs, event["inputs"])
            case "end":
                past = self.quanta[key]
                past.status, past.line = Status(event["status"]), event["line"]
                past.written = frozenset(uuid.UUID(one) for one in event["written"])
            case "drop":
                self.quanta.pop(key, None)
            case "phase":
                self.last_phase = event["name"]
            case "registered":
                for past in self.quanta.values():
                    past.registered = past.registered or past.status is not None


def _location(butler: Butler, run: str) -> ResourcePath:
    """Place of the journal of a run."""
    return folder_of(butler, run).join(_NAME)


def _claim_on(uri: ResourcePath) -> ResourcePath:
    """The claim on the run of a journal in an object store."""
    return uri.updatedFile("skyloom_run.claim")


def folder_of(butler: Butler, run: str) -> ResourcePath:
    """Folder of a run, in the first store of the repository that keeps files."""
    for root in butler.get_datastore_roots().values():
        if root is not None:
            return root.join(run, forceDirectory=True)
    raise RepositoryError("the repository keeps no files", cure="Make it with `skyloom init`.")


def _events(text: str) -> Iterable[dict[str, Any]]:
    """The events of a journal; a line that was cut off by a kill is passed over."""
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue
