"""What is planned of which frames: masters, depth of coadds, references, costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from repo.tiny_camera import TINY
from skyloom.errors import RefcatError
from skyloom.execute.summary import Failure, RunSummary
from skyloom.execute.whole.account import describe_failures
from skyloom.execute.whole.costs import COMPILE_S, COSTS, QUANTUM_S, STEP_S, Load, estimate, in_words
from skyloom.execute.whole.fields import find_fields
from skyloom.execute.whole.inventory import Inventory, Seen
from skyloom.execute.whole.masters_plan import given_calibrations, plan_masters
from skyloom.execute.whole.plan import Plan, make_plan
from skyloom.execute.whole.references import check_filters, how_to_get_one, references_of
from skyloom.execute.whole.walk import Walked
from skyloom.execute.whole.words import describe_plan
from skyloom.instruments import Camera
from skyloom.repo.refcat import RefcatReport
from skyloom.repo.refcat_columns import RefcatColumns

CAMERA = Camera.from_yaml(TINY)
SIZE_DEG = 0.08
SLOW, FAST = (("SPEED", "slow"),), (("SPEED", "fast"),)


def seen(
    exposure: int, kind: str = "science", ra: float = 150.0, physical_filter: str = "r", **changes: object
) -> Seen:
    """A frame of 0.08 degrees."""
    half = SIZE_DEG / 2
    corners = np.array([-half, half, half, -half]) + ra, np.array([-half, -half, half, half]) + 2.0
    return Seen(
        **{
            "exposure": exposure,
            "detector": 0,
            "kind": kind,
            "physical_filter": physical_filter,
            "night": 20260102,
            "exposure_time": 12.0,
            "corners": corners if kind == "science" else None,
            "corrected": False,
            "mid_year": 2026.0,
        }
        | changes
    )


def visits(count: int, first: int = 1, step: float = 0.01, **changes: object) -> list[Seen]:
    """Frames of the sky, each a little to the east of the one before."""
    return [seen(first + number, ra=150.0 + step * number, **changes) for number in range(count)]


def kinds(**counts: int) -> list[Seen]:
    """Calibration frames."""
    return [
        seen(100 * place + number, kind)
        for place, (kind, count) in enumerate(counts.items(), 1)
        for number in range(count)
    ]


def inventory(frames: list[Seen], modes: dict[int, tuple[tuple[str, str], ...]] | None = None) -> Inventory:
    counts: dict[str, Counter[tuple[tuple[str, str], ...]]] = {}
    for one in frames:
        if modes and one.exposure in modes:
            counts.setdefault(one.kind, Counter())[modes[one.exposure]] += 1
    return Inventory(camera=CAMERA, frames=frames, modes=counts, mode_of=modes or {})


def plan_of(frames: list[Seen], **options: object) -> Plan:
    return make_plan(inventory(frames), **options)


def said(plan: Plan, part: str) -> str:
    return "\n".join(text for name, text in plan.lines if name == part)


def test_one_visit_is_warped_and_nothing_more() -> None:
    plan = plan_of(visits(1))
    assert plan.labels == ["single_frame", "make_direct_warp", "assemble_coadd"]
    assert not plan.deep
    assert plan.catalogue_labels == ["coadd_sources"]
    assert "no two visits" in said(plan, "joint")
    assert "one visit deep" in said(plan, "coadd")


def test_two_visits_are_matched_and_not_clipped() -> None:
    plan = plan_of(visits(2))
    assert plan.labels == ["single_frame", "jointcal", "make_direct_warp"]
    assert plan.deep
    assert plan.catalogue_labels == ["coadd_sources", "light_curves"]
    assert "plain mean in r (2 visits)" in said(plan, "coadd")


def test_three_visits_are_clipped_and_a_band_of_one_is_not() -> None:
    plan = plan_of([*visits(3), *visits(1, first=10, physical_filter="g")])
    assert "artifacts found and masked, then the mean, in r (3 visits)" in said(plan, "coadd")
    assert "plain mean in g (1 visit)" in said(plan, "coadd")


def test_visits_side_by_side_are_not_fitted_together() -> None:
    plan = plan_of(visits(3, step=0.5))
    assert len(plan.fields) == 1
    assert plan.fields[0].depth == {"r": 1}
    assert "jointcal" not in plan.labels
    assert not plan.deep


def test_fields_far_apart_are_tracts_of_their_own() -> None:
    fields = find_fields(inventory([*visits(2), *visits(3, first=10, step=0.01, corners=None), seen(20, ra=359.99)]))
    assert [one.visits for one in fields] == [{"r": {1, 2}}, {"r": {20}}]
    assert fields[0].width_deg == pytest.approx(SIZE_DEG + 0.01, rel=0.01)
    assert fields[1].ra == pytest.approx(359.99, abs=1e-6)
    assert fields[1].width_deg == pytest.approx(SIZE_DEG, rel=0.01)


@pytest.mark.parametrize(
    ("skip", "labels", "deep", "catalogues"),
    [
        ("calibrate", ["isr"], False, []),
        ("joint", ["single_frame", "make_direct_warp"], True, ["coadd_sources", "light_curves"]),
        ("coadd", ["single_frame", "jointcal"], False, []),
        (
            "deep",
            ["single_frame", "jointcal", "make_direct_warp", "assemble_coadd"],
            False,
            ["coadd_sources", "light_curves"],
        ),
        ("catalogues", ["single_frame", "jointcal", "make_direct_warp"], True, []),
        ("light_curves", ["single_frame", "jointcal", "make_direct_warp"], True, ["coadd_sources"]),
    ],
)
def test_what_is_skipped_takes_with_it_what_needs_it(
    skip: str, labels: list[str], deep: bool, catalogues: list[str]
) -> None:
    plan = plan_of(visits(4), skip=[skip])
    assert (plan.labels, plan.deep, plan.catalogue_labels) == (labels, deep, catalogues)
    assert f"--skip {skip}" in "\n".join(describe_plan(plan))


def test_a_band_limits_everything() -> None:
    plan = plan_of([*visits(3), *visits(1, first=10, physical_filter="g")], bands=["g"])
    assert not plan.deep
    assert plan.loads["calibrate_image"].quanta == 1


def test_frames_without_signature_need_no_masters() -> None:
    plan = plan_of(visits(2, corrected=True))
    assert plan.pipeline == "drp_post_isr"
    assert plan.masters.kinds == []
    assert "isr" not in plan.loads


def test_masters_alone() -> None:
    plan = plan_of(kinds(bias=3, flat=4))
    assert plan.masters.kinds == ["bias", "flat"]
    assert (plan.labels, plan.deep, plan.report) == ([], False, False)
    assert not plan.calibrates


def test_masters_are_made_of_frames_enough() -> None:
    plan = plan_masters(inventory([*kinds(bias=2, dark=3, flat=3), *visits(1), seen(2, physical_filter="g")]), _none())
    assert plan.kinds == ["dark", "flat", "defects"]
    assert "bias: 2 frames, 3 are the least: the level is taken from the overscan, its pattern stays in" in plan.lines
    assert "flat: from 3 r frames" in plan.lines
    assert "flat: none in g: pixels keep their own sensitivity" in plan.lines


def test_defects_need_five_frames() -> None:
    assert plan_masters(inventory(visits(4)), _none()).kinds == []
    assert plan_masters(inventory(visits(5)), _none()).kinds == ["defects"]
    assert plan_masters(inventory(visits(5)), _none(), skip=["defects"]).kinds == []


def test_biases_of_another_mode_give_their_level_alone() -> None:
    frames = [*kinds(bias=3, flat=3), *visits(2)]
    modes = {one.exposure: SLOW if one.kind == "bias" else FAST for one in frames}
    plan = plan_masters(inventory(frames, modes), _none())
    assert plan.pedestal_only
    assert plan.where == ""
    assert plan.kinds == ["bias", "flat"]
    assert "SPEED slow" in plan.lines[0]


def test_masters_are_made_in_the_mode_of_most_frames_of_the_sky() -> None:
    frames = [*kinds(bias=6, flat=3), *visits(3)]
    modes = {one.exposure: FAST for one in frames}
    modes |= {100: SLOW, 101: SLOW, 102: SLOW, 200: SLOW, 1: SLOW}
    plan = plan_masters(inventory(frames, modes), _none())
    assert not plan.pedestal_only
    assert plan.kinds == ["bias"]
    assert plan.counts["bias"] == 3
    assert plan.where == "exposure IN (2, 3, 103, 104, 105, 201, 202)"
    assert "flat: 2 frames, 3 are the least (1 of another read-out mode left out)" in "\n".join(plan.lines)


def _none() -> object:
    return given_calibrations(None, inventory([]))


def test_given_calibrations_tell_what_they_are(tmp_path: Path) -> None:
    for name in ("master_flats/r_0.fits", "bias_0.fits", "badpix.csv", "notes.txt", "lamp/one.fits", "odd.fits"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        header = fits.Header({"IMGTYPE": "dark" if name == "lamp/one.fits" else "odd"})
        if path.suffix == ".fits":
            fits.PrimaryHDU(np.zeros((4, 4)), header).writeto(path)
        else:
            path.write_text("x0\n")
    frames = inventory([*kinds(bias=5, flat=5), *visits(5)])
    given = given_calibrations(tmp_path, frames)
    assert {kind: [path.name for path in files] for kind, files in given.files.items()} == {
        "bias": ["bias_0.fits"],
        "defects": ["badpix.csv"],
        "dark": ["one.fits"],
        "flat": ["r_0.fits"],
    }
    assert next(iter(given.files)) == "bias"
    assert [path.name for path in given.unknown] == ["odd.fits"]
    assert plan_masters(frames, given).kinds == []


def catalogue(path: Path, *columns: str) -> list[Path]:
    Table({name: [1.0] for name in columns}).write(path, format="ascii.csv", overwrite=True)
    return [path]


@pytest.mark.parametrize(
    ("columns", "system"),
    [(("ra", "dec", "g", "r"), "AB"), (("ra", "dec", "MAG_VT"), "Vega"), (("ra", "dec", "phot_g_mean_mag"), "Vega")],
)
def test_the_system_is_the_usual_one_of_the_filters(tmp_path: Path, columns: tuple[str, ...], system: str) -> None:
    found = references_of(catalogue(tmp_path / "my stars.v2.csv", *columns))
    assert found.spec.system == system
    assert found.spec.name == "my_stars"
    assert system in found.line


def test_what_a_catalogue_does_not_tell_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "stars.csv"
    with pytest.raises(RefcatError, match="--refcat-system"):
        references_of(catalogue(path, "ra", "dec", "r", "V"))
    assert references_of([path], system="Vega").spec.system == "Vega"
    with pytest.raises(RefcatError, match="--refcat-epoch"):
        references_of(catalogue(path, "ra", "dec", "pm_ra", "pm_dec", "r"))
    assert references_of([path], epoch="2016").spec.epoch_year == 2016.0
    with pytest.raises(RefcatError, match="magnitude"):
        references_of(catalogue(path, "ra", "dec", "redshift"))
    with pytest.raises(RefcatError, match="no such catalogue file"):
        references_of([tmp_path / "absent.csv"])


def test_a_catalogue_without_the_filters_is_refused() -> None:
    both = inventory([*visits(1), seen(2, physical_filter="g")])
    assert check_filters(both, ["g", "r"]) == []
    assert check_filters(both, ["r"]) == ["frames in g get no zero point: no g in the catalogue"]
    with pytest.raises(RefcatError, match="the reference catalogue has V"):
        check_filters(both, ["V"])


def test_a_catalogue_that_cannot_be_guessed_has_a_command_of_its_own(tmp_path: Path) -> None:
    for name, head, option in (("nowhere", "x,y,r", "--ra COLUMN"), ("dark", "ra,dec", "--mag FILTER=")):
        (tmp_path / f"{name}.csv").write_text(f"{head}\n")
        with pytest.raises(RefcatError) as found:
            references_of([tmp_path / f"{name}.csv"])
        assert found.value.keyword is None
        assert f"skyloom refcat import REPO FILE {option}" in found.value.cure


def test_a_catalogue_without_a_magnitude_is_refused(tmp_path: Path) -> None:
    Table({"ra": [150.0], "dec": [2.0], "g": [12.0], "r": [np.nan]}).write(tmp_path / "stars.csv")
    given = references_of([tmp_path / "stars.csv"])
    report = RefcatReport("refcats/stars", RefcatColumns("ra", "dec"), n_rows=5, unmeasured={"g": 4, "r": 5})
    given.check_measured(inventory(visits(1, physical_filter="g")), report)
    with pytest.raises(RefcatError, match=r"none of its 5 stars has a usable magnitude in r\."):
        given.check_measured(inventory(visits(1)), report)


def test_who_lacks_a_catalogue_is_told_where_the_field_is() -> None:
    frames = inventory(visits(2))
    error = how_to_get_one(frames, find_fields(frames))
    assert "skyloom refcat query --ra 150.0050 --dec 2.0000 --radius 0.09 --epoch 2026.00" in error.cure


def test_an_estimate_adds_up() -> None:
    loads = {"isr": Load(10, 20.0), "pages": Load(2, 3.0, parallel=False)}
    isr = 10 * COSTS["isr"].quantum_s + 20 * COSTS["isr"].mpix_s
    pages = 2 * COSTS["pages"].quantum_s + 3 * COSTS["pages"].mpix_s
    found = estimate(loads, processes=4, n_steps=2, compiled=True)
    assert found.quanta == 10
    assert found.cpu_s == pytest.approx(isr + pages)
    assert found.wall_s == pytest.approx(isr / 4 + pages + 2 * STEP_S + 10 * QUANTUM_S)
    assert found.disk_mb == pytest.approx(20 * COSTS["isr"].mpix_mb + 3 * COSTS["pages"].mpix_mb)
    # More workers than quanta are of no use.
    assert estimate(loads, processes=40, n_steps=2, compiled=True).wall_s == pytest.approx(found.wall_s - isr * 0.15)
    assert estimate(loads, processes=4, n_steps=2, compiled=False).cpu_s == pytest.approx(found.cpu_s + COMPILE_S)


def test_times_in_words() -> None:
    assert [in_words(one) for one in (3, 44, 130, 5000, 7200, 90000)] == [
        "10 s",
        "40 s",
        "2 min",
        "83 min",
        "2.0 h",
        "25 h",
    ]


def test_failures_are_told_by_their_reasons() -> None:
    error = "[FrameFailure] astrometry: [ASTROMETRY] no pattern of"
    lost = [Failure("calibrate_image", f"visit={n}", f"{error} {n} stars") for n in (7, 8, 9)]
    lost.append(Failure("calibrate_image", "visit=10", "[FrameFailure] psf: [PSF] no stars"))
    bad = Failure("isr", "exposure=4", "[BAD-FRAME] " + "long " * 100)
    summary = RunSummary("process/drp/1", "process/drp", failures=[bad, *lost])
    whole = RunSummary("process/deep/1", "process/deep")
    walked = Walked(failures=[bad, *lost], summaries={"drp": summary, "deep": whole})
    lines = describe_failures(walked, "repo", {7: "seventh.fits", 4: "fourth.fits"})
    assert lines[0].startswith("5 failures")
    assert lines[1] == f"  3 x calibrate_image, such as visit=7 (seventh.fits): {error} 7 stars"
    assert lines[2].startswith("  1 x isr, such as exposure=4 (fourth.fits): [BAD-FRAME] long")
    assert len(lines[2]) < 300
    assert lines[3:] == [
        "  1 x calibrate_image, such as visit=10: [FrameFailure] psf: [PSF] no stars",
        "  more: skyloom status repo -o process/drp",
    ]
    assert walked.exit_status == 1
    assert walked.runs == ["process/deep/1", "process/drp/1"]
    assert describe_failures(Walked(summaries={"deep": whole}), "repo") == []
