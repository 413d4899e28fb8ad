"""Joint fits of a simulated survey with truth, beside SCAMP on the same catalogues.

Run ``python bench/accuracy_jointcal.py [--visits 20] [--side 3] [--seeds 2] [--scamp]``.  20 visits of 9 detectors,
each visit with a distortion of its own, detectors displaced, turned and of different throughput, a flat field that is
wrong by 2 %, turbulence.  Printed is how well bright stars (signal-to-noise ratio above 200) repeat: the standard
deviation of single measurements about the mean of their star, a coordinate, before the fit, after it and after SCAMP
on the same catalogues.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from scamp_peer import run_scamp
from skyloom.images import pixel_to_radec
from skyloom.jointcal import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    JointPhotometrySettings,
    JointSettings,
    fit_jointly,
    photo_calib_of,
    photo_calib_rows,
    projection_of,
    table_of,
    wcs_rows,
)
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings, simulate_catalogues

BRIGHT = 200.0


def survey_settings(arguments: argparse.Namespace, seed: int) -> CatalogueSurveySettings:
    return CatalogueSurveySettings(
        n_visits=arguments.visits,
        grid=(arguments.side, arguments.side),
        size=(2048, 4096),
        pixel_scale=0.187,
        n_stars=int(110 * arguments.side**2),
        full_well_noise=True,
        position_noise_px=0.003,
        flux_noise=0.001,
        atmosphere_mas=arguments.atmosphere,
        outliers=0.005,
        distortion_arcsec=0.3,
        flat_error=0.02,
        gradient=0.005,
        references=0.5,
        dither_px=400.0,
        seed=seed,
    )


def repeatability(survey: CatalogueSurvey, sky: list, mag: list) -> tuple[float, float, float]:
    """Scatter of bright stars: east and north, mas, and mmag."""
    bright, star, ra, dec, value = [], [], [], [], []
    for one, position, magnitudes in zip(survey.simulated, sky, mag, strict=True):
        frame = one.catalogue
        keep = (frame.flux / frame.flux_err > BRIGHT) & ~one.wrong
        bright.append(keep)
        star.append(one.star[keep])
        ra.append(position[0][keep])
        dec.append(position[1][keep])
        value.append(magnitudes[keep])
    index, dec_ = np.concatenate(star), np.concatenate(dec)
    east = np.concatenate(ra) * np.cos(np.radians(survey.dec[index]))
    return scatter(index, east) * 3.6e6, scatter(index, dec_) * 3.6e6, scatter(index, np.concatenate(value)) * 1e3


def scatter(star: np.ndarray, values: np.ndarray) -> float:
    """Standard deviation of values about the means of their stars, unbiased."""
    count = np.bincount(star)
    mean = np.bincount(star, values) / np.maximum(count, 1)
    squares = np.sum((values - mean[star]) ** 2)
    return float(np.sqrt(squares / np.sum(np.maximum(count - 1, 0))))


def after_fit(survey: CatalogueSurvey, *, references: bool) -> tuple[list, list, dict[str, float]]:
    settings = JointSettings(photometry=JointPhotometrySettings(use_references=references))
    fit = fit_jointly(survey.frames, survey.references, settings, flux="r")
    sky, mag = [], []
    tables = {
        visit: (
            table_of(wcs_rows(fit, visit), WCS_COLUMNS),
            table_of(photo_calib_rows(fit, visit), PHOTO_CALIB_COLUMNS),
        )
        for visit in fit.measurements.visits
    }
    for frame in survey.frames:
        wcs, calib = tables[frame.visit]
        projection, scale = (
            projection_of(wcs, frame.detector, frame.projection.pixel_frame),
            photo_calib_of(calib, frame.detector),
        )
        assert projection is not None
        assert scale is not None
        sky.append(pixel_to_radec(projection, frame.x, frame.y))
        mag.append(scale.to_magnitude(frame.flux, frame.x, frame.y))
    return sky, mag, fit.metrics


def before_fit(survey: CatalogueSurvey) -> tuple[list, list]:
    sky = [pixel_to_radec(frame.projection, frame.x, frame.y) for frame in survey.frames]
    return sky, [frame.photo_calib.to_magnitude(frame.flux, frame.x, frame.y) for frame in survey.frames]


def after_scamp(survey: CatalogueSurvey, folder: Path) -> tuple[list, list, float]:
    result = run_scamp(survey.frames, survey.references, folder, order=5, flux="r", crossid_arcsec=3.0)
    sky, mag = [], []
    for frame in survey.frames:
        key = frame.visit, frame.detector
        sky.append(result.wcs[key].all_pix2world(frame.x, frame.y, 0))
        mag.append(-2.5 * np.log10(frame.flux * result.flux_scale[key]))
    return sky, mag, result.cpu_s


def show(name: str, values: tuple[float, float, float], note: str = "") -> None:
    print(f"  {name:34s} {values[0]:8.2f} {values[1]:8.2f} mas {values[2]:9.2f} mmag  {note}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visits", type=int, default=20)
    parser.add_argument("--side", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--atmosphere", type=float, default=2.0, help="mas")
    parser.add_argument("--scamp", action="store_true")
    arguments = parser.parse_args()
    for seed in range(1, arguments.seeds + 1):
        survey = simulate_catalogues(survey_settings(arguments, seed))
        print(f"seed {seed}: {sum(len(frame.x) for frame in survey.frames)} measurements, {len(survey.ra)} stars")
        show("before", repeatability(survey, *before_fit(survey)))
        for references in (False, True):
            sky, mag, metrics = after_fit(survey, references=references)
            note = f"chi2/dof {metrics['astrometry_final_chi2'] / metrics['astrometry_final_degrees']:.2f}"
            note += f" {metrics['photometry_final_chi2'] / metrics['photometry_final_degrees']:.2f}"
            show("skyloom" + (", fluxes with references" if references else ""), repeatability(survey, sky, mag), note)
        if arguments.scamp:
            with tempfile.TemporaryDirectory() as folder:
                sky, mag, cpu = after_scamp(survey, Path(folder))
            show("SCAMP", repeatability(survey, sky, mag), f"{cpu:.1f} CPU s")


if __name__ == "__main__":
    main()
