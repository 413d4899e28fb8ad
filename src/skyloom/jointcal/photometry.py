"""`PhotometricFit`: fluxes of stars and throughputs of frames that agree with all that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import JointFitError
from skyloom.images import ab_magnitude_to_njy, njy_to_ab_magnitude
from skyloom.images.polynomial_terms import powers

from .associate import Stars
from .catalogues import FrameCatalogue, Measurements
from .chebyshev import Rectangle, term_values
from .problem import Fitted, Part, Terms
from .references import MatchedReferences
from .settings import JointPhotometrySettings
from .solve import Design
from .unknowns import FreeTerms, free_groups, nearest_to_middle, numbered, prior_of

__all__ = ["PhotometricFit", "PhotometricModel"]

type Floats = NDArray[np.float64]
type Integers = NDArray[np.int32]
type Flags = NDArray[np.bool_]

_MAGNITUDES = 2.5 / np.log(10.0)
_OPEN_MAG = 10.0
"""With references, how far detectors and mean throughputs may move: too far to matter, but it keeps what is open."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotometricModel:
    """Flux = chip x group(camera position) x instrumental flux; in magnitudes the same is a sum."""

    in_magnitudes: bool
    chip_of_frame: Integers
    group_of_frame: Integers
    chip: Floats
    """nJy per electron, or its AB magnitude, ``[chips]``; 1 or 0 in the simple model."""
    group: Floats
    """Coefficients of the terms, ``[groups, terms]``."""
    order: int
    camera: Rectangle
    """The focal plane that is mapped to [-1, 1]."""

    def scale(self, frame: Integers, terms: Floats) -> Floats:
        """NJy per electron, or its magnitude, of measurements with the values ``[m, t]`` of the terms."""
        group = np.einsum("mt,mt->m", self.group[self.group_of_frame[frame]], terms)
        chip = self.chip[self.chip_of_frame[frame]]
        return np.asarray(chip + group if self.in_magnitudes else chip * group, np.float64)


class PhotometricFit:
    """The joint fit of fluxes, at its present values.

    Parameters
    ----------
    measurements
        All of them.
    stars
        The stars that they are of.
    references
        Those of the stars, with fluxes and errors; they take part as the settings say.
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
        settings: JointPhotometrySettings,
        usable: Flags | None = None,
    ) -> None:
        self._references = _with_errors(references, settings)
        self._settings = settings
        self._data = measurements
        used = (measurements.flux > 0.0) & (measurements.flux_err > 0.0)
        self.state = Fitted(
            star=stars.of_measurement.copy(),
            reference_star=self._references.star,
            n_stars=len(stars),
            dimension=1,
            used=used if usable is None else used & usable,
            reference_used=np.ones(len(self._references), bool),
        )
        self.model, self._terms = _initial_model(measurements, settings)
        self.star_values = njy_to_ab_magnitude(stars.flux) if self.model.in_magnitudes else stars.flux.copy()
        self._start = self.model
        self._measured, self._noise = _measured(measurements, settings)
        self._present_scale: Floats | None = None
        self._present_terms: Terms | None = None
        self._error_scale: Floats | None = None
        self._held_chip = nearest_to_middle(*_chip_places(measurements, self.model))

    def freeze_errors(self) -> None:
        """From now on the errors of the measurements stay as the present throughputs make them."""
        self._error_scale, self._present_terms = self._scale(), None

    def residuals(self) -> tuple[Floats, Floats]:
        """Model less star, and its error, of every measurement: nJy or magnitudes."""
        scale, star = self._scale(), self.star_values[self.state.star]
        if self.model.in_magnitudes:
            return scale + self._measured - star, self._noise
        return scale * self._measured - star, (scale if self._error_scale is None else self._error_scale) * self._noise

    def _scale(self) -> Floats:
        """`PhotometricModel.scale` of every measurement; worked out anew after a move of the transforms."""
        if self._present_scale is None:
            self._present_scale = self.model.scale(self._data.frame, self._terms)
        return self._present_scale

    def reference_residuals(self) -> tuple[Floats, Floats]:
        """Star less reference, and the reference's error."""
        flux, error = self._references.flux, self._references.flux_err
        if self.model.in_magnitudes:
            flux, error = njy_to_ab_magnitude(flux), _MAGNITUDES * error / flux
        return self.star_values[self.state.reference_star] - flux, error

    def terms(self) -> Terms:
        """Parts of chi2."""
        if self._present_terms is None:
            residual, error = self.residuals()
            reference, reference_error = self.reference_residuals()
            self._present_terms = Terms(
                measurement=(residual / error) ** 2, reference=(reference / reference_error) ** 2
            )
        return self._present_terms

    def design(self, part: Part) -> Design:
        """The linear problem for some of the unknowns."""
        state, model = self.state, self.model
        free = self._free(part)
        rows = np.flatnonzero(state.used)
        residual, error = (values[rows] for values in self.residuals())
        frame = self._data.frame[rows]
        values, columns = np.zeros((len(rows), 1, 0)), np.zeros((len(rows), 0), np.int32)
        if free.count:
            values = self._slopes(rows) / -error[:, None, None]
            columns = free.columns(model.chip_of_frame[frame], model.group_of_frame[frame])
        information, offset = self._known()
        prior, prior_offset = self._prior(free)
        return Design(
            residual=(residual / error)[:, None],
            values=values,
            columns=columns,
            n_unknowns=free.count,
            n_sparse=free.n_chip if self._settings.constrained else free.count,
            star=state.star[rows],
            star_block=(1.0 / error)[:, None, None],
            information=information,
            offset=offset,
            prior=prior,
            prior_offset=prior_offset,
        )

    def _slopes(self, rows: NDArray[np.int64]) -> Floats:
        """Derivatives of some measurements by the coefficients of detector and group, ``[m, 1, t]``."""
        model, frame, terms = self.model, self._data.frame[rows], self._terms[rows]
        chip_slope, group_slope = np.ones(len(rows)), terms
        if not model.in_magnitudes:
            flux = self._data.flux[rows]
            chip_slope = flux * np.einsum("mt,mt->m", model.group[model.group_of_frame[frame]], terms)
            group_slope = (flux * model.chip[model.chip_of_frame[frame]])[:, None] * terms
        return np.concatenate([chip_slope[:, None], group_slope], axis=1)[:, None, :]

    def move(self, part: Part, step: Floats, star_step: Floats) -> None:
        """Take a step."""
        free = self._free(part)
        if free.count:
            self.model = replace(
                self.model,
                chip=self.model.chip + free.spread(step, free.chip)[:, 0],
                group=self.model.group + free.spread(step, free.group),
            )
            self._present_scale = None
        self.star_values = self.star_values + star_step[:, 0]
        self._present_terms = None

    def check(self) -> None:
        """Whether every frame's throughput is positive all over.

        Raises
        ------
        JointFitError
            If it is not.
        """
        frames = self._data.frames
        scales = self.frame_scales(range(len(frames)), [_corners(frame) for frame in frames])
        for number in np.flatnonzero(~(np.isfinite(scales) & (scales > 0.0)).all(axis=1)):
            raise JointFitError(
                f"The fitted throughput of {frames[number].name} falls to {scales[number].min():.3g} nJy per electron.",
                cure="Lower the order of the visits' polynomials.",
            )

    def frame_scales(self, numbers: Sequence[int], places: Sequence[tuple[Floats, Floats]]) -> Floats:
        """NJy per electron of frames, each at as many pixel positions (x, y): ``[frames, n]``."""
        on_plane = [
            self._data.frames[number].focal_plane(*place) for number, place in zip(numbers, places, strict=True)
        ]
        x, y = np.moveaxis(np.array(on_plane, np.float64).reshape(len(on_plane), 2, -1), 1, 0)
        terms, _, _ = term_values(*self.model.camera.to_unit(x.ravel(), y.ravel()), self.model.order)
        scale = self.model.scale(np.repeat(np.array(numbers, np.int32), x.shape[1]), terms).reshape(x.shape)
        return ab_magnitude_to_njy(scale) if self.model.in_magnitudes else scale

    def _known(self) -> tuple[Floats, Floats]:
        """What the references tell of the stars."""
        information, offset = np.zeros((self.state.n_stars, 1, 1)), np.zeros((self.state.n_stars, 1))
        residual, error = self.reference_residuals()
        use = self.state.reference_used
        star = self.state.reference_star[use]
        information[star, 0, 0] = 1.0 / error[use] ** 2
        offset[star, 0] = -residual[use] / error[use] ** 2
        return information, offset

    def _free(self, part: Part) -> FreeTerms:
        """The free coefficients: none of the detector in the middle, none that has too few stars."""
        model, state = self.model, self.state
        n_groups, n_chips = len(model.group), len(model.chip)
        counts = np.bincount(model.group_of_frame[self._data.frame[state.used]], minlength=n_groups)
        group = free_groups(counts.astype(np.int32), model.order, self._settings.stars_per_term) & part.groups
        chip = np.bincount(model.chip_of_frame[self._data.frame[state.used]], minlength=n_chips)[:, None] > 0
        chip[self._held_chip] = False
        return numbered(chip & (part.chips and self._settings.constrained), group)

    def _prior(self, free: FreeTerms) -> tuple[Floats, Floats]:
        """How far the throughputs may be expected to move from where they began."""
        model, start, settings = self.model, self._start, self._settings
        chip, group = np.full((len(model.chip), 1), settings.prior_detector_mag), np.full_like(model.group, np.nan)
        degree = np.array(powers(model.order))[1:].sum(axis=1)
        group[:, 0], group[:, 1:] = settings.prior_level_mag, settings.prior_gradient_mag / degree**2
        if len(self._references):
            chip[:], group[:, 0] = _OPEN_MAG, _OPEN_MAG
        if not model.in_magnitudes:
            chip, group = chip * start.chip[:, None] / _MAGNITUDES, group * start.group[:, :1] / _MAGNITUDES
        moved = (model.chip - start.chip)[:, None], model.group - start.group
        return prior_of(free, moved, (chip, group))


def _measured(data: Measurements, settings: JointPhotometrySettings) -> tuple[Floats, Floats]:
    """What is measured and its error: magnitudes, or electrons."""
    noise = np.hypot(data.flux_err, data.flux * settings.error_pedestal)
    if not settings.in_magnitudes:
        return data.flux, noise
    with np.errstate(divide="ignore", invalid="ignore"):
        return -2.5 * np.log10(data.flux), _MAGNITUDES * noise / data.flux


def _with_errors(references: MatchedReferences, settings: JointPhotometrySettings) -> MatchedReferences:
    """Those that have a flux and an error, or get one."""
    unknown = ~(np.isfinite(references.flux_err) & (references.flux_err > 0.0))
    if settings.unknown_reference_error_mag is not None:
        error = settings.unknown_reference_error_mag / _MAGNITUDES * references.flux
        references = replace(references, flux_err=np.where(unknown, error, references.flux_err))
    keep = np.isfinite(references.flux) & (references.flux > 0.0) & (references.flux_err > 0.0)
    return references.select(keep & settings.use_references)


def _initial_model(data: Measurements, settings: JointPhotometrySettings) -> tuple[PhotometricModel, Floats]:
    """The model that follows the frames' calibrations, and the values of its terms at the measurements."""
    frames = data.frames
    means = np.array([one.photo_calib.calibration_mean for one in frames])
    values = njy_to_ab_magnitude(means) if settings.in_magnitudes else means
    neutral = 0.0 if settings.in_magnitudes else 1.0
    behind = np.searchsorted(data.frame, np.arange(len(frames)), side="right")[:-1]
    positions = zip(frames, np.split(data.x, behind), np.split(data.y, behind), strict=True)
    places = [np.array(one.focal_plane(x, y)) for one, x, y in positions]
    corners = [np.array(one.focal_plane(*_corners(one))) for one in frames]
    camera = Rectangle.around(*np.concatenate(corners, axis=1))
    order = settings.visit_order if settings.constrained else 0
    terms, _, _ = term_values(*camera.to_unit(*np.concatenate(places, axis=1)), order)
    if settings.constrained:
        chips, groups = data.detector_of_frame, data.visit_of_frame
        first = [int(np.flatnonzero(chips == chip)[0]) for chip in range(int(chips.max()) + 1)]
        chip, group = values[first], np.zeros((len(data.visits), terms.shape[1]))
        group[:, 0] = _visit_levels(values, chip[chips], groups, in_magnitudes=settings.in_magnitudes)
    else:
        chips, groups = np.zeros(len(frames), np.int32), np.arange(len(frames), dtype=np.int32)
        chip, group = np.array([neutral]), values[:, None].copy()
    model = PhotometricModel(
        in_magnitudes=settings.in_magnitudes,
        chip_of_frame=chips,
        group_of_frame=groups,
        chip=chip,
        group=group,
        order=order,
        camera=camera,
    )
    return model, terms


def _visit_levels(values: Floats, chip: Floats, visit: Integers, *, in_magnitudes: bool) -> Floats:
    """Mean over a visit's frames of their calibration relative to that of the detector."""
    relative = values - chip if in_magnitudes else values / chip
    return np.asarray(np.bincount(visit, relative) / np.bincount(visit))


def _corners(frame: FrameCatalogue) -> tuple[Floats, Floats]:
    box = frame.box
    x = np.array([box.x.start, box.x.stop, box.x.stop, box.x.start]) - 0.5
    y = np.array([box.y.start, box.y.start, box.y.stop, box.y.stop]) - 0.5
    return x, y


def _chip_places(data: Measurements, model: PhotometricModel) -> tuple[Floats, Floats]:
    """Camera coordinates of the middles of the detectors."""
    middles = np.array([np.mean(frame.focal_plane(*_corners(frame)), axis=1) for frame in data.frames])
    first = [int(np.flatnonzero(model.chip_of_frame == chip)[0]) for chip in range(len(model.chip))]
    u, v = model.camera.to_unit(*middles[first].T)
    return u, v
