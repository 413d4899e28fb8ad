"""How far a calibrated frame is from the truth of its simulation."""

from __future__ import annotations

from dataclasses import dataclass

import galsim
import galsim.hsm
import numpy as np
from scipy.spatial import cKDTree
from simulated_frame import SimulatedFrame

from skyloom.calibrate import CalibratedFrame
from skyloom.psf import psf_stamps
from skyloom.simulate.scene import electrons_per_njy, psf_at, transparency

BRIGHT = 200.0
"""Signal-to-noise from which a star counts as bright."""
MILLI = 1000.0


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The sources of a frame where and as bright as they truly are."""

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    """Electrons in all."""
    star: np.ndarray
    inside: np.ndarray
    """On the frame and not at its edge."""
    alone: np.ndarray
    """No other source stands within four FWHM, nor a bright one within reach of its wings."""
    significance: np.ndarray
    """Flux of a star over the noise of its PSF flux on blank sky."""
    fwhm: float
    """At the centre of the frame, pixels."""


def frame_truth(simulated: SimulatedFrame) -> Truth:
    """What truly is on a frame."""
    visit, mosaic, sky = simulated.visit, simulated.mosaic, simulated.sky
    ccd = mosaic.ccds[simulated.detector]
    x, y = visit.projection(mosaic).sky_to_pixel(ccd, np.asarray(sky["ra"]), np.asarray(sky["dec"]))
    flux = np.asarray(sky[f"flux_{visit.band}"]) * electrons_per_njy(visit) * transparency(visit, mosaic, ccd, x, y)
    height, width = ccd.shape
    fwhm = visit.seeing_arcsec / mosaic.pixel_scale
    stamp = _true_stamp(simulated, width / 2, height / 2, int(4 * fwhm) + 5)
    noise = np.sqrt(np.median(simulated.exposure.variance.array) / np.sum(stamp**2))
    margin = 3 * fwhm + 10
    inside = (x > margin) & (x < width - margin) & (y > margin) & (y < height - margin)
    return Truth(
        x=x,
        y=y,
        flux=flux,
        star=np.asarray(sky["is_star"]),
        inside=inside,
        alone=_alone(np.stack([x, y], 1), flux, fwhm),
        significance=flux / noise,
        fwhm=fwhm,
    )


def figures(simulated: SimulatedFrame, frame: CalibratedFrame) -> dict[str, float]:
    """Name and value of every figure of one frame; those that take many stars are NaN without them."""
    assert frame.sources is not None
    truth, table = frame_truth(simulated), frame.sources[~np.asarray(frame.sources["flag_sky_source"])]
    assert frame.zero_point is not None
    place = np.stack([np.asarray(table["x"]), np.asarray(table["y"])], 1)
    distance, row = cKDTree(place).query(np.stack([truth.x, truth.y], 1), distance_upper_bound=0.5 * truth.fwhm + 0.5)
    found = np.isfinite(distance)
    chosen = np.flatnonzero(found & truth.star & truth.inside & truth.alone)
    stars = {name: np.asarray(table[name])[row[chosen]] for name in table.colnames}
    snr = stars["psf_flux"] / stars["psf_flux_err"]
    clean = ~stars["flag_blended"] & ~stars["flag_edge"]
    bright, middling = clean & (snr > BRIGHT), clean & (snr > 15) & (snr < 100)
    visit = simulated.visit
    true_zero = visit.zero_point_mag - visit.cloud_mag
    return {
        "zero_point_mmag": MILLI * (frame.zero_point.zero_point_mag - true_zero),
        "zero_point_pull": (frame.zero_point.zero_point_mag - true_zero) / frame.zero_point.zero_point_mag_err,
        "correction_mmag": _correction(simulated, frame),
        "flux_mmag": -MILLI * 2.5 * np.log10(_median(stars["psf_flux"][bright] / truth.flux[chosen][bright])),
        **_astrometry(simulated, stars, truth, chosen, bright),
        **_pulls(stars, truth, chosen, middling),
        **_psf(simulated, frame),
        **_detection(simulated, place, truth, found),
    }


def _correction(simulated: SimulatedFrame, frame: CalibratedFrame) -> float:
    """How much too faint the corrected PSF flux of a star without noise is, mean over the frame."""
    psf, (height, width) = frame.exposure.psf, simulated.mosaic.ccds[simulated.detector].shape
    assert psf is not None
    factor = frame.exposure.aperture_corrections["psf_flux"]
    x, y = (part.ravel() for part in np.meshgrid(np.linspace(0.2, 0.8, 4) * width, np.linspace(0.2, 0.8, 4) * height))
    stamps, _, _ = psf_stamps(psf, np.rint(x), np.rint(y), centred=True)
    fluxes = []
    for at_x, at_y, stamp in zip(np.rint(x), np.rint(y), stamps, strict=True):
        star = _true_stamp(simulated, at_x, at_y, stamp.shape[0] // 2)
        fluxes.append(float(np.sum(stamp * star) / np.sum(stamp**2) * factor(x=at_x, y=at_y)))
    return -MILLI * 2.5 * float(np.log10(np.mean(fluxes)))


def _astrometry(
    simulated: SimulatedFrame, stars: dict[str, np.ndarray], truth: Truth, chosen: np.ndarray, bright: np.ndarray
) -> dict[str, float]:
    """Offsets of bright stars on the sky from where they truly stand, mas a coordinate."""
    sky = simulated.sky[chosen[bright]]
    east = (stars["ra"][bright] - sky["ra"]) * np.cos(np.radians(np.asarray(sky["dec"])))
    north = stars["dec"][bright] - sky["dec"]
    both = 3600 * MILLI * np.stack([east, north])
    return {
        "n_bright": float(bright.sum()),
        "astrometry_rms_mas": 1.4826 * float(np.median(np.abs(both))) if bright.any() else np.nan,
        "astrometry_mean_mas": float(np.hypot(*both.mean(axis=1))) if bright.any() else np.nan,
        "astrometry_noise_mas": 1000 * simulated.mosaic.pixel_scale * _median(stars["x_err"][bright]),
    }


def _pulls(stars: dict[str, np.ndarray], truth: Truth, chosen: np.ndarray, middling: np.ndarray) -> dict[str, float]:
    """Robust widths of the errors of positions and fluxes in units of the stated ones."""
    true = {"x": truth.x[chosen], "y": truth.y[chosen], "psf_flux": truth.flux[chosen]}
    widths = {"n_pulls": float(middling.sum())}
    for name, value in true.items():
        pull = ((stars[name] - value) / stars[f"{name}_err"])[middling]
        widths[f"pull_{name}"] = (
            float(np.subtract(*np.percentile(pull, [84.13, 15.87])) / 2) if pull.size > 9 else np.nan
        )
    return widths


def _psf(simulated: SimulatedFrame, frame: CalibratedFrame) -> dict[str, float]:
    """Model against the true PSF on a grid of places: size and ellipticity of the adaptive moments."""
    psf, ccd = frame.exposure.psf, simulated.mosaic.ccds[simulated.detector]
    assert psf is not None
    size, e1, e2, area = [], [], [], []
    for x in np.linspace(0.15, 0.85, 3) * ccd.shape[1]:
        for y in np.linspace(0.15, 0.85, 3) * ccd.shape[0]:
            model = psf_stamps(psf, np.rint(x), np.rint(y), centred=True)[0][0]
            stamp = _true_stamp(simulated, np.rint(x), np.rint(y), model.shape[0] // 2)
            ours, true = _moments(model), _moments(stamp)
            size.append(ours[0] ** 2 / true[0] ** 2 - 1)
            e1.append(ours[1] - true[1])
            e2.append(ours[2] - true[2])
            area.append(_area(model) / _area(stamp) - 1)
    return {
        "psf_size": float(np.mean(size)),
        "psf_size_rms": float(np.std(size)),
        "psf_e1": float(np.mean(e1)),
        "psf_e2": float(np.mean(e2)),
        "psf_area": float(np.mean(area)),
    }


def _area(stamp: np.ndarray) -> float:
    """Noise-equivalent area, pixels."""
    return float(stamp.sum() ** 2 / np.sum(stamp**2))


def _detection(simulated: SimulatedFrame, place: np.ndarray, truth: Truth, found: np.ndarray) -> dict[str, float]:
    """Significance at which half of the stars are found, and the share of detections with nothing there."""
    height, width = simulated.mosaic.ccds[simulated.detector].shape
    own = truth.star & truth.inside & truth.alone
    depth = np.nan
    steps = np.arange(2.0, 12.0, 0.5)
    share = [found[own & (np.abs(truth.significance - step) < 0.5)] for step in steps]
    counted = [part.mean() if part.size > 9 else np.nan for part in share]
    above = np.flatnonzero(np.asarray(counted) >= 0.5)
    if above.size and above[0] > 0 and np.isfinite(counted[above[0] - 1]):
        here = above[0]
        depth = float(np.interp(0.5, [counted[here - 1], counted[here]], [steps[here - 1], steps[here]]))
    real = truth.significance > 1.0
    nearest = cKDTree(np.stack([truth.x, truth.y], 1)[real]).query(place)[0]
    inner = (place[:, 0] > 20) & (place[:, 0] < width - 20) & (place[:, 1] > 20) & (place[:, 1] < height - 20)
    return {
        "depth_sigma": depth,
        "false_share": float(np.mean(nearest[inner] > truth.fwhm)),
        "n_sources": float(len(place)),
    }


def _median(values: np.ndarray) -> float:
    """The median; NaN of nothing."""
    return float(np.median(values)) if values.size else np.nan


def _alone(place: np.ndarray, flux: np.ndarray, fwhm: float) -> np.ndarray:
    """Sources that no other disturbs."""
    tree = cKDTree(place)
    alone = tree.query(place, k=2)[0][:, 1] > 4 * fwhm
    for index in np.flatnonzero(flux > 10 * np.median(flux)):
        near = np.asarray(tree.query_ball_point(place[index], 10 * fwhm))
        alone[near[flux[near] < 0.01 * flux[index]]] = False
    return alone


def _true_stamp(simulated: SimulatedFrame, x: float, y: float, half: int) -> np.ndarray:
    """The PSF with its pixel, centred, of unit flux in all."""
    visit, mosaic = simulated.visit, simulated.mosaic
    profile = psf_at(visit, simulated.beta, mosaic, mosaic.ccds[simulated.detector], x, y)
    size = 2 * half + 1
    return np.asarray(profile.drawImage(nx=size, ny=size, scale=1.0, dtype=np.float64).array)


def _moments(stamp: np.ndarray) -> tuple[float, float, float]:
    """Determinant radius and distortion of the adaptive moments; NaN where the pixels are too large for them."""
    found = galsim.hsm.FindAdaptiveMom(galsim.Image(np.ascontiguousarray(stamp), scale=1.0), strict=False)
    if found.error_message:
        return np.nan, np.nan, np.nan
    return found.moments_sigma, found.observed_e1, found.observed_e2
