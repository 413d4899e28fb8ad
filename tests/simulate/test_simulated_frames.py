from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from skyloom.errors import CameraError, SkyloomError
from skyloom.instruments import Camera
from skyloom.simulate import (
    CalibrationSettings,
    DetectorSettings,
    Mosaic,
    SkySettings,
    SurveySettings,
    VisitSettings,
    make_sky,
    make_visits,
    simulate_survey,
    sky_at,
)
from skyloom.simulate.frames import MASK_BITS, Scene, simulate_raw
from skyloom.simulate.mosaic import Ccd
from skyloom.simulate.passers import make_asteroids, make_trails
from skyloom.simulate.readout import expose
from skyloom.simulate.scene import draw_sky, draw_sources, electrons_per_njy
from skyloom.simulate.settings_file import changed, read_settings
from skyloom.simulate.signature import make_signature

NONE = CalibrationSettings(biases=0, darks=0, flats=0)
SPARSE = SurveySettings(sky=SkySettings(stars_per_square_arcmin=2.0, galaxies_per_square_arcmin=0.5), calibrations=NONE)
MOSAIC = Mosaic.of(Camera.read("simulated"))
CCD = MOSAIC.ccds[0]
PLAIN = DetectorSettings(
    bias_structure_adu=0.0,
    pixel_response=0.0,
    vignetting=0.0,
    hot_pixels=0,
    bad_columns=0,
    dark_electrons_per_s=0.0,
    overscan_scatter_adu=0.0,
    overscan_slope_adu=0.0,
)


def scene(settings: SurveySettings, mosaic: Mosaic = MOSAIC) -> Scene:
    return Scene(
        settings=settings,
        mosaic=mosaic,
        sky=make_sky(settings, mosaic),
        trails=make_trails(settings, mosaic, make_visits(settings, mosaic)),
        asteroids=make_asteroids(settings, mosaic),
    )


def counts(light: np.ndarray, settings: DetectorSettings, ccd: Ccd = CCD, seed: int = 0) -> np.ndarray:
    """Raw counts above the level of the overscan, on the trimmed detector."""
    signature = make_signature(settings, 1, MOSAIC, ccd, "r")
    raw = expose(light, ccd, signature, settings, np.random.default_rng(seed), seconds=0.0).raw
    trimmed = np.zeros(ccd.shape)
    for amplifier in ccd.amplifiers:
        trimmed[amplifier.layout.trimmed] = raw[amplifier.layout.data].astype(float) - settings.overscan_level_adu
    return trimmed


def test_a_frame_depends_on_seed_visit_and_detector_alone() -> None:
    sparse, visits = scene(SPARSE), make_visits(SPARSE, MOSAIC)
    first = simulate_raw(sparse, visits[1], MOSAIC.ccds[2])[0].raw
    assert first.dtype == np.uint16
    assert first.shape == CCD.raw_shape
    again = simulate_raw(scene(SPARSE), make_visits(SPARSE, MOSAIC)[1], MOSAIC.ccds[2])[0].raw
    np.testing.assert_array_equal(first, again)
    assert (first != simulate_raw(sparse, visits[2], MOSAIC.ccds[2])[0].raw).mean() > 0.9


def test_a_drawn_star_holds_its_flux_at_its_true_place() -> None:
    settings = replace(SPARSE, visits=VisitSettings(seeing_gradient=0.0, ellipticity=0.0))
    visit = make_visits(settings, MOSAIC)[0]
    sky = make_sky(settings, MOSAIC)[:1]
    ccd = MOSAIC.ccds[3]
    ra, dec = visit.projection(MOSAIC).pixel_to_sky(ccd, np.array([300.25]), np.array([410.75]))
    sky["ra"], sky["dec"], sky["flux_r"] = ra, dec, 20000.0
    image = np.zeros(ccd.shape)
    draw_sources(visit, 3.5, MOSAIC, ccd, sky, image)
    expected = 20000.0 * electrons_per_njy(visit)
    assert image.sum() == pytest.approx(expected, rel=3e-4)
    y, x = np.mgrid[: ccd.shape[0], : ccd.shape[1]]
    assert (image * x).sum() / image.sum() == pytest.approx(300.25, abs=2e-3)
    assert (image * y).sum() / image.sum() == pytest.approx(410.75, abs=2e-3)


def test_light_becomes_counts_by_the_stated_rule() -> None:
    quiet = DetectorSettings(noise=False, quantise=False, overscan_scatter_adu=0.0)
    signature = make_signature(quiet, 1, MOSAIC, CCD, "r")
    light = np.full(CCD.shape, 3000.0)
    raw = expose(light, CCD, signature, quiet, np.random.default_rng(0), seconds=60.0).raw
    data = np.hstack([raw[amplifier.layout.data] for amplifier in CCD.amplifiers])
    rows = np.linspace(0.0, quiet.overscan_slope_adu, CCD.raw_shape[0])[: CCD.shape[0], None]
    expected = (light * signature.flat + 60 * signature.dark) / CCD.gain_map() + signature.bias + 1000.0 + rows
    np.testing.assert_allclose(data, expected, rtol=1e-6)
    overscan = raw[CCD.amplifiers[1].layout.serial]
    np.testing.assert_allclose(overscan, np.repeat(1000.0 + rows, 32, 1), rtol=1e-6)


def test_photon_and_read_noise() -> None:
    difference = np.diff(counts(np.full(CCD.shape, 900.0), PLAIN)[:, :512], axis=1) * 1.5
    assert difference.var() / 2 == pytest.approx(900.0 + 25.0 + 1.5**2 / 12, rel=0.01)


def test_nonlinearity_takes_its_share_at_saturation() -> None:
    settings = replace(PLAIN, noise=False, quantise=False, nonlinearity=0.02)
    seen = counts(np.full(CCD.shape, 60000.0 * 0.5 * 1.5), settings)[0, 0]
    assert seen == pytest.approx(30000.0 * (1 - 0.02 * 0.5), rel=1e-6)


def test_crosstalk_appears_at_the_place_that_is_read_at_the_same_time() -> None:
    settings = replace(PLAIN, noise=False, quantise=False, crosstalk=1e-3)
    light = np.zeros(CCD.shape)
    light[700, 100] = 15000.0  # amplifier A reads from the left, B from the right
    ghost = counts(light, settings)
    assert ghost[700, 1023 - 100] == pytest.approx(1e-3 * 10000.0, rel=1e-3)
    ghost[700, [100, 923]] = 0
    assert np.abs(ghost).max() < 1e-3


def test_full_wells_bleed_and_count_as_saturated() -> None:
    settings = replace(PLAIN, bleed_level=1.02)
    light = np.zeros(CCD.shape)
    light[500, 300] = 2e6
    seen = counts(light, settings)
    column = np.flatnonzero(seen[:, 300] + 1000.0 >= 60000.0)
    assert 15 < len(column) < 30
    assert abs(column.mean() - 500) <= 1


def test_the_sky_has_the_levels_of_its_visit() -> None:
    visit = make_visits(SPARSE, MOSAIC)[0]
    levels = [draw_sky(visit, MOSAIC, ccd).mean() for ccd in MOSAIC.ccds.values()]
    assert np.mean(levels) == pytest.approx(visit.sky_electrons, rel=1e-6)
    assert np.ptp(levels) > 0


def test_stars_move_between_epochs_and_galaxies_do_not() -> None:
    settings = replace(SPARSE, sky=replace(SPARSE.sky, proper_motion_mas_yr=20.0))
    sky = make_sky(settings, MOSAIC)
    moved = sky_at(sky, 2016.0, 2026.0)
    shift = (moved["dec"] - sky["dec"]) * 3.6e6
    np.testing.assert_allclose(shift, 10 * sky["pm_dec"], atol=1e-3)
    assert np.std(shift[sky["is_star"]]) == pytest.approx(200.0, rel=0.3)
    assert not shift[~sky["is_star"]].any()


def test_trails_and_asteroids_are_where_the_truth_says() -> None:
    settings = replace(
        SPARSE,
        sky=replace(SPARSE.sky, asteroids=1, asteroid_mag=(17.0, 17.0)),
        visits=VisitSettings(trails=2.0, visits_per_band=2, trail_electrons=(5000.0, 5000.0)),
    )
    drawn, visits = scene(settings), make_visits(settings, MOSAIC)
    without = replace(drawn, trails=drawn.trails[:0], asteroids=drawn.asteroids[:0])
    assert len(drawn.trails) > 0
    visit = next(visit for visit in visits if visit.visit in drawn.trails["visit"])
    touched = 0
    for ccd in MOSAIC.ccds.values():
        (frame, mask), (plain, _) = simulate_raw(drawn, visit, ccd), simulate_raw(without, visit, ccd)
        for amplifier in ccd.amplifiers:
            part = amplifier.layout
            more = frame.raw[part.data].astype(float) - plain.raw[part.data]
            on_trail = (mask[part.trimmed] & MASK_BITS["TRAIL"]) != 0
            if on_trail.sum() > 100:
                assert np.median(more[on_trail]) > 300
                assert abs(np.median(more[mask[part.trimmed] == 0])) < 3
            touched += on_trail.sum()
    assert touched > 500


def test_a_survey_on_disk(tmp_path: Path) -> None:
    settings = replace(
        SPARSE,
        detectors=(0,),
        visits=VisitSettings(visits_per_band=1),
        calibrations=CalibrationSettings(biases=1, darks=1, flats=1),
        truth_masks=True,
    )
    seen = []
    survey = simulate_survey(tmp_path, settings, advance=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(seen)
    assert [path.name for path in survey.raw_files] == ["sim_000001_0.fits"]
    assert [path.name[:4] for path in survey.calibration_files] == ["bias", "dark", "flat"]
    header = fits.getheader(survey.raw_files[0])
    error = 3600 * np.hypot(header["DEC"] - survey.visits[0].dec_deg, header["RA"] - survey.visits[0].ra_deg)
    assert 0 < error < settings.visits.pointing_error_arcsec * 1.01
    flat = fits.getdata(tmp_path / "masters" / "flat_r_0.fits")
    assert np.median(flat[:, :512]) / np.median(flat[:, 512:]) == pytest.approx(1.7 / 1.5, rel=0.02)
    lamp = fits.getdata(survey.calibration_files[2])[:1024, :512] - 1000.0
    assert np.median(lamp) * 1.5 == pytest.approx(30000, rel=0.1)
    assert len(fits.getdata(survey.reference_file)) == np.count_nonzero(
        survey.sky["is_star"] & (survey.sky["flux_r"] > 10 ** (0.4 * (31.4 - 21.0)))
    )
    assert fits.getdata(tmp_path / "truth" / "masks" / "sim_000001_0.fits").shape == (1024, 1024)
    assert len(Table.read(tmp_path / "truth" / "sources.fits")) == len(survey.sky)
    assert not list(tmp_path.rglob("*.part*"))


def test_workers_write_the_same_files(tmp_path: Path) -> None:
    settings = replace(
        SPARSE,
        detectors=(0,),
        visits=VisitSettings(visits_per_band=1),
        detector=DetectorSettings(cosmic_rays=0.1, bleed_level=1.02),
        calibrations=CalibrationSettings(biases=1, darks=0, flats=1),
    )
    for workers in (1, 2):
        simulate_survey(tmp_path / str(workers), settings, workers=workers)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.fits"))
    assert len(files) == 11
    for name in files:
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes(), name


def test_detectors_of_one_file_share_it_and_are_read_back(tmp_path: Path) -> None:
    text = Camera.read("simulated").to_yaml().replace("  detector: DETNUM\n", "")
    for number in range(4):
        text = text.replace(f"{{id: {number}, name", f"{{id: {number}, hdu: CCD{number}, name")
    file = tmp_path / "shared.yaml"
    file.write_text(text)
    settings = replace(SPARSE, camera=str(file), detectors=(0, 1), visits=VisitSettings(visits_per_band=1))
    (path,) = simulate_survey(tmp_path / "sky", settings).raw_files
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CCD0", "CCD1"]
        assert hdus["CCD1"].shape == CCD.raw_shape


def test_what_the_camera_cannot_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no detector 9"):
        simulate_survey(tmp_path, replace(SPARSE, detectors=(9,)))
    file = tmp_path / "odd.yaml"
    file.write_text(Camera.read("simulated").to_yaml().replace("EXPNUM", '{expression: "RUN * 10"}'))
    with pytest.raises(CameraError, match="RUN"):
        simulate_survey(tmp_path, replace(SPARSE, camera=str(file)))
    (path, *_) = simulate_survey(
        tmp_path / "carded",
        replace(
            SPARSE, camera=str(file), detectors=(0,), visits=VisitSettings(visits_per_band=1), cards={"RUN": "{visit}"}
        ),
    ).raw_files
    assert path.name == "sim_000010_0.fits"


def test_settings_from_text(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("seed: 4\nbands: [g, r]\nvisits: {trails: 0.5}\n")
    settings = changed(read_settings(file), ["detector.cosmic_rays=0.2", "visits.seeing_arcsec=[1, 2]", "seed=5"])
    assert (settings.seed, settings.bands, settings.visits.trails) == (5, ("g", "r"), 0.5)
    assert settings.detector.cosmic_rays == 0.2
    assert settings.visits.seeing_arcsec == (1.0, 2.0)
    for wrong in ("detector.foo=1", "detector=1", "seed", "detector.noise=perhaps"):
        with pytest.raises(SkyloomError):
            changed(settings, [wrong])
