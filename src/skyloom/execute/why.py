"""Why a product is there or not: the chain of causes, from the product down to the first thing that went wrong.

Everything comes from what is recorded: journals, logs and metadata of runs, the registry, the record of ingest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, InvalidQueryError

from skyloom.errors import RepositoryError

from .outcome import Status
from .records import Account, Connection, RunRecord, TaskRecord
from .why_chain import Kind, Link, without_repeats
from .why_cures import cure_of_code, cure_of_words
from .why_members import Members, no_overlap
from .why_roots import missing_calibration, missing_frame, missing_other
from .why_scope import Scope, Shipped, parse_terms

__all__ = ["ALIASES", "explain_product", "find_product"]

ALIASES = {"visit_image": "initial_pvi", "coadd": "deep_coadd", "warp": "direct_warp", "catalog": "objects"}
"""What products are also called."""
_MOST_PRODUCTS = 50
_MOST_CAUSES = 200
_REQUIRED = re.compile(r"settings require ([a-z]{4})")
_FRAMES = ("raw", "post_isr")


def explain_product(
    butler: Butler,
    product: str,
    terms: Iterable[str],
    *,
    repository: str = "REPO",
    output: str | None = None,
    shipped: Shipped = lambda _: (),
) -> list[Link]:
    """Tell of a product whether it is there, and why or why not.

    Parameters
    ----------
    butler
        The repository.
    product
        Dataset type, or one of `ALIASES`.
    terms
        Data id, ``KEY=VALUE``.  Keys that the product does not have choose a part of it: with ``visit=12`` the answer
        for a coadd says whether that visit is in it, and what became of it.
    repository
        The root of the repository as it is to appear in commands.
    output
        Where to look; None for the newest output that has or makes the product.
    shipped
        Tells which pipelines of the package make a dataset type.

    Returns
    -------
    list of Link
        An answer for each product that the terms fit.

    Raises
    ------
    RepositoryError
        If the product or a term is not known, or the terms fit nothing.
    """
    given = parse_terms(terms, butler.dimensions.dimensions.names)
    with butler.registry.caching_context():
        name = product if _is_known(butler, product) else ALIASES.get(product, product)
        scope = Scope.of_product(butler, repository, name, output, shipped)
        dimensions = scope.dimensions(name)
        if dimensions is None:
            raise RepositoryError(
                f"nothing is called {product!r}, and no task makes it.",
                cure=f"List what there is with 'butler query-dataset-types {repository}'.",
            )
        return _Explainer(scope).explain_all(name, dimensions, given)


def find_product(
    butler: Butler, product: str, terms: Iterable[str], *, repository: str = "REPO", output: str | None = None
) -> DatasetRef:
    """The one product that some terms fit; parameters are those of `explain_product`.

    Raises
    ------
    RepositoryError
        If there is none, or several are there.
    """
    given = parse_terms(terms, butler.dimensions.dimensions.names)
    name = product if _is_known(butler, product) else ALIASES.get(product, product)
    scope = Scope.of_product(butler, repository, name, output, lambda _: ())
    found = scope.refs(name, given)
    if len(found) != 1:
        what = " ".join([name, *(f"{key}={value}" for key, value in given.items())])
        raise RepositoryError(
            f"{len(found)} datasets are {what}.",
            cure="Say more of its data id, or name its --output." if found else "Ask 'skyloom why' for the reason.",
        )
    return found[0]


def _is_known(butler: Butler, name: str) -> bool:
    return bool(butler.registry.queryDatasetTypes(name))


class _Explainer:
    """Follows products to what they are made of."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._known: dict[tuple[str, DataCoordinate], Link] = {}
        self._calibrations: dict[str, bool] = {}

    def explain_all(self, name: str, dimensions: Iterable[str], given: Mapping[str, Any]) -> list[Link]:
        """An answer for each product that some values fit."""
        dimensions = tuple(dimensions)
        values = self._translate(dimensions, given)
        values = self._implied(dimensions, values) | values
        focus = {key: value for key, value in values.items() if key not in dimensions}
        own = {key: value for key, value in values.items() if key in dimensions}
        own = self._scope.complete(own, dimensions)
        focus = {key: value for key, value in self._scope.complete(own | focus, focus).items() if key not in own}
        unknown = self._scope.unknown_part(own | focus)
        if unknown:
            return [self._unknown(name, own | focus, unknown)]
        if set(own) >= set(dimensions):
            data_ids = [one for one in [self._scope.expand(own, dimensions)] if one is not None]
        else:
            data_ids = self._scope.data_ids(own | focus, dimensions) or self._scope.data_ids(own, dimensions)
        if not data_ids:
            raise RepositoryError(
                f"no {self._scope.name(name, own | focus)} can be: nothing in the repository fits.",
                cure=f"Give all of {', '.join(dimensions)}.",
            )
        links = [self.explain(name, one, focus) for one in data_ids[:_MOST_PRODUCTS]]
        return [link for link in links if not _cannot_be(link)] or links

    def _translate(self, dimensions: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
        """The given values, with ``exposure`` and ``visit`` as the product has them: they have the same numbers."""
        values = dict(given)
        for own, other in (("exposure", "visit"), ("visit", "exposure")):
            if own in dimensions and other not in dimensions and other in values:
                values.setdefault(own, values.pop(other))
        return values

    def _implied(self, dimensions: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
        """What follows for a product from values that it does not have itself: the band from a visit."""
        others = [key for key in given if key not in dimensions]
        if not others:
            return {}
        known = self._scope.expand(self._scope.complete(given, others), others)
        told = {} if known is None else dict(known.mapping)
        return {key: value for key, value in told.items() if key in dimensions}

    def _unknown(self, name: str, values: dict[str, Any], key: str) -> Link:
        """Of a product of which a part of the data id is not in the registry."""
        if key in ("exposure", "visit"):
            frame = missing_frame(self._scope, "raw", {"exposure": values[key], "detector": values.get("detector")})
            if name in _FRAMES:
                return frame
            return Link(self._scope.name(name, values), Kind.NO_INPUT, "", because=(frame,))
        cure = {
            "patch": "List the patches under the frames with 'skyloom skymap show'.",
            "tract": "List the tracts with 'skyloom skymap show'.",
            "skymap": "Make it with 'skyloom skymap make'.",
        }.get(key, f"Check the {key}.")
        return Link(self._scope.name(name, values), Kind.UNKNOWN, f"there is no {key} {values[key]!r}", cure)

    def explain(self, name: str, data_id: DataCoordinate, focus: Mapping[str, Any] | None = None) -> Link:
        """One product; with ``focus`` a part of it."""
        if self._is_calibration(name):
            return self._calibration(name, data_id, focus or {})
        ref = self._scope.find(name, data_id)
        if ref is not None and self._scope.butler.stored(ref):
            return self._present(ref, data_id, focus or {})
        key = (name, data_id)
        if key not in self._known:
            self._known[key] = self._gone(ref) if ref is not None else self._absent(name, data_id)
        link = self._known[key]
        if not focus or not link.because:
            return link
        return self._absent(name, data_id, focus)

    def _calibration(self, name: str, data_id: DataCoordinate, focus: Mapping[str, Any]) -> Link:
        """A calibration; with an exposure or a visit, the one that is valid then."""
        values = {**data_id.required, **focus}
        frame = self._scope.expand(values, values) or data_id
        link = missing_calibration(self._scope, name, frame)
        then = " at the date of the frame" if focus else ""
        return link or Link(self._scope.name(name, data_id), Kind.THERE, f"one is certified{then}")

    def _present(self, ref: DatasetRef, data_id: DataCoordinate, focus: Mapping[str, Any]) -> Link:
        """A product that is there, and what is in it."""
        record, task, _ = self._scope.maker(ref.datasetType.name)
        whole = self._scope.expand(dict(ref.dataId.required), ref.dimensions.names) or data_id
        members = Members(self._scope, ref, whole)
        if record is None or task is None or task.label not in record.tasks:
            return members.plain(focus)
        return members.tell(task, record, focus, self.explain, self._unexpected)

    def _gone(self, ref: DatasetRef) -> Link:
        """A product that the registry knows, without its file."""
        name, data_id = ref.datasetType.name, ref.dataId
        record, task, _ = self._scope.maker(name)
        where = " AND ".join(f"{key} = {value!r}" for key, value in data_id.required.items())
        place = self._scope.place(ref)
        if record is None or task is None:
            return Link(self._scope.name(name, data_id), Kind.GONE, f"its file {place} is gone", "Put it back.")
        return Link(
            self._scope.name(name, data_id),
            Kind.GONE,
            f"{ref.run} wrote it, and its file {place} is gone",
            "Put it back, or take it out of the registry and run again.",
            f"butler prune-datasets {self._scope.repository} --purge {ref.run} "
            f"--datasets {name},{task.label}_metadata,{task.label}_log "
            f'--where "{where}" {ref.run} --no-confirm && {self._run_command(record)}',
        )

    def _absent(self, name: str, data_id: DataCoordinate, focus: Mapping[str, Any] | None = None) -> Link:
        """A product that is not there."""
        record, task, pipeline = self._scope.maker(name)
        values = dict(data_id.required)
        if name == "raw" or (task is None and name in _FRAMES):
            return missing_frame(self._scope, name, values)
        if task is None:
            return missing_other(self._scope, name, values)
        for one in self._scope.records:
            for other in one.makers(name):
                quantum = self._quantum(other, data_id)
                account = None if quantum is None else one.account(other.label, quantum)
                if account is not None and quantum is not None:
                    return self._of_account(name, data_id, quantum, one, other, account)
        quantum = self._quantum(task, data_id)
        return self._never(name, data_id, quantum, record, task, pipeline, focus or {})

    def _is_calibration(self, name: str) -> bool:
        if name not in self._calibrations:
            found = list(self._scope.butler.registry.queryDatasetTypes(name))
            self._calibrations[name] = bool(found) and found[0].isCalibration()
        return self._calibrations[name]

    def _quantum(self, task: TaskRecord, data_id: DataCoordinate) -> DataCoordinate | None:
        """Data id of the quantum that makes a product; None where the product does not tell it."""
        dimensions = self._scope.butler.dimensions.conform(task.dimensions)
        return self._scope.expand(dict(data_id.mapping), dimensions.names)

    def _of_account(
        self,
        name: str,
        data_id: DataCoordinate,
        quantum: DataCoordinate,
        record: RunRecord,
        task: TaskRecord,
        account: Account,
    ) -> Link:
        """A product of a quantum that was begun."""
        told = self._scope.name(name, data_id)
        again = self._run_command(record)
        match account.status:
            case None if record.is_open:
                return Link(told, Kind.RUNNING, f"{task.label} is at it now", "Wait.")
            case None:
                cause = f"{task.label} had begun it in {record.run} when the run was stopped"
                return Link(told, Kind.STOPPED, cause, "Go on with the run.", again)
            case Status.FAILED:
                return self._failed(told, quantum, record, task, account)
            case Status.NO_WORK:
                because = (*self._left_out(record, task, quantum, account), *self._missing(task, quantum))
                words = account.line.removeprefix("[NoWorkFound] ")
                words = "" if "Input(name=" in words else words  # the executor's own, of no use
                cure, setting = cure_of_words(account.line, task.label)
                return Link(
                    told,
                    Kind.NO_WORK,
                    f"{task.label}: {words}" if words else f"{task.label} had nothing to work on",
                    cure,
                    self._run_command(record, setting) if setting else "",
                    because,
                )
        if account.wrote(name, data_id):
            cause = f"{task.label} wrote it in {record.run}; it was taken out of the repository since"
            return Link(told, Kind.GONE, cause, "Make it anew in another output.", "")
        because = tuple(self._left_out(record, task, quantum, account, data_id))
        cause = f"{task.label} ended well in {record.run} without it"
        return Link(told, Kind.NOT_WRITTEN, cause, "" if because else "See its log.", "", because)

    def _failed(
        self, told: str, quantum: DataCoordinate, record: RunRecord, task: TaskRecord, account: Account
    ) -> Link:
        """A quantum that failed: the line of its error, the cure, and the calibrations that it lacked."""
        log = self._log_place(record, task, quantum)
        code = account.code or _code_of(account.line)
        cure, options = cure_of_code(code, account.cure, log)
        required = _REQUIRED.search(account.cause or account.line)
        lacking = [] if required is None else self._lacking(task, quantum, required[1])
        cause = account.line if account.line.startswith(task.label) else f"{task.label}: {account.line}"
        if account.cure:
            cause = cause.replace(f" {account.cure}", "")
        return Link(told, Kind.FAILED, cause, cure, self._run_command(record, *options), tuple(lacking))

    def _lacking(self, task: TaskRecord, quantum: DataCoordinate, begins: str) -> list[Link]:
        """Calibrations of which none is valid at the date of a frame, whose name begins so."""
        found = []
        for one in task.prerequisites:
            if one.is_calibration and one.name.lower().startswith(begins):
                link = missing_calibration(self._scope, one.name, quantum, task.label)
                found += [] if link is None else [link]
        return found

    def _log_place(self, record: RunRecord, task: TaskRecord, quantum: DataCoordinate) -> str:
        name = f"{task.label}_log"
        if name not in record.dataset_types:
            return ""
        ref = self._scope.butler.find_dataset(name, quantum, collections=record.run)
        return "" if ref is None else self._scope.place(ref)

    def _left_out(
        self,
        record: RunRecord,
        task: TaskRecord,
        quantum: DataCoordinate,
        account: Account,
        part: DataCoordinate | None = None,
    ) -> list[Link]:
        """What a task says that it left out, by its metadata or its log."""
        found = []
        for entry in account.figures.get("left_out", ()):
            detector, _, reason = str(entry).partition(": ")
            found.append((f"{self._scope.name(task.label, quantum)} detector={detector}", reason))
        if not found:
            words = [text for text in record.warnings(task.label, quantum) if "left out" in text]
            if part is not None and "visit" in part:
                words = [text for text in words if re.search(rf"visit {part['visit']}\b", text)]
            found = [(self._scope.name(task.label, quantum), text) for text in words]
        links = []
        for name, reason in found[:_MOST_CAUSES]:
            cure, setting = cure_of_words(reason, task.label)
            command = self._run_command(record, setting) if setting else ""
            links.append(Link(name, Kind.LEFT_OUT, reason, cure, command))
        return links

    def _missing(self, task: TaskRecord, quantum: DataCoordinate, focus: Mapping[str, Any] | None = None) -> list[Link]:
        """The inputs of a quantum that are not there, each with its causes."""
        found: list[Link] = []
        for connection in task.inputs:
            if connection.minimum == 0:
                continue
            found += self._missing_of(task, connection, quantum, focus or {})
        return without_repeats(found)

    def _missing_of(
        self, task: TaskRecord, connection: Connection, quantum: DataCoordinate, focus: Mapping[str, Any]
    ) -> list[Link]:
        expected = self._scope.expected(task, connection, quantum)
        chosen = [one for one in expected if all(one.mapping.get(key, value) == value for key, value in focus.items())]
        if not chosen:
            return [self._unexpected(connection, quantum, focus)]
        links = []
        for one in chosen[:_MOST_CAUSES]:
            rest = {key: value for key, value in focus.items() if key not in one.mapping}
            link = self.explain(connection.name, one, rest)
            if not link.is_there:
                links.append(link)
        return links

    def _unexpected(self, connection: Connection, quantum: DataCoordinate, focus: Mapping[str, Any]) -> Link:
        """Of an input that cannot be: there is no such frame, or nothing of it lies where the product does."""
        group = self._scope.butler.dimensions.conform(connection.dimensions)
        own = {key: value for key, value in {**quantum.mapping, **focus}.items() if key in group.required}
        whole = self._scope.expand(own, group.names) if set(own) == set(group.required) else None
        if whole is not None and "patch" not in own:
            link = self.explain(connection.name, whole)
            if not link.is_there:
                return link
        return no_overlap(self._scope, connection, quantum, own)

    def _never(
        self,
        name: str,
        data_id: DataCoordinate,
        quantum: DataCoordinate | None,
        record: RunRecord | None,
        task: TaskRecord,
        pipeline: str,
        focus: Mapping[str, Any],
    ) -> Link:
        """A product whose quantum nobody has begun."""
        told = self._scope.name(name, data_id)
        missing = [] if quantum is None else self._blocking(task, quantum, focus)
        if missing:
            return Link(told, Kind.NO_INPUT, f"{task.label} could not begin", because=tuple(missing))
        if record is None:
            made = any(one.makers(given.name) for one in self._scope.records for given in task.inputs)
            inputs = f" -i {self._scope.output}" if made else ""
            command = f"skyloom run {pipeline} {self._scope.repository}{inputs}"
            return Link(told, Kind.NO_RUN, f"{task.label} of the pipeline {pipeline} was never run", "Run it.", command)
        return self._not_begun(told, quantum, record, task)

    def _blocking(self, task: TaskRecord, quantum: DataCoordinate, focus: Mapping[str, Any]) -> list[Link]:
        """What keeps a quantum out of a graph: a connection of which nothing is there, or a calibration."""
        found: list[Link] = []
        for connection in task.inputs:
            if connection.minimum == 0:
                continue
            expected = self._scope.expected(task, connection, quantum)
            stored = [one for one in expected if self._scope.find(connection.name, one) is not None]
            if not stored or focus:
                found += self._missing_of(task, connection, quantum, focus)
        for connection in task.prerequisites:
            if connection.is_calibration and connection.minimum > 0:
                link = missing_calibration(self._scope, connection.name, quantum, task.label)
                found += [] if link is None else [link]
        return without_repeats(found)

    def _not_begun(self, told: str, quantum: DataCoordinate | None, record: RunRecord, task: TaskRecord) -> Link:
        """A quantum whose inputs are there, and which no graph, or no worker, came to."""
        again = self._run_command(record)
        kind = self._observation_type(task, quantum)
        if kind:
            cause = f"the exposure is a {kind}, and {task.label} leaves those out"
            return Link(told, Kind.LEFT_OUT, cause, "Nothing: masters are made of it, by 'skyloom calibs build'.")
        query = self._excluding_query(record, task, quantum)
        if query:
            cause = f"the query of the run, {query!r}, leaves it out"
            bare = again.replace(f" -d '{query}'", "").replace(f' -d "{query}"', "")
            return Link(told, Kind.NOT_ASKED, cause, "Run without the query, or with a wider one.", bare)
        if not record.has_journal:
            return Link(told, Kind.UNKNOWN, f"{record.run} has no log of it", "Run it again, without a query.", again)
        if record.is_open:
            return Link(told, Kind.PENDING, f"{record.run} goes on, and has not come to it", "Wait.")
        if not record.ended:
            cause = f"{record.run} was stopped before {task.label} came to it"
            return Link(told, Kind.STOPPED, cause, "Go on with the run.", again)
        if task.label not in record.reached:
            cause = f"{task.label} was not among the steps that {record.run} was asked for"
            return Link(told, Kind.NOT_ASKED, cause, "Run the rest of the pipeline.", self._whole(record))
        cause = f"its inputs came after the last graph of {record.run} was built"
        return Link(told, Kind.NEWER, cause, "Run again: it adds what is new.", again)

    def _observation_type(self, task: TaskRecord, quantum: DataCoordinate | None) -> str:
        """The type of an exposure that a task leaves out; empty if it takes it."""
        wanted = list(getattr(task.config, "observation_types", None) or ())
        if quantum is None or not wanted or "exposure" not in quantum.dimensions.names:
            return ""
        kind = str(getattr(quantum.records["exposure"], "observation_type", ""))
        return "" if kind in wanted else kind

    def _excluding_query(self, record: RunRecord, task: TaskRecord, quantum: DataCoordinate | None) -> str:
        """The query of the last call of a run, if all of its calls left a quantum out."""
        queries = [str(one.get("where", "")) for one in record.settings if task.label in one["tasks"]]
        if quantum is None or not queries or "" in queries:
            return ""
        for query in queries:
            try:
                with self._scope.butler.query() as found:
                    if found.where(quantum, query).data_ids(quantum.dimensions).any():
                        return ""
            except InvalidQueryError:
                return ""
        return queries[-1]

    def _run_command(self, record: RunRecord, *more: str) -> str:
        settings = record.settings[-1] if record.settings else None
        return self._scope.commands.run(settings, self._output(record), *more)

    def _whole(self, record: RunRecord) -> str:
        """The command of a run for all steps."""
        pipeline = record.settings[-1]["pipeline"]
        return f"skyloom run {pipeline} {self._scope.repository} -o {self._output(record)}"

    def _output(self, record: RunRecord) -> str:
        return record.run.rpartition("/")[0] or record.run


def _cannot_be(link: Link) -> bool:
    """Whether a product is missing for no other reason than that no frame lies there, or none is of its band."""
    return not link.is_there and all(one.kind in (Kind.NO_OVERLAP, Kind.NO_FRAMES) for one in link.roots())


def _code_of(line: str) -> str:
    """The code that a line of a failure is led by."""
    found = re.search(r"\[([A-Za-z][\w-]*)\]", line)
    return found[1] if found else ""
