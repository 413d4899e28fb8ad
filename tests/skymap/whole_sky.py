"""Sky maps that several tests share."""

from __future__ import annotations

import numpy as np

from skyloom.skymap import (
    DiscreteSkyMap,
    DodecahedronSkyMap,
    EquatorialSkyMap,
    HealpixSkyMap,
    RingsSkyMap,
    SkyMap,
    TractCircle,
    unit_vectors,
)

MEDIUM_DEEP = (
    (10.675, 41.267),
    (35.875, -4.25),
    (53.1, -27.8),
    (130.592, 44.317),
    (150.0, 2.2),
    (161.917, 58.083),
    (185.0, 47.117),
    (213.704, 53.083),
    (242.787, 54.95),
    (334.188, 0.283),
    (352.312, -0.433),
    (270.0, 66.561),
)
"""Centres of the twelve medium-deep fields of Pan-STARRS 1."""


def rings(**changes: object) -> RingsSkyMap:
    """Rings as Hyper Suprime-Cam's survey has them."""
    definition = {"name": "hsc", "num_rings": 120, "projection": "TAN", "tract_overlap": 1 / 60, "pixel_scale": 0.168}
    return RingsSkyMap.from_dict(definition | changes)


def coarse(**changes: object) -> RingsSkyMap:
    """A few wide tracts."""
    return RingsSkyMap.from_dict({"name": "coarse", "num_rings": 3} | changes)


def discrete(**changes: object) -> DiscreteSkyMap:
    """Twelve fields with a radius of two degrees."""
    circles = tuple(TractCircle(ra=ra, dec=dec, radius=2.0) for ra, dec in MEDIUM_DEEP)
    return DiscreteSkyMap.from_dict({"name": "md", "tracts": circles, "pixel_scale": 0.25} | changes)


KINDS: dict[str, SkyMap] = {
    "discrete": discrete(),
    "rings": coarse(),
    "equatorial": EquatorialSkyMap(name="equatorial"),
    "healpix": HealpixSkyMap(name="healpix", nside=2),
    "dodecahedron": DodecahedronSkyMap(name="dodecahedron"),
    "dodecahedron on poles": DodecahedronSkyMap(name="poles", tracts_on_poles=True),
}


def separation(ra: float, dec: float, ra2: float, dec2: float) -> float:
    """Degrees between two positions."""
    chord = np.linalg.norm(unit_vectors(np.array(ra), np.array(dec)) - unit_vectors(np.array(ra2), np.array(dec2)))
    return float(np.degrees(2 * np.arcsin(chord / 2)))


def random_positions(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions spread evenly over the sphere."""
    rng = np.random.default_rng(12345)
    return rng.uniform(0, 360, count), np.degrees(np.arcsin(rng.uniform(-1, 1, count)))
