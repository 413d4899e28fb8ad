"""Objects of two bands: which sources are one, and their forced fluxes on the coadds, against the truth."""

from __future__ import annotations

from functools import cache

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table, vstack
from lsst.images import Box

from objects.coadd_scene import BANDS, LIT, SCALE, coadd, sky_map, truth
from skyloom.catalog.matching import match_pixels
from skyloom.images import Footprint, FootprintSet, SpanSet
from skyloom.images.footprints import PEAK_DTYPE
from skyloom.objects import (
    BandSources,
    CoaddSourceSettings,
    MergeSettings,
    band_columns,
    band_order,
    detect_on_coadd,
    measure_on_coadd,
    merge_bands,
    object_columns,
)
from skyloom.tasks import MeasureObjectsTask

BOX = Box.factory[100:200, 300:420]


def sources_at(x: list[float], y: list[float], quality: list[float]) -> BandSources:
    """Sources alone in footprints of 5 x 5 pixels, with their signal-to-noise ratios."""
    table = Table({"x": x, "y": y, "psf_flux": quality, "psf_flux_err": np.ones(len(x))})
    table["flag_sky_source"] = table["flag_centroid"] = np.zeros(len(x), bool)
    prints = []
    for at_x, at_y, value in zip(np.round(x).astype(int), np.round(y).astype(int), quality, strict=True):
        box = Box.factory[at_y - 2 : at_y + 3, at_x - 2 : at_x + 3]
        prints.append(Footprint(SpanSet.from_box(box), np.array([(at_x, at_y, value)], PEAK_DTYPE)))
    return BandSources(table, FootprintSet(prints, BOX))


def test_bands_come_by_priority_then_by_name() -> None:
    assert band_order(["x", "g", "a", "i", "r"], ("i", "r", "z", "y", "g", "u")) == ["i", "r", "g", "a", "x"]


def test_a_source_near_one_of_an_earlier_band_is_the_same_object() -> None:
    red = sources_at([310.2, 350.0, 400.0], [120.0, 150.0, 180.0], [50.0, 8.0, 6.0])
    green = sources_at([311.4, 352.9, 353.6, 330.0], [120.5, 150.0, 150.0, 140.0], [30.0, 40.0, 7.0, 5.0])
    merged = merge_bands({"g": green, "r": red}, BOX, 0.25, MergeSettings(radius_arcsec=0.75))
    by_place = {round(float(x)): k for k, x in enumerate(merged.x)}
    assert sorted(by_place) == [310, 330, 353, 354, 400]
    rows = {band: [int(merged.rows[band][by_place[x]]) for x in sorted(by_place)] for band in "gr"}
    assert rows == {"r": [0, -1, 1, -1, 2], "g": [0, 3, 1, 2, -1]}
    # The first band in which it is significant enough: r for the first, g for the second.
    assert [str(merged.reference_band[by_place[x]]) for x in sorted(by_place)] == ["r", "g", "g", "g", "r"]


def test_of_two_sources_near_one_object_the_nearer_is_it() -> None:
    red = sources_at([350.0], [150.0], [20.0])
    green = sources_at([351.5, 349.4], [150.0, 150.0], [50.0, 10.0])
    merged = merge_bands({"r": red, "g": green}, BOX, 0.25, MergeSettings(radius_arcsec=0.5))
    assert len(merged) == 1
    assert merged.rows["g"][0] == 1


def test_footprints_hold_the_pixels_of_all_bands() -> None:
    red, green = sources_at([350.0], [150.0], [20.0]), sources_at([355.0, 312.0], [150.0, 110.0], [50.0, 9.0])
    merged = merge_bands({"r": red, "g": green}, BOX, 0.25, MergeSettings())
    assert [(one.area, len(one.peaks)) for one in merged.footprints] == [(25, 1), (50, 2)]
    assert list(merged.footprints[1].peaks["x"]) == [355, 350]  # the more significant first
    assert list(merged.x) == [312.0, 355.0, 350.0]


def test_no_sources_merge_into_none() -> None:
    merged = merge_bands({"r": sources_at([], [], []), "g": sources_at([], [], [])}, BOX, 0.25, MergeSettings())
    assert len(merged) == len(merged.footprints) == 0


@cache
def detected(patch: int, band: str) -> tuple[BandSources, object]:
    exposure, settings = coadd(patch, band), CoaddSourceSettings()
    found = detect_on_coadd(exposure, settings)
    table = measure_on_coadd(exposure, found, sky_map().tract(0).patch(patch), sky_map(), settings)
    return BandSources(table, found.footprints), found.background


def objects_of(patch: int, bands: tuple[str, ...] = BANDS, columns: tuple[str, ...] = ()) -> Table:
    config = MeasureObjectsTask.ConfigClass()
    config.bands = list(columns)
    return (
        MeasureObjectsTask(config=config)
        .run(
            {band: detected(patch, band)[0] for band in bands},
            {band: lambda band=band: coadd(patch, band) for band in bands},
            patch=sky_map().tract(0).patch(patch),
            sky_map=sky_map(),
            backgrounds={band: detected(patch, band)[1] for band in bands},
        )
        .objects
    )


@cache
def merged_patches() -> tuple[Table, np.ndarray]:
    """Primary objects of all patches that are true sources, and which these are."""
    table = vstack([objects_of(patch) for patch in range(4)])
    table = table[np.asarray(table["is_primary"])]
    here, there, _ = match_pixels(table["x"], table["y"], truth().x, truth().y, 2.0)
    assert len(table) - len(here) <= 4
    return table[here], there


def test_an_object_is_listed_once_whatever_its_bands() -> None:
    table, which = merged_patches()
    assert len(np.unique(which)) == len(which)
    assert len(np.unique(table["object_id"])) == len(table)
    for band in BANDS:
        bright = truth().flux[band][which] > 1000.0
        assert np.all(table[f"{band}_detected"][bright])
        alone = (truth().bands[which] != 0) & (truth().bands[which] != LIT[band])
        assert alone.sum() > 60
        assert np.sum(table[f"{band}_detected"][alone]) <= 2
    both = (truth().bands[which] == 0) & (np.minimum(*(truth().flux[band][which] for band in BANDS)) > 1000.0)
    assert set(table["n_bands"][both]) == {2}


def test_forced_fluxes_of_what_is_not_there_scatter_about_nought() -> None:
    table, which = merged_patches()
    pulls = []
    for band in BANDS:
        dark = (truth().flux[band][which] == 0.0) & ~np.asarray(table[f"{band}_flag_psf_flux"])
        pulls.append(np.asarray(table[f"{band}_psf_flux"] / table[f"{band}_psf_flux_err"])[dark])
    pull = np.concatenate(pulls)
    assert len(pull) > 150
    assert 0.88 < pull.std() < 1.12
    assert abs(pull.mean()) < 3.5 / np.sqrt(len(pull))
    circle = np.asarray(table["g_aperture_flux_4_5"] / table["g_aperture_flux_4_5_err"])[truth().flux["g"][which] == 0]
    assert abs(circle.mean()) < 4.0 / np.sqrt(len(circle))


def test_colours_of_stars_are_true() -> None:
    table, which = merged_patches()
    flux = {band: truth().flux[band][which] for band in BANDS}
    bright = ~truth().galaxy[which] & (np.minimum(flux["g"], flux["r"]) > 4000.0)
    assert bright.sum() > 40
    true_colour = -2.5 * np.log10(np.maximum(flux["g"], 1.0) / np.maximum(flux["r"], 1.0))
    error = np.asarray(table["g_psf_mag"] - table["r_psf_mag"] - true_colour)[bright]
    pull = error / np.hypot(table["g_psf_mag_err"], table["r_psf_mag_err"])[bright]
    assert abs(np.mean(error)) < 3e-3
    assert 0.85 < pull.std() < 1.15
    # Ellipses lose more light under the wider PSF of g.
    error = np.asarray(table["g_kron_mag"] - table["r_kron_mag"] - true_colour)[bright]
    assert 0.0 < np.median(error) < 0.03
    assert 1.4826 * np.median(np.abs(error - np.median(error))) < 0.02


def test_errors_of_forced_fluxes_are_right() -> None:
    table, which = merged_patches()
    for band in BANDS:
        flux = truth().flux[band][which]
        chosen = ~truth().galaxy[which] & (flux > 0) & ~np.asarray(table[f"{band}_flag_psf_flux"])
        pull = np.asarray((table[f"{band}_psf_flux"] - flux) / table[f"{band}_psf_flux_err"])[chosen]
        assert 0.88 < 1.4826 * np.median(np.abs(pull - np.median(pull))) < 1.12


def test_columns_have_units_and_descriptions() -> None:
    table = objects_of(0)
    radii = table.meta["aperture_radii"]
    expected = [column.name for column in object_columns()]
    expected += [f"{band}_{column.name}" for band in ("r", "g") for column in band_columns(radii)]
    assert table.colnames == expected
    assert not [name for name in table.colnames if not table[name].description]
    assert table["g_psf_flux"].unit == u.nJy
    assert table["g_psf_flux"].description.endswith("Band g.")
    assert table["kron_radius"].unit == u.pix


def test_one_band_alone_makes_objects_of_its_sources() -> None:
    table, sources = objects_of(1, ("r",)), detected(1, "r")[0].table
    sources = sources[~np.asarray(sources["flag_sky_source"])]
    assert len(table) == len(sources)
    assert set(table["reference_band"]) == {"r"}
    rows = np.searchsorted(sources["source_id"], table["r_source_id"])
    alone = ~np.asarray(table["flag_blended"])
    # The same flux at the same place, but for pixels that the disks of sky sources had covered.
    moved = (table["r_psf_flux"] - sources["psf_flux"][rows])[alone] / table["r_psf_flux_err"][alone]
    assert np.abs(moved).max() < 0.05
    assert np.median(np.abs(moved)) < 1e-5
    changed = (table["r_kron_flux"] - sources["kron_flux"][rows])[alone] / table["r_kron_flux_err"][alone]
    assert np.nanmedian(np.abs(changed)) < 1e-5
    assert np.nanmax(np.abs(changed)) < 0.5


def test_a_band_that_is_missing_is_named_empty_and_flagged() -> None:
    table = objects_of(1, ("r",), ("r", "z"))
    assert np.isnan(table["z_psf_flux"]).all()
    assert np.all(table["z_flag_no_coadd"] & table["z_flag_psf_flux"] & table["z_flag_kron_flux"])
    assert np.all(table["z_aperture_flag_3_0"] & table["z_flag_no_data_center"])
    assert not np.any(table["z_detected"] | table["r_flag_no_coadd"])
    assert np.isfinite(table["r_psf_flux"]).all()


def test_a_band_whose_coadd_fails_is_left_empty() -> None:
    config = MeasureObjectsTask.ConfigClass()
    task = MeasureObjectsTask(config=config)

    def broken() -> object:
        exposure = coadd(0, "g")
        exposure.psf = None
        return exposure

    table = task.run(
        {band: detected(0, band)[0] for band in BANDS},
        {"r": lambda: coadd(0, "r"), "g": broken},
        patch=sky_map().tract(0).patch(0),
        sky_map=sky_map(),
    ).objects
    assert np.all(table["g_flag_no_coadd"])
    assert not np.any(table["r_flag_no_coadd"])
    assert "has no psf" in task.metadata["failure_g"]
    assert list(task.metadata.getArray("missing_bands")) == ["g"]


def test_bands_without_a_source_make_an_empty_table() -> None:
    table = detected(0, "r")[0].table
    nothing = BandSources(table[np.asarray(table["flag_sky_source"])], FootprintSet([], BOX))
    task = MeasureObjectsTask(config=MeasureObjectsTask.ConfigClass())
    patch = sky_map().tract(0).patch(0)
    objects = task.run({"r": nothing}, {"r": lambda: coadd(0, "r")}, patch=patch, sky_map=sky_map()).objects
    assert len(objects) == 0
    assert objects.colnames == objects_of(0, ("r",)).colnames


def test_positions_in_arcsec_follow_the_pixels() -> None:
    table, which = merged_patches()
    good = truth().flux["r"][which] > 4000.0
    ra, dec = truth().ra[which][good], truth().dec[which][good]
    east = (np.asarray(table["ra"])[good] - ra) * np.cos(np.radians(dec)) * 3600
    assert np.abs(np.median(east)) < 2e-3
    assert 1.4826 * np.median(np.abs(east)) < 0.05 * SCALE


@pytest.mark.parametrize("radius", [0.0, 0.4])
def test_a_radius_of_nought_merges_nothing(radius: float) -> None:
    one, other = sources_at([350.0], [150.0], [20.0]), sources_at([351.0], [150.0], [20.0])
    merged = merge_bands({"r": one, "g": other}, BOX, 0.25, MergeSettings(radius_arcsec=radius))
    assert len(merged) == (2 if radius == 0.0 else 1)
