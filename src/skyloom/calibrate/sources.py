"""The stages that work on pixels: sky, detection, PSF, measurement, aperture corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Column, Table
from lsst.images import BackgroundMap
from lsst.images.fields import SumField

from skyloom.background import subtract_background
from skyloom.detection import detect_sources
from skyloom.errors import NoSourcesError
from skyloom.images.footprints import FootprintSet
from skyloom.measurement import measure_sources
from skyloom.photometry import aperture_corrections, apply_aperture_corrections
from skyloom.psf import psf_sigma
from skyloom.psffit import fit_psf, select_psf_stars

from .neighbours import subtract_neighbours

if TYPE_CHECKING:
    from skyloom.catalog.ids import IdGenerator
    from skyloom.psffit import PsfFit

    from .frame import CalibratedFrame
    from .settings import CalibrateSettings

__all__ = [
    "correct_fluxes",
    "detect_all",
    "detect_bright",
    "fit_final_psf",
    "fit_first_psf",
    "measure_all",
    "subtract_sky",
]

SKY = "sky"
"""Name of the subtracted background in the map."""


def subtract_sky(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Subtract the sky; a second call, with the sources masked, subtracts what the first had left."""
    sky = subtract_background(frame.exposure, settings.background)
    field = sky.field
    level = sky.sky_level
    if frame.background is not None:
        field = SumField([frame.background[SKY].field, field])
        level += frame.metadata["sky_background"]
    frame.background = BackgroundMap()
    frame.background.add(SKY, field, "Sky subtracted before measurement.", is_subtracted=True)
    frame.exposure.backgrounds = frame.background
    frame.metadata |= {"sky_background": level, "sky_noise": sky.sky_noise}


def detect_bright(frame: CalibratedFrame, settings: CalibrateSettings, ids: IdGenerator | None) -> None:
    """Detect and measure the sources among which the first PSF stars are sought."""
    footprints = detect_sources(frame.exposure, settings.psf_sigma_guess, settings.bright_detection)
    frame.psf_stars_footprints = footprints
    frame.psf_stars = measure_sources(
        frame.exposure, footprints, settings.measurement, ids, psf_sigma=settings.psf_sigma_guess
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
    frame.stars_footprints = detect_sources(frame.exposure, psf_sigma(frame.exposure.psf), settings.detection)
    if len(frame.stars_footprints) == 0:
        raise NoSourcesError("No source was detected.", cure="Check the exposure and the detection threshold.")


def measure_all(frame: CalibratedFrame, settings: CalibrateSettings, ids: IdGenerator | None) -> None:
    """Measure all detected sources with the PSF at hand; flags of PSF stars are carried over."""
    assert frame.stars_footprints is not None
    assert frame.exposure.psf is not None
    before = frame.stars
    frame.stars = measure_sources(
        frame.exposure, frame.stars_footprints, settings.measurement, ids, psf_sigma=psf_sigma(frame.exposure.psf)
    )
    frame.metadata["n_sources"] = len(frame.stars)
    if before is not None:
        for name in (name for name in before.colnames if name.startswith("calib_")):
            frame.stars[name] = before[name]


def fit_final_psf(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """The PSF again, with the better sky, centroids measured in its own window, and faint neighbours known."""
    assert frame.stars is not None
    assert frame.stars_footprints is not None
    stars = select_psf_stars(frame.stars, settings.psf_stars)
    fit = fit_psf(frame.exposure, frame.stars, stars, settings.psf)
    _attach(frame, fit)
    _flag_psf_stars(frame.stars, stars, fit)
    frame.psf_stars = frame.stars[stars]
    frame.psf_stars_footprints = _footprints_of(frame.stars_footprints, frame.psf_stars)


def correct_fluxes(frame: CalibratedFrame, settings: CalibrateSettings) -> None:
    """Measure the aperture corrections on the PSF stars, freed of their neighbours, and apply them to all sources."""
    assert frame.stars is not None
    assert frame.exposure.psf is not None
    assert frame.psf_fit is not None
    fit, exposure, psf = frame.psf_fit, frame.exposure, frame.exposure.psf
    stars = fit.used | fit.reserved
    isolated = subtract_neighbours(exposure, frame.stars, stars, psf)
    found = aperture_corrections(isolated, stars, exposure.bbox, psf_sigma(psf), settings.aperture_corrections)
    frame.aperture_corrections = found
    exposure.aperture_corrections = {name: correction.field for name, correction in found.items()}
    apply_aperture_corrections(frame.stars, exposure.aperture_corrections)
    # The candidates were copied with the fluxes of the first PSF.
    frame.psf_stars = frame.stars[np.asarray(frame.stars["calib_psf_candidate"], dtype=bool)]
    for name, correction in found.items():
        frame.metadata[f"{name}_aperture_correction_scatter"] = correction.scatter
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


def _footprints_of(footprints: FootprintSet, table: Table) -> FootprintSet:
    """The footprints that hold the sources of a table."""
    parent, own = np.asarray(table["parent_id"]), np.asarray(table["source_id"])
    wanted = set(np.where(parent > 0, parent, own).tolist())
    chosen = [i for i, number in enumerate(footprints.ids.tolist()) if number in wanted]
    return FootprintSet([footprints[i] for i in chosen], footprints.bbox, footprints.ids[chosen])
