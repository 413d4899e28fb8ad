"""``skyloom report visit``: the figures of a frame, and the page of a visit through a small repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from calibrated_frames import N_STARS, SHAPE, camera, products
from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.pipe.base import TaskMetadata
from matplotlib.figure import Figure

from skyloom.cli import skyloom
from skyloom.errors import RepositoryError
from skyloom.images import Exposure, from_post_isr, to_post_isr, to_visit_image
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.report.visit_figures import FIGURES, frame_figures
from skyloom.report.visit_focal_plane import FrameFigures, focal_plane_figure
from skyloom.report.visit_inputs import read_frame
from skyloom.report.visit_products import FrameProducts
from skyloom.report.visit_style import scatter_within

REASON = "astrometry: [NO-REFERENCE] The reference catalogue holds no star."
KINDS = {
    "initial_pvi": "VisitImage",
    "initial_pvi_background": "BackgroundMap",
    "initial_photoCalib_detector": "SkyloomPhotoCalib",
    "calibrate_image_metadata": "TaskMetadata",
    "initial_stars_detector": "ArrowAstropy",
    "initial_psf_stars_detector": "ArrowAstropy",
    "initial_astrometry_match_detector": "ArrowAstropy",
    "initial_photometry_match_detector": "ArrowAstropy",
}


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Visit 1 with detector 0 calibrated and detector 1 failed, in two runs; of visit 2 the raw frames alone."""
    root = tmp_path_factory.mktemp("visit_report")
    initialise(str(root / "repo"), camera())
    for visit in (1, 2):
        for detector in (0, 1):
            path = root / f"raw_{visit}_{detector}.fits"
            fits.PrimaryHDU(np.full(SHAPE, 400, np.int16), _header(visit, detector)).writeto(path)
    with Butler.from_config(str(root / "repo"), writeable=True) as butler:
        assert ingest_raws(butler, camera(), sorted(root.glob("raw_*.fits"))).ingested == 4
        dimensions = ("instrument", "visit", "detector")
        for name, storage in KINDS.items():
            butler.registry.registerDatasetType(DatasetType(name, dimensions, storage, universe=butler.dimensions))
        for run in ("made/1", "made/2"):
            butler.collections.register(run, CollectionType.RUN)
        for detector in (0, 1):
            frame = _after_isr(butler, detector)
            for name, product in _calibrated(frame).items() if detector == 0 else _failed().items():
                butler.put(product, name, instrument="pair", visit=1, detector=detector, run="made/1")
            butler.put(to_post_isr(frame), "post_isr", instrument="pair", exposure=1, detector=detector, run="made/1")
        second = _metadata({"zero_point_scatter_mag": 0.2})
        butler.put(second, "calibrate_image_metadata", instrument="pair", visit=1, detector=0, run="made/2")
    return root / "repo"


def _header(visit: int, detector: int) -> fits.Header:
    cards = {"INSTRUME": "pair", "EXPNUM": visit, "EXPTIME": 10.0, "DATE-OBS": f"2026-01-02T03:0{visit}:00"}
    return fits.Header(cards | {"RA": 10.0, "DEC": 2.0, "FILTER": "r", "CCD": detector})


def _after_isr(butler: Butler, detector: int) -> Exposure:
    """The raw frame in electrons."""
    raw = butler.get("raw", instrument="pair", exposure=1, detector=detector, collections="pair/raw/all")
    known = camera().complete(raw)
    return Exposure.from_arrays(
        raw.image.astype(np.float32),
        variance=np.full(SHAPE, 400.0),
        unit=u.electron,
        band="r",
        **{name: getattr(known, name) for name in ("detector", "obs_info", "projection")},
    )


def _calibrated(frame: Exposure) -> dict[str, Any]:
    made = products()
    drawn = made.exposure
    assert drawn is not None
    for name in ("detector", "obs_info", "projection"):
        setattr(drawn, name, getattr(frame, name))
    drawn.band, drawn.unit = "r", u.nJy
    drawn.photo_calib = made.photo_calib
    return {
        "initial_pvi": to_visit_image(drawn),
        "initial_pvi_background": made.background,
        "initial_photoCalib_detector": made.photo_calib,
        "calibrate_image_metadata": _metadata(dict(made.metadata) | {"zero_point_scatter_mag": 0.01}),
        "initial_stars_detector": made.sources,
        "initial_psf_stars_detector": made.psf_stars,
        "initial_astrometry_match_detector": made.astrometry_matches,
        "initial_photometry_match_detector": made.photometry_matches,
    }


def _failed() -> dict[str, Any]:
    """What a frame leaves whose astrometry failed."""
    made = products()
    return {
        "initial_pvi_background": made.background,
        "initial_stars_detector": made.sources,
        "initial_psf_stars_detector": made.psf_stars,
        "calibrate_image_metadata": _metadata({"failure": {"message": REASON}}),
    }


def _metadata(figures: dict[str, Any]) -> TaskMetadata:
    return TaskMetadata.from_dict({"calibrate_image": figures})


@pytest.fixture(scope="module")
def page(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    report(repo, folder, "1", "-c", "made/1")
    assert [path.name for path in folder.iterdir()] == ["visit_pair_1.html"]
    return (folder / "visit_pair_1.html").read_text()


def report(repo: Path, folder: Path, *arguments: str) -> None:
    skyloom.main(["report", "visit", str(repo), *arguments, "-o", str(folder)], standalone_mode=False)


def section(page: str, detector: int) -> str:
    found = re.search(rf'<section id="detector-{detector}">(.*?)</section>', page, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_page_has_a_section_with_all_figures(page: str) -> None:
    whole = section(page, 0)
    assert whole.count("data:image/png;base64,") == len(FIGURES)
    assert "This frame failed" not in whole
    assert "Tilt of the magnitudes over the frame" in whole  # the one thing that is odd
    assert "<td>25</td>" in whole  # PSF stars
    # Nothing is loaded from elsewhere.
    assert not re.search(r"<(script|link|iframe)|(src|href)=\"(?!data:|#)", page)


def test_failed_frame_is_shown_as_far_as_it_came(page: str) -> None:
    part = section(page, 1)
    assert "This frame failed" in part
    assert REASON in part
    captions = {name: kind.caption[:40] for name, kind in FIGURES.items() if kind.caption[:40] in part}
    assert {"sky", "image", "sources", "psf_field", "growth"} <= set(captions)
    assert not {"astrometry", "zero_point", "psf_residuals"} & set(captions)


def test_overview_leads_to_the_sections(page: str) -> None:
    before = page.split("<section")[0]
    assert '<a href="#detector-0">' in before
    assert '<a href="#detector-1">' in before
    assert "2 frames from made/1; 1 failed" in before
    assert before.count("data:image/png;base64,") == 1


@pytest.mark.usefixtures("unpainted")
def test_the_newest_run_is_taken_and_one_detector_has_no_overview(repo: Path, tmp_path: Path) -> None:
    report(repo, tmp_path, "1", "--detector", "0", "--quiet")
    newest = (tmp_path / "visit_pair_1.html").read_text()
    assert "1 frame from made/2" in newest
    assert "Scatter of the zero point" in section(newest, 0)
    assert "data:image/png" not in newest.split("<section")[0]


@pytest.mark.parametrize(
    ("arguments", "cause", "cure"),
    [
        (["9"], "pair has no visit 9", "query-dimension-records REPO visit"),
        (["2"], "visit 2: nothing of its calibration is in any run", "skyloom run drp REPO"),
        (["1", "--detector", "7"], "visit 1 detector 7: nothing", "skyloom status"),
        (["1", "-c", "pair/raw/all"], "is in pair/raw/all", "skyloom run drp REPO"),
        (["1", "-c", "nowhere"], "no collection nowhere", "butler query-collections"),
        (["1", "--instrument", "other"], "and not other", "--instrument"),
    ],
)
def test_errors_name_the_cure(repo: Path, tmp_path: Path, arguments: list[str], cause: str, cure: str) -> None:
    with pytest.raises(RepositoryError, match=f"{re.escape(cause)}.*{re.escape(cure)}"):
        report(repo, tmp_path, *arguments)
    assert not list(tmp_path.iterdir())


def test_figures_without_a_repository_are_small_and_labelled() -> None:
    figures = dict(frame_figures(products()))
    assert list(figures) == list(FIGURES)
    for name, figure in figures.items():
        assert isinstance(figure, Figure)
        width, height = figure.get_size_inches() * figure.dpi
        assert max(width, height) <= 1000, name
        shown = [axes for axes in figure.axes if axes.axison and axes.get_title() not in ("PSF",)]
        assert any(axes.get_xlabel() for axes in shown), name


@pytest.mark.parametrize(
    ("missing", "gone", "kept"),
    [
        (["astrometry_matches"], {"astrometry", "astrometry_residuals"}, "zero_point"),
        (["photometry_matches"], {"zero_point", "zero_point_map"}, "astrometry"),
        (["sources"], {"sources"}, "psf_residuals"),
        (["psf_stars", "sources"], {"sources", "psf_residuals", "psf_stamps", "growth"}, "psf_field"),
        (["exposure"], {"image", "sources", "psf_stamps", "psf_residuals"}, "growth"),
    ],
)
def test_what_is_missing_leaves_out_its_figures(missing: list[str], gone: set[str], kept: str) -> None:
    some = products(**dict.fromkeys(missing))
    assert {name for name in gone if FIGURES[name].draw(some) is None} == gone
    assert FIGURES[kept].draw(some) is not None


def test_tables_without_rows_have_no_figures() -> None:
    empty = {name: Table() for name in ("sources", "psf_stars", "astrometry_matches", "photometry_matches")}
    assert dict(frame_figures(FrameProducts(**empty))) == {}  # type: ignore[arg-type]


def test_outliers_stand_at_the_edge() -> None:
    axes = Figure().subplots()
    scatter_within(axes, [1.0, 2.0, 3.0, 4.0], [0.5, 9.0, -7.0, np.nan], 1.0, colour="red", label="all")
    inside, above, below = (np.asarray(part.get_offsets()) for part in axes.collections)
    np.testing.assert_allclose(inside, [[1.0, 0.5]])
    np.testing.assert_allclose(above, [[2.0, 0.96]])
    np.testing.assert_allclose(below, [[3.0, -0.96]])
    assert axes.collections[0].get_label() == "all (3)"


def test_focal_plane_has_all_detectors_and_hatches_those_that_failed() -> None:
    fine = FrameFigures(detector=0, name="a", run="r", values={"fwhm_arcsec": 1.0})
    failed = FrameFigures(detector=1, name="b", run="r", values={}, failure="no stars")
    figure = focal_plane_figure(camera(), [fine, failed])
    outlines = figure.axes[0].patches
    assert [patch.get_hatch() for patch in outlines] == [None, "////"]
    centres = [patch.get_path().vertices[:4].mean(axis=0) for patch in outlines]
    assert abs(centres[0][0] - centres[1][0]) == pytest.approx(220 * 0.5 / 60, rel=0.01)
    assert outlines[1].get_facecolor() == (1.0, 1.0, 1.0, 1.0)


def test_sky_is_taken_off_a_frame_that_failed(repo: Path) -> None:
    with Butler.from_config(str(repo)) as butler:
        failed = read_frame(butler, "pair", 1, 1, "made/1")
        raw = butler.get("post_isr", instrument="pair", exposure=1, detector=1, collections="made/1")
    assert failed.exposure is not None
    before = from_post_isr(raw).image.array
    np.testing.assert_allclose(
        (before - failed.exposure.image.array)[:, [0, -1]], [[190.05, 209.95]] * SHAPE[0], atol=0.1
    )
    assert failed.sources is not None
    assert len(failed.sources) == N_STARS
