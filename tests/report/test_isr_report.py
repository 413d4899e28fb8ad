"""``skyloom report isr`` through a small repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from astropy.io import fits
from lsst.daf.butler import Butler, CollectionType, DatasetType
from mirrored_camera import LIGHT, MIRRORED, header, raw_counts

from skyloom.cli import skyloom
from skyloom.errors import RepositoryError
from skyloom.images import to_post_isr
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise
from skyloom.tasks import IsrTask
from skyloom.tasks.isr import IsrConfig


def config() -> IsrConfig:
    plain = IsrConfig()
    plain.doBias = plain.doDark = plain.doFlat = plain.doDefect = None
    plain.overscan.fitType = "MEDIAN_PER_ROW"
    return plain


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exposures 1 to 3 of the sky, 4 a bias; 1 and 2 are corrected, 1 twice, and the raw file of 2 is gone."""
    root = tmp_path_factory.mktemp("isr_report")
    camera = Camera.from_yaml(MIRRORED)
    initialise(str(root / "repo"), camera)
    for exposure in (1, 2, 3, 4):
        kind = "bias" if exposure == 4 else "science"
        fits.PrimaryHDU(raw_counts(), header(exposure, kind)).writeto(root / f"raw_{exposure}.fits")
    with Butler.from_config(str(root / "repo"), writeable=True) as butler:
        assert ingest_raws(butler, camera, sorted(root.glob("raw_*.fits"))).ingested == 4
        butler.registry.registerDatasetType(DatasetType("isr_config", (), "Config", universe=butler.dimensions))
        for run, exposure, light in (("made/1", 1, 0.0), ("made/1", 2, 0.0), ("made/2", 1, 1000.0)):
            butler.collections.register(run, CollectionType.RUN)
            raw = butler.get(
                "raw", instrument="mirrored", exposure=exposure, detector=0, collections="mirrored/raw/all"
            )
            corrected = IsrTask(config=config()).run(camera.complete(raw), camera=camera).exposure
            corrected.image.array[...] += light
            butler.put(
                to_post_isr(corrected), "post_isr", instrument="mirrored", exposure=exposure, detector=0, run=run
            )
        for run in ("made/1", "made/2"):
            butler.put(config(), "isr_config", run=run)
    (root / "raw_2.fits").unlink()
    return root / "repo"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "report"


def report(repo: Path, folder: Path, *arguments: str) -> None:
    skyloom.main(["report", "isr", str(repo), *arguments, "-o", str(folder)], standalone_mode=False)


def cells(page: str, first: str) -> list[str]:
    """The row of a table that begins with a text."""
    row = re.search(rf"<tr><td>(?:<a [^>]*>)?{first}(?:</a>)?</td>(.*?)</tr>", page)
    assert row is not None, first
    return re.findall(r"<td>(.*?)</td>", row.group(1))


def test_a_frame_gets_a_page_and_its_figures(repo: Path, folder: Path) -> None:
    report(repo, folder, "exposure=1", "detector=0", "--collection", "made/1")
    names = sorted(path.name for path in folder.iterdir())
    figures = [f"isr_mirrored_1_0_{name}.png" for name in ("medians", "overscan", "pictures")]
    assert names == ["isr_mirrored_1_0.html", *figures]  # nothing is masked, and there is no figure of nothing
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in figures)
    page = (folder / "isr_mirrored_1_0.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "made/1" in page
    assert cells(page, "OVERSCAN") == ["yes", "MEDIAN_PER_ROW"]
    assert cells(page, "FLAT") == ["no", ""]
    gain, noise, source, overscan = cells(page, "A")[:4]
    assert (float(gain), float(noise), source) == (2.0, 4.0, "amp")
    assert float(overscan) == pytest.approx(1000.0 + 0.5 * 14.5, abs=0.1)  # five digits
    assert float(cells(page, "B")[9]) == pytest.approx(LIGHT, abs=0.1)


def test_the_newest_is_taken_unless_another_is_asked_for(repo: Path, folder: Path) -> None:
    for name in ("one", "two"):
        report(repo, folder / name, "exposure=1", "--quiet")
    assert "made/2" in (folder / "one" / "isr_mirrored_1_0.html").read_text()
    files = [sorted((folder / name).iterdir()) for name in ("one", "two")]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    assert len(files[0]) == 4


def test_several_frames_get_an_index_that_names_what_is_missing(
    repo: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        report(repo, folder, "exposure=1..4")
    assert stop.value.code == 1
    index = (folder / "index.html").read_text()
    assert '<a href="isr_mirrored_1_0.html">' in index
    assert float(cells(index, "mirrored exposure 1 detector 0")[1]) == pytest.approx(LIGHT + 1000.0, abs=0.1)
    told = capsys.readouterr().err
    assert "exposure 2 detector 0: the raw file is gone" in told
    assert "exposure 3 detector 0: there is no post_isr" in told
    assert "exposure 4" not in told  # a bias is not missed


@pytest.mark.parametrize(
    ("terms", "cause", "cure"),
    [
        (["exposure=9"], "no frame where", "query-dimension-records"),
        (["exposure=3"], "no post_isr in any run", "skyloom run drp REPO -s isr"),
        (["exposure=1", "--collection", "mirrored/raw/all"], "no post_isr in mirrored/raw/all", "skyloom run drp"),
        (["exposure=1", "--collection", "nowhere"], "no collection 'nowhere'", "butler query-collections"),
        (["exposure=4"], "the frame is a bias", "Ask for a frame of the sky"),
        (["exposure=2"], "raw_2.fits: mirrored exposure 2 detector 0: the raw file is gone", "Put it back"),
    ],
)
def test_errors_name_the_cure(repo: Path, folder: Path, terms: list[str], cause: str, cure: str) -> None:
    with pytest.raises(RepositoryError, match=f"{re.escape(cause)}.*{re.escape(cure)}"):
        report(repo, folder, *terms)
