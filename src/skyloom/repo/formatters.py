"""How datasets are written and read: cameras, sky maps, raw frames, and the choices for images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, cast, override

from lsst.daf.butler import FormatterV2
from lsst.images.fits import FitsCompressionOptions
from lsst.images.formatters import GenericFormatter
from lsst.resources import ResourcePath

from skyloom.instruments.given_pointing import with_pointing

from .detector_hdus import Hdu
from .frame_files import SUFFIXES, find_image, merged_header, open_frame
from .raw_files import hdu_of, read_raw
from .whole_masks import carry_masks_whole

__all__ = [
    "CameraFormatter",
    "CompressedFormatter",
    "PhotoCalibFormatter",
    "RawExposureFormatter",
    "SkyMapFormatter",
    "UncompressedFormatter",
    "VisitImageFormatter",
]

carry_masks_whole()

_TILED = FitsCompressionOptions(tile_shape=(64, 1024))
"""Lossless; a tile is one call of the library, and rows, its default, are too short for that."""


class UncompressedFormatter(GenericFormatter):
    """For what is read again and again, or by the next task alone: bigger files, in a tenth of the time."""

    @override
    def _get_compression_options(self) -> dict[str, FitsCompressionOptions]:
        # None is no compression; the base class declares it away.
        plain = dict.fromkeys(("image", "mask", "variance", "psf/coefficients"))
        return cast(dict[str, FitsCompressionOptions], plain)


class VisitImageFormatter(GenericFormatter):
    """For calibrated frames, which are kept, and read by every task after them: masks shrink, noise does not.

    Lossless compression would take a tenth off the image and a quarter off the variance, for most of the time that
    a frame takes to write and to read.
    """

    @override
    def _get_compression_options(self) -> dict[str, FitsCompressionOptions]:
        return cast(dict[str, FitsCompressionOptions], {"image": None, "variance": None, "mask": _TILED})

    @override
    def _component_from_cache(self, component: str) -> tuple[bool, Any]:
        # The PSF is read from the file each time, for Piff's reader empties what it reads.
        return (False, None) if component == "psf" else super()._component_from_cache(component)


class CompressedFormatter(GenericFormatter):
    """For what is made to be given away: compressed without loss."""

    @override
    def _get_compression_options(self) -> dict[str, FitsCompressionOptions]:
        return dict.fromkeys(("image", "mask", "variance"), _TILED)


class PhotoCalibFormatter(GenericFormatter):
    """For photometric calibrations: a few numbers, as JSON."""

    default_extension: ClassVar[str] = ".json"


class CameraFormatter(FormatterV2):
    """A camera as the text of its YAML description."""

    default_extension: ClassVar[str] = ".yaml"
    can_read_from_uri: ClassVar[bool] = True

    @override
    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        from skyloom.instruments import Camera

        return Camera.from_yaml(uri.read().decode("utf-8"), file=str(uri))

    @override
    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        text: str = in_memory_dataset.to_yaml()
        return text.encode("utf-8")


class SkyMapFormatter(FormatterV2):
    """A sky map as the JSON of its definition."""

    default_extension: ClassVar[str] = ".json"
    can_read_from_uri: ClassVar[bool] = True

    @override
    def read_from_uri(self, uri: ResourcePath, component: str | None = None, expected_size: int = -1) -> Any:
        from skyloom.skymap import sky_map_from_dict

        return sky_map_from_dict(json.loads(uri.read()))

    @override
    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        return (json.dumps(in_memory_dataset.to_dict(), indent=1) + "\n").encode("utf-8")


class RawExposureFormatter(FormatterV2):
    """Raw frames as they were ingested: FITS of any kind, packed or not.

    The HDU of the detector is that of the fragment ``hdu=`` of the ingested URI, a number or a name; without one it
    is the first that holds an image.  Numbers joined by ``+`` are the HDUs of single amplifiers.
    """

    supported_extensions: ClassVar[frozenset[str]] = frozenset({*SUFFIXES, *(name.upper() for name in SUFFIXES)})
    can_read_from_local_file: ClassVar[bool] = True
    hdu: ClassVar[Hdu] = None
    """What is read where the URI has no fragment."""
    center: ClassVar[tuple[float, float] | None] = None
    """Boresight (ra, dec), degree, that was given for a frame whose header has none."""

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        hdu = hdu_of(self.file_descriptor.location.uri.unquoted_fragment) or self.hdu
        first = hdu[0] if isinstance(hdu, tuple) else hdu
        if component == "header":
            with open_frame(Path(path)) as hdus:
                return with_pointing(merged_header(hdus, find_image(hdus, Path(path), first)), self.center)
        uri = self.file_descriptor.location.uri
        return read_raw(Path(path), hdu, uri.ospath if uri.isLocal else str(uri), self.center)
