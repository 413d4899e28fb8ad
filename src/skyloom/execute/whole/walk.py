"""The walk through a plan: each part by the functions that the single commands call, resumable as they are."""

from __future__ import annotations

import fcntl
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from skyloom.errors import BadFrameError, RefcatError, RepositoryError
from skyloom.execute.between import prepare_sky
from skyloom.execute.limits import Limits
from skyloom.execute.masters import BuildRequest, build_masters
from skyloom.execute.outcome import Status
from skyloom.execute.progress import Reporter
from skyloom.execute.run import RunRequest, run_pipeline
from skyloom.execute.summary import Failure, RunSummary
from skyloom.repo.calibrations import import_calibrations, parse_validity
from skyloom.repo.collections import defaults_collection
from skyloom.repo.incoming import ingest_frames
from skyloom.repo.refcat import import_refcat, reference_catalogue
from skyloom.repo.setup import initialise

from .plan import OUTPUT, Plan
from .references import has_references, how_to_get_one

__all__ = ["WalkRequest", "Walked", "check_writeable", "walk"]


@dataclass(frozen=True, kw_only=True)
class WalkRequest:
    """What to do.

    Parameters
    ----------
    repository
        Its root; made where there is none.
    plan
        What to do.
    pipelines
        By name: ``masters``, that of the plan, ``deep``, ``catalogues``.
    processes
        Number of workers.
    retry
        Whether what failed or had no work is tried again.
    limits
        What each of the runs may take.
    reporter
        Makes what shows the progress of a run.
    say
        Takes a line before each part.
    command
        The command line, for the record.
    """

    repository: str
    plan: Plan
    pipelines: Mapping[str, Pipeline]
    processes: int = 1
    retry: bool = False
    limits: Limits = field(default_factory=Limits)
    reporter: Callable[[], Reporter]
    say: Callable[[str], object]
    command: str = ""


@dataclass(kw_only=True)
class Walked:
    """What came of a walk.

    Parameters
    ----------
    sky_map
        The one that warps and coadds are on; empty where none was needed.
    outputs
        Output chains, the last first, and the inputs of all: where products are looked for.
    masters
        By kind, how many calibrations were imported or built.
    summaries
        By pipeline, the account of its run.
    failures
        Of all parts.
    notes
        What else is to be known.
    """

    sky_map: str = ""
    outputs: list[str] = field(default_factory=list)
    masters: Counter[str] = field(default_factory=Counter)
    summaries: dict[str, RunSummary] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        """The runs that were written to, the last first."""
        return [summary.run for summary in reversed(self.summaries.values())]

    def count(self, pipeline: str, task: str, status: Status = Status.SUCCEEDED) -> int:
        """Quanta of a task that ended so; 0 where it was not run."""
        summary = self.summaries.get(pipeline)
        return summary.counts[task][status] if summary is not None and task in summary.counts else 0

    @property
    def exit_status(self) -> int:
        """0 if everything succeeded or had no work, else 1."""
        stopped = any(summary.stopped for summary in self.summaries.values())
        return 1 if self.failures or stopped else 0


def check_writeable(repository: str) -> None:
    """See that a repository can be written to, or made; nothing stays.

    Raises
    ------
    RepositoryError
        If not.
    """
    folder = Path(repository)
    place = next((one for one in (folder, *folder.absolute().parents) if one.exists()), Path("/"))
    try:
        with tempfile.TemporaryFile(dir=place):
            return
    except OSError as error:
        raise RepositoryError(
            f"nothing can be written to {place}: {error.strerror or error}.",
            file=repository,
            cure="Give another place with -o, or get the right to write there.",
        ) from error


def walk(request: WalkRequest) -> Walked:
    """Do what a plan says; what an earlier call has made of the same frames is kept.

    Raises
    ------
    SkyloomError
        If a part cannot begin: no reference catalogue, a folder that holds something else, another camera.
    KeyboardInterrupt
        Raised on Ctrl-C, after what was complete has been registered.
    """
    check_writeable(request.repository)
    walker = _Walker(request)
    initialise(request.repository, request.plan.inventory.camera)
    with _alone(request.repository):
        walker.ingest()
        walker.take_references()
        walker.make_masters()
        walker.run()
    return walker.walked


@contextmanager
def _alone(repository: str) -> Iterator[None]:
    """Keep a second call out of a repository.

    Raises
    ------
    RepositoryError
        If one is at work already.
    """
    with (Path(repository) / "butler.yaml").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RepositoryError(
                "another 'skyloom process' is at work in this repository.",
                file=repository,
                cure="Wait for its end: the same command goes on with what it has made.",
            ) from error
        except OSError:
            pass  # a file system without locks
        yield


class _Walker:
    """The state of a walk between its parts."""

    def __init__(self, request: WalkRequest) -> None:
        self._request, self._plan = request, request.plan
        self._camera = request.plan.inventory.camera
        self._inputs = [defaults_collection(self._camera.name)]
        self.walked = Walked()

    def _butler(self) -> Butler:
        return Butler.from_config(self._request.repository, writeable=True)

    def ingest(self) -> None:
        """Bring in the frames that are new."""
        inventory = self._plan.inventory
        if not inventory.read:
            return
        with self._butler() as butler:
            result = ingest_frames(
                butler,
                self._camera,
                list(inventory.read),
                list(inventory.unread),
                workers=self._request.processes,
            )
        new = f"{result.ingested} new frames" if result.ingested else "no new frame"
        self._request.say(f"ingest: {new}, {result.known} known already, {len(result.rejected)} left out")

    def take_references(self) -> None:
        """Import the reference catalogue; what is there already and equal stays as it is."""
        if not self._plan.calibrates:
            return
        references = self._plan.references
        with self._butler() as butler:
            if references is not None:
                report = import_refcat(butler, references.files, references.spec, replace=True)
                without = f", {report.n_dropped} rows without a position left out" if report.n_dropped else ""
                self._request.say(f"references: {report.n_rows} stars in {report.run}{without}")
                references.check_measured(self._plan.inventory, report)
            elif not has_references(butler):
                raise how_to_get_one(self._plan.inventory, self._plan.fields)
            self._check_cover(butler)

    def _check_cover(self, butler: Butler) -> None:
        """See that there are reference stars where the frames are."""
        catalogue, empty = reference_catalogue(butler), []
        for one in self._plan.fields:
            radius = 0.5 * (one.width_deg**2 + one.height_deg**2) ** 0.5 + self._camera.pointing_error_deg
            if not len(catalogue(one.ra, one.dec, radius, None)):
                empty.append(f"RA {one.ra:.3f}, Dec {one.dec:+.3f}")
        if empty and len(empty) == len(self._plan.fields):
            raise RefcatError(
                f"no star of the reference catalogue lies where the frames are: {'; '.join(empty[:3])}.",
                cure="Give the catalogue of these fields with --refcat, or correct the pointing in the camera's "
                "description (hours for degrees?).",
            )
        self.walked.notes += [f"no reference star lies at {place}" for place in empty]

    def make_masters(self) -> None:
        """Import what is given, and build what the frames allow."""
        plan, request = self._plan.masters, self._request
        always = parse_validity(None, None)
        with self._butler() as butler:
            for kind, files in plan.given.files.items():
                results = import_calibrations(butler, self._camera, kind, list(files), validity=always, replace=True)
                errors = [result.error for result in results if result.error is not None]
                self.walked.notes += [f"left out: {error}" for error in errors]
                self.walked.masters[kind] += len(results) - len(errors)
                request.say(f"masters: {len(results) - len(errors)} {kind} imported")
                if errors and len(errors) == len(results):
                    raise BadFrameError(
                        f"none of the {kind} files in --calibs can be used: {errors[0]}", cure="Leave them out."
                    )
        if not plan.kinds:
            return
        request.say(f"masters: {', '.join(plan.kinds)}")
        built = build_masters(
            BuildRequest(
                repository=request.repository,
                pipeline=request.pipelines["masters"],
                validity=always,
                instrument=self._camera.name,
                kinds=tuple(plan.kinds),
                where=plan.where,
                pedestal_only=plan.pedestal_only,
                processes=request.processes,
                limits=request.limits,
                command=request.command,
            ),
            request.reporter(),
        )
        self.walked.masters.update(one.kind for one in built.masters)
        self.walked.failures += built.failures
        self.walked.notes += built.notes

    def run(self) -> None:
        """Run the pipelines one after the other, each on the products of those before."""
        plan = self._plan
        self.walked.outputs = list(self._inputs)
        if plan.labels:
            self._run(plan.pipeline, plan.labels)
        if plan.deep and self.walked.sky_map:
            self._run("deep", ())
        if plan.catalogue_labels and self.walked.sky_map:
            self._run("catalogues", plan.catalogue_labels)

    def _run(self, name: str, labels: Sequence[str]) -> None:
        request = self._request
        output = f"{OUTPUT}/{name}"
        request.say(f"{name}:")
        bands = ", ".join(f"'{band}'" for band in self._plan.bands)
        summary = run_pipeline(
            RunRequest(
                repository=request.repository,
                pipeline=request.pipelines[name],
                name=name,
                inputs=list(self.walked.outputs),
                output=output,
                instrument=self._camera.name,
                where=f"band IN ({bands})" if bands else "",
                steps=labels,
                skymap=self.walked.sky_map,
                processes=request.processes,
                retry=request.retry,
                limits=request.limits,
                command=request.command,
                between=self._prepare_sky,
            ),
            request.reporter(),
        )
        self.walked.summaries[name] = summary
        self.walked.failures += summary.failures
        if self._plan.calibrates and not self.walked.count(self._plan.pipeline, "calibrate_image"):
            self.walked.notes.append("no frame was calibrated: there is nothing to put together")
        else:
            self.walked.notes += summary.notes
        self.walked.outputs.insert(0, output)

    def _prepare_sky(self, butler: Butler, name: str, collections: Sequence[str], instrument: str) -> str:
        """As `prepare_sky`, and remember the sky map."""
        self.walked.sky_map = prepare_sky(butler, name, collections, instrument)
        return self.walked.sky_map
