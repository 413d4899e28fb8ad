"""``skyloom report tract``: the page of a tract through a small repository."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from calibrated_frames import CAMERA, SHAPE
from joint_tract import BROKEN, CENTRE, REASON, ROTATION, products, sky_map
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.pipe.base import TaskMetadata

from skyloom.cli import skyloom
from skyloom.errors import RepositoryError
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.repo.skymap_store import register_sky_map
from skyloom.report.tract_page import CAPTIONS

FAILURE = "jointcal: [JOINT-FIT] No reference is left for the joint fit."
FIELD = ("instrument", "skymap", "tract", "physical_filter")
VISIT = ("instrument", "visit", "skymap", "tract")
WARP = ("instrument", "visit", "skymap", "tract", "patch")
KINDS = {
    "joint_measurements": (FIELD, "ArrowAstropy"),
    "joint_stars": (FIELD, "ArrowAstropy"),
    "joint_history": (FIELD, "ArrowAstropy"),
    "joint_metrics": (FIELD, "ArrowAstropy"),
    "jointcal_metadata": (FIELD, "TaskMetadata"),
    "jointcal_log": (FIELD, "ButlerLogRecords"),
    "joint_wcs": (VISIT, "ArrowAstropy"),
    "joint_photo_calib": (VISIT, "ArrowAstropy"),
    "visit_summary": (("instrument", "visit"), "ArrowAstropy"),
    "make_direct_warp_metadata": (WARP, "TaskMetadata"),
    # The page asks whether warps are there, and does not read them.
    "direct_warp": (WARP, "StructuredDataDict"),
}
PLACE = {"instrument": "pair", "skymap": "field", "tract": 0}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A joint fit of four visits in ``r`` and one of ``g`` that failed; a second run of ``r`` that failed, too."""
    root = tmp_path_factory.mktemp("tract_report")
    known = Camera.from_yaml(CAMERA.replace("  r: {band: r}", "  r: {band: r}\n  g: {band: g}"))
    initialise(str(root / "repo"), known)
    for visit in (*ROTATION, 9):
        for detector in (0, 1):
            path = root / f"raw_{visit}_{detector}.fits"
            fits.PrimaryHDU(np.full(SHAPE, 400, np.int16), _header(visit, detector)).writeto(path)
    with Butler.from_config(str(root / "repo"), writeable=True) as butler:
        assert ingest_raws(butler, known, sorted(root.glob("raw_*.fits"))).ingested == 10
        register_sky_map(butler, sky_map())
        for name, (dimensions, storage) in KINDS.items():
            butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
        for run in ("made/1", "made/2"):
            butler.collections.register(run, CollectionType.RUN)
        _put_fit(butler)
        for run, physical_filter in (("made/1", "g"), ("made/2", "r")):
            failed = TaskMetadata.from_dict({"jointcal": {"failure": {"message": FAILURE}}})
            butler.put(failed, "jointcal_metadata", run=run, physical_filter=physical_filter, **PLACE)
            _put_log(butler, FAILURE, run, physical_filter)
    return root / "repo"


def _header(visit: int, detector: int) -> fits.Header:
    cards = {"INSTRUME": "pair", "EXPNUM": visit, "EXPTIME": 10.0, "DATE-OBS": f"2026-01-02T03:0{visit}:00"}
    place = {"RA": CENTRE[0], "DEC": CENTRE[1]}
    return fits.Header(cards | place | {"FILTER": "g" if visit == 9 else "r", "CCD": detector})


def _put_log(butler: Butler, message: str, run: str, physical_filter: str) -> None:
    record = logging.LogRecord("skyloom", logging.WARNING, "", 0, message, None, None)
    records = ButlerLogRecords.from_records([ButlerLogRecord.from_record(record)])
    butler.put(records, "jointcal_log", run=run, physical_filter=physical_filter, **PLACE)


def _put_fit(butler: Butler) -> None:
    whole = products()
    for name in ("measurements", "stars", "history", "metrics"):
        butler.put(getattr(whole, name), f"joint_{name}", run="made/1", physical_filter="r", **PLACE)
    _put_log(butler, "visit 7 shares no star", "made/1", "r")
    for visit in ROTATION:
        butler.put(whole.wcs[visit], "joint_wcs", run="made/1", visit=visit, **PLACE)
        butler.put(whole.photo_calib[visit], "joint_photo_calib", run="made/1", visit=visit, **PLACE)
        butler.put(whole.summaries[visit], "visit_summary", run="made/1", visit=visit, instrument="pair")
        place: dict[str, Any] = {"run": "made/1", "visit": visit, "patch": 0, **PLACE}
        if visit == 3:
            figures: dict[str, Any] = {"failure": {"message": "The frame has no PSF."}}
        else:
            butler.put({}, "direct_warp", **place)
            left_out = ["1: the joint fit refused it"] if visit == BROKEN[0] else []
            figures = {"filled_fraction": 0.4, "left_out": left_out, "has_joint_wcs": visit != 2}
        butler.put(TaskMetadata.from_dict({"make_direct_warp": figures}), "make_direct_warp_metadata", **place)


def report(repo: Path, folder: Path, *arguments: str) -> str:
    skyloom.main(["report", "tract", str(repo), *arguments, "-o", str(folder)], standalone_mode=False)
    assert [path.name for path in folder.iterdir()] == ["tract_pair_field_0.html"]
    return (folder / "tract_pair_field_0.html").read_text()


@pytest.fixture(scope="module")
def page(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(repo, tmp_path_factory.mktemp("page"), "0", "-c", "made/1")


def section(page: str, physical_filter: str) -> str:
    found = re.search(rf'<section id="filter-{physical_filter}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_page_has_all_figures_and_needs_nothing_else(page: str) -> None:
    whole = section(page, "r")
    assert whole.count("data:image/png;base64,") == len(CAPTIONS)
    assert "The joint fit failed" not in whole
    assert not re.search(r"<(script|link|iframe)|(src|href)=\"(?!data:|#)", page)


def test_overview_leads_to_the_filters(page: str) -> None:
    before = page.split("<section")[0]
    assert "2 filters from made/1; 1 joint fit failed; 1 frame to look at." in before
    assert '<a href="#filter-g">' in before
    assert '<a href="#filter-r">' in before


def test_refusals_and_warnings_of_the_fit_are_told(page: str) -> None:
    whole = section(page, "r")
    assert f"<td>visit {BROKEN[0]}, detector {BROKEN[1]}</td><td>refused by the fit of positions: {REASON}" in whole
    assert "<li>WARNING: visit 7 shares no star</li>" in whole


def test_warps_that_failed_or_lack_something_are_told(page: str) -> None:
    whole = section(page, "r")
    assert "<td>patch 0, visit 3</td><td>The frame has no PSF.</td>" in whole
    assert "<td>patch 0, visit 4</td><td>left out: detector 1: the joint fit refused it</td>" in whole
    assert "<td>patch 0, visit 2</td><td>frames kept their own calibration, the joint one was missing</td>" in whole
    # Frames lie on other patches, too, of which nobody made a warp.
    assert "<td>patch 1, visit 1</td><td>not there, though frames lie on the patch</td>" in whole


def test_a_fit_that_failed_stops_nothing(page: str) -> None:
    part = section(page, "g")
    assert part.count(FAILURE) == 1  # the log does not say it again
    assert f"<strong>The joint fit failed.</strong> {FAILURE}" in part
    assert "There are no warps of this tract." in part


@pytest.mark.usefixtures("unpainted")
def test_the_newest_run_is_shown_with_its_failure(repo: Path, tmp_path: Path) -> None:
    part = section(report(repo, tmp_path, "0", "--band", "r", "--quiet"), "r")
    assert FAILURE in part
    assert CAPTIONS["coverage"] in part
    assert CAPTIONS["positions_plane"][:40] not in part


@pytest.mark.usefixtures("unpainted")
def test_a_file_that_is_gone_is_named(repo: Path, tmp_path: Path) -> None:
    with Butler.from_config(str(repo)) as butler:
        ref = butler.find_dataset("joint_stars", collections="made/1", physical_filter="r", **PLACE)
        assert ref is not None
        path = Path(butler.getURI(ref).ospath)
    aside = path.rename(path.with_suffix(".aside"))
    try:
        part = section(report(repo, tmp_path, "0", "--band", "r", "-c", "made/1"), "r")
    finally:
        aside.rename(path)
    assert "The file of joint_stars is gone." in part
    assert CAPTIONS["fluxes_plane"][:40] in part
    assert CAPTIONS["fluxes_sky"][:40] not in part


@pytest.mark.parametrize(
    ("arguments", "cause", "cure"),
    [
        (["5"], "field has no tract 5", "skyloom skymap show REPO field"),
        (["0", "--skymap", "other"], "the sky maps field, and not other", "--skymap"),
        (["0", "--band", "z"], "tract 0 of field in z: nothing of a joint calibration of pair", "skyloom run drp REPO"),
        (["0", "-c", "nowhere"], "no collection nowhere", "butler query-collections"),
        (["0", "-c", "pair/raw/all"], "is in pair/raw/all", "skyloom status REPO"),
        (["0", "--instrument", "other"], "and not other", "--instrument"),
    ],
)
def test_what_cannot_be_shown_has_a_cure(
    repo: Path, tmp_path: Path, arguments: list[str], cause: str, cure: str
) -> None:
    with pytest.raises(RepositoryError, match=f"{re.escape(cause)}.*{re.escape(cure)}"):
        skyloom.main(["report", "tract", str(repo), *arguments, "-o", str(tmp_path)], standalone_mode=False)
    assert not list(tmp_path.iterdir())
