"""The stages that work on pixels: sky, detection, PSF, measurement, aperture corrections."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, Table
from lsst.images import BackgroundMap
from lsst.images.fields import SumField

from skyloom.background import settle_background, subtract_background
from skyloom.catalog.columns import flag_column
from skyloom.cosmic_rays import repair_cosmic_rays
from skyloom.deblend import deblend_sources
from skyloom.detection import detect_adaptively, detect_sources
from skyloom.errors import NoSourcesError
from skyloom.images.footprints import FootprintSet
from skyloom.images.mask_planes import bitmask
from skyloom.measurement import measure_sources, place_sky_sources
from skyloom.photometry import (
    GROWTH_RADII,
    aperture_corrections,
    apply_aperture_corrections,
    flag_correction_stars,
    total_fluxes,
)
from skyloom.psf import psf_sigma
from skyloom.psffit import fit_psf, fit_psf_with_piff, select_psf_stars

from .flat_ratio import in_flat_of_sky
from .neighbours import star_apertures, subtract_neighbours
from .star_list import footprints_of

if TYPE_CHECKING:
    from skyloom.background import Background
    from skyloom.catalog.ids import IdGenerator
    from skyloom.psffit import PsfFit

    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = [
    "correct_fluxes",
    "deblend_all",
    "detect_all",
    "detect_bright",
    "fit_final_psf",
    "fit_first_psf",
    "measure_all",
    "measure_candidates",
    "refine_sky",
    "repair_hits",
    "subtract_sky",
]

SKY = "sky"
"""Name of the subtracted background in the map."""


def subtract_sky(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Subtract the sky, with the sources still in."""
    with in_flat_of_sky(frame.exposure, frame.flat_ratio):
        _keep_sky(frame, subtract_background(frame.exposure, settings.background))


def refine_sky(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Subtract what the first sky has left, with the sources masked; where they cover much, settle it anew."""
    exposure, before = frame.exposure, frame.sky
    assert before is not None
    covered = float(np.mean((exposure.bits & bitmask("DETECTED")) != 0))
    frame.metadata["detected_fraction"] = covered
    with in_flat_of_sky(exposure, frame.flat_ratio):
        _subtract_rest(frame, before, settings, covered)


def _subtract_rest(frame: CalibratedFrame, before: Background, settings: CalibrateSettings, covered: float) -> None:
    """Fit and subtract the sky under sources that cover a share of the frame."""
    exposure = frame.exposure
    if covered > settings.settle_sky_above:
        exposure.image.array[...] += before.render()
        assert exposure.psf is not None
        settled = settle_background(exposure, psf_sigma(exposure.psf), settings.settling, settings.background)
        frame.metadata |= {"sky_settled": settled.settled, "sky_masked_fraction": settled.masked_fraction}
        _keep_sky(frame, settled.background)
    else:
        rest = subtract_background(exposure, settings.background)
        both = SumField([before.field, rest.field])
        _keep_sky(frame, dataclasses.replace(rest, field=both, sky_level=before.sky_level + rest.sky_level))


def _keep_sky(frame: CalibratedFrame, sky: Background) -> None:
    """Make a sky that was subtracted that of the frame."""
    frame.sky = sky
    frame.background = BackgroundMap()
    frame.background.add(SKY, sky.field, "Sky subtracted before measurement.", is_subtracted=True)
    frame.exposure.backgrounds = frame.background
    frame.metadata |= {"sky_background": sky.sky_level, "sky_noise": sky.sky_noise}


def detect_bright(frame: CalibratedFrame, settings: CalibrateSettings, ids: IdGenerator | None) -> None:
    """Detect and measure the sources among which the first PSF stars are sought."""
    if settings.adapt_threshold:
        found = detect_adaptively(frame.exposure, settings.psf_sigma_guess, settings.adaptive_detection)
        footprints = found.detections.footprints
        frame.metadata |= {
            "psf_adaptive_threshold_value": found.threshold,
            "psf_adaptive_include_threshold_multiplier": found.include_multiplier,
        }
    else:
        footprints = detect_sources(frame.exposure, settings.psf_sigma_guess, settings.bright_detection)
    frame.psf_stars_footprints = footprints
    frame.psf_stars = measure_sources(
        frame.exposure, footprints, settings.psf_measurement, ids, psf_sigma=settings.psf_sigma_guess
    )
    frame.metadata["n_bright_sources"] = len(frame.psf_stars)


def fit_first_psf(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """The PSF of the bright sources, with a sky that their unmasked wings may have lifted a little."""
    assert frame.psf_stars is not None
    stars = select_psf_stars(frame.psf_stars, settings.psf_stars)
    _attach(frame, fit_psf(frame.exposure, frame.psf_stars, stars, settings.psf))
    _flag_psf_stars(frame.psf_stars, stars, frame.psf_fit)


def detect_all(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Detect sources with the width of the PSF."""
    assert frame.exposure.psf is not None
    frame.sources_footprints = detect_sources(frame.exposure, psf_sigma(frame.exposure.psf), settings.detection)
    if len(frame.sources_footprints) == 0:
        raise NoSourcesError("No source was detected.", cure="Check the exposure and the detection threshold.")


def repair_hits(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Find the cosmic rays, now that the PSF tells them from stars, and mend their pixels."""
    if settings.repair:
        hits = repair_cosmic_rays(frame.exposure, settings.cosmic_rays)
        frame.metadata["n_cosmic_rays"] = hits.count


def measure_candidates(frame: CalibratedFrame, settings: CalibrateSettings, ids: IdGenerator | None) -> None:
    """Measure all detected sources with the first PSF, as far as the selection of PSF stars asks."""
    assert frame.sources_footprints is not None
    assert frame.exposure.psf is not None
    frame.sources = measure_sources(
        frame.exposure, frame.sources_footprints, settings.psf_measurement, ids, psf_sigma=psf_sigma(frame.exposure.psf)
    )


def deblend_all(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Say which light of blended sources is whose."""
    assert frame.sources_footprints is not None
    if settings.deblend:
        frame.deblended = deblend_sources(frame.exposure, frame.sources_footprints, settings.deblending)


def measure_all(frame: CalibratedFrame, settings: CalibrateSettings, ids: IdGenerator | None) -> None:
    """Measure all detected sources with the final PSF, each in its own light, and places without a source."""
    assert frame.sources_footprints is not None
    assert frame.sources is not None
    assert frame.exposure.psf is not None
    candidates, deblended = frame.sources, frame.deblended
    sky = place_sky_sources(frame.exposure, 0 if ids is None else ids.catalog_id, settings.sky_sources)
    frame.sources = measure_sources(
        frame.exposure,
        frame.sources_footprints,
        settings.measurement,
        ids,
        psf_sigma=psf_sigma(frame.exposure.psf),
        light=None if deblended is None else deblended.pixels,
        sky_sources=sky,
    )
    if deblended is not None:
        _append(frame.sources, deblended.table, deblended.table.colnames)
    _append(frame.sources, candidates, [name for name in candidates.colnames if name.startswith("calib_")])
    frame.sources_footprints = _joined(frame.sources_footprints, sky)
    frame.metadata |= {"n_sources": len(candidates), "n_sky_sources": len(sky)}


def _append(table: Table, detected: Table, names: list[str]) -> None:
    """Columns that the detected sources have, which come first, put beside those of all rows; sky sources get none."""
    for name in names:
        column = detected[name]
        values = np.zeros(len(table), column.dtype)
        if column.dtype.kind == "f":
            values[:] = np.nan
        values[: len(detected)] = column
        table[name] = Column(values, unit=column.unit, description=column.description)


def _joined(first: FootprintSet, second: FootprintSet) -> FootprintSet:
    """The footprints of both."""
    return FootprintSet([*first, *second], first.bbox, np.concatenate([first.ids, second.ids]))


def fit_final_psf(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """The PSF again, with the better sky, centroids measured in its own window, and faint neighbours known."""
    assert frame.sources is not None
    assert frame.sources_footprints is not None
    stars = select_psf_stars(frame.sources, settings.psf_stars)
    if settings.psf_model == "piff":
        fit = fit_psf_with_piff(frame.exposure, frame.sources, stars, settings.piff)
    else:
        fit = fit_psf(frame.exposure, frame.sources, stars, settings.psf)
    _attach(frame, fit)
    _flag_psf_stars(frame.sources, stars, fit)
    frame.psf_stars = frame.sources[stars]
    frame.psf_stars_footprints = footprints_of(frame.sources_footprints, frame.psf_stars)


def correct_fluxes(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Measure the aperture corrections on the PSF stars, freed of their neighbours, and apply them to all sources."""
    assert frame.sources is not None
    assert frame.exposure.psf is not None
    exposure, psf = frame.exposure, frame.exposure.psf
    stars = flag_column(frame.sources, "calib_psf_used") | flag_column(frame.sources, "calib_psf_reserved")
    corrections, total = settings.aperture_corrections, None
    if corrections.extrapolate and corrections.reference_radius is None:
        apertures = star_apertures(exposure, frame.sources, stars, psf, GROWTH_RADII)
        total = total_fluxes(apertures, len(frame.sources), corrections)
    if total is not None:
        frame.metadata["total_radius_px"] = corrections.total_radius_sigma * psf_sigma(psf)
    isolated = frame.sources if total else subtract_neighbours(exposure, frame.sources, stars, psf)
    found = aperture_corrections(isolated, stars, exposure.bbox, psf_sigma(psf), corrections, total=total)
    frame.aperture_corrections = found
    exposure.aperture_corrections = {name: correction.field for name, correction in found.items()}
    apply_aperture_corrections(frame.sources, exposure.aperture_corrections, expected=corrections.fluxes)
    flag_correction_stars(frame.sources, found)
    # The candidates were copied with the fluxes of the first PSF.
    frame.psf_stars = frame.sources[np.asarray(frame.sources["calib_psf_candidate"], dtype=bool)]
    for name, correction in found.items():
        frame.metadata[f"{name}_aperture_correction_scatter"] = correction.scatter
        frame.metadata[f"{name}_light_outside"] = correction.light_outside
        frame.metadata[f"n_{name}_aperture_correction_stars"] = correction.n_stars
        frame.metadata["reference_aperture"] = correction.reference


def _attach(frame: CalibratedFrame, fit: PsfFit) -> None:
    """Make a fitted PSF that of the frame."""
    frame.psf_fit, frame.exposure.psf = fit, fit.psf
    frame.metadata["psf_sigma"] = psf_sigma(fit.psf)
    frame.metadata["n_psf_stars"] = int(fit.used.sum())
    frame.metadata |= {f"psf_{name}": value for name, value in fit.metadata.items()}
    for kind, residuals in (("fitted", fit.fitted), ("reserved", fit.tested)):
        frame.metadata[f"psf_{kind}_size_residual_median"] = residuals.size_median
        frame.metadata[f"psf_{kind}_size_residual_scatter"] = residuals.size_scatter


def _flag_psf_stars(table: Table, candidates: np.ndarray, fit: PsfFit | None) -> None:
    """Say in the table which sources made the PSF."""
    assert fit is not None
    for name, values, text in (
        ("calib_psf_candidate", candidates, "Selected as a star for the PSF."),
        ("calib_psf_used", fit.used, "Fitted by the PSF."),
        ("calib_psf_reserved", fit.reserved, "Kept out of the PSF fit to test it."),
    ):
        table[name] = Column(values, description=text)
