"""`PhotoCalib`: what turns instrumental electrons into nanojanskys and AB magnitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import astropy.units as u
import numpy as np
import pydantic
from lsst.images.fields import ChebyshevField, FieldSerializationModel, ProductField
from lsst.images.serialization import ArchiveTree, InputArchive, InvalidParameterError, OutputArchive

from skyloom.psf.schema import SCHEMA_URL_BASE

if TYPE_CHECKING:
    from lsst.images import Bounds, Box
    from lsst.images.fields import Field
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AB_ZERO_POINT_NJY", "PhotoCalib", "PhotoCalibModel", "ab_magnitude_to_njy", "njy_to_ab_magnitude"]

AB_ZERO_POINT_NJY = 31.4
"""AB magnitude of one nanojansky (Oke & Gunn 1983, ApJ 266, 713; 31.400 to 6e-5 mag)."""


@dataclass(frozen=True, eq=False)
class PhotoCalib:
    """A photometric calibration, constant or varying over the detector.

    A flux of ``f`` electrons at (x, y) is ``f * calibration_mean * spatial(x, y)`` nJy.
    """

    calibration_mean: float
    """nJy per instrumental electron."""
    calibration_err: float
    """Standard error of `calibration_mean`, common to all fluxes, in nJy per electron."""
    spatial: Field | None = None
    """Dimensionless field of mean about 1 over the detector's pixels; None for a constant calibration."""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.calibration_mean) and self.calibration_mean > 0.0):
            raise ValueError(f"The calibration mean must be positive and finite; got {self.calibration_mean}.")
        if self.spatial is not None and self.spatial.unit not in (None, u.dimensionless_unscaled):
            raise ValueError(f"The spatial field must be dimensionless; its unit is {self.spatial.unit}.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PhotoCalib):
            return NotImplemented
        return (
            self.calibration_mean == other.calibration_mean
            and _same_number(self.calibration_err, other.calibration_err)
            and self.spatial == other.spatial
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def zero_point_mag(self) -> float:
        """AB magnitude of a source of one instrumental electron."""
        return AB_ZERO_POINT_NJY - 2.5 * math.log10(self.calibration_mean)

    @property
    def zero_point_mag_err(self) -> float:
        """Standard error of `zero_point_mag`."""
        return 2.5 / math.log(10.0) * self.calibration_err / self.calibration_mean

    @classmethod
    def from_zero_point(cls, zero_point_mag: float, zero_point_mag_err: float = 0.0) -> PhotoCalib:
        """A constant calibration from the AB magnitude of one electron and its error."""
        mean = 10.0 ** (-0.4 * (zero_point_mag - AB_ZERO_POINT_NJY))
        return cls(mean, mean * zero_point_mag_err * math.log(10.0) / 2.5)

    def scale(self, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """NJy per electron at positions x, y (pixels).

        Raises
        ------
        ValueError
            If the calibration varies over the detector and no position is given.
        """
        mean = np.float64(self.calibration_mean)
        if self.spatial is None:
            return np.asarray(mean)
        if x is None or y is None:
            raise ValueError("This calibration varies over the detector: positions x and y are needed.")
        factor = self.spatial(x=np.asarray(x, np.float64), y=np.asarray(y, np.float64))
        return np.asarray(mean * factor, np.float64)

    def scale_pixels(self, box: Box) -> NDArray[np.float32]:
        """NJy per electron of the pixels of a box, float32: ``[y, x]``, or a scalar where it is the same everywhere."""
        if self.spatial is None:
            return np.asarray(self.calibration_mean, np.float32)
        factor = self.spatial.render(box, dtype=np.float32).array
        return np.asarray(factor * np.float32(self.calibration_mean), np.float32)

    def calibrate_field(self, field: Field, instrumental_unit: u.UnitBase = u.electron) -> Field:
        """A field in ``instrumental_unit``, such as a background, in nJy."""
        scaled = cast("Field", field * u.Quantity(self.calibration_mean, u.nJy / instrumental_unit))
        return scaled if self.spatial is None else ProductField([scaled, self.spatial])

    def to_njy(self, flux: ArrayLike, x: ArrayLike | None = None, y: ArrayLike | None = None) -> NDArray[np.float64]:
        """Fluxes in nJy of instrumental fluxes in electrons at positions x, y (pixels)."""
        return np.asarray(np.asarray(flux, np.float64) * self.scale(x, y))

    def to_njy_err(
        self,
        flux: ArrayLike,
        flux_err: ArrayLike,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        with_calibration_error: bool = True,
    ) -> NDArray[np.float64]:
        """Errors in nJy: those of the fluxes and, in quadrature, that of the calibration.

        The second part is common to all sources of the frame; ``with_calibration_error=False`` leaves it out.
        """
        scale = self.scale(x, y)
        error = np.asarray(flux_err, np.float64) * scale
        if not with_calibration_error:
            return np.asarray(error)
        relative = self.calibration_err / self.calibration_mean
        return np.hypot(error, np.asarray(flux, np.float64) * scale * relative)

    def to_magnitude(
        self, flux: ArrayLike, x: ArrayLike | None = None, y: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """AB magnitudes of instrumental fluxes in electrons; NaN where a flux is not positive."""
        return njy_to_ab_magnitude(self.to_njy(flux, x, y))

    def to_field(self, bounds: Bounds, instrumental_unit: u.UnitBase = u.electron) -> Field:
        """The factor from ``instrumental_unit`` to nJy as a field over ``bounds``, for `lsst.images.VisitImage`."""
        unit = u.nJy / instrumental_unit
        if self.spatial is None:
            return ChebyshevField(bounds, np.array([[self.calibration_mean]]), unit=unit)
        return cast("Field", self.spatial * u.Quantity(self.calibration_mean, unit))

    def serialize(self, archive: OutputArchive[Any]) -> PhotoCalibModel:
        """Write to an archive of `lsst.images.serialization`."""
        spatial = None if self.spatial is None else archive.serialize_direct("spatial", self.spatial.serialize)
        return PhotoCalibModel(
            calibration_mean=self.calibration_mean,
            calibration_err=self.calibration_err,
            spatial=cast(FieldSerializationModel | None, spatial),
        )

    @staticmethod
    def _get_archive_tree_type(pointer_type: type[Any]) -> type[PhotoCalibModel]:  # noqa: ARG004  (signature of lsst.images)
        return PhotoCalibModel


class PhotoCalibModel(ArchiveTree):
    """A `PhotoCalib` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_photo_calib"
    SCHEMA_VERSION: ClassVar[str] = "1.0.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = PhotoCalib

    calibration_mean: float = pydantic.Field(description="nJy per instrumental electron.")
    calibration_err: float = pydantic.Field(description="Standard error of the calibration mean.")
    spatial: FieldSerializationModel | None = pydantic.Field(
        default=None, description="Dimensionless factor over the detector."
    )

    def deserialize(self, archive: InputArchive[Any], **kwargs: Any) -> PhotoCalib:
        """Read the calibration.

        Raises
        ------
        lsst.images.serialization.InvalidParameterError
            If any parameter is given: a calibration is read whole.
        """
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for PhotoCalib: {set(kwargs)}.")
        spatial = None if self.spatial is None else self.spatial.deserialize(archive)
        return PhotoCalib(self.calibration_mean, self.calibration_err, spatial)


def njy_to_ab_magnitude(flux_njy: ArrayLike) -> NDArray[np.float64]:
    """AB magnitudes of fluxes in nJy; NaN where a flux is not positive."""
    flux = np.asarray(flux_njy, np.float64)
    positive = np.where(flux > 0.0, flux, np.nan)
    return np.asarray(AB_ZERO_POINT_NJY - 2.5 * np.log10(positive))


def ab_magnitude_to_njy(magnitude: ArrayLike) -> NDArray[np.float64]:
    """Fluxes in nJy of AB magnitudes."""
    return np.asarray(10.0 ** (-0.4 * (np.asarray(magnitude, np.float64) - AB_ZERO_POINT_NJY)))


def _same_number(first: float, second: float) -> bool:
    """Equal, or both NaN."""
    return first == second or (math.isnan(first) and math.isnan(second))
