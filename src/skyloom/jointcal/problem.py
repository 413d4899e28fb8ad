"""What the two joint fits have in common: active terms, their chi2, the outliers among them, and the iteration."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import JointFitError

from .settings import FitSettings
from .solve import Design, solve_step

__all__ = ["Chi2", "Fitted", "History", "Part", "Problem", "Terms", "converge", "one_step"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]
type Flags = NDArray[np.bool_]

_LOG = logging.getLogger(__name__)
_MAX_CLEANINGS = 5
_GROWTH = 1.01
"""So much chi2 may grow in a step: its errors follow the transforms."""
_SHORTEST = 1e-3
"""Part of a step below which it is not shortened any more."""
_FEW = 1e-4
"""Share of the measurements that are found as outliers in the last step that needs no further one."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Which unknowns a step moves."""

    name: str
    chips: bool = True
    groups: bool = True
    stars: bool = True


_STARS = Part(name="stars, less outliers", chips=False, groups=False)


@dataclass(frozen=True)
class Chi2:
    """The objective at one moment."""

    step: str
    chi2: float
    degrees: int
    """Terms less unknowns of the step."""
    n_outliers: int
    """Left out by then."""


type History = list[Chi2]


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """Parts of chi2."""

    measurement: Floats
    """Of every measurement, ``[m]``."""
    reference: Floats
    """Of every reference, ``[r]``."""


@dataclass(kw_only=True, eq=False)
class Fitted:
    """State that both fits share: which measurements and references take part."""

    star: Integers
    """Star of each measurement, ``[m]``."""
    reference_star: Integers
    """Star of each reference, ``[r]``."""
    n_stars: int
    dimension: int
    """Numbers a measurement brings: 2 for a position, 1 for a flux."""
    used: Flags
    """Measurements that take part, ``[m]``."""
    reference_used: Flags
    history: History = field(default_factory=list)

    @property
    def n_residuals(self) -> int:
        """Numbers that are compared."""
        return self.dimension * int(self.used.sum() + self.reference_used.sum())


class Problem(Protocol):
    """A joint fit at its present values."""

    state: Fitted

    def design(self, part: Part) -> Design:
        """The linear problem for some of the unknowns."""
        ...

    def move(self, part: Part, step: Floats, star_step: Floats) -> None:
        """Take a step."""
        ...

    def terms(self) -> Terms:
        """Parts of chi2; those that do not take part count as if they did."""
        ...


def chi2_of(problem: Problem) -> float:
    """The objective of the terms that take part."""
    terms, state = problem.terms(), problem.state
    return float(terms.measurement[state.used].sum() + terms.reference[state.reference_used].sum())


def one_step(problem: Problem, part: Part) -> Chi2:
    """Take a Gauss-Newton step and record what came of it; a step after which chi2 is larger is shortened.

    Raises
    ------
    JointFitError
        If the data leave unknowns open, there are more unknowns than data, or chi2 is no number any more.
    """
    state = problem.state
    design = problem.design(part)
    unknowns = design.n_unknowns + (state.dimension * _free_stars(state) if part.stars else 0)
    degrees = state.n_residuals - unknowns
    if degrees < 0:
        raise JointFitError(
            f"{state.n_residuals} numbers are too few for {unknowns} unknowns.",
            cure="Take more visits, or lower the orders of the polynomials.",
        )
    before = chi2_of(problem)
    step, star_step = solve_step(design, stars=part.stars)
    problem.move(part, step, star_step)
    chi2 = chi2_of(problem)
    length = 1.0
    while not chi2 <= _GROWTH * before and length > _SHORTEST:
        length *= 0.5
        problem.move(part, -length * step, -length * star_step)
        chi2 = chi2_of(problem)
    if not np.isfinite(chi2):
        raise JointFitError(f"chi2 is {chi2} after the step {part.name!r}.", cure="Look at the frames that go in.")
    outliers = int((~state.used).sum() + (~state.reference_used).sum())
    record = Chi2(part.name, chi2, degrees, outliers)
    state.history.append(record)
    return record


def _free_stars(state: Fitted) -> int:
    """Stars about which anything is known."""
    known = np.zeros(state.n_stars, bool)
    known[state.star[state.used]] = True
    known[state.reference_star[state.reference_used]] = True
    return int(known.sum())


def converge(problem: Problem, part: Part, settings: FitSettings) -> None:
    """Step until chi2 stays and no outlier is left; the state knows which were left out.

    Between the steps outliers are looked for with the transforms held, which is cheap; those that a worse outlier or
    a transform that was still wrong had made look bad come back.

    Raises
    ------
    JointFitError
        As for `one_step`, and if chi2 grows tenfold from one step to the next.
    """
    state = problem.state
    before = state.used.copy(), state.reference_used.copy()
    last = one_step(problem, part)
    for _ in range(settings.max_steps):
        moved = _clean(problem, settings.outlier_sigma)
        this = one_step(problem, part)
        if this.chi2 > 10.0 * max(last.chi2, 1e-12):
            raise JointFitError(
                f"chi2 grows from {last.chi2:.6g} to {this.chi2:.6g}.", cure="Look at the frames that go in."
            )
        moved += _readmit(problem, before, settings.outlier_sigma)
        change = abs(last.chi2 - this.chi2) / max(this.chi2, 1e-12)
        if change <= settings.tolerance or 0 < moved <= _FEW * state.used.sum():
            break
        last = this
    else:
        _LOG.warning("after %d steps the fit still changes or finds outliers", settings.max_steps)
    one_step(problem, part)


def _clean(problem: Problem, sigma: float) -> int:
    """Leave out outliers until none is found, with only the stars moving; how many were left out."""
    total = 0
    for _ in range(_MAX_CLEANINGS):
        found = _drop_outliers(problem, sigma)
        if not found:
            break
        total += found
        one_step(problem, _STARS)
    return total


def _readmit(problem: Problem, before: tuple[Flags, Flags], sigma: float) -> int:
    """Take back terms that were left out and are below the limit now; how many those are."""
    state, terms = problem.state, problem.terms()
    again = before[0] & ~state.used & (terms.measurement < _limit(terms.measurement[state.used], sigma))
    limit = _limit(terms.reference[state.reference_used], sigma)
    reference_again = before[1] & ~state.reference_used & (terms.reference < limit)
    state.used |= again
    state.reference_used |= reference_again
    return int(again.sum() + reference_again.sum())


def _limit(values: Floats, sigma: float) -> float:
    """The value from which on one of some terms is an outlier."""
    if values.size == 0 or sigma <= 0.0:
        return np.inf
    return float(values.mean() + sigma * values.std())


def _drop_outliers(problem: Problem, sigma: float) -> int:
    """Leave out the largest terms of chi2; how many those were.

    Terms above mean + ``sigma`` standard deviations of their kind are outliers: with measurements and references taken
    together, a pedestal above the noise of the measurements would make outliers of good references.  Of each star only
    the largest is left out at a time: it pulls the star and makes good measurements of it look bad.  The last
    measurement of a star without a reference stays: there is nothing that it could disagree with.
    """
    if sigma <= 0.0:
        return 0
    state, terms = problem.state, problem.terms()
    star = np.concatenate([state.star, state.reference_star])
    value = np.concatenate([terms.measurement, terms.reference])
    used = np.concatenate([state.used, state.reference_used])
    limit = np.full(len(value), _limit(terms.measurement[state.used], sigma))
    limit[len(state.star) :] = _limit(terms.reference[state.reference_used], sigma)
    candidates = np.flatnonzero(used & (value >= limit))
    candidates = candidates[np.argsort(-value[candidates], kind="stable")]
    _, largest = np.unique(star[candidates], return_index=True)
    n_terms = np.bincount(star[used], minlength=state.n_stars)
    n_measured = np.bincount(state.star[state.used], minlength=state.n_stars)
    count = 0
    for index in candidates[np.sort(largest)]:
        is_measurement = index < len(state.star)
        if n_terms[star[index]] < 2 or (not is_measurement and n_measured[star[index]] == 0):
            continue
        if is_measurement:
            state.used[index] = False
        else:
            state.reference_used[index - len(state.star)] = False
        count += 1
    return count
