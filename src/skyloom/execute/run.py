"""Run a pipeline from its first step to its last."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import FrameType

from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents
from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError

from .account import StepAccount
from .between import prepare_sky
from .faults import count_changes
from .graph import Step, graph_components, split_steps, write_init_outputs
from .journal import SKY_MAP_PHASE, Journal
from .limits import Limits
from .pool import WorkerPool
from .progress import Reporter, Silence
from .register import Registrar
from .runs import choose_run, join_chain, runs_of, settings_of
from .step import StepRun
from .submission import check_site
from .submitted import SubmittedStep, take_in_leftovers
from .summary import RunSummary

__all__ = ["RunRequest", "run_pipeline"]

type Between = Callable[[Butler, str, Sequence[str], str], str]


@dataclass(frozen=True)
class RunRequest:
    """What to run on what.

    Parameters
    ----------
    repository
        Root of the repository.
    pipeline
        The pipeline, with all changes to its settings.
    name
        Its name, for the record.
    inputs
        Input collections.
    output
        Output chain.
    where
        Query that limits the data ids.
    basis
        What else it is made from, in a word: a run on another basis is left as it is, and a new one begun.
    instrument
        Name of the instrument.
    steps
        Labels of steps, subsets or tasks to run; all when empty.
    skymap
        Name of the sky map, made where it does not exist when the first step on the sky comes; see `prepare_sky`.
    processes
        Number of workers.
    retry
        Whether what failed or had no work is tried again.
    limits
        What the run may take.
    site
        File of a site (see `skyloom.execute.submission`) to which the quanta are submitted as jobs; empty: they are
        executed here.
    between
        Called before the first step on the sky: brings the regions up to date and gives the name of the sky map.
    command
        The command line, for the record.
    """

    repository: str
    pipeline: Pipeline
    name: str
    inputs: Sequence[str]
    output: str
    instrument: str
    where: str = ""
    basis: str = ""
    steps: Sequence[str] = ()
    skymap: str = ""
    processes: int = 1
    retry: bool = False
    limits: Limits = field(default_factory=Limits)
    site: str = ""
    between: Between = field(default=prepare_sky)
    command: str = ""


def run_pipeline(request: RunRequest, reporter: Reporter | None = None) -> RunSummary:
    """Run the steps of a pipeline, or go on with a run that was stopped.

    Parameters
    ----------
    request
        What to run.
    reporter
        Takes in the progress.

    Returns
    -------
    RunSummary
        Counts and failures.

    Raises
    ------
    SkyloomError
        Raised if the run cannot begin: an unknown label, an output that is in use.
    KeyboardInterrupt
        Raised on Ctrl-C and on SIGTERM, after what was complete has been registered.
    """
    reporter = reporter or Silence()
    begun = time.time()
    count_changes("main", request.repository)
    try:
        steps = split_steps(request.pipeline, request.steps)
        with _terminate_as_interrupt(), _executor(request, steps) as pool:
            butler = Butler.from_config(request.repository, writeable=True)
            with closing(_open_journal(butler, request, begun)) as journal:
                summary = RunSummary(journal.run, request.output)
                runner = _Runner(butler, request, journal, pool, reporter, summary)
                runner.begin()
                runner.run_steps(steps)
                journal.phase("end")
            return summary
    finally:
        reporter.close()


def _executor(request: RunRequest, steps: Sequence[Step]) -> AbstractContextManager[WorkerPool | None]:
    """The workers; none where a site executes the quanta."""
    if request.site:
        check_site(request.site)
        return nullcontext()
    modules = {node.task_class_name.rpartition(".")[0] for step in steps for node in step.graph.tasks.values()}
    return WorkerPool(request.repository, request.processes, sorted(modules), request.limits)


class _Runner:
    """The state of a run that outlives its steps."""

    def __init__(
        self,
        butler: Butler,
        request: RunRequest,
        journal: Journal,
        pool: WorkerPool | None,
        reporter: Reporter,
        summary: RunSummary,
    ) -> None:
        self._butler, self._request, self._journal = butler, request, journal
        self._pool, self._reporter, self._summary = pool, reporter, summary
        self._registrar = Registrar(butler, request.repository, journal)
        self._skymap: str | None = None
        tasks = request.pipeline.to_graph().tasks.items()
        self._producers = {
            edge.parent_dataset_type_name: label for label, task in tasks for edge in task.outputs.values()
        }

    def begin(self) -> None:
        """Put in order what an earlier call left in the same run."""
        found = take_in_leftovers(self._butler, self._journal, self._registrar)
        if found:
            self._reporter.note(f"jobs of an earlier call finished {found} quanta: they are taken in")
        begun = self._registrar.recover()
        if begun:
            self._reporter.note(f"an earlier call was stopped in {begun} quanta: they are made anew")

    def run_steps(self, steps: Sequence[Step]) -> None:
        """Run the steps one after the other; where no frame came through, those on the sky are left out."""
        for step in steps:
            if step.on_sky and self._skymap is None and not self._prepare_sky():
                continue
            self.run_step(step)

    def _prepare_sky(self) -> bool:
        request = self._request
        self._journal.phase(SKY_MAP_PHASE)
        try:
            self._skymap = request.between(
                self._butler, request.skymap, self._collections(["visit_summary"]), request.instrument
            )
        except RepositoryError as error:
            self._note(f"no step on the sky: {error}")
            self._summary.stopped = True
            return False
        self._reporter.note(f"sky map {self._skymap!r}, regions from the fitted frames")
        return True

    def _note(self, text: str) -> None:
        self._summary.notes.append(text)
        self._reporter.note(text)

    def _collections(self, wanted: Iterable[str]) -> list[str]:
        """Where to look for dataset types: in this run, in older ones of the output, and in the inputs.

        What a task of this run makes is not looked for in older runs: what it rejected stays out.
        """
        made_here = {key[0] for key in self._journal.quanta}
        older = [one for one in runs_of(self._butler, self._request.output) if one != self._summary.run]
        if made_here & {self._producers.get(name) for name in wanted}:
            older = []
        return [self._summary.run, *older, *self._request.inputs]

    def run_step(self, step: Step) -> None:
        """Build the graph of a step and execute it."""
        request = self._request
        self._journal.phase("graph", step=step.label)
        components = graph_components(
            self._butler,
            step.graph,
            where=_where(request, self._skymap if step.on_sky else None),
            inputs=self._collections(name for name, _ in step.graph.iter_overall_inputs())[1:],
            run=self._summary.run,
            output=request.output,
        )
        graph = components.assemble()
        if not len(graph):
            self._note(f"step {step.label}: no data for any of its tasks")
            return
        write_init_outputs(self._butler, graph)
        account = StepAccount(
            self._butler,
            graph,
            journal=self._journal,
            registrar=self._registrar,
            reporter=self._reporter,
            summary=self._summary,
            retry=request.retry,
        )
        totals = account.totals()
        processes = request.processes if self._pool is not None else 0  # how many a site gives is not known
        self._journal.phase("work", step=step.label, totals=totals, processes=processes)
        self._reporter.begin(step.label, totals)
        self._executor_of(step, account, components).execute()

    def _executor_of(
        self, step: Step, account: StepAccount, components: PredictedQuantumGraphComponents
    ) -> StepRun | SubmittedStep:
        """What executes a step: the workers, or a site."""
        request = self._request
        if self._pool is not None:
            return StepRun(account, self._pool, retries=request.limits.retries)
        place = ResourcePath(request.repository, forceDirectory=True)
        repository = place.ospath if place.isLocal else str(place)
        return SubmittedStep(account, components, repository=repository, site=request.site, step=step.label)


def _open_journal(butler: Butler, request: RunRequest, begun: float) -> Journal:
    """The journal of the run to write to, which is registered at the head of its chain."""
    settings = settings_of(request.name, request.pipeline.to_graph(), request.inputs, request.where, request.basis)
    run, _ = choose_run(butler, request.output, settings)
    journal = Journal(butler, run)
    join_chain(butler, request.output, run, request.inputs)
    journal.begin({**settings, "command": request.command}, begun)
    return journal


def _where(request: RunRequest, skymap: str | None) -> str:
    """The query of a step: the user's, limited to the instrument and, on the sky, to the sky map."""
    limits = {"instrument": request.instrument} | ({"skymap": skymap} if skymap is not None else {})
    for name, value in limits.items():
        if "'" in value:
            raise RepositoryError(f"the name of the {name}, {value!r}, holds a quotation mark")
    terms = [f"{name} = '{value}'" for name, value in limits.items()]
    return " AND ".join([*terms, f"({request.where})"] if request.where else terms)


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    """Let SIGTERM end a run as Ctrl-C does."""

    def interrupt(_signum: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
