"""Simulated star lists of a frame whose projection is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.table import Table
from lsst.images import Box, DetectorFrame
from scipy.spatial import cKDTree

from skyloom.astrometry import TanSip, from_tangent_plane, to_tangent_plane
from skyloom.astrometry.polynomial import design_matrix, n_terms
from skyloom.astrometry.tangent import box_centre
from skyloom.images.projection import pixel_to_radec, projection_from_header


def camera(ra, dec, scale, *, box, rotation=0.0, mirrored=False, distortion_px=0.0):
    """A TAN projection (scale in arcsec a pixel), with a cubic distortion of so many pixels at the corner."""
    angle = np.radians(rotation)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    parity = np.diag([1.0 if mirrored else -1.0, 1.0])
    forward = np.zeros((n_terms(3), 2))
    corner = 0.5 * np.hypot(box.x.size, box.y.size)
    cubic = distortion_px / corner**3  # (u, v) (u^2 + v^2): terms u^3, u^2 v, u v^2, v^3 are the last four
    forward[6, 0] = forward[8, 0] = forward[7, 1] = forward[9, 1] = cubic
    if distortion_px == 0.0:
        forward = forward[: n_terms(1)]
    cd = scale / 3600.0 * turn @ parity
    return TanSip((ra, dec), box_centre(box), cd, forward, forward, 0.0)


def projection(truth, box):
    """The `SkyProjection` of a `TanSip`."""
    frame = DetectorFrame(instrument="test", visit=1, detector=0, bbox=box)
    return projection_from_header(truth.header(box), frame, x0=box.x.start, y0=box.y.start)


def to_pixel(truth, ra, dec):
    """Pixel positions by fixed-point iteration."""
    big = np.linalg.inv(truth.cd) @ np.stack(to_tangent_plane(ra, dec, *truth.crval))
    here = big.copy()
    for _ in range(20):
        here = big - (design_matrix(*here, truth.order) @ truth.forward).T
    return here[0] + truth.crpix[0], here[1] + truth.crpix[1]


@dataclass
class Field:
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    reference: Table
    truth: TanSip
    box: Box
    n_common: int
    """Stars of the catalogue that were detected."""
    n_reference: int
    """Stars of the catalogue on the frame that are bright enough for it."""


def simulate(
    rng,
    truth,
    box,
    *,
    n_stars=100,
    noise_px=0.08,
    contamination=0.0,
    completeness=1.0,
    depth=1.0,
    reach_deg=0.1,
    wrong=False,
    mag_scatter=0.08,
    blend_px=0.0,
):
    """A frame of ``n_stars`` catalogue stars (before losses) and a catalogue that reaches ``reach_deg`` beyond it.

    ``contamination`` is the fraction of detections that are no stars, ``completeness`` the fraction of the stars that
    are detected, ``depth`` how many catalogue stars there are for each that the frame can show (the brightest), and
    ``wrong`` draws the catalogue from another part of the sky.  Fluxes scatter by ``mag_scatter``; detections closer
    than ``blend_px`` become one.
    """
    scale = 3600.0 * np.sqrt(abs(np.linalg.det(truth.cd)))
    half = 0.5 * np.hypot(box.x.size, box.y.size) * scale / 3600.0 + reach_deg
    density = n_stars / (box.x.size * box.y.size * (scale / 3600.0) ** 2)
    xi, eta = rng.uniform(-half, half, (2, int(depth * density * 4.0 * half**2)))
    ra, dec = from_tangent_plane(xi, eta, *truth.crval)
    flux = 1e4 * rng.pareto(1.0, len(ra)) + 1e3
    x, y = np.full((2, len(ra)), np.nan)
    near = np.hypot(xi, eta) < half - reach_deg + 0.1 * (half - reach_deg)
    x[near], y[near] = to_pixel(truth, ra[near], dec[near])
    seen = (x > box.x.start) & (x < box.x.stop) & (y > box.y.start) & (y < box.y.stop)
    seen &= flux >= np.quantile(flux, 1.0 - 1.0 / depth) if depth > 1.0 else True
    n_reference = int(seen.sum())
    seen &= rng.random(len(ra)) < completeness
    n_common = int(seen.sum())
    x, y = x[seen] + rng.normal(0.0, noise_px, seen.sum()), y[seen] + rng.normal(0.0, noise_px, seen.sum())
    measured = flux[seen] * 10 ** rng.normal(0.0, mag_scatter, seen.sum())
    n_false = int(len(x) * contamination / (1.0 - contamination))
    x = np.concatenate([x, rng.uniform(box.x.start, box.x.stop, n_false)])
    y = np.concatenate([y, rng.uniform(box.y.start, box.y.stop, n_false)])
    measured = np.concatenate([measured, rng.permutation(np.resize(measured, n_false))])
    if blend_px > 0.0:
        x, y, measured = blended(x, y, measured, blend_px)
    if wrong:
        xi, eta = rng.uniform(-half, half, (2, len(ra)))
        ra, dec = from_tangent_plane(xi, eta, *truth.crval)
    return Field(x, y, measured, Table({"ra": ra, "dec": dec, "flux": flux}), truth, box, n_common, n_reference)


def blended(x, y, flux, distance):
    """The list with each pair closer than a distance as one source, at the centroid of its light."""
    gone = np.zeros(len(x), bool)
    for i, j in sorted(cKDTree(np.stack([x, y], axis=1)).query_pairs(distance)):
        if not (gone[i] or gone[j]):
            total = flux[i] + flux[j]
            x[i], y[i] = (flux[i] * x[i] + flux[j] * x[j]) / total, (flux[i] * y[i] + flux[j] * y[j]) / total
            flux[i], gone[j] = total, True
    return x[~gone], y[~gone], flux[~gone]


def error_arcsec(found, truth, box):
    """Root-mean-square error a coordinate, and largest error, of a projection over a box, arcsec."""
    y, x = np.mgrid[box.y.start : box.y.stop - 1 : 9j, box.x.start : box.x.stop - 1 : 9j]
    ra, dec = pixel_to_radec(found, x.ravel(), y.ravel())
    xi, eta = to_tangent_plane(ra, dec, *truth.crval)
    xi0, eta0 = to_tangent_plane(*truth.to_sky(x.ravel(), y.ravel()), *truth.crval)
    square = ((xi - xi0) ** 2 + (eta - eta0) ** 2) * 3600.0**2
    return float(np.sqrt(0.5 * square.mean())), float(np.sqrt(square.max()))
