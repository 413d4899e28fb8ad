"""Pages of the reference that are written from the code: mask planes, datasets, commands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from lsst.pipe.base import Pipeline
from lsst.pipe.base.connectionTypes import BaseConnection

from skyloom.cli import skyloom
from skyloom.images import MASK_PLANES, bitmask
from skyloom.pipelines import load_pipeline, shipped_pipelines


def write_pages(folder: Path) -> None:
    """Write the pages into a folder; a page that has not changed keeps its time, so that it is not read again."""
    folder.mkdir(exist_ok=True)
    for name, text in {"mask_planes": _mask_planes(), "datasets": _datasets(), "commands": _commands()}.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _mask_planes() -> str:
    rows = [f"| `{name}` | {bitmask(name)} | {text} |" for name, text in MASK_PLANES.items()]
    return "\n".join(
        [
            "# Mask planes",
            "",
            "Every mask of skyloom has these planes, in this order; `skyloom.images.bitmask` gives their bits. Files",
            "record names, orders and descriptions. Exported FITS files have the number of each bit as `MP_<plane>`.",
            "",
            "| plane | value | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _datasets() -> str:
    rows: dict[str, tuple[str, str, str, str]] = {}
    makers: dict[str, list[str]] = {}
    for name in shipped_pipelines():
        for label, connection in _outputs(load_pipeline(name)):
            dimensions = ", ".join(sorted(connection.dimensions))
            rows[connection.name] = (connection.storageClass, dimensions, " ".join(connection.doc.split()), name)
            makers.setdefault(connection.name, [])
            if label not in makers[connection.name]:
                makers[connection.name].append(label)
    lines = [
        "# Datasets",
        "",
        "What the tasks of the shipped pipelines write. Beside these each task leaves `LABEL_config`, `LABEL_log` and",
        "`LABEL_metadata`, see [running](../running.md).",
        "",
        "| dataset | made by | of each | storage class | what |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(rows):
        storage, dimensions, text, _ = rows[name]
        made_by = ", ".join(f"`{label}`" for label in makers[name])
        lines.append(f"| `{name}` | {made_by} | {dimensions} | `{storage}` | {text} |")
    return "\n".join([*lines, ""])


def _outputs(pipeline: Pipeline) -> Iterator[tuple[str, BaseConnection]]:
    for label, task in pipeline.to_graph().tasks.items():
        connections = task.get_connections()
        for name in sorted(connections.outputs):
            yield label, getattr(connections, name)


def _commands() -> str:
    lines = ["# Commands", "", "The help of every command, as `--help` prints it.", ""]
    context = click.Context(skyloom, info_name="skyloom", help_option_names=["-h", "--help"], terminal_width=100)
    return "\n".join([*lines, *_help(skyloom, context)])


def _help(command: click.Command, context: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        yield from [f"## {context.command_path}", "", "```text", command.get_help(context), "```", ""]
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None:
            settings = {"help_option_names": ["-h", "--help"], "terminal_width": 100}
            yield from _help(inner, click.Context(inner, info_name=name, parent=context, **settings))
