"""The ratios of amplifiers' signals by least squares over small squares, each with a plane of its own under it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

__all__ = ["LinkSums", "add_frame", "first_ratios", "solve"]

_LARGEST_RATIO = 0.1
"""Victims with more signal than this part of the source's are sources themselves."""
_LEAST_PART = 0.1
"""Squares with a smaller part of usable pixels are left out."""


@dataclass(kw_only=True, eq=False)
class LinkSums:
    """Sums over squares and frames; the last axes are sources."""

    amplifiers: int
    normal: np.ndarray = field(init=False)
    """``[target, source, source]``: products of the sources, over the variance of the target."""
    right: np.ndarray = field(init=False)
    """``[target, source]``: products of sources and target."""
    squares: np.ndarray = field(init=False)
    """``[target, source, source]``: products of what each square adds to `right`, for its scatter tells the errors."""
    pixels: np.ndarray = field(init=False)
    """int64 ``[target, source]``: bright pixels of the source that were used."""

    def __post_init__(self) -> None:
        number = self.amplifiers
        self.normal, self.squares = np.zeros((number,) * 3), np.zeros((number,) * 3)
        self.right, self.pixels = np.zeros((number,) * 2), np.zeros((number,) * 2, np.int64)


def first_ratios(signals: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Median ratios ``[source, target]`` in one frame, not a number without bright pixels: rough, but no source of the
    victim can hide in them.

    Parameters
    ----------
    signals
        Counts above the background ``[amplifier, y, x]``.
    bright
        Bool: where an amplifier is a source.
    """
    number = len(signals)
    ratios = np.full((number, number), np.nan)
    alone = bright.sum(axis=0) == 1
    for source in range(number):
        where = bright[source] & alone
        counts = signals[:, where]
        for target in range(number):
            near = np.abs(counts[target]) < _LARGEST_RATIO * counts[source]
            if target != source and near.any():
                ratios[source, target] = np.median(counts[target, near] / counts[source, near])
    return ratios


def add_frame(
    sums: LinkSums, signals: np.ndarray, bright: np.ndarray, usable: np.ndarray, floors: np.ndarray, side: int
) -> None:
    """Add a frame to the sums, in place.

    In each square, sources and victims are taken free of a plane over the usable pixels, so that neither sky nor bias
    structure matters, and weighted by the scatter of what is left of the victim.

    Parameters
    ----------
    sums
        Of all frames.
    signals
        Counts ``[amplifier, y, x]``; only their structure within the squares counts.
    bright
        Bool: where an amplifier is a source.  Squares without any are left out.
    usable
        Bool: where an amplifier is but a victim.
    floors
        Least variance of a pixel of each amplifier.
    side
        Of the squares (pixels).
    """
    for square in _squares(signals.shape[1:], side):
        lit = bright[:, *square].reshape(len(signals), -1)
        if not lit.any():
            continue
        values = np.nan_to_num(signals[:, *square].reshape(len(signals), -1).astype(np.float64))
        values -= values.mean(axis=1, keepdims=True)  # so that no digits are lost below
        wanted = usable[:, *square].reshape(lit.shape).astype(np.float64)
        wanted *= wanted.sum(axis=1, keepdims=True) >= _LEAST_PART * wanted.shape[1]
        _add_square(sums, _products(values, wanted, _plane(signals[0][square].shape)), wanted, floors)
        sums.pixels += (wanted @ lit.T).astype(np.int64)


def _products(values: np.ndarray, wanted: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Sums of products ``[target, amplifier, amplifier]`` over the wanted pixels of each target, of the values once
    they are freed of a plane there by least squares.
    """
    table, rows = np.concatenate([plane, values]), len(plane)
    products = (wanted[:, None, :] * table) @ table.T
    mixed = products[:, rows:, :rows]
    inverse = np.linalg.pinv(products[:, :rows, :rows], hermitian=True)
    return np.asarray(products[:, rows:, rows:] - mixed @ inverse @ mixed.transpose(0, 2, 1))


def _add_square(sums: LinkSums, products: np.ndarray, wanted: np.ndarray, floors: np.ndarray) -> None:
    """Add the products of one square, weighted by the scatter of each target there."""
    own = np.einsum("ttt->t", products)
    weight = 1.0 / np.maximum(own / np.maximum(wanted.sum(axis=1), 1.0), floors)
    others = 1.0 - np.eye(len(products))
    right = weight[:, None] * np.einsum("tst->ts", products) * others
    sums.normal += weight[:, None, None] * products * others[:, :, None] * others[:, None, :]
    sums.right += right
    sums.squares += right[:, :, None] * right[:, None, :]


def _plane(shape: tuple[int, ...]) -> np.ndarray:
    """A constant and two slopes, ``[3, pixel]``."""
    y, x = (part.ravel() - part.mean() for part in np.mgrid[: shape[0], : shape[1]].astype(np.float64))
    return np.stack([np.ones(y.size), y, x])


def _squares(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    for y in range(0, shape[0], side):
        for x in range(0, shape[1], side):
            yield slice(y, y + side), slice(x, x + side)


def solve(sums: LinkSums, minimum_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Ratios and their errors.

    The errors are the larger ones of those by the scatter of pixels and those by the scatter of squares, since
    unseen faint light lies under many pixels at once (White 1980, Econometrica 48, 817).

    Parameters
    ----------
    sums
        Of all frames.
    minimum_pixels
        Sources with fewer bright pixels are not known.

    Returns
    -------
    ratios, errors
        ``[source, target]``; zero and infinite where not known.
    """
    number = sums.amplifiers
    ratios, errors = np.zeros((number, number)), np.full((number, number), np.inf)
    for target in range(number):
        known = np.flatnonzero((sums.pixels[target] >= minimum_pixels) & (np.arange(number) != target))
        if not known.size:
            continue
        inverse = np.linalg.pinv(sums.normal[target][np.ix_(known, known)], hermitian=True)
        ratios[known, target] = inverse @ sums.right[target, known]
        by_squares = inverse @ sums.squares[target][np.ix_(known, known)] @ inverse
        errors[known, target] = np.sqrt(np.maximum(np.diag(inverse), np.diag(by_squares)))
    return ratios, errors
