"""What happens to the charge in the pixels: brighter pixels grow, cosmic rays hit, full wells run over."""

from __future__ import annotations

import numpy as np
from scipy import signal

__all__ = ["add_cosmic_rays", "bleed_columns", "brighter_fatter_kernel", "repel_charge"]

_KERNEL_RADIUS = 8


def brighter_fatter_kernel(strength: float) -> np.ndarray:
    """Potential that one electron raises around itself, ``[17, 17]``, for `repel_charge`.

    It falls with the third power of the distance, scaled so that 1e5 electrons in a pixel shift the sides that it
    shares by ``strength`` pixels.
    """
    y, x = np.mgrid[-_KERNEL_RADIUS : _KERNEL_RADIUS + 1, -_KERNEL_RADIUS : _KERNEL_RADIUS + 1]
    potential = (1.0 + x * x + y * y) ** -1.5
    step = potential[_KERNEL_RADIUS, _KERNEL_RADIUS] - potential[_KERNEL_RADIUS, _KERNEL_RADIUS + 1]
    return np.asarray(potential * strength / 1e5 / step)


def repel_charge(electrons: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Move charge across the sides of pixels, as the field of the charge that is there moves the sides.

    Half the light falls, on average, after the charge whose field it feels: of the mean charge of two neighbours, the
    fraction 0.5 (potential of one - potential of the other) goes from the higher to the lower potential (the model of
    Coulton et al. 2018, AJ 155, 258, discretised so that charge is conserved exactly).

    Parameters
    ----------
    electrons
        Charge that would gather without the effect, ``[y, x]``.
    kernel
        Potential of one electron, see `brighter_fatter_kernel`.
    """
    potential = signal.oaconvolve(electrons, kernel, mode="same")
    result = electrons.copy()
    for axis in (0, 1):
        here, there = np.swapaxes(electrons, 0, axis)[:-1], np.swapaxes(electrons, 0, axis)[1:]
        high, low = np.swapaxes(potential, 0, axis)[:-1], np.swapaxes(potential, 0, axis)[1:]
        moved = 0.5 * (high - low) * 0.5 * (here + there)
        view = np.swapaxes(result, 0, axis)
        view[:-1] -= moved
        view[1:] += moved
    return result


def add_cosmic_rays(electrons: np.ndarray, rate: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Add the tracks of cosmic rays to ``electrons`` ``[y, x]`` in place.

    Each is a straight line of 1 to some 30 pixels that leaves 100 to 3000 electrons a pixel of its length, shared
    between the pixels that it crosses.

    Parameters
    ----------
    electrons
        Charge.
    rate
        Hits a second on a million pixels.
    seconds
        Time between clearing and read-out.
    rng
        Source of the tracks.

    Returns
    -------
    hit
        Bool ``[y, x]``.
    """
    rows, columns = electrons.shape
    added = np.zeros_like(electrons)
    for _ in range(rng.poisson(rate * seconds * electrons.size / 1e6)):
        x, y, angle = rng.uniform(0, columns), rng.uniform(0, rows), rng.uniform(0, 2 * np.pi)
        length, density = 1.0 + rng.exponential(4.0), np.exp(rng.uniform(np.log(100.0), np.log(3000.0)))
        steps = int(10 * length) + 1
        along = np.linspace(0.0, length, steps)
        column, row = np.floor(x + along * np.cos(angle)).astype(int), np.floor(y + along * np.sin(angle)).astype(int)
        inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
        np.add.at(added, (row[inside], column[inside]), density * length / steps)
    electrons += added
    return np.asarray(added > 0)


def bleed_columns(electrons: np.ndarray, full_well: np.ndarray) -> np.ndarray:
    """Let charge above the full well run along its column, half of it up and half down, in place.

    What reaches the first or last row is lost.

    Parameters
    ----------
    electrons
        Charge ``[y, x]``.
    full_well
        Electrons that a pixel holds, ``[y, x]``.

    Returns
    -------
    full
        Bool ``[y, x]``: pixels whose well is full.
    """
    columns = np.flatnonzero((electrons > full_well).any(axis=0))
    for column in columns:
        charge, limit = electrons[:, column], full_well[:, column]
        excess = np.maximum(charge - limit, 0.0)
        charge -= excess
        for order in (range(len(charge)), range(len(charge) - 1, -1, -1)):
            carried = 0.0
            for row in order:
                carried += 0.5 * excess[row]
                taken = min(carried, limit[row] - charge[row])
                charge[row] += taken
                carried -= taken
    full = np.zeros(electrons.shape, dtype=bool)
    full[:, columns] = electrons[:, columns] >= full_well[:, columns]
    return full
