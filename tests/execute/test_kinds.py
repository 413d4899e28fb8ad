"""The table of the kinds of calibrations against the tasks that make them."""

from __future__ import annotations

import pytest
from lsst.pipe.base.pipeline import LabelSpecifier

from skyloom.cli.calibs_figures import figures_line
from skyloom.execute.kinds import KINDS
from skyloom.pipelines import load_pipeline
from skyloom.repo.setup import DATASET_TYPES


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_what_its_task_makes(name: str) -> None:
    kind, label = KINDS[name], f"make_{name}"
    graph = load_pipeline("masters").subsetFromLabels(LabelSpecifier(labels={label})).to_graph()
    task = graph.tasks[label]
    assert list(graph.steps) == [name]
    outputs = {edge.parent_dataset_type_name: edge for edge in task.outputs.values()}
    assert list(outputs) == [kind.dataset_type]
    assert set(outputs[kind.dataset_type].raw_dimensions) == set(DATASET_TYPES[kind.dataset_type][0])
    assert outputs[kind.dataset_type].storage_class_name == DATASET_TYPES[kind.dataset_type][1]
    needed = {edge.parent_dataset_type_name for edge in task.prerequisite_inputs.values()} - {"camera"}
    assert needed == set(kind.corrected_with)


def test_what_a_kind_needs_is_made_before() -> None:
    made: set[str] = set()
    for kind in KINDS.values():
        assert set(kind.corrected_with) <= made
        made.add(kind.dataset_type)
    assert [name for name, kind in KINDS.items() if kind.by_default] == ["bias", "dark", "flat", "defects"]


def test_figures_are_told_with_their_units() -> None:
    frames = ["1", "2", "3", "4"]
    ptc = {"frames": frames, "gain_A": 1.5, "gain_error_A": 0.01, "read_noise_A": 5.0, "read_noise_error_A": 0.1}
    ptc |= {"full_well_adu_A": 60000.0, "full_well_reached_A": 0.0, "a00_A": -1e-6}
    assert figures_line("ptc", ptc) == (
        "2 pairs; A gain 1.5000 +- 0.0100 e-/ADU, read noise 5.00 +- 0.10 e-, full well above 60000 ADU, "
        "a00 -1e-06 per e-"
    )
    linear = {"frames": frames, "nonlinearity_A": 0.02, "highest_level_adu_A": 5e4, "residual_rms_A": 1e-4}
    linear |= {"lamp_drift": 0.01, "lamp_drift_error": 0.001, "lamp_flicker": 3e-4, "shutter_offset_s": 0.02}
    assert figures_line("linearizer", linear) == (
        "2 pairs; A corrected by up to 2.000 % below 50000 ADU, 0.010 % rms left; lamp drift 1.000 +- 0.100 %, "
        "flicker 0.030 %, shutter +20.0 ms"
    )
    assert figures_line("bias", {"frames": frames, "level_adu_A": 1.25}) == "4 frames, level adu A 1.25"
