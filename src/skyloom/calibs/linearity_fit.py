"""Fit how the counts of all amplifiers of a detector grow with one light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from .lamp import Lamp
from .linearity_basis import Excess
from .pair_settings import LinearizerSettings

__all__ = ["AmplifierCounts", "LinearityFit", "fit_linearity"]

_ROUNDS = 6
_SMALLEST_ERROR = 1e-5  # relative: better than any lamp is steady


@dataclass(frozen=True, kw_only=True, eq=False)
class AmplifierCounts:
    """Levels of one amplifier, ``[frame]``."""

    levels_adu: np.ndarray
    errors_adu: np.ndarray
    """Of the photon noise alone."""
    usable: np.ndarray
    """Bool."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearityFit:
    """The linearity of all amplifiers."""

    excess: dict[str, np.ndarray]
    """Weights of the functions of each amplifier."""
    rates: dict[str, np.ndarray]
    """ADU for one unit of light, by filter."""
    offsets_adu: dict[str, float]
    """Counts without light: of a shutter that is open longer than it says, or of a bias that is wrong."""
    used: dict[str, np.ndarray]
    """Bool: frames that count."""
    drift: float
    """Relative change of the lamp from the first frame to the last."""
    drift_error: float

    def expected_adu(self, name: str, lamp: Lamp) -> np.ndarray:
        """Counts that an amplifier should have in each frame."""
        steady = self.rates[name][lamp.group] * lamp.light
        return np.asarray(steady * (1.0 + 0.5 * self.drift * lamp.epoch) + self.offsets_adu[name])


def fit_linearity(
    counts: Mapping[str, AmplifierCounts], excess: Mapping[str, Excess], lamp: Lamp, settings: LinearizerSettings
) -> LinearityFit:
    """Fit levels m of all amplifiers at once, as

    ``m - sum_k w_k B_k(m) = f t (1 + d e / 2) + b``

    with the weights w, the rate f of each filter and the offset b of each amplifier, and one drift d of the lamp over
    epochs e from -1 to 1.  A drift is allowed for where it shows by `drift_significance`: where levels were taken in
    the order of their times it looks like a loss of linearity, and the pairs alone tell the two apart.

    Parameters
    ----------
    counts
        By name of the amplifier.
    excess
        The functions B of each.
    lamp
        Times t, epochs e and filters.
    settings
        How.
    """
    fit = _fit(counts, excess, lamp, settings, with_drift=True)
    if abs(fit.drift) > settings.drift_significance * fit.drift_error:
        return fit
    steady = _fit(counts, excess, lamp, settings, with_drift=False)
    return replace(steady, drift_error=fit.drift_error)


def _fit(
    counts: Mapping[str, AmplifierCounts],
    excess: Mapping[str, Excess],
    lamp: Lamp,
    settings: LinearizerSettings,
    *,
    with_drift: bool,
) -> LinearityFit:
    """Weighted least squares over all amplifiers, outliers left out, and the lamp's drift once more each time."""
    system = _System(counts, excess, lamp, with_drift=with_drift)
    for _ in range(_ROUNDS):
        system.solve()
        if not system.leave_out(settings.n_sigma):
            break
    return system.result()


class _System:
    """The linear equations of all amplifiers, whose unknowns are their own but for the lamp's drift."""

    def __init__(
        self,
        counts: Mapping[str, AmplifierCounts],
        excess: Mapping[str, Excess],
        lamp: Lamp,
        *,
        with_drift: bool,
    ) -> None:
        self._counts, self._excess, self._lamp, self._with_drift = counts, excess, lamp, with_drift
        self._used = {name: one.usable.copy() for name, one in counts.items()}
        self._linear = {name: one.levels_adu for name, one in counts.items()}
        self._solution: dict[str, np.ndarray] = {}
        self._drift, self._drift_error = 0.0, float("nan")

    def _design(self, name: str) -> np.ndarray:
        """Columns of one amplifier: rates by filter, offset, functions; without the drift."""
        lamp, levels = self._lamp, self._counts[name].levels_adu
        light = lamp.light * (1.0 + 0.5 * self._drift * lamp.epoch)
        rates = np.where(lamp.group[:, None] == np.arange(len(lamp.groups)), light[:, None], 0.0)
        return np.hstack([rates, np.ones((len(light), 1)), self._excess[name].basis(levels)])

    def _weights(self, name: str) -> np.ndarray:
        # All amplifiers see one flicker, so that many of them know no more of it than one.
        one = self._counts[name]
        common = np.sqrt(len(self._counts)) * max(self._lamp.flicker, _SMALLEST_ERROR) * one.levels_adu
        return np.asarray(np.where(self._used[name], 1.0 / np.hypot(one.errors_adu, common), 0.0))

    def solve(self) -> None:
        """Solve each amplifier, and all of them for the change of the drift."""
        information = right = 0.0
        solutions: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for name, one in self._counts.items():
            used, weight = self._used[name], self._weights(name)
            design = np.nan_to_num(self._design(name)) * weight[:, None]
            targets = np.stack([one.levels_adu, 0.5 * self._linear[name] * self._lamp.epoch], axis=1)
            targets = np.where(used[:, None], targets, 0.0) * weight[:, None]
            size = np.linalg.norm(design, axis=0)
            size[size == 0] = 1.0
            solved = np.linalg.lstsq(design / size, targets, rcond=None)[0] / size[:, None]
            left = targets - design @ solved
            information += float(left[:, 1] @ left[:, 1])
            right += float(left[:, 1] @ left[:, 0])
            solutions[name] = solved[:, 0], solved[:, 1]
        change = right / information if self._with_drift and information > 0 else 0.0
        self._drift += change
        self._drift_error = information**-0.5 if information > 0 else float("inf")
        self._solution = {name: own - change * along for name, (own, along) in solutions.items()}
        for name, one in self._counts.items():
            excess = self._excess[name].basis(one.levels_adu) @ self._weights_of(name)
            self._linear[name] = one.levels_adu - excess

    def _weights_of(self, name: str) -> np.ndarray:
        return self._solution[name][len(self._lamp.groups) + 1 :]

    def leave_out(self, n_sigma: float) -> bool:
        """Leave out levels far from the fit, once it has settled; whether to go on."""
        changed = False
        for name, one in self._counts.items():
            residual = (one.levels_adu - self._design(name) @ self._solution[name]) * self._weights(name)
            spread = 1.4826 * float(np.median(np.abs(residual[self._used[name]])))
            wanted = self._used[name] & (np.abs(residual) <= n_sigma * max(spread, 1.0))
            changed |= bool((wanted != self._used[name]).any())
            self._used[name] = wanted
        return changed or self._with_drift

    def result(self) -> LinearityFit:
        """What was found."""
        groups = len(self._lamp.groups)
        return LinearityFit(
            excess={name: self._weights_of(name) for name in self._counts},
            rates={name: one[:groups] for name, one in self._solution.items()},
            offsets_adu={name: float(one[groups]) for name, one in self._solution.items()},
            used=self._used,
            drift=self._drift,
            drift_error=self._drift_error,
        )
