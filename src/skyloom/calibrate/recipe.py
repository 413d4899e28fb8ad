"""The single-frame recipe: from a frame in electrons to a calibrated one in nJy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from skyloom.errors import FrameError

from .flat_ratio import apply_flat_ratio
from .frame import CalibratedFrame
from .photometry import calibrate_fluxes, calibrate_pixels, fit_photometry
from .positions import fit_astrometry
from .settings import CalibrateSettings
from .sources import (
    correct_fluxes,
    deblend_all,
    detect_all,
    detect_bright,
    fit_final_psf,
    fit_first_psf,
    measure_all,
    measure_candidates,
    refine_sky,
    repair_hits,
    subtract_sky,
)
from .star_list import list_stars
from .summary import summarise
from .withhold import withhold_unproven

if TYPE_CHECKING:
    import numpy as np

    from skyloom.catalog.ids import IdGenerator
    from skyloom.images.exposure import Exposure

    from .references import ReferenceLoader

__all__ = ["calibrate_frame"]


def calibrate_frame(
    exposure: Exposure,
    reference_loader: ReferenceLoader,
    settings: CalibrateSettings | None = None,
    *,
    photometry_loader: ReferenceLoader | None = None,
    id_generator: IdGenerator | None = None,
    flat_ratio: np.ndarray | None = None,
) -> CalibratedFrame:
    """Calibrate one frame: background, PSF, sources, WCS, zero point, pixels in nJy.

    Parameters
    ----------
    exposure
        After instrument signature removal, in electrons, with a first guess of its projection.  Modified in place.
    reference_loader
        Gives the reference stars of a circle: ``(ra_deg, dec_deg, radius_deg, epoch_year)`` to a table with ``id``,
        ``ra``, ``dec`` and ``flux_<filter>`` in nJy; the epoch is a Julian year, or None for the catalogue's own.
    settings
        Of all stages.
    photometry_loader
        The same for photometry, where that uses another catalogue.
    id_generator
        Makes the source ids; 1, 2, 3, ... without one.
    flat_ratio
        ``[y, x]``: the flat that makes photometry uniform over the one that was applied, by which the frame is then
        divided; the sky is fitted as the latter left it.

    Raises
    ------
    FrameError
        If a stage fails.  The error's metadata names the ``stage``, and its ``partial`` is the `CalibratedFrame` with
        all that had been obtained before.
    """
    settings = settings or CalibrateSettings()
    frame = CalibratedFrame(exposure=exposure)
    with _stage(frame, settings, "background"):
        if flat_ratio is not None:
            frame.flat_ratio = apply_flat_ratio(exposure, flat_ratio)
        subtract_sky(frame, settings)
    with _stage(frame, settings, "psf"):
        detect_bright(frame, settings, id_generator)
        fit_first_psf(frame, settings)
    with _stage(frame, settings, "detection"):
        repair_hits(frame, settings)
        detect_all(frame, settings)
        refine_sky(frame, settings)
    with _stage(frame, settings, "final_psf"):
        measure_candidates(frame, settings, id_generator)
        fit_final_psf(frame, settings)
    with _stage(frame, settings, "measurement"):
        deblend_all(frame, settings)
        measure_all(frame, settings, id_generator)
    with _stage(frame, settings, "aperture_corrections"):
        correct_fluxes(frame, settings)
    with _stage(frame, settings, "astrometry"):
        fit_astrometry(frame, reference_loader, settings)
    with _stage(frame, settings, "photometry"):
        fit_photometry(frame, photometry_loader or reference_loader, settings)
        calibrate_fluxes(frame)
    with _stage(frame, settings, "summary"):
        list_stars(frame, settings)
        summarise(frame, settings.summary)
        if settings.calibrate_pixels:
            calibrate_pixels(frame)
    frame.stage = "done"
    return frame


@contextmanager
def _stage(frame: CalibratedFrame, settings: CalibrateSettings, name: str) -> Iterator[None]:
    """Name the stage, and give its errors the name and what had been obtained."""
    frame.stage = name
    try:
        yield
    except FrameError as error:
        error.metadata.setdefault("stage", name)
        error.partial = frame
        withhold_unproven(frame, settings)
        raise
