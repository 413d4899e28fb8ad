"""The tutorial's night of a small telescope, command by command: raw frames to a coadd without hot pixels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.images import SkyProjection

from skyloom.catalog.matching import separation_arcsec
from skyloom.cli import skyloom
from skyloom.images import Exposure, from_coadd, pixel_to_radec, radec_to_pixel

CAMERA = Path(__file__).parents[2] / "docs" / "examples" / "cecilia.yaml"
PIXEL_ARCSEC = 5.21
WIDTH, HEIGHT = 650, 500
EVERY = 1 if os.environ.get("SKYLOOM_ALL_FRAMES") else 5
"""Of the 24 frames of the night each fifth, unless all are wanted."""


def call(*arguments: str) -> str:
    result = CliRunner().invoke(skyloom, arguments)
    assert result.exit_code in (0, 1), result.output
    return result.output


@pytest.fixture(scope="module")
def butler(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Butler:
    folder = data_dir / "hatp32_raw"
    if not folder.is_dir():
        pytest.skip(f"no frames at {folder}")
    repo = str(tmp_path_factory.mktemp("hatp32") / "repo")
    call("init", repo, "--camera", str(CAMERA))
    call("ingest", repo, *(str(path) for path in sorted(folder.glob("*.fits.fz"))[::EVERY]))
    call("calibs", "defects", repo)
    refcat = ("--name", "tycho2", "--system", "vega", "--epoch", "2000.0", "--mag", "VT=MAG_VT")
    call("refcat", "import", repo, str(folder / "reference_stars.csv"), *refcat)
    call("run", "drp", repo, "-o", "night")
    call("run", "deep", repo, "-i", "night,cecilia/defaults", "-o", "deep")
    return Butler.from_config(repo, collections=["night"])


@pytest.fixture(scope="module")
def projections(butler: Butler) -> list[SkyProjection]:
    """Of the calibrated frames, in the order of the night."""
    refs = sorted(butler.query_datasets("initial_pvi"), key=lambda ref: ref.dataId["visit"])
    return [butler.get(ref.makeComponentRef("sky_projection")) for ref in refs]


@pytest.fixture(scope="module")
def coadd(butler: Butler) -> Exposure:
    (ref,) = butler.query_datasets("deep_coadd")
    return from_coadd(butler.get(ref))


def signal(coadd: Exposure, projections: list[SkyProjection], x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signal-to-noise of the coadd where detector pixels (x, y) lay in each of the frames."""
    values = []
    for projection in projections:
        on_sky = pixel_to_radec(projection, x, y)
        columns, rows = (np.rint(axis).astype(int) for axis in radec_to_pixel(coadd.projection, *on_sky))
        rows, columns = rows - coadd.bbox.y.start, columns - coadd.bbox.x.start
        values.append(coadd.image.array[rows, columns] / np.sqrt(coadd.variance.array[rows, columns]))
    flat = np.concatenate(values)
    return flat[np.isfinite(flat)]


def test_all_frames_have_a_good_solution(butler: Butler) -> None:
    rows = [butler.get(ref)[0] for ref in butler.query_datasets("visit_summary")]
    assert len(rows) == len(range(0, 24, EVERY))
    assert max(row["astrometry_rms_arcsec"] for row in rows) < 0.5 * PIXEL_ARCSEC
    assert min(row["n_astrometry_matches"] for row in rows) >= 20


def test_no_solution_is_wrong(projections: list[SkyProjection]) -> None:
    """The telescope drifts: a wrong solution would stand out from its neighbours in position, angle or parity."""
    corners = np.array([pixel_to_radec(one, np.array([0.0, WIDTH - 1.0]), np.array([0.0, 0.0])) for one in projections])
    for corner in range(2):
        ra, dec = corners[:, 0, corner], corners[:, 1, corner]
        step = separation_arcsec(ra[1:], dec[1:], ra[:-1], dec[:-1]) / PIXEL_ARCSEC
        assert step.max() < 40 * EVERY
    centre = np.array([pixel_to_radec(one, np.array([324.5]), np.array([249.5])) for one in projections])[:, :, 0]
    drift = separation_arcsec(centre[0, 0], centre[0, 1], centre[-1, 0], centre[-1, 1]) / PIXEL_ARCSEC
    assert 200 < drift < 350


def test_the_coadd_covers_the_whole_drift(butler: Butler, coadd: Exposure, projections: list[SkyProjection]) -> None:
    (ref,) = butler.query_datasets("deep_coadd_n_image")
    counts = butler.get(ref).array
    assert counts.max() == len(projections)
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(10, WIDTH - 11, 40), np.linspace(10, HEIGHT - 11, 30)))
    for projection in projections:
        columns, rows = radec_to_pixel(coadd.projection, *pixel_to_radec(projection, x, y))
        rows, columns = np.rint(rows).astype(int), np.rint(columns).astype(int)
        inside = (rows >= 0) & (rows < counts.shape[0]) & (columns >= 0) & (columns < counts.shape[1])
        assert inside.all()
        assert np.isfinite(coadd.image.array[rows, columns]).mean() > 0.99


@pytest.mark.parametrize("chain", ["night", "deep"])
def test_hot_pixels_leave_no_trails(butler: Butler, chain: str, projections: list[SkyProjection]) -> None:
    """Neither in the coadd whose samples are clipped nor in the one whose artifacts are masked."""
    (found,) = butler.query_datasets("deep_coadd", collections=chain)
    coadd = from_coadd(butler.get(found))
    (ref,) = butler.query_datasets("defects", collections="*", find_first=False)
    defects = butler.get(ref)
    single = defects[(defects["width"] == 1) & (defects["height"] == 1)]
    single = single[(single["x0"] > 2) & (single["x0"] < WIDTH - 3) & (single["y0"] > 2) & (single["y0"] < HEIGHT - 3)]
    assert len(single) > 1000
    rng = np.random.default_rng(1)
    trails = signal(coadd, projections, np.asarray(single["x0"], float), np.asarray(single["y0"], float))
    control = signal(
        coadd,
        projections,
        rng.integers(3, WIDTH - 3, 2000).astype(float),
        rng.integers(3, HEIGHT - 3, 2000).astype(float),
    )
    assert np.median(trails) - np.median(control) < 0.1
    assert (trails > 5).mean() - (control > 5).mean() < 0.02
