"""``skyloom report site``: the site of a small repository, as text and in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from itertools import islice
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from browser import CHROMIUM, look
from calibrated_frames import CAMERA, SHAPE
from calibrated_frames import products as frame_products
from joint_tract import CENTRE, ROTATION
from joint_tract import products as tract_products
from lsst.daf.butler import Butler, CollectionType, DatasetRef, DatasetType
from lsst.images import Box, Image
from lsst.pipe.base import TaskMetadata
from patch_of_bands import box, coadd, n_image, sky_map

from skyloom.cli import skyloom
from skyloom.errors import RepositoryError
from skyloom.execute.journal import Journal
from skyloom.execute.outcome import Outcome, Status
from skyloom.images import to_coadd, to_visit_image
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.repo.skymap_store import register_sky_map
from skyloom.report import patch_page, tract_page, visit_page
from skyloom.report.metrics import METRICS
from skyloom.report.site import dress
from skyloom.skymap import Tract

RUN = "made/1"
REASON = "[NO-REFERENCE] The reference catalogue holds no star."
SEEING = {1: 3.0, 2: 10.5, 3: 2.2, 4: 4.0}
"""By visit, px: as text they would sort in another order."""
FRAME, VISIT = ("instrument", "visit", "detector"), ("instrument", "visit")
FIELD = ("instrument", "skymap", "tract", "physical_filter")
PATCH = ("skymap", "tract", "patch", "band")
KINDS = {
    "initial_pvi": (FRAME, "VisitImage"),
    "calibrate_image_metadata": (FRAME, "TaskMetadata"),
    "initial_psf_stars_detector": (FRAME, "ArrowAstropy"),
    "initial_astrometry_match_detector": (FRAME, "ArrowAstropy"),
    "visit_summary": (VISIT, "ArrowAstropy"),
    "joint_measurements": (FIELD, "ArrowAstropy"),
    "joint_stars": (FIELD, "ArrowAstropy"),
    "joint_metrics": (FIELD, "ArrowAstropy"),
    "joint_wcs": (("instrument", "visit", "skymap", "tract"), "ArrowAstropy"),
    "deep_coadd": (PATCH, "CoaddImage"),
    "deep_coadd_n_image": (PATCH, "ImageV2"),
}
TRACT: dict[str, Any] = {"skymap": "field", "tract": 0}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Visit 1 with a calibrated and a failed frame, summaries and a joint fit of four visits, a patch with a coadd."""
    root = tmp_path_factory.mktemp("site_repo")
    known = Camera.from_yaml(CAMERA)
    initialise(str(root / "repo"), known)
    for visit in ROTATION:
        for detector in (0, 1):
            cards = {"INSTRUME": "pair", "EXPNUM": visit, "EXPTIME": 10.0, "DATE-OBS": f"2026-01-02T03:0{visit}:00"}
            header = fits.Header(cards | {"RA": CENTRE[0], "DEC": CENTRE[1], "FILTER": "r", "CCD": detector})
            fits.PrimaryHDU(np.full(SHAPE, 400, np.int16), header).writeto(root / f"raw_{visit}_{detector}.fits")
    with Butler.from_config(str(root / "repo"), writeable=True) as butler:
        assert ingest_raws(butler, known, sorted(root.glob("raw_*.fits"))).ingested == 8
        register_sky_map(butler, sky_map())
        for name, (dimensions, storage) in KINDS.items():
            butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
        butler.collections.register(RUN, CollectionType.RUN)
        butler.collections.register("made", CollectionType.CHAINED)
        butler.collections.redefine_chain("made", [RUN])
        _put_frames(butler)
        _put_joint(butler)
        patch = {**TRACT, "patch": 0, "band": "r"}
        butler.put(to_coadd(coadd("r")), "deep_coadd", run=RUN, **patch)
        counts = Image(n_image(), bbox=Box.from_shape(box().shape, start=(box().y.start, box().x.start)))
        butler.put(counts, "deep_coadd_n_image", run=RUN, **patch)
        _write_journal(butler)
    return root / "repo"


def _put_frames(butler: Butler) -> None:
    made = frame_products()
    frame = made.exposure
    assert frame is not None
    raw = butler.get("raw", instrument="pair", exposure=1, detector=0, collections="pair/raw/all")
    known = Camera.from_yaml(CAMERA).complete(raw)
    for name in ("detector", "obs_info", "projection"):
        setattr(frame, name, getattr(known, name))
    frame.band, frame.unit, frame.photo_calib = "r", u.nJy, made.photo_calib
    place: dict[str, Any] = {"instrument": "pair", "visit": 1, "run": RUN}
    butler.put(to_visit_image(frame), "initial_pvi", detector=0, **place)
    butler.put(made.psf_stars, "initial_psf_stars_detector", detector=0, **place)
    for detector, figures in ((0, dict(made.metadata)), (1, {"failure": {"message": REASON}})):
        metadata = TaskMetadata.from_dict({"calibrate_image": figures})
        butler.put(metadata, "calibrate_image_metadata", detector=detector, **place)


def _put_joint(butler: Butler) -> None:
    made = tract_products()
    measurements = made.measurements.copy()  # type: ignore[union-attr]
    measurements["source_id"] = np.arange(len(measurements))
    measurements["mag_err"] = 1e-3
    for name, table in (("measurements", measurements), ("stars", made.stars), ("metrics", made.metrics)):
        butler.put(table, f"joint_{name}", run=RUN, instrument="pair", physical_filter="r", **TRACT)
    for visit, table in made.summaries.items():
        summary = table[:1] if visit == 1 else table.copy()
        summary["psf_sigma"], summary["pixel_scale"] = SEEING[visit] / 2.3548 / 0.5, 0.5
        summary["ra_corners"] = np.tile(CENTRE[0] + 0.02 * np.array([1.0, 1.0, -1.0, -1.0]), (len(summary), 1))
        summary["dec_corners"] = np.tile(CENTRE[1] + 0.02 * np.array([-1.0, 1.0, 1.0, -1.0]), (len(summary), 1))
        butler.put(summary, "visit_summary", run=RUN, instrument="pair", visit=visit)
        butler.put(made.wcs[visit], "joint_wcs", run=RUN, instrument="pair", visit=visit, **TRACT)


def _write_journal(butler: Butler) -> None:
    """Of a run in which one frame was calibrated and one failed."""
    kind = butler.get_dataset_type("calibrate_image_metadata")
    journal = Journal(butler, RUN)
    journal.begin({"pipeline": "drp", "versions": {"skyloom": "0.1.0"}, "inputs": ["pair/defaults"]}, begun=1.7e9)
    journal.phase("work", step="single_frame", totals={"calibrate_image": 2}, processes=1)
    for detector, outcome in (
        (0, Outcome(Status.SUCCEEDED, seconds=2.5)),
        (1, Outcome(Status.FAILED, seconds=1.0, code="NO-REFERENCE", reason=REASON)),
    ):
        data_id = butler.registry.expandDataId(instrument="pair", visit=1, detector=detector)
        key = ("calibrate_image", "pair", str(detector), "1")
        journal.start(key, [DatasetRef(kind, data_id, RUN)], "")
        journal.end(key, outcome)
    journal.close()


@pytest.fixture(scope="module")
def one_figure() -> Iterator[None]:
    """Of each section of a page the first figure is drawn: all of them are tested with their pages."""
    with pytest.MonkeyPatch.context() as patch:
        for page, name in ((visit_page, "frame_figures"), (tract_page, "filter_figures"), (patch_page, "band_figures")):
            patch.setattr(page, name, _first_of(getattr(page, name)))
        yield


@pytest.fixture(scope="module")
def site(repo: Path, one_figure: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    skyloom.main(["report", "site", str(repo), "--to", str(folder), "--quiet"], standalone_mode=False)
    return folder


def _first_of(draw: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
    return lambda products: islice(draw(products), 1)


@pytest.fixture(scope="module")
def index(site: Path) -> str:
    return (site / "index.html").read_text()


def row(index: str, table: str, first: str) -> list[str]:
    """Text of the cells of the row that begins so."""
    whole = re.search(rf'<table[^>]*id="table-{table}">(.*?)</table>', index, re.DOTALL)
    assert whole is not None
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", one) for one in re.findall(r"<tr>(.*?)</tr>", whole[1], re.DOTALL)]
    texts = [[re.sub("<[^>]*>", "", cell) for cell in cells] for cells in rows]
    return next(cells for cells in texts if cells and cells[0] == first)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in {"href", "src"} and value]
        self.anchors |= {value for name, value in attrs if name == "id" and value}


def test_all_links_lead_to_something_and_none_to_the_network(site: Path) -> None:
    pages = {path: _Links() for path in site.rglob("*.html")}
    assert {path.parent.name for path in pages} == {"site", "visits", "tracts", "coadds", "views"}
    for path, links in pages.items():
        links.feed(path.read_text())
    for path, links in pages.items():
        for link in links.found:
            if not link.startswith("data:"):
                file, _, anchor = link.partition("#")
                target = (path.parent / file).resolve() if file else path
                assert target.is_file(), f"{path}: {link}"
                assert not anchor or anchor in pages[target].anchors, f"{path}: {link}"


def test_overview_counts_and_tells_what_failed(index: str) -> None:
    assert "<b>7 of 8</b>frames calibrated" in index
    assert row(index, "failures", "calibrate_image") == ["calibrate_image", "detector 1 visit 1", REASON]
    assert '<a href="visits/visit_pair_1.html#detector-1">detector 1 visit 1</a>' in index
    assert row(index, "runs", RUN)[1] == "drp"
    assert row(index, "runs", RUN)[4:6] == ["2", "1"]
    tasks = row(index, "tasks", RUN)
    assert tasks[1:] == ["calibrate_image", "2", "1", "0", "1", "3.5"]


def test_visits_have_their_figures(index: str) -> None:
    cells = row(index, "visits", "1")
    assert cells[1:4] == ["20260102", "2026-01-02 03:01:37", "r"]
    assert cells[5] == f"{SEEING[1]:.2f}"
    assert cells[7] == "28.000"
    assert cells[11] == "1 of 2"
    assert cells[12].startswith("failed: 1")


def test_metrics_carry_their_definitions_and_say_what_is_not_measurable(index: str) -> None:
    repeat = row(index, "metrics", "PA1")
    assert float(repeat[3]) == pytest.approx(8.0, rel=0.1)
    assert repeat[-1] in {"meets minimum", "misses"}
    assert "not measurable: " in row(index, "metrics", "AM2")[-1]
    assert row(index, "metrics", "AM2")[3] == ""
    for name, definition in METRICS.items():
        assert f'<abbr title="{definition.text.split("<")[0][:40]}' in index.replace("&#39;", "'"), name


def test_pages_are_kept_until_their_products_change(repo: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads((site / "pages.json").read_text())
    known["visit pair 1"]["digest"] = "another"
    (site / "pages.json").write_text(json.dumps(known))
    before = {path: path.stat().st_mtime_ns for path in site.glob("*s/*.html")}
    tiles = {path.stat().st_mtime_ns for path in site.rglob("*.jpg")}
    assert len(before) == 4
    skyloom.main(["report", "site", str(repo), "-o", "made", "--to", str(site)], standalone_mode=False)
    assert "visit pair 1: done" in capsys.readouterr().out
    again = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    # The viewer's page is written anew, its tiles are not.
    assert again == {"visit_pair_1.html", "field_0.html"}
    assert {path.stat().st_mtime_ns for path in site.rglob("*.jpg")} == tiles


def test_an_output_that_is_not_there_is_named(repo: Path, tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="no collection other"):
        skyloom.main(["report", "site", str(repo), "-o", "other", "--to", str(tmp_path)], standalone_mode=False)
    with pytest.raises(ValueError, match="no </head>"):
        dress("<html>", "")


SORT = """
const rows = () => [...document.querySelector("#table-visits tbody").rows].map((row) => row.cells[5].textContent);
const click = async () => {
  document.querySelector("#table-visits thead").rows[0].cells[5].click();
  await new Promise((done) => setTimeout(done, 200));
};
await click();
const up = rows();
await click();
return {up, down: rows(), plots: [...document.querySelectorAll(".plot")].map((one) => one.data.length)};
"""
LARGE = """
document.querySelector("figure img").click();
const large = document.querySelector("dialog[open] img");
return {large: large.naturalWidth > 0, sorts: document.querySelectorAll("table.sortable").length};
"""
TILES = """
for (let step = 0; step < 50 && !viewer.world.getItemAt(0)?.getFullyLoaded(); step++)
  await new Promise((done) => setTimeout(done, 100));
const image = viewer.world.getItemAt(0);
document.getElementById("outlines").click();
const wcs = JSON.parse(document.getElementById("settings").textContent).wcs;
const rotated = {...wcs, cd: [[-8e-5, 6e-5], [6e-5, 8e-5]], origin: [5, 7], dec: -80};
const skies = {};
for (const projection of ["TAN", "STG", "SIN", "ARC", "ZEA"])
  skies[projection] = skyAt({...rotated, projection}, 9000, -4000);
return {ready: image.getFullyLoaded(), drawn: image.getTilesToDraw().length,
        here: skyAt(wcs, 120, 340), skies, other: skyAt({...wcs, projection: "CEA"}, 0, 0),
        patches: [...document.querySelectorAll(".patch")].filter((one) => one.offsetWidth > 0).length};
"""


@pytest.fixture(scope="module")
def seen(site: Path) -> tuple[dict[str, Any], list[str]]:
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed, in which the pages could be opened")
    visit, tract, patch = "visits/visit_pair_1.html", "tracts/tract_pair_field_0.html", "coadds/coadd_field_0_0.html"
    return look(site, {"index.html": SORT, visit: LARGE, tract: LARGE, patch: LARGE, "views/field_0.html": TILES})


def test_no_page_has_an_error_on_the_console(seen: tuple[dict[str, Any], list[str]]) -> None:
    found, errors = seen
    assert len(found) == 5
    assert errors == []


def test_tables_sort_by_number_and_plots_are_drawn(seen: tuple[dict[str, Any], list[str]]) -> None:
    index = seen[0]["index.html"]
    ordered = [f"{value:.2f}" for value in sorted(SEEING.values())]
    shown = [value for value in ordered if value in index["up"]]
    assert index["up"] == shown
    assert index["down"] == shown[::-1]
    assert index["plots"] == [5, 2]


def test_pictures_open_large(seen: tuple[dict[str, Any], list[str]]) -> None:
    for name in ("visits/visit_pair_1.html", "tracts/tract_pair_field_0.html", "coadds/coadd_field_0_0.html"):
        assert seen[0][name]["large"], name
        assert seen[0][name]["sorts"] >= 2, name


def test_viewer_loads_tiles_and_knows_the_sky(seen: tuple[dict[str, Any], list[str]]) -> None:
    view = seen[0]["views/field_0.html"]
    assert view["ready"]
    assert view["drawn"] >= 1
    assert view["patches"] == 1
    tract: Tract = sky_map().tract(0)
    assert view["here"] == pytest.approx([float(part) for part in tract.grid.positions_of(120.0, 340.0)], abs=1e-9)
    assert view["other"] is None
    for projection, sky in view["skies"].items():
        assert sky == pytest.approx(_by_wcslib(projection, tract), abs=1e-9), projection


def _by_wcslib(projection: str, tract: Tract) -> list[float]:
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = f"RA---{projection}", f"DEC--{projection}"
    wcs.wcs.crval, wcs.wcs.crpix = (tract.grid.ra, -80.0), (6.0, 8.0)
    wcs.wcs.cd = [[-8e-5, 6e-5], [6e-5, 8e-5]]
    return [float(part) for part in wcs.wcs_pix2world(9000.0, -4000.0, 0)]
