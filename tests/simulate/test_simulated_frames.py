from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skyloom.simulate import DetectorSettings, SkySettings, SurveySettings, VisitSettings, make_sky, make_visits
from skyloom.simulate.camera import AMPLIFIERS, CCD_SIZE, RAW_SHAPE
from skyloom.simulate.frames import simulate_raw
from skyloom.simulate.scene import draw_sky, draw_sources, electrons_per_njy
from skyloom.simulate.signature import expose, gain_map, make_signature
from skyloom.simulate.survey import simulate_survey

SPARSE = SurveySettings(sky=SkySettings(stars_per_square_arcmin=2.0, galaxies_per_square_arcmin=0.5))


def test_a_frame_depends_on_seed_visit_and_detector_alone() -> None:
    sky, visits = make_sky(SPARSE), make_visits(SPARSE)
    first = simulate_raw(SPARSE, sky, visits[1], 2)
    assert first.dtype == np.uint16
    assert first.shape == RAW_SHAPE
    np.testing.assert_array_equal(first, simulate_raw(SPARSE, sky, make_visits(SPARSE)[1], 2))
    assert (first != simulate_raw(SPARSE, sky, visits[2], 2)).mean() > 0.9


def test_a_drawn_star_holds_its_flux_at_its_true_place() -> None:
    settings = replace(SPARSE, visits=VisitSettings(seeing_gradient=0.0, ellipticity=0.0))
    visit = make_visits(settings)[0]
    sky = make_sky(settings)[:1]
    ra, dec = visit.projection.pixel_to_sky(3, np.array([300.25]), np.array([410.75]))
    sky["ra"], sky["dec"], sky["flux_r"] = ra, dec, 20000.0
    image = np.zeros((CCD_SIZE, CCD_SIZE))
    draw_sources(visit, 3.5, 3, sky, image)
    expected = 20000.0 * electrons_per_njy(visit)
    assert image.sum() == pytest.approx(expected, rel=3e-4)
    y, x = np.mgrid[:CCD_SIZE, :CCD_SIZE]
    assert (image * x).sum() / image.sum() == pytest.approx(300.25, abs=2e-3)
    assert (image * y).sum() / image.sum() == pytest.approx(410.75, abs=2e-3)


def test_light_becomes_counts_by_the_stated_rule() -> None:
    quiet = DetectorSettings(noise=False, quantise=False, overscan_scatter_adu=0.0)
    signature = make_signature(quiet, 1, 0, "r")
    light = np.full((CCD_SIZE, CCD_SIZE), 3000.0)
    raw = expose(light, signature, quiet, np.random.default_rng(0))
    data = np.hstack([raw[:CCD_SIZE, amplifier.raw_data] for amplifier in AMPLIFIERS])
    rows = np.linspace(0.0, quiet.overscan_slope_adu, RAW_SHAPE[0])[:CCD_SIZE, None]
    expected = (light * signature.flat + signature.hot) / gain_map() + signature.bias + 1000.0 + rows
    np.testing.assert_allclose(data, expected, rtol=1e-6)
    np.testing.assert_allclose(raw[:CCD_SIZE, AMPLIFIERS[1].raw_overscan], np.repeat(1000.0 + rows, 32, 1), rtol=1e-6)


def test_photon_and_read_noise() -> None:
    plain = DetectorSettings(bias_structure_adu=0.0, pixel_response=0.0, vignetting=0.0, hot_pixels=0, bad_columns=0)
    raw = expose(
        np.full((CCD_SIZE, CCD_SIZE), 900.0), make_signature(plain, 1, 0, "r"), plain, np.random.default_rng(0)
    )
    first = AMPLIFIERS[0]
    difference = np.diff(raw[:CCD_SIZE, first.raw_data].astype(float), axis=1) * first.gain
    rounding = first.gain**2 / 12
    assert difference.var() / 2 == pytest.approx(900.0 + 25.0 + rounding, rel=0.01)


def test_the_sky_has_the_levels_of_its_visit() -> None:
    visit = make_visits(SPARSE)[0]
    levels = [draw_sky(visit, detector).mean() for detector in range(4)]
    assert np.mean(levels) == pytest.approx(visit.sky_electrons, rel=1e-6)
    assert np.ptp(levels) > 0


def test_a_survey_on_disk(tmp_path: Path) -> None:
    settings = replace(SPARSE, detectors=(0,), visits=VisitSettings(visits_per_band=1))
    survey = simulate_survey(tmp_path, settings)
    assert [path.name for path in survey.raw_files] == ["sim_000001_0.fits"]
    header = fits.getheader(survey.raw_files[0])
    for keyword in ("INSTRUME", "EXPNUM", "DETNUM", "FILTER", "EXPTIME", "DATE-OBS", "RA", "DEC", "ROTANG", "IMGTYPE"):
        assert keyword in header
    error = 3600 * np.hypot(header["DEC"] - survey.visits[0].dec_deg, header["RA"] - survey.visits[0].ra_deg)
    assert 0 < error < settings.visits.pointing_error_arcsec * 1.01
    flat = fits.getdata(tmp_path / "calibs" / "flat_r_0.fits")
    assert np.median(flat[:, :512]) / np.median(flat[:, 512:]) == pytest.approx(1.7 / 1.5, rel=0.02)
    assert len(fits.getdata(survey.reference_file)) == np.count_nonzero(
        survey.sky["is_star"] & (survey.sky["flux_r"] > 10 ** (0.4 * (31.4 - 21.0)))
    )
