"""Joint fits of a simulated survey with truth, beside SCAMP on the same catalogues.

Run ``python bench/accuracy_jointcal.py [--visits 20] [--side 3] [--seeds 2] [--scamp]``.  20 visits of 9 detectors,
each visit with a distortion of its own, detectors displaced, turned and of different throughput, a flat field that is
wrong by 2 %, turbulence.  A fifth of the stars is held out.  Printed is how well bright stars (signal-to-noise ratio
above 200) repeat, before the fit, after it and after SCAMP on the same catalogues: the standard deviation of single
measurements about the mean of their star, a coordinate, of the stars that were fitted and of those held out, and of
both about the true position or magnitude, the mean of all apart.  Terms that follow noise make only the first smaller.
CPU seconds are those of the fit and its tables, and of SCAMP.

``--scamp`` takes polynomials for each exposure (a degree for each detector) and for the instrument (a degree for each
detector, another over the camera for each exposure), and ours in the corresponding models; seconds for 6 visits, a
minute for 20.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from scamp_peer import ScampSettings, run_scamp
from skyloom.images import pixel_to_radec
from skyloom.jointcal import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    FrameCatalogue,
    JointAstrometrySettings,
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
HELD_OUT = 0.2
"""Share of the stars."""
SLACK = 1.02
"""Stars that are held out must not repeat worse than after SCAMP by more than this."""
OURS = {
    "skyloom": JointSettings(),
    "skyloom, fluxes without references": JointSettings(photometry=JointPhotometrySettings(use_references=False)),
}
ALIKE = {
    f"skyloom, simple {order}": JointSettings(
        astrometry=JointAstrometrySettings(model="simple", simple_order=order, stars_per_term=3.0)
    )
    for order in (3, 4)
}
"""As many terms as SCAMP takes for each exposure."""
SCAMP = {
    "SCAMP, instrument 3, camera 5": ScampSettings(
        degree=3, focal_plane_degree=5, stability="INSTRUMENT", centroid="_IMAGE", crossid_arcsec=3.0
    ),
    "SCAMP, exposure 3": ScampSettings(degree=3, centroid="_IMAGE", crossid_arcsec=3.0),
    "SCAMP, exposure 4": ScampSettings(degree=4, centroid="_IMAGE", crossid_arcsec=3.0),
}


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


def fitted_part(survey: CatalogueSurvey) -> tuple[np.ndarray, list[FrameCatalogue]]:
    """Which stars are held out, and the catalogues without them."""
    held = np.random.default_rng(survey.settings.seed).random(len(survey.ra)) < HELD_OUT
    names = ("x", "y", "covariance", "flux", "flux_err", "source_id")
    return held, [
        dataclasses.replace(one.catalogue, **{name: getattr(one.catalogue, name)[~held[one.star]] for name in names})
        for one in survey.simulated
    ]


def repeatability(survey: CatalogueSurvey, held: np.ndarray, sky: Sequence, mag: Sequence) -> np.ndarray:
    """Scatter of bright stars east and north, mas, and mmag: about means, fitted and held out, and about the truth."""
    stars, values = [], []
    for one, (ra, dec), magnitudes in zip(survey.simulated, sky, mag, strict=True):
        frame = one.catalogue
        keep = (frame.flux / frame.flux_err > BRIGHT) & ~one.wrong
        true = one.star[keep]
        east = (ra[keep] - survey.ra[true]) * np.cos(np.radians(survey.dec[true]))
        magnitude = magnitudes[keep] + 2.5 * np.log10(survey.flux[true])
        stars.append(true)
        values.append((3.6e6 * east, 3.6e6 * (dec[keep] - survey.dec[true]), 1e3 * magnitude))
    star, offsets = np.concatenate(stars), np.concatenate(values, axis=1)
    parts = [[scatter(star[use], offset[use]) for offset in offsets] for use in (~held[star], held[star])]
    return np.array([*parts, offsets.std(axis=1)])


def scatter(star: np.ndarray, values: np.ndarray) -> float:
    """Standard deviation of values about the means of their stars, unbiased."""
    count = np.bincount(star)
    mean = np.bincount(star, values) / np.maximum(count, 1)
    squares = np.sum((values - mean[star]) ** 2)
    return float(np.sqrt(squares / np.sum(np.maximum(count - 1, 0))))


def after_fit(
    survey: CatalogueSurvey, frames: Sequence[FrameCatalogue], settings: JointSettings
) -> tuple[list, list, str]:
    """Positions and magnitudes by our tables, and a note: seconds and chi2."""
    start = time.process_time()
    fit = fit_jointly(frames, survey.references, settings, flux="r")
    tables = {
        visit: (
            table_of(wcs_rows(fit, visit), WCS_COLUMNS),
            table_of(photo_calib_rows(fit, visit), PHOTO_CALIB_COLUMNS),
        )
        for visit in fit.measurements.visits
    }
    note = f"{time.process_time() - start:.1f} CPU s, chi2/dof"
    for name in ("astrometry", "photometry"):
        note += f" {fit.metrics[f'{name}_final_chi2'] / fit.metrics[f'{name}_final_degrees']:.2f}"
    sky, mag = [], []
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
    return sky, mag, note


def before_fit(survey: CatalogueSurvey) -> tuple[list, list]:
    sky = [pixel_to_radec(frame.projection, frame.x, frame.y) for frame in survey.frames]
    return sky, [frame.photo_calib.to_magnitude(frame.flux, frame.x, frame.y) for frame in survey.frames]


def after_scamp(
    survey: CatalogueSurvey, frames: Sequence[FrameCatalogue], settings: ScampSettings
) -> tuple[list, list, str]:
    with tempfile.TemporaryDirectory() as folder:
        result = run_scamp(frames, survey.references, Path(folder), settings, flux="r")
    sky, mag = [], []
    for frame in survey.frames:
        key = frame.visit, frame.detector
        sky.append(result.wcs[key].all_pix2world(frame.x, frame.y, 0))
        mag.append(-2.5 * np.log10(frame.flux * result.flux_scale[key]))
    return sky, mag, f"{result.cpu_s:.1f} CPU s"


def show(name: str, values: np.ndarray, note: str = "") -> None:
    numbers = "   ".join(f"{east:8.2f} {north:8.2f} {mmag:8.2f}" for east, north, mmag in values)
    print(f"  {name:34s} {numbers}   {note}", flush=True)


def compare(survey: CatalogueSurvey, *, scamp: bool) -> None:
    titles = ("fitted, about the mean", "held out, about the mean", "about the truth")
    print(f"  {'east, north, mas, and mmag':34s} " + "   ".join(f"{title:>26s}" for title in titles))
    held, frames = fitted_part(survey)
    show("before", repeatability(survey, held, *before_fit(survey)))
    ours = {}
    for name, settings in (OURS | ALIKE if scamp else OURS).items():
        sky, mag, note = after_fit(survey, frames, settings)
        ours[name] = repeatability(survey, held, sky, mag)
        show(name, ours[name], note)
    for name, settings in (SCAMP if scamp else {}).items():
        sky, mag, note = after_scamp(survey, frames, settings)
        theirs = repeatability(survey, held, sky, mag)
        show(name, theirs, note)
        assert (ours["skyloom"][1] <= SLACK * theirs[1]).all()


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
        compare(survey, scamp=arguments.scamp)


if __name__ == "__main__":
    main()
