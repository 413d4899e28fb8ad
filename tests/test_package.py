"""The package as a whole: its pins, its start-up, and what is shipped with it."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from skyloom.cli import main, skyloom
from skyloom.cli.typed import command_line

ROOT = Path(__file__).parents[1]
WEEK = 43
"""The week of 2026 of every lsst package; the packages that did not change that week keep their last one."""
UNCHANGED = {"lsst-resources": 42, "lsst-sphgeom": 40}


def pins() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    return dict(re.split(r"==|>=", item, maxsplit=1) for item in wanted)


def test_lsst_packages_are_pinned_to_one_week() -> None:
    lsst = {name: pin for name, pin in pins().items() if name.startswith(("lsst-", "astro-metadata"))}
    assert {"lsst-images", "lsst-pipe-base", "lsst-ctrl-bps", "lsst-ctrl-bps-parsl"} <= lsst.keys()
    assert len(lsst) >= 10
    assert lsst == {name: f"30.2026.{UNCHANGED.get(name, WEEK)}00" for name in lsst}


def test_piff_keeps_the_version_whose_files_can_be_read() -> None:
    assert pins()["piff"] == "1.6,<1.7"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from skyloom.cli import skyloom\n"
        "result = CliRunner().invoke(skyloom, ['--help'])\n"
        "assert result.exit_code == 0 and 'demo' in result.output\n"
        "heavy = {'numpy', 'astropy', 'numba', 'lsst', 'galsim', 'piff', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_subcommand_loads() -> None:
    code = (
        "from skyloom.cli import _COMMANDS, skyloom\n"
        "import click\n"
        "for name in _COMMANDS:\n"
        "    command = skyloom.get_command(click.Context(skyloom), name)\n"
        "    assert command is not None and command.help, name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def empty_repository(tmp_path_factory: pytest.TempPathFactory) -> str:
    repository = tmp_path_factory.mktemp("empty") / "repo"
    result = CliRunner().invoke(skyloom, ["init", str(repository), "--camera", "simulated"])
    assert result.exit_code == 0, result.output
    return str(repository)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["ingest", "nowhere", "also_nowhere"], 2, "does not exist"),
        (["export", "REPO", "none", "initial_pvi"], 1, "skyloom: "),
        (["run", "drp", "REPO", "-i", "none"], 1, "skyloom: "),
        (["run", "drp", "REPO", "-d", "visit is 5"], 1, "skyloom: "),
    ],
)
def test_what_a_user_gets_wrong_is_told_in_a_line(
    arguments: list[str], status: int, words: str, empty_repository: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([empty_repository if part == "REPO" else part for part in arguments])
    assert stop.value.code == status
    assert words in capsys.readouterr().err


def test_files_keep_to_one_idea() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / "src").rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 700
    }
    assert not long


def test_the_command_line_is_recorded_as_it_was_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/opt/bin/skyloom", "run", "drp", "my repo", "-j", "2"])
    assert command_line() == "skyloom run drp 'my repo' -j 2"
    monkeypatch.setattr("sys.argv", ["/opt/bin/pytest", "-n", "2"])
    assert command_line() == ""
