"""`WarpImage` and `CoaddImage`: pictures on the pixel grid of a tract, on disk."""

from __future__ import annotations

import functools
from types import EllipsisType
from typing import Any, ClassVar, Self, override

import pydantic
from astro_metadata_translator import ObservationInfo
from astropy.table import Table
from lsst.images import Box, Image, Mask, MaskedImage, MaskedImageSerializationModel, SkyProjection
from lsst.images.serialization import InputArchive, InvalidParameterError, MetadataValue, OutputArchive

from skyloom.psf import CoaddPsf
from skyloom.psf.schema import SCHEMA_URL_BASE

from .coadd_psf_on_disk import CoaddPsfModel, serialize_coadd_psf
from .inputs_table import InputsTableModel

__all__ = ["CoaddImage", "CoaddImageModel", "TractImage", "WarpImage", "WarpImageModel"]


class TractImage(MaskedImage):
    """What warps and coadds share: planes in nJy, a sky projection, a PSF that knows its inputs, their table.

    Parameters
    ----------
    image, mask, variance, sky_projection, metadata
        As for `lsst.images.MaskedImage`.
    psf
        Mean of the inputs' functions.
    inputs
        One row an input: visit, detector, weight, ...
    band
        Short name of the passband.
    obs_info
        For a warp: what the headers of its visit say.
    """

    def __init__(
        self,
        image: Image,
        *,
        mask: Mask,
        variance: Image,
        sky_projection: SkyProjection[Any] | None = None,
        psf: CoaddPsf | None = None,
        inputs: Table | None = None,
        band: str | None = None,
        obs_info: ObservationInfo | None = None,
        metadata: dict[str, MetadataValue] | None = None,
    ) -> None:
        super().__init__(image, mask=mask, variance=variance, sky_projection=sky_projection, metadata=metadata)
        if self.sky_projection is None:
            raise ValueError(f"A {type(self).__name__} needs a sky projection.")
        self._psf = psf
        self._inputs = inputs
        self._band = band
        self._obs_info = obs_info

    @property
    def psf(self) -> CoaddPsf | None:
        """Mean of the inputs' point-spread functions."""
        return self._psf

    @property
    def inputs(self) -> Table | None:
        """One row an input: visit, detector, weight, ..."""
        return self._inputs

    @property
    def band(self) -> str | None:
        """Short name of the passband."""
        return self._band

    @property
    def obs_info(self) -> ObservationInfo | None:
        """For a warp: what the headers of its visit say."""
        return self._obs_info

    @override
    def __getitem__(self, bbox: Box | EllipsisType) -> Self:
        bbox, _ = self._handle_getitem_args(bbox)
        part = self._with(self.image[bbox], self.mask[bbox], self.variance[bbox])
        return self._transfer_metadata(part, bbox=bbox)

    @override
    def copy(self) -> Self:
        twin = self._with(self.image.copy(), self.mask.copy(), self.variance.copy())
        return self._transfer_metadata(twin, copy=True)

    def _with(self, image: Image, mask: Mask, variance: Image) -> Self:
        """The same picture with other planes."""
        return type(self)(
            image,
            mask=mask,
            variance=variance,
            psf=self._psf,
            inputs=self._inputs,
            band=self._band,
            obs_info=self._obs_info,
        )

    def _fill[M: TractImageModel[Any]](self, model_type: type[M], archive: OutputArchive[Any]) -> M:
        """Write everything to an archive."""
        model = self._serialize_impl(model_type, archive)
        psf, inputs = self._psf, self._inputs
        model.psf = (
            None if psf is None else archive.serialize_direct("psf", functools.partial(serialize_coadd_psf, psf))
        )
        model.inputs = (
            None
            if inputs is None
            else archive.serialize_direct("inputs", functools.partial(InputsTableModel.from_table, inputs))
        )
        model.band = self._band
        model.obs_info = self._obs_info
        return model


class WarpImage(TractImage):
    """All detectors of one visit on the pixels of a patch, in nJy."""

    @override
    def serialize(self, archive: OutputArchive[Any]) -> WarpImageModel[Any]:
        return self._fill(WarpImageModel, archive)

    @staticmethod
    def _get_archive_tree_type[P: pydantic.BaseModel](pointer_type: type[P]) -> type[WarpImageModel[P]]:
        return WarpImageModel[pointer_type]  # type: ignore[valid-type]


class CoaddImage(TractImage):
    """The weighted mean of the warps of a patch, in nJy."""

    @override
    def serialize(self, archive: OutputArchive[Any]) -> CoaddImageModel[Any]:
        return self._fill(CoaddImageModel, archive)

    @staticmethod
    def _get_archive_tree_type[P: pydantic.BaseModel](pointer_type: type[P]) -> type[CoaddImageModel[P]]:
        return CoaddImageModel[pointer_type]  # type: ignore[valid-type]


class TractImageModel[P: pydantic.BaseModel](MaskedImageSerializationModel[P]):
    """What warps and coadds share on disk."""

    psf: CoaddPsfModel[P] | None = pydantic.Field(default=None, description="Mean of the inputs' PSFs.")
    inputs: InputsTableModel | None = pydantic.Field(default=None, description="One row an input.")
    band: str | None = pydantic.Field(default=None, description="Short name of the passband.")
    obs_info: ObservationInfo | None = pydantic.Field(
        default=None, description="For a warp: what the headers of its visit say."
    )

    def _read[T: TractImage](
        self, kind: type[T], archive: InputArchive[Any], bbox: Box | None, kwargs: dict[str, Any]
    ) -> T:
        """Read everything from an archive."""
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for {kind.__name__}: {set(kwargs)}.")
        planes = MaskedImageSerializationModel.deserialize(self, archive, bbox=bbox)
        return kind(
            planes.image,
            mask=planes.mask,
            variance=planes.variance,
            sky_projection=planes.sky_projection,
            psf=None if self.psf is None else self.psf.deserialize(archive),
            inputs=None if self.inputs is None else self.inputs.deserialize(archive),
            band=self.band,
            obs_info=self.obs_info,
        )._finish_deserialize(self)


class WarpImageModel[P: pydantic.BaseModel](TractImageModel[P]):
    """A `WarpImage` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_warp_image"
    SCHEMA_VERSION: ClassVar[str] = "1.1.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = WarpImage

    @override
    def deserialize(self, archive: InputArchive[Any], *, bbox: Box | None = None, **kwargs: Any) -> WarpImage:
        return self._read(WarpImage, archive, bbox, kwargs)


class CoaddImageModel[P: pydantic.BaseModel](TractImageModel[P]):
    """A `CoaddImage` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_coadd_image"
    SCHEMA_VERSION: ClassVar[str] = "1.1.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = CoaddImage

    @override
    def deserialize(self, archive: InputArchive[Any], *, bbox: Box | None = None, **kwargs: Any) -> CoaddImage:
        return self._read(CoaddImage, archive, bbox, kwargs)
