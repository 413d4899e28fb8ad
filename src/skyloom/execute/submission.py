"""One call of ``bps submit``: the file that it is given, the process, and its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import yaml
from lsst.daf.butler import Config
from lsst.resources import ResourcePath

from skyloom.errors import SkyloomError

__all__ = ["check_site", "running", "write_submission"]

_PARSL = "lsst.ctrl.bps.parsl.ParslService"
_GRACE_SECONDS = 60.0
_ERROR = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Exit)\b: .*(?:(?<=:)\n.*)?$", re.MULTILINE)
"""The line with which a traceback ends, and the next where it announces one."""


def check_site(site: str) -> Config:
    """Read the file of a site.

    Raises
    ------
    SkyloomError
        Raised if it cannot be read, does not describe a site, or the packages that submit are not installed.
    """
    if find_spec("lsst.ctrl.bps") is None:
        cure = "Install it: pip install 'skyloom[cluster]'."
        raise SkyloomError("lsst-ctrl-bps, which submits jobs, is not installed.", cure=cure)
    try:
        config = Config(site)
    except Exception as error:
        cause = f"no file of a site that can be read: {str(error).rstrip('.')}."
        raise SkyloomError(cause, file=site, cure="See docs/cluster.md.") from error
    _check_sections(config, site)
    return config


def _check_sections(config: Config, site: str) -> None:
    """Whether the file describes the site that it names, in a way that ``bps`` takes."""
    if "computeSite" not in config:
        raise SkyloomError(
            "the file names no site to submit to.", file=site, keyword="computeSite", cure="See docs/cluster.md."
        )
    name = config["computeSite"]
    if config.get("wmsServiceClass", _PARSL) == _PARSL and f".site.{name}.class" not in config:
        cause = f"the file does not say what {name!r} is."
        raise SkyloomError(cause, file=site, keyword=f"site.{name}.class", cure="See docs/cluster.md.")
    if isinstance(config.get(f".site.{name}.environment"), bool):
        raise SkyloomError(
            "bps no longer takes a yes or no here.",
            file=site,
            keyword=f"site.{name}.environment",
            cure="Leave it out; commandPrefix sets variables that the batch system does not hand on.",
        )


def write_submission(
    site: str, folder: Path, graph: Path, *, repository: str, run: str, output: str, step: str, ends: ResourcePath
) -> Path:
    """Write the file for ``bps submit``: what the site says, and the jobs.

    Parameters
    ----------
    site
        File of the site.
    folder
        Where to write; it receives all that ``bps`` and the jobs leave.
    graph
        The graph of what is to be executed.
    repository, run, output
        Where the products go.
    step
        Name of the step.
    ends
        Folder in which jobs leave word.

    Returns
    -------
    Path
        The file.
    """
    known = check_site(site)
    python = known.get("skyloomPython", sys.executable)
    place = ends.ospath if ends.isLocal else str(ends)
    config = {
        "includeConfigs": [str(Path(site).absolute())],
        "wmsServiceClass": known.get("wmsServiceClass", _PARSL),
        "project": known.get("project", "skyloom"),
        "campaign": known.get("campaign", step),
        "payload": {
            "payloadName": step,
            "butlerConfig": repository,
            "output": output,
            "outputRun": run,
            "runInit": False,  # configurations and versions are written before
        },
        "qgraphFile": str(graph),
        "updateQuantumGraph": "cp {inputQgraphFile} {qgraphFile}",
        "submitPath": str(folder / "jobs"),
        "runQuantumCommand": f"{python} -m skyloom.execute.job {{butlerConfig}} {place} {{qgraphNodeId}}",
        "finalJob": {"whenRun": "NEVER"},  # what was written is registered from here
    }
    file = folder / "bps.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return file


@contextlib.contextmanager
def running(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``bps submit`` in a process of its own, which is ended with all its children if it outlives the block."""
    command = [sys.executable, "-m", "skyloom.execute.submitter", str(os.getpid()), "submit", file.name]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with (
        log_of(file).open("wb") as log,
        subprocess.Popen(
            command,
            cwd=file.parent,
            env=os.environ | {"PATH": path},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            _end(process)


def log_of(file: Path) -> Path:
    """Where the words of ``bps`` go."""
    return file.with_suffix(".log")


def reason_in(log: Path) -> str:
    """The error by which ``bps`` ended, as its log has it; empty where there is none."""
    found = _ERROR.findall(log.read_text(errors="replace"))
    return " ".join(found[-1].split()) if found else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process that still runs: by Ctrl-C first, upon which it takes its jobs out of the queue.

    Its children, of which it needs some for that, are ended after it.
    """
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
