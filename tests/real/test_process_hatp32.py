"""A folder as a small telescope leaves it, and one command; and again when more frames have come in."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler

from skyloom.catalog.matching import match_sky
from skyloom.cli import skyloom

CAMERA = Path(__file__).parents[2] / "docs" / "examples" / "cecilia.yaml"
EVERY = 1 if os.environ.get("SKYLOOM_ALL_FRAMES") else 23
"""Of the 24 frames of the night the first and the last, unless all are wanted."""
PRODUCTS = ("initial_pvi", "deep_coadd", "objects")


def process(folder: Path, repo: Path, references: Path, *skip: str) -> str:
    arguments = ["-o", repo, "--camera", CAMERA, "--refcat", references]
    arguments += [part for name in skip for part in ("--skip", name)]
    result = CliRunner().invoke(skyloom, ["process", *map(str, (folder, *arguments))], terminal_width=300)
    assert result.exit_code == 0, result.output
    return result.output


def products(repo: Path) -> dict[str, set[str]]:
    """Ids of what there is, by dataset type."""
    with Butler.from_config(str(repo)) as butler:
        kinds = {kind.name for kind in butler.registry.queryDatasetTypes(PRODUCTS)}
        return {
            name: {str(ref.id) for ref in butler.query_datasets(name, "process/*", find_first=False, explain=False)}
            for name in PRODUCTS
            if name in kinds
        }


@pytest.fixture(scope="module")
def references(data_dir: Path) -> Path:
    path = data_dir / "hatp32_raw" / "reference_stars.csv"
    if not path.is_file():
        pytest.skip(f"no frames at {path.parent}")
    return path


@pytest.fixture(scope="module")
def night(references: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first frame, a file that is no frame, and one that ends early."""
    folder = tmp_path_factory.mktemp("hatp32") / "night"
    folder.mkdir()
    (first, second, *_) = sorted(references.parent.glob("*.fits.fz"))
    (folder / first.name).symlink_to(first)
    (folder / "short.fits.fz").write_bytes(second.read_bytes()[:20_000])
    (folder / "log.txt").write_text("clouds at three\n")
    return folder


@pytest.fixture(scope="module")
def repo(night: Path) -> Path:
    return night.parent / "repo"


@pytest.fixture(scope="module")
def early(night: Path, repo: Path, references: Path) -> tuple[str, dict[str, set[str]]]:
    """What the command says and makes while there is one frame."""
    return process(night, repo, references, "catalogues"), products(repo)


@pytest.fixture(scope="module")
def late(early: object, night: Path, repo: Path, references: Path) -> tuple[str, dict[str, set[str]]]:
    """The same when there are more."""
    for path in sorted(references.parent.glob("*.fits.fz"))[::EVERY]:
        if not (night / path.name).exists():
            (night / path.name).symlink_to(path)
    return process(night, repo, references, "joint", "report", "light_curves"), products(repo)


def test_one_visit_goes_all_the_way(early: tuple[str, dict[str, set[str]]], repo: Path) -> None:
    said, made = early
    assert "left out short.fits.fz: the file is truncated" in said
    assert "one visit deep" in said
    assert "1 frame calibrated, 0 failed, 1 file left out (process/drp)" in said
    assert "1 coadd: deep_coadd in process/drp" in said
    assert f"report: {repo / 'report' / 'index.html'}" in said
    assert {name: len(ids) for name, ids in made.items()} == {"initial_pvi": 1, "deep_coadd": 1}


def test_the_index_leads_to_pages_that_are_there(early: object, repo: Path) -> None:
    folder = repo / "report"
    links = set(re.findall(r'href="([^"#]+)"', (folder / "index.html").read_text()))
    assert {"coadds", "tracts", "visits", "views"} <= {link.partition("/")[0] for link in links}
    assert all((folder / link).is_file() for link in links)


def test_frames_that_come_in_are_added(
    early: tuple[str, dict[str, set[str]]], late: tuple[str, dict[str, set[str]]], night: Path
) -> None:
    (_, before), (said, after) = early, late
    n = len(list(night.glob("HATP*")))
    assert f"ingest: {n - 1} new frame" in said
    assert f"{n} frames calibrated, 0 failed, 1 file left out (process/drp)" in said
    assert "1 coadd: deep_coadd in process/deep" in said
    assert len(after["initial_pvi"]) == n
    if n < 5:  # of five frames on there are defects, and frames are corrected anew
        assert before["initial_pvi"] < after["initial_pvi"]


def test_the_objects_of_the_coadd_are_the_stars_of_the_sky(late: object, repo: Path, references: Path) -> None:
    with Butler.from_config(str(repo), collections=["process/catalogues", "process/deep"]) as butler:
        (ref,) = butler.query_datasets("objects")
        objects = butler.get(ref)
        (count,) = butler.query_datasets("deep_coadd_n_image")
        assert butler.get(count).array.max() > 1
    stars = Table.read(references)
    stars = stars[stars["MAG_VT"] < 11.5]
    good = objects[objects["is_primary"] & np.isfinite(objects["clear_psf_mag"])]
    ours, theirs, separation = match_sky(good["ra"], good["dec"], stars["ra_deg_J2000"], stars["dec_deg_J2000"], 8.0)
    assert len(ours) > 25
    assert np.median(separation) < 1.5
    difference = np.asarray(good["clear_psf_mag"])[ours] - np.asarray(stars["MAG_VT"])[theirs]
    assert abs(np.median(difference)) < 0.15
