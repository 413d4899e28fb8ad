"""Settings of the joint fits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["FitSettings", "JointAstrometrySettings", "JointPhotometrySettings"]


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How outliers are left out and when a fit has converged."""

    outlier_sigma: float = 5.0
    """A term of chi2 above mean + so many standard deviations of its kind (measurements, references) is an outlier; 0
    keeps all."""
    max_steps: int = 20
    """Steps after which a fit that still finds outliers is ended."""
    tolerance: float = 1e-6
    """Relative change of chi2 below which a fit has converged."""
    max_chi2_per_degree: float = 4.0
    """Above it, the fit is reported as poor."""

    def __post_init__(self) -> None:
        if self.outlier_sigma < 0.0 or self.max_steps < 1 or self.tolerance <= 0.0:
            raise ValueError(
                f"outlier_sigma {self.outlier_sigma}, max_steps {self.max_steps} or tolerance {self.tolerance} is out "
                "of range."
            )


@dataclass(frozen=True, kw_only=True)
class JointAstrometrySettings:
    """Of the fit of positions."""

    model: Literal["simple", "constrained"] = "constrained"
    """simple: a polynomial for every detector of every visit; constrained: one for every detector, common to all
    visits, followed by one for every visit."""
    simple_order: int = 3
    """Order of the polynomials of the simple model."""
    chip_order: int = 1
    """Order of the polynomials of the detectors."""
    visit_order: int = 5
    """Order of the polynomials of the visits; lowered where a visit has too few stars."""
    stars_per_term: float = 10.0
    """Stars that each term of a polynomial needs."""
    error_pedestal_px: float = 0.01
    """Added in quadrature to the errors of the positions."""
    prior_arcsec: float = 1.0
    """How far each term of a visit's polynomial is expected to be from the WCSs that the frames came with: it settles
    what neither stars nor references tell, such as a bend that all visits share where references are few."""
    reference_error_mas: float | None = None
    """Error of the references in both coordinates; None takes that of the catalogue."""
    unknown_reference_error_mas: float | None = None
    """The same for references whose error the catalogue does not tell; None takes it from how they scatter about the
    stars."""
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        if not (0 < self.simple_order < 10 and 0 < self.chip_order < 10 and 0 < self.visit_order < 10):
            raise ValueError("The orders of the polynomials lie between 1 and 9.")
        if self.error_pedestal_px < 0.0 or self.stars_per_term < 1.0 or self.prior_arcsec <= 0.0:
            raise ValueError("error_pedestal_px is at least 0, stars_per_term at least 1, prior_arcsec above 0.")


@dataclass(frozen=True, kw_only=True)
class JointPhotometrySettings:
    """Of the fit of fluxes."""

    model: Literal["simpleFlux", "simpleMagnitude", "constrainedFlux", "constrainedMagnitude"] = "constrainedMagnitude"
    """simple: a factor for every detector of every visit; constrained: one for every detector, times a polynomial over
    the focal plane for every visit; in fluxes or in magnitudes."""
    visit_order: int = 7
    """Order of the polynomials of the visits; lowered where a visit has too few stars."""
    stars_per_term: float = 10.0
    """Stars that each term of a polynomial needs."""
    error_pedestal: float = 0.003
    """Share of the flux added in quadrature to its error."""
    use_references: bool = True
    """Whether the references take part."""
    unknown_reference_error_mag: float | None = 0.02
    """Error of references whose error the catalogue does not tell; None leaves these out."""
    prior_detector_mag: float = 0.1
    """Without references, how far the throughputs of detectors are expected to differ from those that the frames came
    with.  The priors settle what neither stars nor references tell."""
    prior_level_mag: float = 0.3
    """The same for the mean throughputs of visits, also without references alone."""
    prior_gradient_mag: float = 0.02
    """The same for the linear terms of a visit's polynomial, and less by the square of their degree for those above:
    throughputs are smooth.  With references, too, for these may be few."""
    fit: FitSettings = field(default_factory=FitSettings)

    def __post_init__(self) -> None:
        if not 0 <= self.visit_order < 10:
            raise ValueError("The order of the visits' polynomials lies between 0 and 9.")
        if self.error_pedestal < 0.0 or self.stars_per_term < 1.0:
            raise ValueError("error_pedestal is at least 0 and stars_per_term at least 1.")

    @property
    def constrained(self) -> bool:
        """Whether detectors have a part that all visits share."""
        return self.model.startswith("constrained")

    @property
    def in_magnitudes(self) -> bool:
        """Whether magnitudes are fitted, not fluxes."""
        return self.model.endswith("Magnitude")
