"""The classic command line of a task: data ids of a repository, settings, one call of ``runDataRef`` for each."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from lsst.daf.butler import Butler, DatasetRef, DatasetType
from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pipe.base import Struct, TaskError, TaskMetadata
from lsst.utils.packages import Packages

from skyloom.errors import SkyloomError

from .classic_arguments import ClassicArgumentParser, argument_parser
from .classic_runner import TaskRunner
from .data_reference import ButlerDataRef

__all__ = ["ClassicMismatchError", "ClassicTask"]

_MAX_EXIT_STATUS = 255


class ClassicMismatchError(SkyloomError, TaskError):
    """An output was made under other settings, schemas or versions."""

    code = "MISMATCH"


class ClassicTask:
    """What the tasks of the classic command line have in common."""

    if TYPE_CHECKING:
        config: Any
        ConfigClass: ClassVar[Any]
        _DefaultName: ClassVar[str]
        getFullMetadata: Callable[[], TaskMetadata]
        getTaskDict: Callable[[], Any]

    RunnerClass: ClassVar[type[TaskRunner]] = TaskRunner
    """What calls the task for each data id."""
    classic_kind: ClassVar[str] = ""
    """What its data ids are: the connection that reads its frames, ``patch`` or ``coadd``."""
    classic_overrides: ClassVar[Mapping[str, Any]] = {}
    """Settings that `applyOverrides` changes: dotted names and their values."""

    @classmethod
    def parseAndRun(
        cls,
        args: Sequence[str] | None = None,
        config: Any = None,
        log: logging.Logger | None = None,
        doReturnResults: bool = False,
    ) -> Struct:
        """Understand a command line, and run the task on all its data ids.

        Settings are those of the class, changed in this order: by the camera (`camera_overrides`), by
        `applyOverrides`, by the -c and -C of the command line as they come.

        Parameters
        ----------
        args
            The words after the command; those of the process where None.
        config
            Settings to begin with.
        log
            Where warnings go.
        doReturnResults
            Whether the results hold what the task returned.

        Returns
        -------
        Struct
            ``argumentParser``; ``parsedCmd``, the options, with data, butler and settings; ``taskRunner``;
            ``resultList``, for each data id in order a struct of ``exitStatus`` (0, or 1 if it failed), ``dataRef`` and
            (if asked for) ``result`` and ``metadata``.

        Raises
        ------
        SystemExit
            Where data ids failed and the command has no --noExit: with their number, 255 at most.
        ClassicMismatchError
            If the output was made under other settings or versions.
        """
        parser = cls._makeArgumentParser()
        parsed = parser.parse_args(
            config=cls.ConfigClass() if config is None else config,
            args=args,
            log=log,
            override=cls.applyOverrides,
            task_class=cls,
        )
        runner = cls.RunnerClass(TaskClass=cls, parsedCmd=parsed, doReturnResults=doReturnResults)
        results = runner.run(parsed)
        failed = sum(1 for result in results if result.exitStatus)
        if failed:
            parsed.log.error("%d of %d data ids failed", failed, len(results))
            if not parsed.noExit:
                sys.exit(min(failed, _MAX_EXIT_STATUS))
        return Struct(argumentParser=parser, parsedCmd=parsed, taskRunner=runner, resultList=results)

    @classmethod
    def applyOverrides(cls, config: Any) -> None:
        """Change settings after the camera and before the command line: to those of `classic_overrides`, in place.

        Tasks that need more than that override it.
        """
        for name, value in cls.classic_overrides.items():
            group, _, field = name.rpartition(".")
            target = config
            for part in group.split(".") if group else ():
                target = getattr(target, part)
            setattr(target, field, value)

    def data_reference(self, butler: Butler, kind: str = "", **data_id: Any) -> ButlerDataRef:
        """A data reference as the classic methods of the task take it.

        Parameters
        ----------
        butler
            Finds what belongs to the data id; methods that write need one with a run.
        kind
            The connection that reads what the reference stands for; that of `classic_kind` without, the sky map for
            tasks on patches.
        **data_id
            Values of the dimensions.
        """
        usual = "sky_map" if self.classic_kind in ("patch", "coadd") else self.classic_kind
        names = self.connection_names(self.config)
        expanded = butler.registry.expandDataId(data_id)
        return ButlerDataRef(butler=butler, dataId=expanded, kind=kind or usual, names=names)

    @classmethod
    def connection_names(cls, config: Any) -> dict[str, str]:
        """The dataset types of the task's connections under some settings."""
        connections = config.connections.ConnectionsClass(config=config)
        return {name: connection.name for name, connection in connections.allConnections.items()}

    @classmethod
    def _makeArgumentParser(cls) -> ClassicArgumentParser:
        """The options of the command."""
        return argument_parser(cls._DefaultName, cls.classic_kind, description=cls.__doc__)

    def getSchemaCatalogs(self) -> dict[str, Any]:
        """Dataset types of this task's schemas, to empty catalogues that have them; none for most tasks."""
        connections = self.config.connections.ConnectionsClass(config=self.config)
        return {connections.allConnections[name].name: getattr(self, name) for name in sorted(connections.initOutputs)}

    def getAllSchemaCatalogs(self) -> dict[str, Any]:
        """The schemas of the task and of all its subtasks, by the names of their dataset types."""
        found: dict[str, Any] = {}
        for reference in self.getTaskDict().values():
            own = getattr(reference(), "getSchemaCatalogs", None)
            found |= own() if own is not None else {}
        return found

    def writeConfig(self, butler: Butler, clobber: bool = False, doBackup: bool = True) -> None:
        """Write the settings, once an output; later calls compare.

        Parameters
        ----------
        butler
            Writes to its run.
        clobber
            Whether other settings are written over.
        doBackup
            Whether a copy of the file is kept then.

        Raises
        ------
        ClassicMismatchError
            If the output was made under other settings, which it names.
        """

        def differences(old: Any) -> list[str]:
            found: list[str] = []
            self.config.compare(old, shortcut=False, output=found.append)
            return found

        name = f"{self._DefaultName}_config"
        _write_once(butler, _init_type(butler, name, "Config"), self.config, differences, clobber, doBackup, "config")

    def writeSchemas(self, butler: Butler, clobber: bool = False, doBackup: bool = True) -> None:
        """Write all schemas, once an output; later calls compare.

        Parameters
        ----------
        butler, clobber, doBackup
            As of `writeConfig`.

        Raises
        ------
        ClassicMismatchError
            If the output has another schema.
        """
        for name, table in self.getAllSchemaCatalogs().items():

            def differences(old: Any, new: Any = table) -> list[str]:
                return list(_schema_differences(old, new))

            kind = _init_type(butler, name, "ArrowAstropy")
            _write_once(butler, kind, table, differences, clobber, doBackup, "config")

    def writePackageVersions(
        self, butler: Butler, clobber: bool = False, doBackup: bool = True, dataset: str = "packages"
    ) -> None:
        """Write the versions of the packages in use, once an output; later calls compare, and add what was not there.

        Parameters
        ----------
        butler, clobber, doBackup
            As of `writeConfig`.
        dataset
            Dataset type of the versions.

        Raises
        ------
        ClassicMismatchError
            If the output was made with other versions.
        """
        now = Packages.fromSystem()

        def differences(old: Packages) -> list[str]:
            changed = now.difference(old)
            return [f"{name} {mine}, not {theirs}" for name, (mine, theirs) in sorted(changed.items())]

        kind = _init_type(butler, dataset, "Packages")
        ref = _write_once(butler, kind, now, differences, clobber, doBackup, "versions")
        if ref is not None and now.extra(old := butler.get(ref)):
            old.update(now)
            _replace(butler, ref, old)

    def writeMetadata(self, dataRef: ButlerDataRef) -> None:
        """Write the full metadata of the task for a data id, as its pipeline does.

        A data id without the dimensions of the task's pipeline, as a patch is for a task on visits and patches, has no
        metadata of its own: nothing is written.

        Parameters
        ----------
        dataRef
            The data id.
        """
        full = self.getFullMetadata()
        outputs = TaskMetadata()
        outputs["outputs"] = [str(one) for one in dataRef.written]
        full["quantum"] = outputs
        self._write_of(dataRef, "metadata", full, "TaskMetadata")

    def writeLog(self, dataRef: ButlerDataRef, records: ButlerLogRecords) -> None:
        """Write what was logged for a data id, as its pipeline does; where `writeMetadata` writes nothing, nothing.

        Parameters
        ----------
        dataRef
            The data id.
        records
            What was logged.
        """
        self._write_of(dataRef, "log", records, "ButlerLogRecords")

    def _write_of(self, ref: ButlerDataRef, what: str, value: Any, storage_class: str) -> None:
        """Write a dataset of the dimensions of the task's pipeline, if the data id has them."""
        connections = self.config.connections.ConnectionsClass(config=self.config)
        dimensions = ref.butler.dimensions.conform(connections.dimensions)
        if dimensions.required <= set(ref.dataId.mapping):
            kind = DatasetType(f"{self._DefaultName}_{what}", dimensions, storage_class)
            ref.butler.registry.registerDatasetType(kind)
            ref.put(value, kind.name)


def _init_type(butler: Butler, name: str, storage_class: str) -> DatasetType:
    """A dataset type of which a run has one, registered."""
    kind = DatasetType(name, (), storage_class, universe=butler.dimensions)
    butler.registry.registerDatasetType(kind)
    return kind


def _write_once(
    butler: Butler,
    kind: DatasetType,
    value: Any,
    differences: Callable[[Any], list[str]],
    clobber: bool,
    back_up: bool,
    option: str,
) -> DatasetRef | None:
    """Write a dataset, or compare it with that of the run, which is returned if it stays."""
    if butler.run is None:
        raise SkyloomError(f"{kind.name} has no run to go to.", cure="Give a butler with a run.")
    ref = butler.find_dataset(kind, collections=butler.run)
    if ref is None:
        butler.put(value, kind)
        return None
    found = differences(butler.get(ref))
    if not found:
        return ref
    if not clobber:
        raise ClassicMismatchError(
            f"{butler.run} has another {kind.name}: {'; '.join(found)}.",
            cure=f"Write to another --output, or over this one by --clobber-{option}.",
        )
    if back_up:
        _back_up(butler, ref)
    _replace(butler, ref, value)
    return None


def _replace(butler: Butler, ref: DatasetRef, value: Any) -> None:
    butler.pruneDatasets([ref], disassociate=True, unstore=True, purge=True)
    butler.put(value, ref.datasetType)


def _back_up(butler: Butler, ref: DatasetRef) -> None:
    """Keep a copy of a dataset's file beside it, called NAME~1, NAME~2, ..."""
    file = butler.getURI(ref)
    number = 1
    while (copy := file.updatedFile(f"{file.basename()}~{number}")).exists():
        number += 1
    copy.transfer_from(file, transfer="copy")


def _schema_differences(old: Any, new: Any) -> Iterator[str]:
    """Columns that two tables do not have in common, or have otherwise."""
    for name in dict.fromkeys([*old.colnames, *new.colnames]):
        mine, theirs = (
            f"{table[name].dtype} {table[name].unit or ''}".strip() if name in table.colnames else "nothing"
            for table in (new, old)
        )
        if mine != theirs:
            yield f"{name} is {mine}, not {theirs}"
