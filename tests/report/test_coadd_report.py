"""``skyloom report coadd``: the page of a patch through a small repository."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from calibrated_frames import CAMERA, SHAPE
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.daf.butler.logging import ButlerLogRecord, ButlerLogRecords
from lsst.images import Box, Image
from lsst.pipe.base import TaskMetadata
from patch_of_bands import artifact_masks, box, coadd, n_image, sky_map

from skyloom.cli import skyloom
from skyloom.errors import RepositoryError
from skyloom.images import to_coadd
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.repo.skymap_store import register_sky_map
from skyloom.report.patch_inputs import PatchReader
from skyloom.report.patch_page import PATCH_CAPTIONS

FAILURE = "assemble_coadd: [PSF] A warp has no PSF."
PATCH = ("skymap", "tract", "patch", "band")
WARP = ("instrument", "visit", "skymap", "tract", "patch")
LABEL = "safe_clip_assemble_coadd"
KINDS = {
    "deep_coadd": (PATCH, "CoaddImage"),
    "deep_coadd_n_image": (PATCH, "ImageV2"),
    f"{LABEL}_metadata": (PATCH, "TaskMetadata"),
    f"{LABEL}_log": (PATCH, "ButlerLogRecords"),
    "compare_metadata": (PATCH, "TaskMetadata"),
    "detect_coadd_sources_metadata": (PATCH, "TaskMetadata"),
    "artifact_mask": (WARP, "MaskV2"),
    "visit_summary": (("instrument", "visit"), "ArrowAstropy"),
    # The page asks whether warps are there, and does not read them.
    "direct_warp": (WARP, "StructuredDataDict"),
}
PLACE: dict[str, Any] = {"skymap": "field", "tract": 0, "patch": 0}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coadds of patch 0 in g, r and i, with masks of artifacts in r; z, that failed; a second run of g that failed."""
    root = tmp_path_factory.mktemp("coadd_report")
    filters = "".join(f"  {band}: {{band: {band}}}\n" for band in "griz")
    known = Camera.from_yaml(CAMERA.replace("  r: {band: r}\n", filters))
    initialise(str(root / "repo"), known)
    for visit, band in ((1, "r"), (2, "r"), (3, "r"), (4, "r"), (5, "g"), (6, "i"), (7, "z")):
        cards = {"INSTRUME": "pair", "EXPNUM": visit, "EXPTIME": 10.0, "DATE-OBS": f"2026-01-02T03:0{visit}:00"}
        header = fits.Header(cards | {"RA": 10.0, "DEC": 2.0, "FILTER": band, "CCD": 0})
        fits.PrimaryHDU(np.full(SHAPE, 400, np.int16), header).writeto(root / f"raw_{visit}.fits")
    with Butler.from_config(str(root / "repo"), writeable=True) as butler:
        assert ingest_raws(butler, known, sorted(root.glob("raw_*.fits"))).ingested == 7
        register_sky_map(butler, sky_map())
        for name, (dimensions, storage) in KINDS.items():
            butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
        for run in ("made/1", "made/2"):
            butler.collections.register(run, CollectionType.RUN)
        for band in "gri":
            butler.put(to_coadd(coadd(band)), "deep_coadd", run="made/1", band=band, **PLACE)
            counts = Image(n_image(), bbox=Box.from_shape(box().shape, start=(box().y.start, box().x.start)))
            butler.put(counts, "deep_coadd_n_image", run="made/1", band=band, **PLACE)
            _put_task(butler, "made/1", band, {"n_artifacts": 2, "skipped_visits": [4]}, "visit 4 is left out")
        _put_visits(butler)
        for run, band in (("made/1", "z"), ("made/2", "g")):
            _put_task(butler, run, band, {"failure": {"message": FAILURE}}, FAILURE)
        for label, run in ((LABEL, "made/1"), ("compare", "made/2"), ("detect_coadd_sources", "made/1")):
            metadata = TaskMetadata.from_dict({label: {"failure": {"message": f"{label} has no warps"}}})
            butler.put(metadata, f"{label}_metadata", run=run, band="r", **{**PLACE, "patch": 1})
    return root / "repo"


def _put_task(butler: Butler, run: str, band: str, figures: dict[str, Any], message: str) -> None:
    metadata = TaskMetadata.from_dict({LABEL: figures})
    butler.put(metadata, f"{LABEL}_metadata", run=run, band=band, **PLACE)
    record = logging.LogRecord("skyloom", logging.WARNING, "", 0, message, None, None)
    records = ButlerLogRecords.from_records([ButlerLogRecord.from_record(record)])
    butler.put(records, f"{LABEL}_log", run=run, band=band, **PLACE)


def _put_visits(butler: Butler) -> None:
    for visit in (1, 2, 3, 4):
        place: dict[str, Any] = {"instrument": "pair", "visit": visit, "run": "made/1"}
        butler.put({}, "direct_warp", **place, **PLACE)
        table = Table({"detector": [0], "exposure_time": [10.0], "zero_point_mag": [20.0]})
        butler.put(table, "visit_summary", **place)
        if visit in artifact_masks():
            butler.put(artifact_masks()[visit], "artifact_mask", **place, **PLACE)


def report(repo: Path, folder: Path, *arguments: str) -> str:
    skyloom.main(["report", "coadd", str(repo), *arguments, "-o", str(folder)], standalone_mode=False)
    assert [path.name for path in folder.iterdir()] == ["coadd_field_0_0.html"]
    return (folder / "coadd_field_0_0.html").read_text()


@pytest.fixture(scope="module")
def page(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return report(repo, tmp_path_factory.mktemp("page"), "0", "-c", "made/1")


def section(page: str, band: str) -> str:
    found = re.search(rf'<section id="band-{band}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_page_has_all_figures_and_needs_nothing_else(page: str) -> None:
    assert section(page, "r").count("data:image/png;base64,") == len(PATCH_CAPTIONS) - 1
    assert not re.search(r"<(script|link|iframe)|(src|href)=\"(?!data:|#)", page)


def test_colours_and_overview_come_first(page: str) -> None:
    before = page.split("<section")[0]
    assert before.count("data:image/png;base64,") == 1
    assert PATCH_CAPTIONS["colour"][:40] in before
    assert "4 bands from made/1; 1 without a coadd; 3 visits to look at." in before
    for band in "griz":
        assert f'<a href="#band-{band}">' in before


def test_visits_and_what_was_clipped_of_them_are_told(page: str) -> None:
    whole = section(page, "r")
    _, columns = box().shape
    clipped = 6 * columns + 200
    assert f"<td>2</td><td>2</td><td>{clipped:,}</td>" in whole
    assert "<td>1</td><td>0</td><td>0</td>" in whole
    assert "Visits with a warp that are not in the coadd: 4." in whole
    assert "<li>WARNING: visit 4 is left out</li>" in whole
    # The zero points of the inputs, as they were warped, and not those of the summaries.
    assert "<td>29.900</td>" in whole
    assert "<td>20.000</td>" not in whole


def test_figures_of_the_task_are_there_whatever_its_label(page: str) -> None:
    assert "<td>n_artifacts</td><td>2</td>" in section(page, "r")
    assert "<td>coadd_statistic</td><td>MEAN</td>" in section(page, "r")


def test_a_band_without_masks_says_so(page: str) -> None:
    part = section(page, "g")
    assert "What was clipped in single visits is not known" in part
    assert PATCH_CAPTIONS["clipped"] not in part


def test_an_assembly_that_failed_stops_nothing(page: str) -> None:
    part = section(page, "z")
    assert part.count(FAILURE) == 1  # the log does not say it again
    assert f"<strong>There is no coadd.</strong> {FAILURE}" in part
    assert "data:image" not in part


@pytest.mark.usefixtures("unpainted")
def test_the_newest_run_is_shown_with_its_failure(repo: Path, tmp_path: Path) -> None:
    page = report(repo, tmp_path, "0", "--band", "g", "--quiet")
    assert f"<strong>There is no coadd.</strong> {FAILURE}" in section(page, "g")


def test_the_run_of_the_last_assembly_is_taken_whatever_its_label(repo: Path) -> None:
    with Butler.from_config(str(repo)) as butler:
        patch = sky_map().tract(0).patch(1)
        # Sources were detected after that, in the older run: that says nothing of a coadd.
        assert PatchReader(butler, patch).runs() == {"r": "made/2"}
        assert PatchReader(butler, patch).read("r", "made/2").failure == "compare has no warps"
        chosen = PatchReader(butler, patch, ["made/1", "made/2"])
        assert chosen.runs() == {"r": "made/1"}
        assert chosen.read("r", "made/1").failure == f"{LABEL} has no warps"


@pytest.mark.usefixtures("unpainted")
def test_one_band_is_shown_in_grey(repo: Path, tmp_path: Path) -> None:
    page = report(repo, tmp_path, "0", "--band", "r", "--tract", "0", "--skymap", "field")
    assert "data:image" not in page.split("<section")[0]
    assert PATCH_CAPTIONS["grey"][:40] in section(page, "r")


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize(
    ("kind", "said", "figures"), [("deep_coadd_n_image", "is gone", 6), ("deep_coadd", "There is no coadd", 0)]
)
def test_a_file_that_is_gone_is_named(repo: Path, tmp_path: Path, kind: str, said: str, figures: int) -> None:
    with Butler.from_config(str(repo)) as butler:
        ref = butler.find_dataset(kind, collections="made/1", band="r", **PLACE)
        assert ref is not None
        path = Path(butler.getURI(ref).ospath)
    aside = path.rename(path.with_suffix(".aside"))
    try:
        part = section(report(repo, tmp_path, "0", "--band", "r", "-c", "made/1"), "r")
    finally:
        aside.rename(path)
    assert f"The file of {kind} is gone." in part
    assert said in part
    assert part.count("data:image") == figures


@pytest.mark.parametrize(
    ("arguments", "cause", "cure"),
    [
        (["0", "--tract", "5"], "field has no tract 5", "skyloom skymap show REPO field"),
        (["99", "--tract", "0"], "tract 0 of field has no patch 99", "skyloom skymap show REPO field"),
        (["2"], "patch 2 has coadds in no tract of field", "--tract"),
        (["0", "--skymap", "other"], "the sky maps field, and not other", "--skymap"),
        (["0", "--band", "u"], "patch 0 of tract 0 of field in u: no deep_coadd", "skyloom run drp REPO"),
        (["0", "-c", "nowhere"], "no collection nowhere", "butler query-collections"),
        (["0", "-c", "pair/raw/all"], "is in pair/raw/all", "skyloom status REPO"),
    ],
)
def test_what_cannot_be_shown_has_a_cure(
    repo: Path, tmp_path: Path, arguments: list[str], cause: str, cure: str
) -> None:
    with pytest.raises(RepositoryError, match=f"{re.escape(cause)}.*{re.escape(cure)}"):
        skyloom.main(["report", "coadd", str(repo), *arguments, "-o", str(tmp_path)], standalone_mode=False)
    assert not list(tmp_path.iterdir())
