"""Statistics of stacks against numpy, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import ArrayLike

from skyloom.kernels import stack_statistics as kernel
from skyloom.kernels.stack_statistics import stack_statistics

NO_DATA, BAD, SAT, CLIPPED, REJECTED, OTHER = (1 << k for k in range(6))
ALL_BAD = NO_DATA | BAD | SAT
NAMES = (
    "MEAN",
    "MEANCLIP",
    "MEDIAN",
    "VARIANCE",
    "VARIANCECLIP",
    "MEANSQUARE",
    "IQRANGE",
    "MIN",
    "MAX",
    "SUM",
    "NPOINT",
)


def cube(given: ArrayLike, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Values of the samples of one pixel, of all, or one for all, as a stack."""
    values = np.asarray(given, dtype)
    # A copy, for what cannot be written to is another type, for which the kernel would be compiled again.
    return np.array(np.broadcast_to(values[:, None, None] if values.ndim == 1 else values, shape), order="C")


def combine(
    image: ArrayLike,
    variance: ArrayLike = 1.0,
    bits: ArrayLike = 0,
    weights: ArrayLike | None = None,
    *,
    statistic: str = "MEAN",
    source: int = 0,
    clip: tuple[float, int] = (3.0, 3),
    thresholds: np.ndarray | None = None,
    mask_map: Sequence[tuple[int, int]] = ((BAD, REJECTED),),
    by_variance: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    values = np.asarray(image, np.float32)
    values = values[:, None, None] if values.ndim == 1 else values
    return stack_statistics(
        values,
        cube(variance, values.shape, np.float32),
        cube(bits, values.shape, np.int32),
        np.ones(len(values)) if weights is None else np.asarray(weights, float),
        (by_variance, ALL_BAD),
        (getattr(kernel, statistic), source),
        clip,
        np.ones(6) if thresholds is None else thresholds,
        (NO_DATA, CLIPPED),
        np.array(mask_map, np.int32).reshape(-1, 2),
    )


def unbiased(x: np.ndarray, w: np.ndarray) -> float:
    """Weighted variance without bias."""
    total, square = w.sum(), (w**2).sum()
    mean = (w * x).sum() / total
    return ((w * x**2).sum() / total - mean**2) * total**2 / (total**2 - square) if len(x) > 1 else np.nan


def clipped(x: np.ndarray, w: np.ndarray, n_sigma: float, iterations: int) -> np.ndarray:
    """Which samples stay, said as plainly as can be."""
    quartiles = np.percentile(x, (25, 75))
    from_quartiles = 0.741301109252802 * (quartiles[1] - quartiles[0])
    centre, scale = np.median(x), from_quartiles
    kept = np.ones(len(x), bool)
    for turn in range(iterations):
        if turn:
            centre = (w * x)[kept].sum() / w[kept].sum()
            scale = np.sqrt(max(unbiased(x[kept], w[kept]), 0.0)) if kept.sum() > 1 else from_quartiles
        now = np.abs(x - centre) <= n_sigma * scale
        if now.any():
            kept = now
    return kept


def plain(
    name: str, x: np.ndarray, v: np.ndarray, w: np.ndarray, clip: tuple[float, int], source: int
) -> tuple[float, float, int]:
    kept = clipped(x, w, *clip) if name.endswith("CLIP") else np.ones(len(x), bool)
    n = int(kept.sum())
    total, spread = w[kept].sum(), unbiased(x[kept], w[kept])
    mean = (w * x)[kept].sum() / total
    errors = ((w**2 * v)[kept].sum() / total**2, (w * v)[kept].sum() / total, spread * (w[kept] ** 2).sum() / total**2)
    square = (0.0 if n == 1 else (n - 1) / n * spread) + mean**2
    value, error = {
        "MEAN": (mean, errors[source]),
        "MEANCLIP": (mean, errors[source]),
        "MEDIAN": (np.median(x), np.pi / 2 * spread / n),
        "VARIANCE": (spread, 2 * (n - 1) * spread**2 / n**2),
        "VARIANCECLIP": (spread, 2 * (n - 1) * spread**2 / n**2),
        "MEANSQUARE": (square, 2 * square**2 / n),
        "IQRANGE": (np.subtract(*np.percentile(x, (75, 25))), np.nan),
        "MIN": (x.min(), np.nan),
        "MAX": (x.max(), np.nan),
        "SUM": (x.sum(), np.nan),
        "NPOINT": (len(x), np.nan),
    }[name]
    return value, error, n


@pytest.mark.parametrize("n", [1, 2, 7, 61])
@pytest.mark.parametrize("name", NAMES)
def test_every_statistic_is_that_of_numpy(name: str, n: int) -> None:
    rng = np.random.default_rng(n)
    shape = (n, 1, 270)
    image = rng.normal(5.0, 2.0, shape).astype(np.float32)
    image[rng.random(shape) < 0.1] += 30.0
    variance = rng.uniform(0.5, 4.0, shape).astype(np.float32)
    bits = rng.choice([0, 0, 0, OTHER, BAD], shape).astype(np.int32)
    image[rng.random(shape) < 0.05] = np.nan
    variance[rng.random(shape) < 0.05] = np.inf
    weights = rng.uniform(0.2, 2.0, n)
    for source in range(3) if name.startswith("MEAN") else (0,):
        value, error, mask, used = combine(image, variance, bits, weights, statistic=name, source=source, clip=(1.5, 3))
        usable = np.isfinite(image) & np.isfinite(variance) & (bits & ALL_BAD == 0)
        for r, c in np.ndindex(1, 270):
            good = usable[:, r, c]
            if not good.any():
                assert (np.isnan(value[r, c]), error[r, c], mask[r, c], used[r, c]) == (True, np.inf, NO_DATA, 0)
                continue
            x, v = image[good, r, c].astype(float), variance[good, r, c].astype(float)
            wanted = plain(name, x, v, weights[good], (1.5, 3), source)
            assert value[r, c] == pytest.approx(wanted[0], rel=2e-6, abs=1e-6, nan_ok=True)
            assert error[r, c] == pytest.approx(wanted[1], rel=2e-5, abs=1e-6, nan_ok=True)
            assert used[r, c] == wanted[2]
            expected = np.bitwise_or.reduce(bits[good, r, c]) | (CLIPPED if wanted[2] < good.sum() else 0)
            if not good.all() and (bits[:, r, c] & BAD).any():
                expected |= REJECTED
            assert mask[r, c] == expected


def test_samples_that_weigh_by_their_variance_have_the_smallest_error() -> None:
    value, error, _, used = combine([1.0, 2.0, 4.0, 9.0], [1.0, 2.0, 4.0, 0.0], by_variance=True)
    assert value[0, 0] == pytest.approx((1 + 2 / 2 + 4 / 4) / 1.75)
    assert error[0, 0] == pytest.approx(1 / 1.75)
    assert used[0, 0] == 3  # one with no variance has no weight


@pytest.mark.parametrize(("share", "is_set"), [(0.09, False), (0.1, False), (0.11, True)])
def test_planes_of_lost_samples_are_handed_on_above_their_threshold(share: float, is_set: bool) -> None:
    thresholds = np.ones(6)
    thresholds[2] = 0.1
    mask = combine([1.0, 5.0], bits=[0, SAT], weights=[1.0 - share, share], thresholds=thresholds, mask_map=())[2]
    assert bool(mask[0, 0] & SAT) == is_set


def test_clipped_samples_hand_their_planes_on() -> None:
    values = [0.0, 0.1, -0.1, 0.05, -0.05, 50.0]
    _, _, mask, used = combine(values, bits=[0, 0, 0, 0, 0, OTHER], statistic="MEANCLIP")
    assert (mask[0, 0], used[0, 0]) == (OTHER | CLIPPED, 5)


def test_mask_map_asks_for_a_lost_sample_and_a_bit_of_any() -> None:
    rules = ((OTHER, REJECTED),)
    assert combine([1.0, 2.0], bits=[OTHER, 0], mask_map=rules)[2][0, 0] == OTHER
    assert combine([1.0, 2.0], bits=[OTHER, BAD], mask_map=rules)[2][0, 0] == OTHER | REJECTED
    assert combine([1.0, np.nan], bits=[OTHER, 0], mask_map=rules)[2][0, 0] == OTHER | REJECTED


def test_sample_at_the_very_limit_stays() -> None:
    # Quartiles of -2, -1, 0, 1, x are -1 and 1, the median is 0: the first pass keeps up to 1.48 n_sigma.
    limit = 2.0 * 0.741301109252802 * 4.0
    for sample, stay in ((np.nextafter(np.float32(limit), 0), 5), (np.nextafter(np.float32(limit), 99), 4)):
        assert combine([-2.0, -1.0, 0.0, 1.0, sample], statistic="MEANCLIP", clip=(4.0, 1))[3][0, 0] == stay
    assert combine([0.0, 0.0, 0.0, 0.0], statistic="MEANCLIP")[3][0, 0] == 4


def test_pass_that_would_leave_nothing_is_not_made() -> None:
    value, _, _, used = combine([0.0, 10.0], statistic="MEANCLIP", clip=(1.0, 3))
    assert (value[0, 0], used[0, 0]) == (5.0, 2)


def test_large_and_small_weights_do_not_overflow() -> None:
    for weight in (1e-150, 1e150):
        value, error, _, _ = combine([1.0, 3.0], weights=[weight, weight])
        assert (value[0, 0], error[0, 0]) == (2.0, 0.5)
