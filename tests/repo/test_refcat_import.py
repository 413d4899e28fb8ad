"""Reference catalogues through a repository and the command line."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from lsst.daf.butler import Butler

from skyloom.cli.refcat import command
from skyloom.errors import RefcatError
from skyloom.repo.refcat import RefcatImport, import_refcat, reference_catalogue
from skyloom.repo.refcat_query import adql


@pytest.fixture
def repo(tmp_path):
    Butler.makeRepo(tmp_path / "repo")
    return tmp_path / "repo"


def stars(n=500, seed=1):
    rng = np.random.default_rng(seed)
    return Table(
        {
            "source_id": 10**17 + np.arange(n),
            "ra": rng.uniform(-1.0, 1.0, n),
            "dec": rng.uniform(-1.0, 1.0, n),
            "pmra": rng.normal(0.0, 10.0, n),
            "pmdec": rng.normal(0.0, 10.0, n),
            "ref_epoch": np.full(n, 2016.0),
            "phot_g_mean_mag": rng.uniform(10.0, 20.0, n),
        }
    )


def run(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "fits", "fits.gz", "parquet"])
def test_every_kind_of_file_gives_the_same_catalogue(repo, tmp_path, kind):
    table, path = stars(), tmp_path / f"stars.{kind}"
    if kind == "parquet":
        table.write(path)
    elif kind == "csv.gz":
        table.write(tmp_path / "plain.csv")
        path.write_bytes(gzip.compress((tmp_path / "plain.csv").read_bytes()))
    else:
        table.write(path)
    result = run("import", repo, path, "--name", "gaia", "--system", "vega")
    assert "500 stars" in result.output
    assert "filter G: phot_g_mean_mag, +0.114 mag to AB" in result.output
    with Butler.from_config(repo) as butler:
        found = reference_catalogue(butler)(0.0, 0.0, 2.0, None)
    np.testing.assert_array_equal(found["id"], table["source_id"])
    np.testing.assert_allclose(found["ra"], table["ra"] % 360.0, atol=1e-9)
    np.testing.assert_allclose(found["pm_dec"], table["pmdec"], rtol=1e-6)
    np.testing.assert_allclose(31.4 - 2.5 * np.log10(found["flux_G"]), table["phot_g_mean_mag"] + 0.1136, atol=1e-6)
    assert np.all(found["epoch"] == 2016.0)


def test_bad_rows_are_counted_and_sentinels_emptied(repo, tmp_path):
    table = stars(20)
    table["ra"][0], table["dec"][1], table["phot_g_mean_mag"][2] = np.nan, 95.0, -9999.0
    table.write(tmp_path / "stars.csv")
    result = run("import", repo, tmp_path / "stars.csv", "--name", "gaia", "--system", "AB")
    assert "18 stars" in result.output
    assert "2 rows without a usable position" in result.output
    assert "1 rows without a value" in result.output


def test_replacing_needs_to_be_asked_for(repo, tmp_path):
    for seed, n in ((1, 50), (2, 30)):
        stars(n, seed).write(tmp_path / f"{seed}.csv")
    spec = RefcatImport(name="gaia", system="vega")
    with Butler.from_config(repo, writeable=True) as butler:
        import_refcat(butler, [tmp_path / "1.csv"], spec)
        with pytest.raises(RefcatError, match="already"):
            import_refcat(butler, [tmp_path / "2.csv"], spec)
        import_refcat(butler, [tmp_path / "2.csv"], spec, replace=True)
        assert len(reference_catalogue(butler)(0.0, 0.0, 2.0, None)) == 30
        assert butler.collections.get_info("refcats").children == ("refcats/gaia",)


def test_shards_that_do_not_change_stay(repo, tmp_path):
    stars(200).write(tmp_path / "a.csv")
    table = stars(200)
    far = np.hypot(table["ra"] - 0.9, table["dec"] - 0.9) > 0.2
    table[far].write(tmp_path / "b.csv")
    spec = RefcatImport(name="gaia", system="vega")
    with Butler.from_config(repo, writeable=True) as butler:

        def ids():
            found = butler.query_datasets("refcat", collections="refcats/gaia", find_first=False)
            return {int(ref.dataId["htm7"]): ref.id for ref in found}

        import_refcat(butler, [tmp_path / "a.csv"], spec)
        first = ids()
        import_refcat(butler, [tmp_path / "a.csv"], spec, replace=True)
        assert ids() == first
        import_refcat(butler, [tmp_path / "b.csv"], spec, replace=True)
        changed = {shard for shard, one in first.items() if ids().get(shard) != one}
        assert 0 < len(changed) < len(first)
        assert len(reference_catalogue(butler)(0.0, 0.0, 2.0, None)) == far.sum()


def test_an_import_that_fails_leaves_the_old_catalogue(repo, tmp_path):
    stars(50).write(tmp_path / "good.csv")
    (tmp_path / "bad.csv").write_text("source_id,ra,dec,ref_epoch\n1,12h,4,2016\n")
    spec = RefcatImport(name="gaia", system="vega")
    with Butler.from_config(repo, writeable=True) as butler:
        import_refcat(butler, [tmp_path / "good.csv"], spec)
        with pytest.raises(RefcatError, match=r"bad\.csv"):
            import_refcat(butler, [tmp_path / "bad.csv"], spec, replace=True)
        assert len(reference_catalogue(butler)(0.0, 0.0, 2.0, None)) == 50


def test_chunks_and_files_give_what_one_file_gives(repo, tmp_path, monkeypatch):
    monkeypatch.setattr("skyloom.repo.refcat_files.CHUNK_ROWS", 64)
    table = stars()
    table[:200].write(tmp_path / "a.fits")
    table[150:].write(tmp_path / "b.fits")
    with Butler.from_config(repo, writeable=True) as butler:
        import_refcat(butler, [tmp_path / "a.fits", tmp_path / "b.fits"], RefcatImport(name="x", system="vega"))
        np.testing.assert_array_equal(reference_catalogue(butler)(0.0, 0.0, 2.0, None)["id"], table["source_id"])


def test_stated_columns_units_and_coordinate_motion(repo, tmp_path):
    table = Table(
        {"a": [10.0], "d": [60.0], "name": ["TYC 1-2-3"], "mu": [100.0], "mud": [0.0], "f": [2.0], "mjd": [57388.5]}
    )
    table.write(tmp_path / "x.csv")
    run(
        *(
            "import",
            repo,
            tmp_path / "x.csv",
            "--name",
            "x",
            "--system",
            "AB",
            "--ra",
            "a",
            "--dec",
            "d",
            "--id",
            "name",
        ),
        *("--pm-ra", "mu", "--pm-dec", "mud", "--pm-ra-is", "coordinate", "--epoch", "mjd"),
        *("--flux", "r=f", "--flux-unit", "uJy"),
    )
    with Butler.from_config(repo) as butler:
        star = reference_catalogue(butler)(10.0, 60.0, 0.1, None)[0]
    assert star["pm_ra"] == pytest.approx(50.0)
    assert star["flux_r"] == pytest.approx(2000.0)
    assert star["epoch"] == pytest.approx(2016.0)
    assert 0 < star["id"] < 2**63


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--system", "AB", "--ra", "alpha"], "no column alpha"),
        (["--system", "vega", "--mag", "clear=phot_g_mean_mag"], "--vega-offset clear"),
        (["--system", "AB", "--flux", "r=phot_g_mean_mag", "--flux-unit", "counts"], "counts"),
    ],
)
def test_what_cannot_be_understood_is_said(repo, tmp_path, options, message):
    stars(5).write(tmp_path / "stars.csv")
    with pytest.raises(RefcatError, match=message):
        run("import", repo, tmp_path / "stars.csv", "--name", "x", *options)


def test_motions_without_an_epoch_are_refused(repo, tmp_path):
    table = stars(5)
    table.remove_column("ref_epoch")
    table.write(tmp_path / "stars.csv")
    with pytest.raises(RefcatError, match="epoch"):
        run("import", repo, tmp_path / "stars.csv", "--name", "x", "--system", "vega")


def test_queries():
    text = run("query", "--ra", -10.0, "--dec", 46.77, "--radius", 1.2, "--epoch", 2017.97).output
    assert "FROM gaiadr3.gaia_source" in text
    assert "CIRCLE('ICRS', 350.000000, 46.770000, 1.200547)" in text
    assert "pmra" in text
    assert "J2017.97" in text
    assert '"II/246/out"' in adql("2mass", 1.0, 2.0, 0.5)
    with pytest.raises(RefcatError, match="is not known"):
        adql("unknown", 1.0, 2.0, 0.5)
    with pytest.raises(RefcatError, match="no circle"):
        adql("ps1", 1.0, 92.0, 0.5)
