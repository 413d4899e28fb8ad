"""PSF stars are told from galaxies, hot pixels and blends, and too few of them are an error with counts."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table

from skyloom.errors import NoSourcesError, PsfError
from skyloom.psffit import SelectionSettings, near_positions, select_psf_stars


def sources(n_stars: int = 40, n_galaxies: int = 60, n_hot: int = 0, seed: int = 3) -> Table:
    """A measured field: stars of one size, galaxies of many larger ones, hot pixels of next to none."""
    rng = np.random.default_rng(seed)
    n = n_stars + n_galaxies + n_hot
    kind = np.repeat(["star", "galaxy", "hot"], [n_stars, n_galaxies, n_hot])
    width = np.where(kind == "star", rng.normal(1.7, 0.02, n), np.where(kind == "galaxy", rng.uniform(1.9, 5, n), 0.6))
    flux = np.exp(rng.uniform(np.log(3e3), np.log(1e5), n))
    table = Table({"source_id": np.arange(1, n + 1), "kind": kind})
    step = 60.0
    table["x"], table["y"] = step * (np.arange(n) % 20) + 30.0, step * (np.arange(n) // 20) + 30.0
    table["ixx"], table["iyy"], table["ixy"] = width**2, width**2, np.zeros(n)
    for name in ("aperture_flux_3_0", "aperture_flux_6_0"):
        table[name], table[f"{name}_err"] = flux, np.sqrt(flux + 2000)
    table["peak_value"] = np.where(kind == "hot", 0.95, 0.05) * flux
    settings = SelectionSettings()
    for flag in (*settings.bad_flags, *settings.bad_footprint_flags, "flag_blended"):
        table[flag] = np.zeros(n, dtype=bool)
    return table


def test_finds_the_stars_among_more_galaxies_and_hot_pixels() -> None:
    table = sources(n_hot=300)
    chosen = select_psf_stars(table, SelectionSettings(signal_to_noise_min=20))
    assert set(table["kind"][chosen]) == {"star"}
    assert chosen.sum() >= 0.9 * 40


def test_hot_pixels_as_wide_as_stars_are_told_by_their_peak() -> None:
    table = sources(n_hot=200)
    hot = table["kind"] == "hot"
    table["ixx"][hot] = table["iyy"][hot] = 1.5**2
    assert not np.any(select_psf_stars(table) & hot)


def test_follows_a_size_that_changes_over_the_frame() -> None:
    table = sources(n_stars=60, n_galaxies=40)
    growth = 1 + 0.2 * (table["x"] / table["x"].max() - 0.5)
    for name in ("ixx", "iyy"):
        table[name] *= growth**2
    stars = table["kind"] == "star"
    chosen = select_psf_stars(table, SelectionSettings(signal_to_noise_min=20))
    assert chosen[stars].sum() >= 50
    assert np.ptp(table["x"][chosen]) > 0.9 * np.ptp(table["x"])


def test_cut_is_lowered_for_ten_faint_stars() -> None:
    table = sources(n_stars=10, n_galaxies=0)
    table["aperture_flux_6_0"], table["aperture_flux_6_0_err"] = 3000.0, 100.0
    assert select_psf_stars(table).sum() == 10


def test_flagged_and_crowded_stars_are_left_out() -> None:
    table = sources(n_galaxies=0)
    table["flag_saturated"][3:5] = True
    table["flag_blended"][4] = True
    table["flag_saturated_center"][8] = table["flag_blended"][8] = True
    table["x"][5] = table["x"][6] + 4.0
    chosen = select_psf_stars(table, SelectionSettings(signal_to_noise_min=20))
    assert not chosen[3]
    assert chosen[4]
    assert not chosen[8]
    assert not (chosen[5] and chosen[6])


def test_keeps_the_brightest_of_many() -> None:
    table = sources(n_stars=60, n_galaxies=0)
    settings = SelectionSettings(n_max=10, signal_to_noise_min=20)
    chosen = select_psf_stars(table, settings)
    assert chosen.sum() == 10
    everyone = select_psf_stars(table, SelectionSettings(signal_to_noise_min=20))
    assert table["aperture_flux_6_0"][chosen].min() >= table["aperture_flux_6_0"][everyone & ~chosen].max()


def test_empty_table_and_faint_table_say_so() -> None:
    with pytest.raises(NoSourcesError, match="No source"):
        select_psf_stars(sources()[:0])
    faint = sources()
    faint["aperture_flux_6_0_err"] = faint["aperture_flux_6_0"]
    with pytest.raises(NoSourcesError) as caught:
        select_psf_stars(faint)
    assert caught.value.metadata["n_sources"] == 100


def test_too_few_stars_are_counted() -> None:
    table = sources(n_stars=2, n_galaxies=0)
    with pytest.raises(PsfError, match="Only 2 stars") as caught:
        select_psf_stars(table)
    assert caught.value.metadata["n_stars"] == 2


def test_clusters_find_the_stars_too() -> None:
    table = sources(n_stars=60, n_galaxies=40)
    chosen = select_psf_stars(table, SelectionSettings(method="clusters", signal_to_noise_min=20))
    assert chosen[table["kind"] == "star"].sum() >= 45
    assert not np.any(chosen & (table["kind"] == "galaxy"))


@pytest.mark.parametrize("method", ["clump", "clusters"])
def test_four_stars_are_enough(method: str) -> None:
    table = sources(n_stars=4, n_galaxies=6)
    chosen = select_psf_stars(table, SelectionSettings(method=method))
    assert chosen[table["kind"] == "star"].sum() >= 3
    assert chosen[table["kind"] == "galaxy"].sum() <= 1


def test_galaxies_that_outnumber_the_stars_are_larger() -> None:
    table = sources(n_stars=30, n_galaxies=90)
    galaxies = table["kind"] == "galaxy"
    width = np.random.default_rng(6).normal(2.3, 0.1, galaxies.sum())
    table["ixx"][galaxies] = table["iyy"][galaxies] = width**2
    chosen = select_psf_stars(table, SelectionSettings(signal_to_noise_min=20))
    assert chosen[~galaxies].sum() >= 25
    assert not np.any(chosen & galaxies)


def test_known_stars_are_taken_but_for_bad_ones() -> None:
    table = sources()
    stars = np.flatnonzero(table["kind"] == "star")
    rng = np.random.default_rng(9)
    x, y = (np.asarray(table[name][stars[:20]]) + rng.normal(0, 0.3, 20) for name in ("x", "y"))
    known = near_positions(table, np.append(x, [1e4, np.nan]), np.append(y, [1e4, 5.0]))
    assert set(np.flatnonzero(known)) == set(stars[:20])
    table["flag_edge"][stars[0]] = True
    settings = SelectionSettings(method="catalogue", signal_to_noise_min=20)
    chosen = select_psf_stars(table, settings, known=known)
    assert not chosen[stars[0]]
    assert set(np.flatnonzero(chosen)) <= set(stars[1:20])
    assert chosen.sum() >= 15
    with pytest.raises(PsfError, match="Only 0 stars"):
        select_psf_stars(table, settings, known=np.zeros(len(table), dtype=bool))
    with pytest.raises(ValueError, match="without known stars"):
        select_psf_stars(table, settings)
    with pytest.raises(ValueError, match="clump, clusters, catalogue"):
        select_psf_stars(table, SelectionSettings(method="guess"))


@pytest.mark.parametrize("method", ["clump", "clusters"])
def test_all_flagged_is_said(method: str) -> None:
    table = sources()
    table["flag_edge"] = True
    with pytest.raises(NoSourcesError, match=r"None of 100 sources \(0 clean\)"):
        select_psf_stars(table, SelectionSettings(method=method))
