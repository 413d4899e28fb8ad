"""`PostIsrImage`: a frame after the removal of the instrument's signature, on disk."""

from __future__ import annotations

from types import EllipsisType
from typing import Any, ClassVar, override

import pydantic
from astro_metadata_translator import ObservationInfo
from lsst.images import Box, Image, Mask, MaskedImage, MaskedImageSerializationModel, SkyProjection
from lsst.images.cameras import Detector, DetectorSerializationModel
from lsst.images.serialization import InputArchive, InvalidParameterError, MetadataValue, OutputArchive

from skyloom.psf.schema import SCHEMA_URL_BASE

__all__ = ["PostIsrImage", "PostIsrImageModel"]


class PostIsrImage(MaskedImage):
    """Image, mask and variance of one detector in electrons, with what the header said.

    Parameters
    ----------
    image, mask, variance, sky_projection, metadata
        As for `lsst.images.MaskedImage`; the projection, where there is one, is a guess from the pointing.
    detector
        Geometry and electronics of the detector.
    obs_info
        What the header says of the observation.
    band
        Short name of the passband.
    """

    def __init__(
        self,
        image: Image,
        *,
        mask: Mask,
        variance: Image,
        sky_projection: SkyProjection[Any] | None = None,
        detector: Detector | None = None,
        obs_info: ObservationInfo | None = None,
        band: str | None = None,
        metadata: dict[str, MetadataValue] | None = None,
    ) -> None:
        super().__init__(image, mask=mask, variance=variance, sky_projection=sky_projection, metadata=metadata)
        self._detector = detector
        self._obs_info = obs_info
        self._band = band

    @property
    def detector(self) -> Detector | None:
        """Geometry and electronics of the detector."""
        return self._detector

    @property
    def obs_info(self) -> ObservationInfo | None:
        """What the header says of the observation."""
        return self._obs_info

    @property
    def band(self) -> str | None:
        """Short name of the passband."""
        return self._band

    @override
    def __getitem__(self, bbox: Box | EllipsisType) -> PostIsrImage:
        bbox, _ = self._handle_getitem_args(bbox)
        part = self._with(self.image[bbox], self.mask[bbox], self.variance[bbox])
        return self._transfer_metadata(part, bbox=bbox)

    @override
    def copy(self) -> PostIsrImage:
        twin = self._with(self.image.copy(), self.mask.copy(), self.variance.copy())
        return self._transfer_metadata(twin, copy=True)

    def _with(self, image: Image, mask: Mask, variance: Image) -> PostIsrImage:
        """The same frame with other planes."""
        return PostIsrImage(
            image, mask=mask, variance=variance, detector=self._detector, obs_info=self._obs_info, band=self._band
        )

    @override
    def serialize(self, archive: OutputArchive[Any]) -> PostIsrImageModel[Any]:
        model = self._serialize_impl(PostIsrImageModel, archive)
        model.detector = (
            None if self._detector is None else archive.serialize_direct("detector", self._detector.serialize)
        )
        model.obs_info = self._obs_info
        model.band = self._band
        return model

    @staticmethod
    def _get_archive_tree_type[P: pydantic.BaseModel](pointer_type: type[P]) -> type[PostIsrImageModel[P]]:
        return PostIsrImageModel[pointer_type]  # type: ignore[valid-type]


class PostIsrImageModel[P: pydantic.BaseModel](MaskedImageSerializationModel[P]):
    """A `PostIsrImage` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_post_isr_image"
    SCHEMA_VERSION: ClassVar[str] = "1.0.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = PostIsrImage

    detector: DetectorSerializationModel | None = pydantic.Field(
        default=None, description="Geometry and electronics of the detector."
    )
    obs_info: ObservationInfo | None = pydantic.Field(
        default=None, description="What the header says of the observation."
    )
    band: str | None = pydantic.Field(default=None, description="Short name of the passband.")

    @override
    def deserialize(self, archive: InputArchive[Any], *, bbox: Box | None = None, **kwargs: Any) -> PostIsrImage:
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for PostIsrImage: {set(kwargs)}.")
        planes = super().deserialize(archive, bbox=bbox)
        return PostIsrImage(
            planes.image,
            mask=planes.mask,
            variance=planes.variance,
            sky_projection=planes.sky_projection,
            detector=None if self.detector is None else self.detector.deserialize(archive),
            obs_info=self.obs_info,
            band=self.band,
        )._finish_deserialize(self)
