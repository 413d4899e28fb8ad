from __future__ import annotations

from pathlib import Path

import pytest
from lsst.pipe.base import Pipeline

from skyloom.errors import SkyloomError
from skyloom.execute.graph import split_steps


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.from_uri(str(Path(__file__).parent / "dummy.yaml"))


def test_steps_come_in_order_and_know_the_sky(pipeline: Pipeline) -> None:
    steps = split_steps(pipeline)
    assert [(step.label, sorted(step.pipeline.task_labels), step.on_sky) for step in steps] == [
        ("numbers", ["double", "sum"], False),
        ("sky", ["tile"], True),
    ]


@pytest.mark.parametrize(
    ("selected", "expected"),
    [(["sky"], ["tile"]), (["double"], ["double"]), (["sum", "sky"], ["sum", "tile"])],
)
def test_steps_subsets_and_tasks_are_selected(pipeline: Pipeline, selected: list[str], expected: list[str]) -> None:
    steps = split_steps(pipeline, selected)
    assert [label for step in steps for label in step.pipeline.task_labels] == expected


def test_an_unknown_label_is_refused_with_the_known_ones(pipeline: Pipeline) -> None:
    with pytest.raises(SkyloomError, match=r"'skies'.*numbers, sky, double, sum, tile"):
        split_steps(pipeline, ["skies"])
