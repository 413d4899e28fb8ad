"""The options of the classic command line; nothing heavy is imported before a repository has to be opened."""

from __future__ import annotations

import argparse
import fnmatch
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from skyloom.errors import SkyloomError

from .classic_values import DataIdValues, parse_data_id

__all__ = ["ClassicArgumentParser", "IdArgument", "argument_parser"]

_SILENT = ("lsst.daf.butler._storage_class", "lsst.utils.packages")
"""Loggers that warn of packages that nothing here needs."""
_LEVELS = {"trace": 5, "debug": 10, "info": 20, "warn": 30, "error": 40, "fatal": 50}
type _Ids = dict[str, list[DataIdValues]]
_SHOWN = ("config", "data", "tasks", "run")


@dataclass(frozen=True)
class IdArgument:
    """An option that names data."""

    flag: str
    help: str
    kind: str = ""
    """Connection that reads the frames that it names; empty for patches."""
    banded: bool = False
    """Of patches: whether they must have a band."""

    @property
    def dest(self) -> str:
        """Name of its attribute."""
        return self.flag.lstrip("-")


class ClassicArgumentParser(argparse.ArgumentParser):
    """The options that every classic command has, and those that name its data.

    Parameters
    ----------
    name
        ``_DefaultName`` of the task.
    ids
        Options that name data.
    **kwargs
        As for `argparse.ArgumentParser`.
    """

    def __init__(self, name: str, ids: Sequence[IdArgument], **kwargs: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, fromfile_prefix_chars="@", **kwargs)
        self._name, self._ids = name, tuple(ids)
        self.add_argument("input", metavar="REPO", help="repository")
        for one in self._ids:
            self.add_argument(one.flag, action="append", nargs="*", default=[], metavar="KEY=VALUE", help=one.help)
        self._add_collections()
        self._add_settings()
        self._add_running()

    def _add_collections(self) -> None:
        group = self.add_argument_group("collections")
        group.add_argument("--input", dest="inputs", metavar="NAME,...", help="collections to read from")
        group.add_argument("--output", metavar="CHAIN", help="chain to write to [u/USER/classic]")
        group.add_argument("--rerun", metavar="[IN:]OUT", help="the same as --input IN --output OUT")
        group.add_argument("--instrument", help="whose frames [the only one of REPO]")
        group.add_argument("--clobber-output", action="store_true", dest="clobberOutput", help="remove what is there")

    def _add_settings(self) -> None:
        group = self.add_argument_group("settings")
        group.add_argument(
            "-c",
            "--config",
            action=_Override,
            nargs="+",
            dest="overrides",
            metavar="FIELD=VALUE",
            help="change settings",
        )
        group.add_argument(
            "-C", "--configfile", "--config-file", action=_Override, nargs="+", dest="overrides", metavar="FILE",
            help="read settings; files and values count in the order in which they are given",
        )  # fmt: skip
        group.add_argument("--show", nargs="+", default=[], metavar="WHAT", help="config[=GLOB], data, tasks; and run")
        for flag, dest, text in (
            ("--clobber-config", "clobberConfig", "write other settings over those of the output"),
            ("--clobber-versions", "clobberVersions", "write other versions over those of the output"),
            ("--no-backup-config", "noBackupConfig", "keep no copy of what is written over"),
            ("--no-versions", "noVersions", "neither write nor compare versions of packages"),
        ):
            group.add_argument(flag, action="store_true", dest=dest, help=text)

    def _add_running(self) -> None:
        group = self.add_argument_group("running")
        group.add_argument("-j", "--processes", type=_count, default=1, help="processes [1]")
        group.add_argument("-t", "--timeout", type=float, help="of -j: seconds after which the rest has failed")
        group.add_argument("--doraise", action="store_true", help="end with the first error, and show where it was")
        group.add_argument("--noExit", "--no-exit", action="store_true", dest="noExit", help="exit status 0 always")
        group.add_argument("-L", "--loglevel", nargs="+", default=[], metavar="[NAME=]LEVEL", help=", ".join(_LEVELS))
        group.add_argument("--longlog", action="store_true", help="log with times and names")
        group.add_argument("-d", "--debug", action="store_true", help="import debug.py")
        group.add_argument("--profile", metavar="FILE", help="write a profile of the run, without -j")

    def parse_args(  # type: ignore[override]
        self,
        config: Any,
        args: Sequence[str] | None = None,
        log: logging.Logger | None = None,
        override: Callable[[Any], None] | None = None,
        task_class: type = object,
    ) -> argparse.Namespace:
        """Understand a command, open its repository, complete its settings and look up its data.

        Parameters
        ----------
        config
            Settings to begin with; changed in place.
        args
            The words after the command; those of the process where None.
        log
            Where warnings go.
        override
            Called with the settings after those of the camera, and before those of the command line.
        task_class
            Whose settings and connections they are.

        Returns
        -------
        argparse.Namespace
            The options, and ``config``, ``log``, ``butler``, ``instrument``, ``collections``; ``id`` (and ``selectId``)
            as `skyloom.tasks.classic_ids.DataIds`.

        Raises
        ------
        SystemExit
            After --help and --show without ``run``, with 0; where the command cannot be understood, with 2.
        """
        words = sys.argv[1:] if args is None else list(args)
        if not words:
            words = ["--help"]
        parsed: argparse.Namespace = super().parse_args(words)
        parsed.log = log or logging.getLogger(self._name)
        parsed.overrides = parsed.overrides or []
        try:
            _set_up_logging(parsed)
            self._check(parsed)
            ids: _Ids = {one.dest: [parse_data_id(terms) for terms in getattr(parsed, one.dest)] for one in self._ids}
            if parsed.debug:
                _import_debug()
            self._complete(parsed, config, ids, override, task_class)
        except SkyloomError as error:
            self.error(str(error))
        if parsed.show and "run" not in parsed.show:
            self.exit(0)
        return parsed

    def _check(self, parsed: argparse.Namespace) -> None:
        """Refuse what does not go together."""
        if unknown := [what for what in parsed.show if what.partition("=")[0] not in _SHOWN]:
            self.error(f"--show knows {', '.join(_SHOWN)}, not {', '.join(unknown)}")
        if parsed.rerun:
            if parsed.output or parsed.inputs:
                self.error("--rerun says what --input and --output say: give one of both")
            first, colon, last = parsed.rerun.partition(":")
            parsed.inputs, parsed.output = (first, last) if colon else (None, first)
        if parsed.processes > 1 and parsed.profile:
            self.error("a profile is of one process: leave -j or --profile out")

    def _complete(
        self,
        parsed: argparse.Namespace,
        config: Any,
        ids: _Ids,
        override: Callable[[Any], None] | None,
        task_class: type,
    ) -> None:
        """Everything that needs the repository."""
        from .classic_session import camera_overrides, choose_collections, choose_instrument, open_output

        repository = _open(parsed.input)
        parsed.instrument = choose_instrument(repository, parsed.instrument)
        camera_overrides(config, task_class, parsed.instrument, parsed.input)
        if override is not None:
            override(config)
        self._apply(config, parsed.overrides)
        parsed.config = config
        inputs = [name for name in (parsed.inputs or "").split(",") if name]
        parsed.collections = choose_collections(repository, parsed.instrument, inputs, parsed.output)
        parsed.butler = open_output(repository, parsed.collections, create=False)
        self._find_data(parsed, ids, task_class)  # before anything is made or removed
        if not parsed.show or "run" in parsed.show:
            parsed.butler = open_output(repository, parsed.collections, clobber=parsed.clobberOutput)
            self._use(parsed)
        for line in self._show(parsed):
            print(line)

    def _apply(self, config: Any, overrides: Sequence[tuple[str, str]]) -> None:
        """Change the settings as the command line says, in its order."""
        from lsst.pipe.base.configOverrides import ConfigOverrides

        for kind, text in overrides:
            one: Any = ConfigOverrides()
            if kind == "file":
                if not Path(text).is_file():
                    raise SkyloomError("no such configuration file", file=text, cure="Check the path.")
                one.addFileOverride(text)
            else:
                field, equals, value = text.partition("=")
                if not equals or not field:
                    raise SkyloomError(f"{text!r} changes nothing.", cure="Write -c FIELD=VALUE.")
                one.addValueOverride(field, value)
            try:
                one.applyTo(config)
            except Exception as error:  # whatever a file of the user raises
                raise SkyloomError(
                    f"cannot be applied: {' '.join(str(error).split())}", file=text, cure="See --show config."
                ) from error
        try:
            config.validate()
        except ValueError as error:
            raise SkyloomError(
                " ".join(str(error).split()), keyword="settings", cure="Change them by -c or -C."
            ) from error
        config.freeze()

    def _use(self, parsed: argparse.Namespace) -> None:
        """Let what was found read and write where the command does."""
        parsed.within = replace(parsed.within, butler=parsed.butler)
        for one in self._ids:
            ids = getattr(parsed, one.dest)
            ids.refList = [replace(ref, butler=parsed.butler) for ref in ids.refList]

    def _find_data(self, parsed: argparse.Namespace, ids: _Ids, task_class: Any) -> None:
        """Look up what the command names."""
        from .classic_ids import DataIdsOf, frames_of, patches_of

        parsed.within = DataIdsOf(parsed.butler, parsed.instrument, task_class.connection_names(parsed.config))
        for one in self._ids:
            given = ids[one.dest]
            if one.kind:
                found = frames_of(parsed.within, given, one.kind)
            else:
                found = patches_of(parsed.within, given, banded=one.banded)
            setattr(parsed, one.dest, found)

    def _show(self, parsed: argparse.Namespace) -> Iterator[str]:
        """What the user wants to see."""
        for what in parsed.show:
            name, equals, pattern = what.partition("=")
            if name == "config":
                yield from _config_lines(parsed.config, pattern if equals else "*")
            elif name == "data":
                for one in self._ids:
                    yield from (f"{one.dest} {ref}" for ref in getattr(parsed, one.dest).refList)
            elif name == "tasks":
                yield from _task_lines(parsed.config)

    def error(self, message: str) -> NoReturn:
        """End with one line and exit status 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def argument_parser(name: str, kind: str, **kwargs: Any) -> ClassicArgumentParser:
    """The parser of a command on frames (``kind`` names the connection that reads them), on patches, or on coadds."""
    if kind == "patch" or kind == "coadd":
        ids = [
            IdArgument("--id", "patches, such as tract=0 patch=1,2^2,2 filter=r", banded=kind == "coadd"),
            IdArgument("--selectId", "frames to use, such as visit=1^2 ccd=0..3 [all that touch]", kind="exposures"),
        ]
    else:
        ids = [IdArgument("--id", "frames, such as visit=1^2 ccd=0..3", kind=kind)]
    parser = ClassicArgumentParser(name, ids, **kwargs)
    if kind == "patch":
        parser.add_argument("--reuse", action="store_true", help="keep warps that are there")
    return parser


class _Override(argparse.Action):
    """Collects changes of settings in the order in which they are given."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        kind = "value" if option_string in ("-c", "--config") else "file"
        found = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*found, *((kind, value) for value in values)])


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number of processes")
    return number


def _open(repository: str) -> Any:
    from lsst.daf.butler import Butler

    try:
        return Butler.from_config(repository, writeable=True)
    except FileNotFoundError as error:
        raise SkyloomError("is no repository.", file=repository, cure="Make one with 'skyloom init'.") from error


def _import_debug() -> None:
    """Import the user's debug.py, from the folder of the call or from where Python looks."""
    import importlib

    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module("debug")
    except ImportError as error:
        raise SkyloomError(
            f"cannot be imported: {error}", file="debug.py", cure="Leave -d out, or write it."
        ) from error


def _set_up_logging(parsed: argparse.Namespace) -> None:
    """Levels as asked for, and a handler where there is none."""
    form = (
        "%(asctime)s %(levelname)s %(name)s: %(message)s" if parsed.longlog else "%(name)s %(levelname)s: %(message)s"
    )
    root = logging.getLogger()
    if not root.handlers:
        logging.basicConfig(format=form)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
    root.setLevel(logging.INFO)
    for text in parsed.loglevel:
        name, _, level = text.rpartition("=")
        if level.lower() not in _LEVELS:
            raise SkyloomError(f"{level!r} is no level.", keyword="--loglevel", cure=f"Use {', '.join(_LEVELS)}.")
        logging.getLogger(name or None).setLevel(_LEVELS[level.lower()])


def _config_lines(config: Any, pattern: str) -> Iterator[str]:
    """The lines of settings whose names match, with what they mean."""
    import io

    text = io.StringIO()
    config.saveToStream(text)
    comments: list[str] = []
    wanted = pattern.removeprefix("config.").lower()
    for line in text.getvalue().splitlines():
        if line.startswith("config."):
            if fnmatch.fnmatch(line.partition("=")[0].removeprefix("config.").lower(), wanted):
                yield from (*comments, line)
            comments = []
        elif line.startswith("#"):
            comments.append(line)
        elif not line:
            comments = []


def _task_lines(config: Any, prefix: str = "") -> Iterator[str]:
    """The subtasks of settings, and the classes that they are."""
    from lsst.pex.config import ConfigurableInstance

    for name in config:
        value = getattr(config, name)
        if isinstance(value, ConfigurableInstance):
            target: Any = value.target
            yield f"{prefix}{name}: {target.__module__}.{target.__qualname__}"
            yield from _task_lines(value.value, f"{prefix}{name}.")
