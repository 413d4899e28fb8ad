"""A night on which every visit is lost in another way: each answer names the frame, the cause and the cure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from lsst.daf.butler import Butler
from lsst.daf.butler.cli.butler import cli as butler_cli
from short_night import Night

from skyloom.cli.why import command
from skyloom.errors import RepositoryError
from skyloom.execute.why import explain_product
from skyloom.execute.why_chain import Kind, Link
from skyloom.execute.why_cures import SELECTION_LIMITS
from skyloom.warp import selection

FATES = {
    7: "stars",
    8: "references",
    9: "wide",
    12: "no variance",
    13: "no values",
    14: "runtime",
    15: "kill",
}
REFUSED = {10: "2 stars are in common with other frames or the references"}
GOOD, GONE, PURGED, BIAS = (1, 2, 18), 19, 20, 30


@dataclass(frozen=True)
class Loss:
    """What is to be said of a visit that is not in the coadd."""

    frame: str
    kind: Kind
    cause: str
    cure: str
    command: str = "skyloom run short REPO -o out"


LOSSES = {
    3: Loss("raw exposure=3", Kind.NOT_INGESTED, "was ever ingested", "Ingest", "skyloom ingest REPO"),
    4: Loss("raw exposure=4", Kind.REFUSED, "tiny_4_0.fits: EXPTIME: the header lacks it", "Add the keyword", "ingest"),
    22: Loss("raw exposure=22", Kind.REFUSED, "tiny_22_0.fits: ", "", "skyloom ingest REPO"),
    5: Loss(
        "flat physical_filter=r detector=0",
        Kind.NO_CALIBRATION,
        "no flat is valid at 2026-03-01T00:00:00; those that are certified hold from 2026-01-01 to 2026-02-01",
        "Build or import one that holds then",
        "skyloom calibs import REPO flat FILES --begin 2026-03-01",
    ),
    6: Loss("post_isr exposure=6 detector=0", Kind.FAILED, "[BAD-FRAME]", "fetch it again", "--retry"),
    7: Loss("initial_pvi visit=7 detector=0", Kind.FAILED, "[NO-SOURCES] 3 stars are usable", "min_stars", "--retry"),
    8: Loss("initial_pvi visit=8 detector=0", Kind.FAILED, "[NO-REFERENCE]", "Import a catalogue", "--retry"),
    9: Loss(
        "direct_warp tract=0 patch=PATCH visit=9",
        Kind.NO_WORK,
        "PSF width (arcsec) 94.19 is above 50",
        "It passes with a limit of 94.19.",
        '-c "make_direct_warp:select.max_psf_fwhm=94.19"',
    ),
    10: Loss(
        "make_direct_warp tract=0 patch=PATCH visit=10 detector=0",
        Kind.LEFT_OUT,
        f"The joint fit has no WCS of it: {REFUSED[10]}",
        "own WCS",
        "-c make_direct_warp:use_joint_wcs=False",
    ),
    11: Loss(
        "direct_warp tract=0 patch=PATCH visit=11",
        Kind.NO_OVERLAP,
        "visit 11 does not reach tract 0, patch PATCH",
        "Nothing",
        "",
    ),
    12: Loss(
        "direct_warp tract=0 patch=PATCH visit=12",
        Kind.LEFT_OUT,
        "no pixel with a finite positive variance",
        "None of its pixels is usable",
        "",
    ),
    13: Loss(
        "direct_warp tract=0 patch=PATCH visit=13",
        Kind.NO_WORK,
        "[NO-OVERLAP] No detector of visit 13 has a pixel",
        "None of its pixels",
        "",
    ),
    14: Loss(
        "initial_pvi visit=14 detector=0", Kind.FAILED, "[RuntimeError] out of the blue", "Its log tells", "--retry"
    ),
    15: Loss("initial_pvi visit=15 detector=0", Kind.FAILED, "[WORKER-DIED]", "run fewer at a time", "--retry -j 1"),
    16: Loss("post_isr exposure=16 detector=0", Kind.NEWER, "after the last graph", "Run again"),
    17: Loss("post_isr exposure=17 detector=0", Kind.NOT_ASKED, "'visit != 17'", "without the query"),
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    night = Night(tmp_path_factory.mktemp("night"))
    night.expose(1, 0, 1)
    for visit in (2, *FATES, *REFUSED, 17, 18, GONE, PURGED):
        night.expose(visit)
    night.expose(4, EXPTIME=None)
    night.expose(5, **{"DATE-OBS": "2026-03-01T00:00:00"})
    night.expose(6, empty=True)
    night.expose(11, RA=150.8)
    night.expose(BIAS, IMGTYPE="bias")
    (night.raw / "tiny_22_0.fits").write_bytes(b"no frame")
    night.ingest()
    night.run(FATES, REFUSED, where="visit != 17")
    night.expose(16)
    night.ingest()
    with Butler.from_config(str(night.root), writeable=True, collections=["out"]) as butler:
        lost, *_ = sorted(butler.query_datasets("direct_warp", where=f"instrument = 'tiny' AND visit = {GONE}"))
        Path(butler.getURI(lost).ospath).unlink()
        refs = butler.query_datasets("direct_warp", where=f"instrument = 'tiny' AND visit = {PURGED}")
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    yield night
    night.butler.close()


@pytest.fixture(scope="module")
def patch(night: Night) -> int:
    """The patch that most of the frames lie on."""
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        return min(int(ref.dataId["patch"]) for ref in butler.query_datasets("direct_warp") if ref.dataId["visit"] == 1)


def why(night: Night, product: str, *terms: str) -> list[Link]:
    return explain_product(night.butler, product, terms, repository="REPO")


def one(night: Night, product: str, *terms: str) -> Link:
    (link,) = why(night, product, *terms)
    return link


@pytest.mark.parametrize("visit", LOSSES)
def test_where_a_visit_was_lost_on_its_way_to_the_coadd(night: Night, patch: int, visit: int) -> None:
    link = one(night, "deep_coadd", "tract=0", f"patch={patch}", f"visit={visit}")
    assert not link.is_there
    (root,) = link.roots()
    loss = LOSSES[visit]
    assert root.name == loss.frame.replace("PATCH", str(patch))
    assert root.kind is loss.kind
    assert loss.cause.replace("PATCH", str(patch)) in root.cause
    assert loss.cure in root.cure
    assert loss.command in root.command
    assert bool(root.command) == bool(loss.command)


def test_a_visit_that_is_in_the_coadd_is_told_with_its_weight(night: Night, patch: int) -> None:
    link = one(night, "coadd", "tract=0", f"patch={patch}", "visit=2")
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        coadd = butler.get("deep_coadd", skymap="field", tract=0, patch=patch, band="r")
    (row,) = (row for row in coadd.inputs if row["visit"] == 2)
    assert link.is_there
    assert f"detector 0, weight {row['weight']:.4g}, {row['n_pixels']} pixels" in link.cause


def test_a_detector_of_which_there_is_no_frame(night: Night, patch: int) -> None:
    link = one(night, "deep_coadd", "tract=0", f"patch={patch}", "visit=2", "detector=1")
    (root,) = link.roots()
    assert (root.name, root.kind) == ("raw exposure=2 detector=1", Kind.NOT_INGESTED)
    assert "detectors 0 of it are there" in root.cause


def test_a_coadd_tells_what_it_is_made_of_and_every_visit_that_it_lacks(night: Night, patch: int) -> None:
    (link,) = why(night, "deep_coadd", "tract=0", f"patch={patch}")
    assert link.is_there
    assert link.cause.endswith(f"made of 5 visit(s): {', '.join(map(str, (*GOOD, GONE, PURGED)))}")
    lacking = {int(one.name.partition("visit=")[2]) for one in link.because}
    assert lacking == set(LOSSES) - {3, 4, 11, 22}
    assert len(link.remedies()) >= 8


def test_files_that_are_gone(night: Night, patch: int) -> None:
    sky = ("tract=0", f"patch={patch}")
    gone = one(night, "direct_warp", *sky, f"visit={GONE}")
    assert gone.kind is Kind.GONE
    assert "its file" in gone.cause
    assert "butler prune-datasets REPO --purge" in gone.command
    raw = night.raw / "tiny_2_0.fits"
    raw.rename(raw.with_suffix(".gone"))
    lost = one(night, "raw", "exposure=2")
    raw.with_suffix(".gone").rename(raw)
    assert (lost.kind, lost.cause, lost.cure) == (Kind.GONE, f"its file {raw} is gone", "Put it back.")
    purged = one(night, "warp", *sky, f"visit={PURGED}")
    assert purged.kind is Kind.GONE
    assert "it was taken out of the repository since" in purged.cause


def test_the_command_for_a_file_that_is_gone_brings_it_back(night: Night, patch: int) -> None:
    link = one(night, "direct_warp", "tract=0", f"patch={patch}", f"visit={GONE}")
    prune = link.command.partition(" && ")[0].replace("REPO", str(night.root))
    done = CliRunner().invoke(butler_cli, shlex.split(prune)[1:])
    assert done.exit_code == 0, done.output
    again = one(night, "direct_warp", "tract=0", f"patch={patch}", f"visit={GONE}")
    assert again.kind is not Kind.THERE
    summary = night.run(FATES, REFUSED, where=f"visit = {GONE}", steps=["make_direct_warp"])
    assert summary.kept["make_direct_warp"] == 1  # the other patch's
    assert one(night, "direct_warp", "tract=0", f"patch={patch}", f"visit={GONE}").is_there


def test_frames_that_no_pipeline_of_the_sky_takes(night: Night) -> None:
    link = one(night, "post_isr", f"exposure={BIAS}", "detector=0")
    assert (link.kind, link.cause) == (Kind.LEFT_OUT, "the exposure is a bias, and isr leaves those out")


def test_a_band_of_which_there_is_no_frame(night: Night, patch: int) -> None:
    (root,) = one(night, "deep_coadd", "tract=0", f"patch={patch}", "band=g").roots()
    assert (root.name, root.kind) == ("raw band=g", Kind.NO_FRAMES)
    assert root.cause == "no frame of band g was ever ingested"


def test_a_table_of_the_joint_fit_names_the_detectors_that_it_refuses(night: Night) -> None:
    link = one(night, "joint_wcs", "tract=0", "visit=10", "detector=0")
    assert not link.is_there
    assert [root.cause for root in link.roots()] == [REFUSED[10]]
    assert one(night, "joint_wcs", "tract=0", "visit=2").cause.endswith("with 1 of 1 detectors")


def test_a_calibration_is_valid_for_some_frames(night: Night) -> None:
    assert one(night, "flat", "detector=0", "physical_filter=r", "exposure=2").is_there
    assert one(night, "flat", "detector=0", "physical_filter=r", "exposure=5").kind is Kind.NO_CALIBRATION
    never = one(night, "bias", "detector=0")
    assert never.cause == "none was ever certified"
    assert never.command == "skyloom calibs import REPO bias FILES"


def test_what_has_no_name_and_no_place(night: Night) -> None:
    with pytest.raises(RepositoryError, match="nothing is called 'nonsense'"):
        why(night, "nonsense", "visit=1")
    with pytest.raises(RepositoryError, match="no collection 'nowhere'"):
        explain_product(night.butler, "raw", ["exposure=1"], output="nowhere")
    with pytest.raises(RepositoryError, match="no part of a data id"):
        why(night, "raw", "exposure")
    assert one(night, "deep_coadd", "tract=0", "patch=987654", "band=r").cause == "there is no patch 987654"


def test_the_command_line(night: Night, patch: int) -> None:
    arguments = [str(night.root), "deep_coadd", "tract=0", f"patch={patch}"]
    text = CliRunner().invoke(command, [*arguments, "visit=7"])
    assert text.exit_code == 1
    assert f"deep_coadd tract=0 patch={patch} band=r: there, but without visit 7" in text.output
    assert "  initial_pvi visit=7 detector=0\n      Lower min_stars.\n" in text.output
    told = CliRunner().invoke(command, [*arguments, "visit=2", "--json"])
    assert told.exit_code == 0
    assert json.loads(told.output)[0]["kind"] == "there"


def test_every_limit_of_the_selection_has_its_setting() -> None:
    assert {test.words: test.setting for test in selection._TESTS} == SELECTION_LIMITS
