"""A coadd copied out of its repository tells what it was made from, and is made anew to the same pixels."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lsst.daf.butler import Butler, DatasetRef
from lsst.resources import ResourcePath
from short_night import Night

from skyloom.cli.provenance import command
from skyloom.errors import RepositoryError
from skyloom.execute.make_again import make_again
from skyloom.execute.provenance import file_hash, read_provenance
from skyloom.repo.export import export_datasets
from skyloom.repo.file_record import read_file_record

CHAIN = {
    "isr": "skyloom.tasks.isr.IsrTask",
    "calibrate_image": "short_tasks.ShortCalibrateTask",
    "visit_summary": "skyloom.tasks.visit_summary.VisitSummaryTask",
    "jointcal": "short_tasks.ShortJointTask",
    "make_direct_warp": "skyloom.tasks.make_direct_warp.MakeDirectWarpTask",
    "assemble_coadd": "skyloom.tasks.assemble_coadd.AssembleCoaddTask",
}


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    night = Night(tmp_path_factory.mktemp("night"))
    for visit in (1, 2):
        night.expose(visit)
    night.ingest()
    assert night.run({}, {}).exit_status == 0
    yield night
    night.butler.close()


@pytest.fixture(scope="module")
def coadd(night: Night) -> DatasetRef:
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        return min(butler.query_datasets("deep_coadd"))


@pytest.fixture
def copy(night: Night, coadd: DatasetRef, tmp_path: Path) -> Path:
    with Butler.from_config(str(night.root)) as butler:
        return Path(shutil.copy(butler.getURI(coadd).ospath, tmp_path / "copy.fits"))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def test_a_copied_file_leads_back_to_the_raw_frames(night: Night, coadd: DatasetRef, copy: Path) -> None:
    result = call(copy, "--repo", night.root, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["product"] == str(coadd.id)
    datasets = {one["id"]: one for one in told["datasets"]}
    raws = [one for one in datasets.values() if one["dataset_type"] == "raw"]
    assert {one["data_id"]["exposure"]: one["sha256"] for one in raws} == {
        visit: file_hash(str(night.raw / f"tiny_{visit}_0.fits")) for visit in (1, 2)
    }
    assert all("made_by" not in one for one in raws)
    assert {one["made_by"]["task"]: one["made_by"]["class"] for one in datasets.values() if "made_by" in one} == CHAIN
    warps = [datasets[one] for one in datasets[str(coadd.id)]["inputs"]]
    assert sorted(one["dataset_type"] for one in warps) == ["direct_warp", "direct_warp", "sky_map"]
    assert told["runs"][coadd.run]["versions"]["skyloom"]
    assert told["runs"][coadd.run]["packages"]["numpy"]
    config = told["configs"][f"{coadd.run}:jointcal"]
    assert config["text"] == Path(config["file"]).read_text()
    assert "refused" in config["text"]
    assert config["sha256"] == file_hash(config["file"])


def test_the_text_names_files_and_says_whether_the_copy_is_whole(night: Night, coadd: DatasetRef, copy: Path) -> None:
    text = call(copy, "--repo", night.root, "--hash").output
    assert f"id {coadd.id}, in {coadd.run}" in text
    assert f"raw instrument=tiny detector=0 exposure=2: {night.raw / 'tiny_2_0.fits'}" in text
    assert f"{copy} is the same, byte by byte" in text
    with copy.open("r+b") as file:
        file.seek(-3000, 2)
        file.write(b"x")
    assert "is not the same, byte by byte" in call(copy, "--repo", night.root).output
    alone = call(copy).output
    assert "made from direct_warp" in alone
    assert "name that with --repo" in alone


def test_a_raw_frame_that_changed_is_noticed(night: Night, coadd: DatasetRef, tmp_path: Path) -> None:
    product = [night.root, "deep_coadd", *(f"{key}={value}" for key, value in coadd.dataId.required.items())]
    account, raw = tmp_path / "account.json", night.raw / "tiny_2_0.fits"
    account.write_text(call(*product, "--json").output)
    unchanged = call(*product, "--check", account)
    assert (unchanged.exit_code, unchanged.output) == (0, "nothing has changed\n")
    before = raw.read_bytes()
    try:
        raw.write_bytes(before[:-1000] + b"x" * 1000)
        changed = call(*product, "--check", account)
        told = call(*product)
    finally:
        raw.write_bytes(before)
    assert changed.exit_code == 1
    (line,) = changed.output.splitlines()
    assert line.startswith(f"raw instrument=tiny detector=0 exposure=2: {raw} has changed (sha256 ")
    assert "changed since the product was made" in told.output


def test_a_product_is_made_anew_to_the_same_pixels(night: Night, coadd: DatasetRef) -> None:
    file = Butler.from_config(str(night.root)).getURI(coadd).ospath
    result = call(file, "--rerun", "again")
    assert result.exit_code == 0, result.output
    assert result.output.endswith("made anew in again: identical\n")
    with Butler.from_config(str(night.root), collections=["again"]) as butler:
        (anew,) = butler.query_datasets("deep_coadd")
        assert anew.dataId == coadd.dataId
        assert anew.id != coadd.id
        assert len(butler.query_datasets("post_isr")) == 2
        told = read_provenance(butler, anew.id)
        with pytest.raises(RepositoryError, match="a collection 'again' already"):
            make_again(str(night.root), told, "again")


def test_a_coadd_of_two_nights_is_made_anew_if_their_settings_agree(night: Night) -> None:
    frames, sky = list(CHAIN)[:3], list(CHAIN)[3:]
    for visit in (1, 2):
        assert night.run({}, {}, f"visit = {visit}", frames, output=f"n{visit}").exit_status == 0
    assert night.run({}, {}, "", sky, inputs=["n1", "n2"], output="both").exit_status == 0
    with Butler.from_config(str(night.root), collections=["both"]) as butler:
        told = read_provenance(butler, min(butler.query_datasets("deep_coadd")).id)
    runs = {node.run for node in told.nodes.values() if node.dataset_type == "post_isr"}
    assert {run.partition("/")[0] for run in runs} == {"n1", "n2"}
    assert make_again(str(night.root), told, "both_again").identical
    told.configs[f"{max(runs)}:isr"]["sha256"] = "0"
    with pytest.raises(RepositoryError, match="in two runs with unlike settings"):
        make_again(str(night.root), told, "unlike")


def test_other_settings_are_seen_to_make_another_product(night: Night) -> None:
    """The recorded settings of the ISR are tampered with: the first product that differs is named."""
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        ref = min(butler.query_datasets("initial_pvi"))
        told = read_provenance(butler, ref.id)
    config = Path(told.configs[f"{ref.run}:isr"]["file"])
    before = config.read_text()
    try:
        config.write_text(before.replace("config.doFlat=True", "config.doFlat=1==2"))  # no flat, of the same length
        assert config.read_text() != before
        result = make_again(str(night.root), told, "tampered")
    finally:
        config.write_text(before)
    assert not result.identical
    assert any(line.startswith("VARIANCE: ") for line in result.differences)
    assert result.first.startswith("post_isr instrument=tiny detector=0 exposure=1: ")


def test_what_cannot_be_made_this_time_is_told(night: Night) -> None:
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        told = read_provenance(butler, min(butler.query_datasets("initial_pvi")).id)
    raw = night.raw / "tiny_1_0.fits"
    raw.rename(raw.with_suffix(".gone"))
    try:
        result = make_again(str(night.root), told, "without")
    finally:
        raw.with_suffix(".gone").rename(raw)
    assert result.differences == ["it was not made this time: see the log of its task"]
    assert result.first.startswith("post_isr instrument=tiny detector=0 exposure=1: it was not made this time")


def test_exported_files_and_tables_tell_their_origin(night: Night, coadd: DatasetRef, tmp_path: Path) -> None:
    with Butler.from_config(str(night.root), collections=["out"]) as butler:
        (fits_file,) = export_datasets(butler, [coadd], tmp_path)
        table = min(butler.query_datasets("joint_wcs"))
        (table_file,) = export_datasets(butler, [table], tmp_path)
        for ref, file in ((coadd, fits_file), (table, table_file)):
            original = read_file_record(butler.getURI(ref))
            assert original is not None
            assert original.n_inputs == len(original.inputs) > 0
            assert read_file_record(ResourcePath(str(file))) == original
            assert (original.id, original.run, original.data_id) == (ref.id, ref.run, dict(ref.dataId.required))


def test_what_nobody_made_is_its_own_source(night: Night) -> None:
    with Butler.from_config(str(night.root), collections=["tiny/raw/all"]) as butler:
        raw = min(butler.query_datasets("raw"))
        told = read_provenance(butler, raw.id)
    assert [node.id for node in told.sources] == [raw.id]
    with pytest.raises(RepositoryError, match="no task made this"):
        make_again(str(night.root), told, "nothing")
