"""Runs the code blocks of the pages and of the README: ``python -m pytest -p docs.code_blocks docs README.md``.

The blocks of a page run in their order, in a folder that holds a copy of a small survey (see ``example_survey.py``):
``sh`` blocks by bash, ``python`` blocks in one namespace a page, ``yaml`` blocks are read.  A comment of HTML before a
block tells what readers need not see::

    <!-- invisible-code-block: python
    exposure = example.electrons()
    -->

    <!-- not run: it needs a telescope -->

    <!-- needs the program SWarp -->

    <!-- needs the data hatp32_raw -->

Data are folders in the one that SKYLOOM_DATA names, by default ``../shared/data`` beside the checkout, and ``$DATA`` is
the folder; one of the same name in the folder of the page, that an earlier block has made, comes first.

What is not run is counted as skipped, with its reason; of its commands, and of those in the text, the options and the
settings of tasks have to exist, of its Python the imports.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, suppress
from functools import cache, partial, reduce
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from lsst.ctrl.mpexec.cli.pipetask import cli as pipetask
from lsst.daf.butler import Butler
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from skyloom.cli import skyloom
from skyloom.pipelines import load_pipeline, shipped_pipelines, split_name

sys.path.insert(0, str(Path(__file__).parent))

from example_inputs import Inputs
from example_survey import copy_survey, make_survey, run_shell, survey_block

PROGRAMS = {"skyloom": skyloom, "pipetask": pipetask}
LANGUAGES = ("sh", "python", "yaml", "text")
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]*?)\s*-->\s*\Z")
NEEDS = re.compile(r"<!-- needs the (?P<kind>program|data) (?P<name>\S+) -->\s*\Z")
REAL_DATA = Path(os.environ.get("SKYLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))
COMMANDS = re.compile(r"(?:^ {4}|`)(?P<command>skyloom [a-z][^`\n]*(?:\n[^`\n]+)*?)(?:`|$)", re.MULTILINE)
SETTINGS = re.compile(r"`(?P<label>[a-z_]+):(?P<field>[A-Za-z_][\w.]*)[^`\n]*`")
IMPORTS = re.compile(r"^(?:from|import) .*$", re.MULTILINE)
BLOCKS = re.compile(r"^```.*?^```|^<!--.*?-->", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The survey that all pages get a copy of; the folder that SKYLOOM_EXAMPLES names keeps it for the next time."""
    root = tmp_path_factory.getbasetemp()
    kept = os.environ.get("SKYLOOM_EXAMPLES")
    return make_survey(
        (Path(kept) if kept else root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "survey"
    )


def folder_of(example: Example) -> Path:
    """Where the blocks of a page run, made for the first one; Python blocks find `Inputs` as ``example``."""
    namespace = example.namespace
    if "folder" not in namespace:
        survey: Path = namespace["survey"]
        scratch = tempfile.TemporaryDirectory(prefix=f"{Path(example.path).stem}_", dir=survey.parent)
        namespace["scratch"] = scratch  # removed with the namespace
        namespace["folder"] = copy_survey(survey, Path(scratch.name) / "page")
        repo = str(namespace["folder"] / "repo")
        namespace["example"] = Inputs(Butler.from_config(repo, collections=["objects", "deep"], instrument="mycamera"))
    folder: Path = namespace["folder"]
    return folder


def why_not(example: Example) -> str:
    """The reason for which a block is not run, if there is one."""
    before = example.document.text[: example.start]
    if found := NOT_RUN.search(before):
        return " ".join(found["reason"].split())
    found = NEEDS.search(before)
    if found is None:
        return ""
    if found["kind"] == "program":
        return "" if shutil.which(found["name"]) else f"{found['name']} is not installed"
    return "" if (REAL_DATA / found["name"]).is_dir() else f"no {found['name']} in {REAL_DATA}; set SKYLOOM_DATA"


def data_of(example: Example) -> dict[str, str]:
    """The variable DATA for a block that needs data."""
    found = NEEDS.search(example.document.text[: example.start])
    if found is None or found["kind"] != "data":
        return {}
    own = folder_of(example) / found["name"]
    return {"DATA": str(own if own.is_dir() else REAL_DATA / found["name"])}


def evaluate_shell(example: Example) -> str | None:
    """Run commands, or look whether their options exist."""
    if reason := why_not(example):
        check_commands(example.parsed)
        pytest.skip(reason)
    if Path(example.path).name == "README.md" and example.parsed == survey_block(example.document.text):
        return None  # the survey was made by it
    return run_shell(example.parsed, folder_of(example), data_of(example)) or None


def evaluate_python(example: Example) -> None:
    """Run a block in the namespace of its page, or its imports alone."""
    if reason := why_not(example):
        exec("\n".join(IMPORTS.findall(example.parsed)), {})
        pytest.skip(reason)
    with chdir(folder_of(example)):
        PythonEvaluator()(example)


def evaluate_yaml(example: Example) -> None:
    """Read a block."""
    yaml.safe_load(example.parsed)


def refuse(example: Example) -> str:
    """A block of no known language would go unseen."""
    return f"the block is {example.parsed or 'of no language'}; say which of {', '.join(LANGUAGES)} it is"


def check_commands(script: str) -> None:
    """Raise an error where a command, an option or a setting does not exist."""
    for line in script.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|;|\|\s", line):
            words = [word.strip("[]") for word in shlex.split(part, comments=True)]
            while words[:2] == ["uv", "run"]:
                words = words[2:]
            if words and words[0] in PROGRAMS:
                _check_command(PROGRAMS[words[0]], words)


def _check_command(command: click.Command, words: list[str]) -> None:
    words = [word for word in words if word not in ("...", "")]
    context = click.Context(command, info_name=words.pop(0))
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        inner = command.get_command(context, name)
        if inner is None:
            raise click.UsageError(f"{context.command_path} has no command {name!r}")
        command, context = inner, click.Context(inner, info_name=name, parent=context)
    options, _, _ = command.make_parser(context).parse_args(words)
    if context.command_path == "skyloom run" and words:
        pipeline, _ = split_name(options["pipeline"])
        if pipeline in shipped_pipelines():
            load_pipeline(pipeline, options.get("config") or ())


def commands_in_text(document: Document) -> Iterator[Region]:
    """The commands outside of blocks: in the lines, or indented."""
    text = BLOCKS.sub(lambda block: re.sub(r"[^\n]", "#", block[0]), document.text)
    for found in COMMANDS.finditer(text):
        command = found["command"]
        yield Region(found.start("command"), found.end("command"), command, partial(_evaluate_command, command))


def settings_in_text(document: Document) -> Iterator[Region]:
    """Settings of tasks that the lines name, as ``label:field`` of a shipped pipeline; FIELD stands for any."""
    text = BLOCKS.sub(lambda block: re.sub(r"[^\n]", "#", block[0]), document.text)
    for found in SETTINGS.finditer(text):
        field = found["field"].removesuffix(".FIELD")
        if not field.isupper():
            yield Region(found.start(), found.end(), found[0], partial(_evaluate_setting, found["label"], field))


@cache
def configurations() -> dict[str, list[Any]]:
    """The configurations of the tasks of all shipped pipelines, by label."""
    found: dict[str, list[Any]] = {}
    for name in shipped_pipelines():
        for label, task in load_pipeline(name).to_graph().tasks.items():
            found.setdefault(label, []).append(task.config)
    return found


def _evaluate_setting(label: str, field: str, _: Example) -> str | None:
    known = configurations().get(label)
    if known is None:
        return f"no shipped pipeline has a task {label!r}"
    for config in known:
        try:
            reduce(getattr, field.split("."), config)
        except AttributeError:
            continue
        return None
    return f"{label} has no setting {field!r}"


def _evaluate_command(command: str, _: Example) -> None:
    with suppress(click.BadOptionUsage):  # a line may name an option without its value
        check_commands(" ".join(command.split()))


def blocks_of_no_language(document: Document) -> Iterator[Region]:
    """Blocks that no other parser takes."""
    known = (*LANGUAGES, "{toctree}", "{eval-rst}")
    for region in RawFencedCodeBlockLexer(re.compile(r"(?P<language>[^\n]*)$\n", re.MULTILINE))(document):
        language: Any = region.lexemes["language"]
        if language.strip() not in known:
            region.parsed, region.evaluator = language.strip(), refuse
            yield region


pytest_collect_file = Sybil(
    parsers=[
        CodeBlockParser("sh", evaluate_shell),
        CodeBlockParser("python", evaluate_python),
        CodeBlockParser("yaml", evaluate_yaml),
        blocks_of_no_language,
        commands_in_text,
        settings_in_text,
    ],
    path=str(Path(__file__).parents[1]),
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/api/*"],
    fixtures=["survey"],
).pytest()
