"""The HEALPix pixelisation of the sphere, Gorski et al. (2005, ApJ 622, 759), for arrays of pixels.

A pixel is known by its base pixel (0 to 11) and its column and row there, from the southern corner to the north-east
and to the north-west; both run from 0 to nside - 1.  All angles are in degrees.
"""

from __future__ import annotations

import numpy as np

__all__ = ["angles", "face_pixels", "from_nested", "from_ring", "max_radius", "to_nested", "to_ring"]

_RING = np.array([2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4])
"""Southern corner of each base pixel, in rings of nside from the north pole."""
_AROUND = np.array([1, 3, 5, 7, 0, 2, 4, 6, 1, 3, 5, 7])
"""Its right ascension in units of 45 degrees."""


def angles(nside: int, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right ascension and declination of places in base pixels.

    ``x`` and ``y`` are columns and rows, fractions included: the centre of a pixel is at one half.
    """
    ring = _RING[face] - (np.asarray(x) + y) / nside
    """From the north pole; 1 and 3 are the edges of the polar caps."""
    to_pole = np.where(ring < 1.0, ring, 4.0 - ring)
    polar = (ring < 1.0) | (ring > 3.0)
    step = np.where(polar, to_pole, 1.0)
    z = np.where(polar, np.sign(2.0 - ring) * (1.0 - to_pole**2 / 3.0), (2.0 - ring) * 2.0 / 3.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ra = 45.0 * np.where(step > 0.0, _AROUND[face] + (np.asarray(x) - y) / nside / step, _AROUND[face])
    # Near the poles 1 - z loses digits that the distance from the axis keeps.
    across = np.where(polar, to_pole * np.sqrt(np.maximum((2.0 - to_pole**2 / 3.0) / 3.0, 0.0)), np.sqrt(1.0 - z**2))
    return ra % 360.0, np.degrees(np.arctan2(z, across))


def face_pixels(nside: int, ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base pixel, column and row of positions."""
    z = np.sin(np.radians(dec))
    quarter = np.mod(ra, 360.0) / 90.0
    belt = _belt_pixels(nside, z, quarter)
    cap = _cap_pixels(nside, np.asarray(dec, float), z, quarter)
    equatorial = np.abs(z) <= 2.0 / 3.0
    face, x, y = (np.where(equatorial, b, c).astype(np.int64) for b, c in zip(belt, cap, strict=True))
    return face, x, y


def _belt_pixels(nside: int, z: np.ndarray, quarter: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of positions between the polar caps, by the numbers of the lines that cross there."""
    rising, falling = nside * (0.5 + quarter - 0.75 * z), nside * (0.5 + quarter + 0.75 * z)
    up, down = np.floor(rising).astype(np.int64), np.floor(falling).astype(np.int64)
    face_up, face_down = up // nside, down // nside
    face = np.where(
        face_up == face_down, face_up % 4 + 4, np.where(face_up < face_down, face_up % 4, face_down % 4 + 8)
    )
    return face, down % nside, nside - 1 - up % nside


def _cap_pixels(
    nside: int, dec: np.ndarray, z: np.ndarray, quarter: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels of positions in the polar caps, by their distances from the two meridians of the base pixel."""
    base = np.floor(quarter).astype(np.int64) % 4
    fraction = quarter - np.floor(quarter)
    # sqrt(3 (1 - |z|)) without the loss of digits near the poles.
    to_pole = nside * np.sqrt(6.0) * np.sin(np.radians(90.0 - np.abs(dec)) / 2.0)
    east = np.minimum(np.floor(fraction * to_pole), nside - 1).astype(np.int64)
    west = np.minimum(np.floor((1.0 - fraction) * to_pole), nside - 1).astype(np.int64)
    north = z > 0.0
    return (
        np.where(north, base, base + 8),
        np.where(north, nside - 1 - west, east),
        np.where(north, nside - 1 - east, west),
    )


def to_nested(nside: int, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers in the nested scheme, int64; ``nside`` is a power of 2."""
    number = np.asarray(face, np.int64) * nside**2
    for bit in range(nside.bit_length() - 1):
        number = number + (((x >> bit) & 1) << (2 * bit)) + (((y >> bit) & 1) << (2 * bit + 1))
    return number


def from_nested(nside: int, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base pixel, column and row of numbers in the nested scheme."""
    number = np.asarray(number, np.int64)
    x, y = np.zeros_like(number), np.zeros_like(number)
    for bit in range(nside.bit_length() - 1):
        x += ((number >> (2 * bit)) & 1) << bit
        y += ((number >> (2 * bit + 1)) & 1) << bit
    return number // nside**2, x, y


def to_ring(nside: int, face: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Numbers in the ring scheme, int64: along rings of constant declination from the north pole."""
    ring = _RING[face] * nside - x - y - 1
    first, size = _ring_layout(nside, ring)
    polar = size < 4 * nside
    shift = np.where(polar, 0, (ring - nside) % 2)
    """Belt rings of the parity of the edge of the cap begin half a pixel east of 0."""
    per_quarter = size // 4
    place = (_AROUND[face] * per_quarter + x - y + 1 + shift) // 2 - 1
    ring_number: np.ndarray = first + place % size
    return ring_number


def from_ring(nside: int, number: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base pixel, column and row of numbers in the ring scheme."""
    number = np.asarray(number, np.int64)
    rings = np.arange(1, 4 * nside)
    first, size = _ring_layout(nside, rings)
    index = np.searchsorted(first, number, side="right") - 1
    ring, place = rings[index], number - first[index]
    polar = size[index] < 4 * nside
    half = np.where(polar | ((ring - nside) % 2 == 0), 0.5, 0.0)
    to_pole = np.minimum(ring, 4 * nside - ring)
    z = np.where(
        polar, np.sign(2 * nside - ring) * (1.0 - to_pole**2 / (3.0 * nside**2)), 4 / 3 - 2 * ring / (3 * nside)
    )
    ra = 360.0 * (place + half) / size[index]
    return face_pixels(nside, ra, np.degrees(np.arcsin(z)))


def _ring_layout(nside: int, ring: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of the first pixel, and number of pixels, of rings, counted from 1 in the north."""
    to_pole = np.minimum(np.minimum(ring, 4 * nside - ring), nside)
    north, belt = 2 * ring * (ring - 1), 2 * nside * (nside - 1) + 4 * nside * (ring - nside)
    left = 4 * nside - ring
    first = np.where(ring < nside, north, np.where(left < nside, 12 * nside**2 - 2 * left * (left + 1), belt))
    return first, 4 * to_pole


def max_radius(nside: int) -> float:
    """Degrees from the centre of a pixel that no corner of one exceeds."""
    z = 1.0 - (1.0 - 1.0 / nside) ** 2 / 3.0
    high = np.array([np.sqrt(1.0 - z**2), 0.0, z])
    edge = np.array([np.cos(np.pi / (4 * nside)), np.sin(np.pi / (4 * nside)), 0.0]) * np.sqrt(5.0) / 3.0
    edge[2] = 2.0 / 3.0
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(high, edge)), high @ edge)))
