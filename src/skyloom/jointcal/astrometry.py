"""`AstrometricFit`: positions of stars and distortions of frames that agree with all that was measured."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skyloom.catalog.htm import unit_vectors
from skyloom.kernels.star_residuals import star_residuals, whiten

from .associate import Stars
from .astrometric_model import Mapped, initial_model
from .catalogues import Measurements
from .directions import ARCSEC, from_plane, local_axes, project, to_degrees
from .problem import Fitted, Part, Terms
from .references import MatchedReferences
from .settings import JointAstrometrySettings
from .solve import Design
from .unknowns import FreeTerms, free_groups, nearest_to_middle, numbered, prior_of

__all__ = ["AstrometricFit"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]
type Flags = NDArray[np.bool_]

_DETECTOR_PRIOR = 0.01
"""How far the coefficients of detectors, in camera coordinates between -1 and 1, are expected to move."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Compared:
    """Stars and measurements on the tangent planes."""

    residual: Floats
    """Star less measurement, arcsec, ``[m, 2]``."""
    root: Floats
    """What turns residuals into units of their errors, ``[m, 2, 2]``."""
    by_star: Floats
    """Derivatives by moves of the star to the east and to the north, ``[m, 2, 2]``."""


class AstrometricFit:
    """The joint fit of positions, at its present values.

    Parameters
    ----------
    measurements
        All of them.
    stars
        The stars that they are of.
    references
        Those of the stars, at the epoch of the fit.
    settings
        Model and errors.
    usable
        Measurements that may take part, ``[m]``.
    """

    def __init__(
        self,
        measurements: Measurements,
        stars: Stars,
        references: MatchedReferences,
        settings: JointAstrometrySettings,
        usable: Flags | None = None,
    ) -> None:
        self._references = references
        self._settings = settings
        self._data = measurements
        self.state = Fitted(
            star=stars.of_measurement.copy(),
            reference_star=references.star,
            n_stars=len(stars),
            dimension=2,
            used=np.ones(len(measurements), bool) if usable is None else usable.copy(),
            reference_used=np.ones(len(references), bool),
        )
        self.model = self._start = initial_model(measurements, settings)
        self.directions = unit_vectors(stars.ra, stars.dec)
        self._held_chip = nearest_to_middle(*self.model.chip_coefficients[:, :, 0].T)
        self._motion = _motion(measurements, stars, references)
        self._mapped: Mapped | None = None
        self._seen: _Compared | None = None
        self._terms: Terms | None = None

    @property
    def star_positions(self) -> tuple[Floats, Floats]:
        """Right ascension and declination of the stars at the epoch of the fit, degree."""
        return to_degrees(self.directions)

    def to_sky(self, numbers: Integers, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Right ascension and declination, degree, of pixel positions ``[b, n]`` of frames ``[b]``, a row a frame."""
        mapped = self.model.map(np.repeat(numbers, x.shape[1]), x.ravel(), y.ravel())
        return to_degrees(from_plane(mapped.position.reshape(*x.shape, 2), self.model.planes[numbers]))

    def terms(self) -> Terms:
        """Parts of chi2."""
        if self._terms is None:
            seen = self._compared()
            residual = seen.residual.copy()
            whiten(seen.root, residual[:, :, None])
            reference, inverse = self._reference_residuals()
            self._terms = Terms(
                measurement=np.sum(residual**2, axis=1),
                reference=np.einsum("ri,rij,rj->r", reference, inverse, reference),
            )
        return self._terms

    def residuals(self) -> Floats:
        """Star less measurement on the tangent planes, to the east and to the north, arcsec, ``[m, 2]``."""
        return self._compared().residual

    def design(self, part: Part) -> Design:
        """The linear problem for some of the unknowns."""
        free = self._free(part)
        rows = np.flatnonzero(self.state.used)
        seen = self._compared()
        root, residual, by_star = seen.root[rows], seen.residual[rows], seen.by_star[rows]
        by_unknowns = self._by_unknowns(rows) if free.count else np.zeros((len(rows), 2, 0))
        for values in (residual[:, :, None], by_unknowns, by_star):
            whiten(root, values)
        frame = self._data.frame[rows]
        columns = np.zeros((len(rows), 0), np.int32)
        if free.count:
            columns = free.columns(self.model.chip_of_frame[frame], self.model.group_of_frame[frame])
        information, offset = self._known()
        prior, prior_offset = self._prior(free)
        return Design(
            residual=residual,
            values=by_unknowns,
            columns=columns,
            n_unknowns=free.count,
            n_sparse=free.n_chip if self._settings.model == "constrained" else free.count,
            star=self.state.star[rows],
            star_block=-by_star,
            information=information,
            offset=offset,
            prior=prior,
            prior_offset=prior_offset,
        )

    def move(self, part: Part, step: Floats, star_step: Floats) -> None:
        """Take a step; the stars move to the east and to the north, arcsec."""
        free, model = self._free(part), self.model
        if free.count:
            self.model = replace(
                model,
                chip_coefficients=model.chip_coefficients
                + free.spread(step, free.chip).reshape(model.chip_coefficients.shape),
                group_coefficients=model.group_coefficients
                + free.spread(step, free.group).reshape(model.group_coefficients.shape),
            )
            self._mapped = None
        moved = self.directions + np.einsum("si,sij->sj", star_step / ARCSEC, local_axes(self.directions)[:, :2])
        self.directions = moved / np.linalg.norm(moved, axis=1, keepdims=True)
        self._seen = self._terms = None

    def _compared(self) -> _Compared:
        """Stars and all measurements on the tangent planes; worked out anew after a move."""
        if self._mapped is None:
            self._mapped = self.model.map(self._data.frame, self._data.x, self._data.y)
        if self._seen is None:
            m = len(self._data)
            axes = np.ascontiguousarray(local_axes(self.directions)[:, :2])
            seen = _Compared(residual=np.empty((m, 2)), root=np.empty((m, 2, 2)), by_star=np.empty((m, 2, 2)))
            star_residuals(
                (self.directions, axes, self.state.star, self._motion),
                (self.model.planes, self._data.frame),
                (self._mapped.position, self._mapped.by_pixel),
                (self._data.covariance, self._settings.error_pedestal_px),
                ARCSEC,
                seen.residual,
                seen.root,
                seen.by_star,
            )
            self._seen = seen
        return self._seen

    def _by_unknowns(self, rows: NDArray[np.int64]) -> Floats:
        """Derivatives of some measurements by the coefficients, ``[m, 2, t]``."""
        data = self._data
        return self.model.map(data.frame[rows], data.x[rows], data.y[rows], unknowns=True).by_unknowns

    def _reference_residuals(self) -> tuple[Floats, Floats]:
        """Offsets of the references from their stars, arcsec ``[r, 2]``, and their inverse covariances."""
        axes = local_axes(self.directions)[self.state.reference_star]
        place = unit_vectors(self._references.ra, self._references.dec)
        offset, _ = project(place, axes, axes)
        inverse = np.zeros((len(place), 2, 2))
        inverse[:, (0, 1), (0, 1)] = 1.0 / self._references.position_err**2
        return offset, inverse

    def _known(self) -> tuple[Floats, Floats]:
        """What the references tell of the stars."""
        information, offset = np.zeros((self.state.n_stars, 2, 2)), np.zeros((self.state.n_stars, 2))
        residual, inverse = self._reference_residuals()
        use = self.state.reference_used
        star = self.state.reference_star[use]
        information[star] = inverse[use]
        offset[star] = np.einsum("rij,rj->ri", inverse[use], residual[use])
        return information, offset

    def _prior(self, free: FreeTerms) -> tuple[Floats, Floats]:
        """How far the maps are expected to move from where they began."""
        model, start = self.model, self._start
        moved = (
            (model.chip_coefficients - start.chip_coefficients).reshape(len(start.chip_coefficients), -1),
            (model.group_coefficients - start.group_coefficients).reshape(len(start.group_coefficients), -1),
        )
        return prior_of(free, moved, (np.array(_DETECTOR_PRIOR), np.array(self._settings.prior_arcsec)))

    def _free(self, part: Part) -> FreeTerms:
        """The free coefficients: none of the detector in the middle, none that has too few stars."""
        model, data, used = self.model, self._data, self.state.used
        per_term, constrained = self._settings.stars_per_term, self._settings.model == "constrained"
        frame = data.frame[used]
        in_group = np.bincount(model.group_of_frame[frame], minlength=len(model.group_coefficients))
        group = free_groups(in_group.astype(np.int32), model.group_order, per_term) & part.groups
        in_chip = np.bincount(model.chip_of_frame[frame], minlength=len(model.chip_coefficients))
        chip = free_groups(in_chip.astype(np.int32), model.chip_order, per_term) & (part.chips and constrained)
        chip[self._held_chip] = False
        return numbered(np.tile(chip, 2), np.tile(group, 2))


def _motion(measurements: Measurements, stars: Stars, references: MatchedReferences) -> Floats:
    """How far each measurement's star has moved since the epoch of the fit, arcsec, ``[m, 2]``.

    Stars without a reference that tells their proper motion stand; a frame without a date is at the epoch of the fit.
    """
    epoch = np.array([frame.epoch_year for frame in measurements.frames])
    years = np.nan_to_num(epoch - measurements.epoch_year, nan=0.0)[measurements.frame]
    motion = np.zeros((len(stars), 2))
    motion[references.star] = references.proper_motion
    return np.asarray(motion[stars.of_measurement] * years[:, None], np.float64)
