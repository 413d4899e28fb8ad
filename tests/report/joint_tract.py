"""A tract with a joint fit of which every figure is known: a pattern in the focal plane that the fit took away."""

from __future__ import annotations

from functools import cache

import numpy as np
from astropy.table import Table
from calibrated_frames import SHAPE, camera
from lsst.images import Box

from skyloom.images import ab_magnitude_to_njy, fits_header, pixel_to_radec, radec_to_pixel
from skyloom.jointcal import PHOTO_CALIB_COLUMNS, WCS_COLUMNS, table_of
from skyloom.report.tract_geometry import focal_plane_of
from skyloom.report.tract_products import FilterProducts
from skyloom.skymap import DiscreteSkyMap, Tract

CENTRE = (10.0, 2.0)
ROTATION = {1: 0.0, 2: 90.0, 3: 180.0, 4: 30.0}
"""Of the visits, degrees; a pattern of the camera shows only to who turns the residuals back."""
NOISE_MAS, NOISE_MMAG = 4.0, 8.0
PATTERN_MAS = 30.0
"""Residual to the right at the right edge of the focal plane before the fit; it is proportional to x."""
CLOUD = (3, 40.0)
"""A visit whose zero point the fit raised, and by how much, mmag."""
BROKEN = (4, 1)
"""The frame that the fit refused."""
REASON = "7 of 9 stars disagree with other frames and the references"
ZERO_POINT = 28.0
BOX = Box.from_shape(SHAPE)


@cache
def sky_map() -> DiscreteSkyMap:
    ra, dec = CENTRE
    return DiscreteSkyMap(
        name="field",
        tracts=({"ra": ra, "dec": dec, "radius": 0.04},),
        pixel_scale=0.5,
        patch_size=(300, 300),
        patch_border=10,
    )


def tract() -> Tract:
    return sky_map().tract(0)


def header_text(visit: int, detector: int) -> str:
    projection = camera().projection(detector, ra=CENTRE[0], dec=CENTRE[1], rotation_deg=ROTATION[visit], visit=visit)
    header, _ = fits_header(projection, BOX)
    return str(header.tostring(sep="\n", endcard=False, padding=False))


def wcs_tables() -> dict[int, Table]:
    return {
        visit: table_of(
            [
                _common(visit, detector)
                | {"wcs": "" if (visit, detector) == BROKEN else header_text(visit, detector)}
                | {"wcs_residual": 1e-4, "scatter": 1e-3 * NOISE_MAS, "moved": 0.02}
                for detector in (0, 1)
            ],
            WCS_COLUMNS,
        )
        for visit in ROTATION
    }


def photo_calib_tables() -> dict[int, Table]:
    return {
        visit: table_of(
            [
                _common(visit, detector)
                | {"calibration_mean": after(visit), "calibration_err": 0.01, "moved": 0.0}
                | {"chebyshev": np.array([1.0, 0.01, 0.0, 0.0]), "scatter": 1e-3 * NOISE_MMAG}
                for detector in (0, 1)
            ],
            PHOTO_CALIB_COLUMNS,
        )
        for visit in ROTATION
    }


def after(visit: int) -> float:
    """Flux scale after the fit, nJy an electron."""
    raised = 1e-3 * CLOUD[1] if visit == CLOUD[0] else 0.0
    return float(ab_magnitude_to_njy(ZERO_POINT + raised))


def summaries() -> dict[int, Table]:
    """With the columns of a visit's summary that the page reads."""
    return {
        visit: Table(
            {
                "detector": [0, 1],
                "zero_point_mag": [ZERO_POINT] * 2,
                "wcs": [header_text(visit, detector) for detector in (0, 1)],
                "x0": [0, 0],
                "y0": [0, 0],
                "x1": [SHAPE[1]] * 2,
                "y1": [SHAPE[0]] * 2,
            }
        )
        for visit in ROTATION
    }


def _common(visit: int, detector: int) -> dict[str, object]:
    bad = (visit, detector) == BROKEN
    box = {"x0": 0, "y0": 0, "x1": SHAPE[1], "y1": SHAPE[0], "detector": detector}
    return box | {
        "n_stars": 2 if bad else 90,
        "n_outliers": 7 if bad else 1,
        "refused": bad,
        "reason": REASON if bad else "",
    }


def stars() -> Table:
    """Stars all over the camera's field; the first half has references."""
    rng, number = np.random.default_rng(5), 1500
    ra = CENTRE[0] + rng.uniform(-0.035, 0.035, number)
    dec = CENTRE[1] + rng.uniform(-0.035, 0.035, number)
    table = Table({"star": np.arange(number), "ra": ra, "dec": dec})
    table["has_reference"] = np.arange(number) < number // 2
    table["mag"] = rng.uniform(17.0, 21.0, number)
    return table


@cache
def measurements() -> Table:
    """Every star on every frame; the pattern before the fit, noise alone after it."""
    rng, known = np.random.default_rng(6), stars()
    parts = []
    edge = focal_plane_of(camera(), 1, np.array([SHAPE[1] - 1.0]), np.array([0.0]))[0, 0]
    for visit, rotation in ROTATION.items():
        for detector in (0, 1):
            projection = camera().projection(detector, ra=CENTRE[0], dec=CENTRE[1], rotation_deg=rotation, visit=visit)
            x, y = radec_to_pixel(projection, known["ra"], known["dec"])
            inside = (x > 0) & (x < SHAPE[1] - 1) & (y > 0) & (y < SHAPE[0] - 1)
            x, y = x[inside], y[inside]
            pull = PATTERN_MAS * focal_plane_of(camera(), detector, x, y)[:, 0] / edge
            # The direction of the camera's x axis on the sky, from the WCS itself.
            (ra0, dec0), (ra1, dec1) = (pixel_to_radec(projection, x + step, y) for step in (0.0, 1.0))
            east, north = (ra1 - ra0) * np.cos(np.radians(dec0)), dec1 - dec0
            length = np.hypot(east, north)
            noise = rng.normal(0.0, NOISE_MAS, (2, x.size))
            grey = rng.normal(0.0, NOISE_MMAG, x.size)
            cloud = CLOUD[1] if visit == CLOUD[0] else 0.0
            parts.append(
                Table(
                    {
                        "visit": np.full(x.size, visit),
                        "detector": np.full(x.size, detector),
                        "star": np.asarray(known["star"])[inside],
                        "x": x,
                        "y": y,
                        "mag": np.asarray(known["mag"])[inside],
                        "east_before": 1e-3 * (noise[0] + pull * east / length),
                        "north_before": 1e-3 * (noise[1] + pull * north / length),
                        "east_after": 1e-3 * noise[0],
                        "north_after": 1e-3 * noise[1],
                        "astrometry_used": np.arange(x.size) > 0,
                        "mag_before": 1e-3 * (grey - cloud),
                        "mag_after": 1e-3 * grey,
                        "mag_err": np.full(x.size, 1e-3 * NOISE_MMAG),
                        "photometry_used": np.arange(x.size) > 0,
                    }
                )
            )
    columns = {name: np.concatenate([np.asarray(part[name]) for part in parts]) for name in parts[0].colnames}
    return Table(columns)


def history() -> Table:
    names = ("fit", "step", "chi2", "degrees", "n_outliers")
    rows = [
        ("astrometry", "initial", 9000.0, 3000, 0),
        ("astrometry", "transforms and stars", 2500.0, 2500, 8),
        ("photometry", "initial", 4000.0, 1500, 0),
        ("photometry", "transforms and stars", 1200.0, 1200, 8),
    ]
    return Table(rows=rows, names=names, dtype=(str, str, np.float64, np.int64, np.int64))


def metrics() -> Table:
    rows = [
        ("prepared_references", 750.0),
        ("prepared_stars", 1500.0),
        ("astrometry_final_chi2", 2500.0),
        ("astrometry_final_degrees", 2500.0),
    ]
    return Table(rows=rows, names=("name", "value"), dtype=(str, np.float64))


def products(**others: object) -> FilterProducts:
    """All of it, in filter r."""
    known = {
        "physical_filter": "r",
        "band": "r",
        "camera": camera(),
        "tract": tract(),
        "run": "made/1",
        "measurements": measurements(),
        "stars": stars(),
        "history": history(),
        "metrics": metrics(),
        "wcs": wcs_tables(),
        "photo_calib": photo_calib_tables(),
        "summaries": summaries(),
    }
    return FilterProducts(**(known | others))  # type: ignore[arg-type]
