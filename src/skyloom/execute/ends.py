"""How quanta ended in jobs elsewhere: a file each, beside the graph that they are of, in the folder of their run.

The folder lies in the store of the repository, which jobs reach wherever they run; it is removed when all that it tells
has been taken in.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from lsst.daf.butler import Butler
from lsst.resources import ResourcePath

from .journal import folder_of
from .outcome import Outcome, Status, WorkerDied

__all__ = ["Ends", "leftovers", "new_ends"]

_FOLDER = "skyloom_jobs"
_GRAPH = "graph.qg"
_ENDING = ".end.json"
_BEGUN = ".begun"


@dataclass(frozen=True)
class Ends:
    """The folder of one submission.

    Parameters
    ----------
    folder
        Its place.
    """

    folder: ResourcePath

    @property
    def graph(self) -> ResourcePath:
        """The graph of all quanta of the submission."""
        return self.folder.join(_GRAPH)

    def begin(self, quantum_id: uuid.UUID) -> None:
        """Note that the job of a quantum has begun: what it needs is installed, and it reaches the repository."""
        self.folder.join(f"{quantum_id.hex}{_BEGUN}").write(b"")

    def any_begun(self) -> bool:
        """Whether a job has begun."""
        return any(uri.basename().endswith(_BEGUN) for uri in _files(self.folder))

    def write(self, quantum_id: uuid.UUID, end: Outcome | WorkerDied) -> None:
        """Note how a quantum ended, in place of how an earlier attempt at it did."""
        kind = "outcome" if isinstance(end, Outcome) else "died"
        text = json.dumps({kind: asdict(end)}, default=lambda one: one.hex)
        self.folder.join(f"{quantum_id.hex}{_ENDING}").write(text.encode())

    def read(self, quantum_id: uuid.UUID) -> Outcome | WorkerDied | None:
        """How a quantum ended, if it did."""
        place = self.folder.join(f"{quantum_id.hex}{_ENDING}")
        if not place.exists():
            return None
        told = json.loads(place.read())
        if "died" in told:
            return WorkerDied(**told["died"])
        fields = told["outcome"]
        written = tuple(uuid.UUID(one) for one in fields.pop("written"))
        return Outcome(Status(fields.pop("status")), written, **fields)

    def ended(self) -> set[uuid.UUID]:
        """The quanta that have ended so far."""
        names = (uri.basename() for uri in _files(self.folder))
        return {uuid.UUID(name.removesuffix(_ENDING)) for name in names if name.endswith(_ENDING)}

    def remove(self) -> None:
        """Remove all of it."""
        for uri in list(_files(self.folder)):
            uri.remove()
        if self.folder.isLocal:
            shutil.rmtree(self.folder.ospath, ignore_errors=True)


def new_ends(butler: Butler, run: str, step: str) -> Ends:
    """A new folder for a submission of a step."""
    parent = _parent(butler, run)
    numbered = (parent.join(f"{step}_{number}/", forceDirectory=True) for number in range(1, 10_000))
    return Ends(next(place for place in numbered if not place.join(_GRAPH).exists()))


def leftovers(butler: Butler, run: str) -> list[Ends]:
    """What submissions left that nobody waited for to their end."""
    graphs = (uri for uri in _files(_parent(butler, run)) if uri.basename() == _GRAPH)
    return [Ends(uri.dirname()) for uri in sorted(graphs, key=str)]


def _parent(butler: Butler, run: str) -> ResourcePath:
    return folder_of(butler, run).join(_FOLDER, forceDirectory=True)


def _files(folder: ResourcePath) -> Iterator[ResourcePath]:
    """All files below a folder, which need not exist."""
    if not folder.isLocal or folder.exists():
        yield from ResourcePath.findFileResources([folder])
