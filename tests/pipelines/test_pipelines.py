from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from skyloom.errors import SkyloomError
from skyloom.pipelines import find_pipeline, load_pipeline, shipped_pipelines, split_name


def test_megaprime_is_drp_with_a_task_of_its_own() -> None:
    own, general = (yaml.safe_load(find_pipeline(name).read_text()) for name in ("megaprime", "drp"))
    own_isr, general_isr = own["tasks"].pop("isr"), general["tasks"].pop("isr")
    assert own_isr["class"] == "skyloom.tasks.CfhtIsrTask"
    assert general_isr["config"].pop("doBrighterFatter") is None
    assert own_isr["config"] == general_isr["config"]
    assert own.pop("description") != general.pop("description")
    assert own == general


def test_shipped_pipelines_are_found_by_name() -> None:
    assert shipped_pipelines() == [
        "catalogues",
        "deep",
        "deep_union",
        "drp",
        "drp_post_isr",
        "masters",
        "megaprime",
        "sky_correction",
    ]
    assert find_pipeline("drp").name == "drp.yaml"


def test_the_union_adds_matched_warps_of_one_sky_to_deep() -> None:
    own, plain = (yaml.safe_load(find_pipeline(name).read_text()) for name in ("deep_union", "deep"))
    matched = own["tasks"].pop("make_psf_matched_warp")
    assert matched["config"] == {"connections.warp": own["tasks"]["assemble_coadd"]["config"]["connections.warps"]}
    assert own["tasks"]["assemble_coadd"]["config"].pop("artifactDecision") == "union"
    assert own["tasks"] == plain["tasks"]


def test_a_pipeline_is_found_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(find_pipeline("drp").read_text())
    assert find_pipeline(str(path)) == path
    with pytest.raises(SkyloomError, match="no such pipeline file"):
        find_pipeline(str(tmp_path / "other.yaml"))


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SkyloomError, match=r"'dpr'.*Shipped: .*drp, drp_post_isr"):
        find_pipeline("dpr")


def test_labels_stand_behind_the_name() -> None:
    assert split_name("drp#single_frame,coadd") == ("drp", ["single_frame", "coadd"])
    assert split_name("path/to.yaml") == ("path/to.yaml", [])


def test_both_pipelines_differ_by_the_removal_of_the_signature() -> None:
    raw, post_isr = set(load_pipeline("drp").task_labels), set(load_pipeline("drp_post_isr").task_labels)
    assert raw - post_isr == {"isr"}
    assert post_isr == {"calibrate_image", "visit_summary", "jointcal", "make_direct_warp", "assemble_coadd"}


def test_settings_win_over_files(tmp_path: Path) -> None:
    file = tmp_path / "summary.py"
    file.write_text("config.connections.visit_summary = 'from_file'\n")
    changes = ["visit_summary:connections.visit_summary=from_setting"]
    label = "visit_summary"
    pipeline = load_pipeline("drp", files=[f"{label}:{file}"]).subsetFromLabels(_only(label))
    assert pipeline.to_graph().tasks[label].config.connections.visit_summary == "from_file"
    pipeline = load_pipeline("drp", changes, [f"{label}:{file}"]).subsetFromLabels(_only(label))
    assert pipeline.to_graph().tasks[label].config.connections.visit_summary == "from_setting"


def _only(label: str) -> object:
    from lsst.pipe.base.pipeline import LabelSpecifier

    return LabelSpecifier(labels={label})


@pytest.mark.parametrize(
    ("settings", "files", "message"),
    [
        (["isrr:a=1"], [], "'isrr:a=1' names no task"),
        (["isr:a"], [], "changes nothing"),
        ([], ["isr:missing.py"], "no such configuration file"),
    ],
)
def test_bad_changes_are_refused(settings: list[str], files: list[str], message: str) -> None:
    with pytest.raises(SkyloomError, match=message):
        load_pipeline("drp", settings, files)
