"""`PixelGridPsf`: a grid of pixel values that vary as polynomials over the detector."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, override

import numpy as np
import pydantic
from lsst.images import Bounds, Box, Image
from lsst.images._concrete_bounds import BoundsSerializationModel
from lsst.images.psfs import PiffWrapper, PointSpreadFunction
from lsst.images.serialization import (
    ArchiveTree,
    ArrayReferenceModel,
    InlineArrayModel,
    InputArchive,
    InvalidParameterError,
    OutputArchive,
)

from skyloom.errors import PsfError
from skyloom.kernels.psf_stamps import pixel_grid_stamps, stamp_sigmas

from .grid import GRID_LANCZOS, in_phase_order, polynomial_terms, stamp_size
from .schema import SCHEMA_URL_BASE
from .stamps import Stamps, as_positions, centred_box, stamp_box, stamp_origins

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PixelGridPsf", "PixelGridPsfModel"]


class PixelGridPsf(PointSpreadFunction):
    """A point-spread function given on a grid of one or more points a pixel, with a Lanczos kernel between them.

    The values of the grid include the pixel response.  It is the same function as Piff's ``PixelGrid`` of scale
    ``1 / oversampling`` with ``BasisPolynomial`` (Jarvis et al. 2021, MNRAS 501, 1282); stamps agree to 1e-12.

    Parameters
    ----------
    coefficients
        Float64 ``[term, y, x]``, square and of odd size; terms as in `polynomial_terms`, in powers of pixel
        positions.
    order
        Order of the polynomials.
    bounds
        Where the function was fitted.  Outside it is extrapolated, not clamped.
    oversampling
        Grid points a pixel along each axis.  A function narrower than about 3 pixels (FWHM) needs 2.
    kernel_order
        Order of the Lanczos kernel, in grid points.
    """

    def __init__(
        self,
        coefficients: NDArray[np.float64],
        *,
        order: int,
        bounds: Bounds,
        oversampling: int = 1,
        kernel_order: int = GRID_LANCZOS,
    ) -> None:
        self._coefficients = np.ascontiguousarray(coefficients, np.float64)
        self._order = int(order)
        self._bounds = bounds
        self._oversampling = int(oversampling)
        self._kernel_order = int(kernel_order)
        if self._oversampling < 1 or self._kernel_order < 1:
            raise ValueError(f"A grid of {oversampling} points a pixel with Lanczos-{kernel_order} is none.")
        terms = len(polynomial_terms(self._order))
        shape = self._coefficients.shape
        if len(shape) != 3 or shape[0] != terms or shape[1] != shape[2] or shape[1] % 2 == 0:
            raise ValueError(f"Order {order} needs coefficients [{terms}, n, n] with n odd; got {shape}.")
        self._coefficients.flags.writeable = False

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """``[term, y, x]``, read-only."""
        return self._coefficients

    @property
    def order(self) -> int:
        """Order of the polynomials."""
        return self._order

    @property
    def oversampling(self) -> int:
        """Grid points a pixel along each axis."""
        return self._oversampling

    @property
    def kernel_order(self) -> int:
        """Order of the Lanczos kernel between grid points."""
        return self._kernel_order

    @property
    def size(self) -> int:
        """Side of the stamps, px."""
        return stamp_size(self._coefficients.shape[1], self._oversampling)

    @cached_property
    def _in_phase_order(self) -> NDArray[np.float64]:
        """The coefficients as the kernels take them."""
        return in_phase_order(self._coefficients, self._oversampling)

    @property
    @override
    def bounds(self) -> Bounds:
        return self._bounds

    @cached_property
    @override
    def kernel_bbox(self) -> Box:
        return centred_box(self.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PixelGridPsf):
            return NotImplemented
        same = self._order == other._order and self._bounds == other._bounds
        same &= self._oversampling == other._oversampling and self._kernel_order == other._kernel_order
        return same and np.array_equal(self._coefficients, other._coefficients)

    __hash__ = None  # type: ignore[assignment]

    def stamps(self, x: ArrayLike, y: ArrayLike, *, centred: bool = False) -> Stamps:
        """Stamps of unit sum at positions x, y; see `psf_stamps`.

        Raises
        ------
        PsfError
            If the function does not have a positive sum at one of the positions.
        """
        x, y = as_positions(x, y)
        x0, y0, dx, dy = stamp_origins(x, y, self.size, centred)
        grid = (self.size, self._coefficients.shape[1], self._oversampling, self._kernel_order)
        stamps = pixel_grid_stamps(self._in_phase_order, self._order, x, y, dx, dy, *grid)
        bad = ~np.isfinite(stamps[:, 0, 0])
        if bad.any():
            at = int(np.argmax(bad))
            raise PsfError(
                f"the PSF has no positive flux at x = {x[at]:.1f}, y = {y[at]:.1f}.",
                cure="Fit it with a lower order, or stay inside its bounds.",
            )
        return stamps, x0, y0

    @override
    def compute_kernel_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y, centred=True)[0][0], bbox=self.kernel_bbox)

    @override
    def compute_stellar_image(self, *, x: float, y: float) -> Image:
        return Image(self.stamps(x, y)[0][0], bbox=self.compute_stellar_bbox(x=x, y=y))

    @override
    def compute_stellar_bbox(self, *, x: float, y: float) -> Box:
        return stamp_box(x, y, self.size)

    def sigma(self, x: float, y: float) -> float:
        """Determinant radius of the adaptive second moments at (x, y), px."""
        return float(stamp_sigmas(self.stamps(x, y, centred=True)[0])[0])

    def to_piff(self) -> PiffWrapper:
        """The same function as a Piff PSF, the form that published frames hold."""
        from .piff_form import to_piff

        return to_piff(self)

    @classmethod
    def from_piff(cls, wrapper: PiffWrapper) -> PixelGridPsf:
        """The same function from a Piff PSF.

        Raises
        ------
        PsfError
            If it is not a ``PixelGrid`` of a whole number of points a pixel with a Lanczos kernel and a
            ``BasisPolynomial`` of the position.
        """
        from .piff_form import from_piff

        return from_piff(wrapper)

    def serialize(self, archive: OutputArchive[Any]) -> PixelGridPsfModel:
        """Write to an archive of `lsst.images.serialization`."""
        tree = PixelGridPsfModel(
            order=self._order,
            bounds=self._bounds.serialize(),
            coefficients=archive.add_array(self._coefficients, name="coefficients"),
            oversampling=self._oversampling,
            kernel_order=self._kernel_order,
        )
        if (self._oversampling, self._kernel_order) != (1, GRID_LANCZOS):
            tree.min_read_version = 2  # what reads version 1 knows one point a pixel and one kernel only
        return tree

    @staticmethod
    def _get_archive_tree_type(pointer_type: type[Any]) -> type[PixelGridPsfModel]:  # noqa: ARG004
        return PixelGridPsfModel


class PixelGridPsfModel(ArchiveTree):
    """A `PixelGridPsf` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_pixel_grid_psf"
    SCHEMA_VERSION: ClassVar[str] = "2.0.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = PixelGridPsf

    order: int = pydantic.Field(description="Order of the polynomials in pixel position.")
    bounds: BoundsSerializationModel = pydantic.Field(description="Where the PSF was fitted.")
    coefficients: ArrayReferenceModel | InlineArrayModel = pydantic.Field(
        description="Coefficients [term, y, x]; terms x^i y^j with i + j <= order, i outer."
    )
    oversampling: int = pydantic.Field(default=1, description="Grid points a pixel along each axis.")
    kernel_order: int = pydantic.Field(default=GRID_LANCZOS, description="Order of the Lanczos kernel, grid points.")

    def deserialize(self, archive: InputArchive[Any], **kwargs: Any) -> PixelGridPsf:
        """Read the PSF.

        Raises
        ------
        lsst.images.serialization.InvalidParameterError
            If any parameter is given: a PSF is read whole.
        """
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for PixelGridPsf: {set(kwargs)}.")
        coefficients = archive.get_array(self.coefficients)
        return PixelGridPsf(
            coefficients,
            order=self.order,
            bounds=self.bounds.deserialize(),
            oversampling=self.oversampling,
            kernel_order=self.kernel_order,
        )
