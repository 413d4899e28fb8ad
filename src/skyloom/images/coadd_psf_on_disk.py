"""A `CoaddPsf` on disk: one table of inputs and one array of coefficients, however many inputs there are."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import numpy as np
import pydantic
from lsst.images import Box, Polygon
from lsst.images._concrete_bounds import BoundsSerializationModel
from lsst.images._transforms import SkyProjectionSerializationModel
from lsst.images.aperture_corrections import ApertureCorrectionMapSerializationModel
from lsst.images.psfs import GaussianPointSpreadFunction, PiffWrapper, PointSpreadFunction
from lsst.images.serialization import (
    ArchiveTree,
    ArrayReferenceModel,
    InlineArrayModel,
    InputArchive,
    InvalidParameterError,
    OutputArchive,
    TableModel,
)
from numpy.typing import NDArray

from skyloom.psf import (
    GRID_LANCZOS,
    WARP_ORDER,
    CoaddPsf,
    CoaddPsfComponent,
    DoubleGaussianPsf,
    PixelGridPsf,
    Region,
    grid_size,
    polynomial_terms,
)
from skyloom.psf.schema import SCHEMA_URL_BASE

from .spans import SpanSet

__all__ = ["CoaddPsfModel", "serialize_coadd_psf"]

_PIXEL_GRID, _GAUSSIAN, _DOUBLE_GAUSSIAN = 0, 1, 2
_BOX_FIELDS = [(name, np.int32) for name in ("x0", "x1", "y0", "y1")]
_INPUT_DTYPE = np.dtype(
    [
        ("visit", np.int64),
        ("detector", np.int32),
        ("weight", np.float64),
        ("kind", np.int32),
        ("size", np.int32),
        ("order", np.int32),
        ("oversampling", np.int32),
        ("kernel_order", np.int32),
        ("warp_order", np.int32),
        ("first", np.int64),
        ("spans", np.int64),
        ("vertices", np.int64),
        *_BOX_FIELDS,
        *[(f"psf_{name}", kind) for name, kind in _BOX_FIELDS],
    ]
)
_INPUT_TEXTS = {
    "visit": "Visit of the input.",
    "detector": "Detector of the input.",
    "weight": "Weight of the input's pixels in the mean.",
    "kind": "Kind of its PSF: 0 pixel grid, 1 round Gaussian, 2 two of them.",
    "size": "Side of its PSF's stamps, px.",
    "order": "Order of its pixel grid's polynomials.",
    "oversampling": "Points a pixel of its grid.",
    "kernel_order": "Order of the Lanczos kernel between them.",
    "warp_order": "Kernel with which the input was warped: 1 bilinear, n >= 2 Lanczos-n.",
    "first": "First of its numbers in the coefficients: [term, y, x], the Gaussian's sigma, or "
    "sigma of core and wing and the wing's amplitude.",
    "spans": "Number of runs of its valid pixels; -1 where none are told.",
    "vertices": "Number of vertices of the polygon that is valid; 0 where none is told.",
    "x0": "Its box on its own pixels: first column.",
    "x1": "One past the last column.",
    "y0": "First row.",
    "y1": "One past the last row.",
    "psf_x0": "Box in which its PSF was fitted: first column.",
    "psf_x1": "One past the last column.",
    "psf_y0": "First row.",
    "psf_y1": "One past the last row.",
}
_SPAN_DTYPE = np.dtype([("y", np.int32), ("x0", np.int32), ("x1", np.int32)])
_VERTEX_DTYPE = np.dtype([("x", np.float64), ("y", np.float64)])


class CoaddPsfModel[P: pydantic.BaseModel](ArchiveTree):
    """A `CoaddPsf` on disk."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_coadd_psf"
    SCHEMA_VERSION: ClassVar[str] = "2.0.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = CoaddPsf

    projection: SkyProjectionSerializationModel[P] = pydantic.Field(description="Sky projection of the coadd.")
    bounds: BoundsSerializationModel = pydantic.Field(description="Where the PSF holds.")
    inputs: TableModel = pydantic.Field(description="One row an input.")
    projections: list[SkyProjectionSerializationModel[P]] = pydantic.Field(
        description="Sky projection of each input's own pixels."
    )
    coefficients: ArrayReferenceModel | InlineArrayModel = pydantic.Field(
        description="Numbers of all inputs' PSFs, one after the other."
    )
    spans: TableModel = pydantic.Field(description="Runs of valid pixels of all inputs: y, x0, x1 (exclusive).")
    vertices: TableModel | None = pydantic.Field(default=None, description="Vertices of all inputs' valid polygons.")
    aperture_corrections: list[ApertureCorrectionMapSerializationModel] = pydantic.Field(
        default_factory=list, description="Aperture corrections of each input, on its own pixels; empty: none known."
    )

    def deserialize(self, archive: InputArchive[Any], **kwargs: Any) -> CoaddPsf:
        """Read the PSF.

        Raises
        ------
        lsst.images.serialization.InvalidParameterError
            If any parameter is given: a PSF is read whole.
        """
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for CoaddPsf: {set(kwargs)}.")
        rows = archive.get_structured_array(self.inputs)
        coefficients = archive.get_array(self.coefficients)
        regions = _read_regions(
            rows,
            archive.get_structured_array(self.spans),
            None if self.vertices is None else archive.get_structured_array(self.vertices),
        )
        corrections = [part.deserialize(archive) for part in self.aperture_corrections] or [{} for _ in rows]
        components = [
            CoaddPsfComponent(
                visit=int(row["visit"]),
                detector=int(row["detector"]),
                weight=float(row["weight"]),
                psf=_read_psf(row, coefficients),
                projection=projection.deserialize(archive),
                bbox=_read_box(row, ""),
                valid=valid,
                # Files of version 1 are of warps of the one kernel that there was, and say nothing of it.
                warp_order=int(row["warp_order"]) if "warp_order" in (row.dtype.names or ()) else WARP_ORDER,
                aperture_corrections=own,
            )
            for row, projection, valid, own in zip(rows, self.projections, regions, corrections, strict=True)
        ]
        return CoaddPsf(components, self.projection.deserialize(archive), self.bounds.deserialize())


def serialize_coadd_psf(psf: CoaddPsf, archive: OutputArchive[Any]) -> CoaddPsfModel[Any]:
    """Write a coadd's PSF to an archive.

    Raises
    ------
    TypeError
        If an input's PSF is neither a pixel grid nor made of Gaussians, or its valid region is neither a `SpanSet` nor
        a polygon.
    """
    rows = np.empty(len(psf.components), _INPUT_DTYPE)
    numbers: list[NDArray[np.float64]] = []
    first = 0
    for row, part in zip(rows, psf.components, strict=True):
        kind, order, own = _psf_numbers(part.psf)
        row["visit"], row["detector"], row["weight"] = part.visit, part.detector, part.weight
        row["kind"], row["order"], row["size"] = kind, order, part.psf.kernel_bbox.x.size
        row["oversampling"], row["kernel_order"] = _grid_kind(part.psf)
        row["warp_order"], row["first"] = part.warp_order, first
        row["spans"], row["vertices"] = _region_counts(part.valid)
        _write_box(row, "", part.bbox)
        _write_box(row, "psf_", part.psf.bounds.bbox)
        numbers.append(own)
        first += len(own)
    regions = [part.valid for part in psf.components]
    spans = _stack_spans([region for region in regions if isinstance(region, SpanSet)])
    vertices = _stack_vertices([region for region in regions if isinstance(region, Polygon)])
    corrections = [dict(part.aperture_corrections) for part in psf.components]
    tree = CoaddPsfModel[Any].model_construct(
        projection=archive.serialize_direct("projection", psf.projection.serialize),
        bounds=psf.bounds.serialize(),
        inputs=archive.add_structured_array(rows, name="inputs", descriptions=_INPUT_TEXTS),
        projections=[
            archive.serialize_direct(f"projections/{place}", part.projection.serialize)
            for place, part in enumerate(psf.components)
        ],
        coefficients=archive.add_array(np.concatenate(numbers), name="coefficients"),
        spans=archive.add_structured_array(spans, name="spans"),
        vertices=archive.add_structured_array(vertices, name="vertices") if len(vertices) else None,
        aperture_corrections=[
            archive.serialize_direct(
                f"aperture_corrections/{place}",
                functools.partial(ApertureCorrectionMapSerializationModel.serialize, own),
            )
            for place, own in enumerate(corrections)
        ]
        if any(corrections)
        else [],
    )
    if len(vertices) or (rows["warp_order"] != WARP_ORDER).any() or (rows["kind"] == _DOUBLE_GAUSSIAN).any():
        tree.min_read_version = 2  # what reads version 1 would take the wrong kernel, function or region
    return tree


def _psf_numbers(psf: PointSpreadFunction) -> tuple[int, int, NDArray[np.float64]]:
    """Kind, order and numbers of an input's PSF."""
    if isinstance(psf, PiffWrapper):
        psf = PixelGridPsf.from_piff(psf)
    if isinstance(psf, PixelGridPsf):
        return _PIXEL_GRID, psf.order, psf.coefficients.ravel()
    if isinstance(psf, GaussianPointSpreadFunction):
        return _GAUSSIAN, 0, np.array([psf.sigma])
    if isinstance(psf, DoubleGaussianPsf):
        return _DOUBLE_GAUSSIAN, 0, np.array(psf.numbers)
    raise TypeError(f"A coadd's inputs must have pixel-grid or Gaussian PSFs to be written; got {type(psf).__name__}.")


def _grid_kind(psf: PointSpreadFunction) -> tuple[int, int]:
    """Points a pixel of an input's grid, and the order of the kernel between them."""
    if isinstance(psf, PiffWrapper):
        psf = PixelGridPsf.from_piff(psf)
    return (psf.oversampling, psf.kernel_order) if isinstance(psf, PixelGridPsf) else (1, GRID_LANCZOS)


def _read_psf(row: np.void, coefficients: NDArray[np.float64]) -> PointSpreadFunction:
    """An input's PSF from its row."""
    first, size, order = int(row["first"]), int(row["size"]), int(row["order"])
    bounds = _read_box(row, "psf_")
    if row["kind"] == _GAUSSIAN:
        return GaussianPointSpreadFunction(float(coefficients[first]), bounds, size)
    if row["kind"] == _DOUBLE_GAUSSIAN:
        sigma, wing_sigma, amplitude = (float(number) for number in coefficients[first : first + 3])
        return DoubleGaussianPsf(sigma, wing_sigma, amplitude, bounds, size)
    # Files of version 1 have one point a pixel, and say nothing of it.
    told = "oversampling" in (row.dtype.names or ())
    oversampling, kernel_order = (int(row["oversampling"]), int(row["kernel_order"])) if told else (1, GRID_LANCZOS)
    terms, n = len(polynomial_terms(order)), grid_size(size, oversampling)
    grids = coefficients[first : first + terms * n * n].astype(np.float64)
    return PixelGridPsf(
        grids.reshape(terms, n, n), order=order, bounds=bounds, oversampling=oversampling, kernel_order=kernel_order
    )


def _write_box(row: np.void, prefix: str, box: Box) -> None:
    row[prefix + "x0"], row[prefix + "x1"] = box.x.start, box.x.stop
    row[prefix + "y0"], row[prefix + "y1"] = box.y.start, box.y.stop


def _read_box(row: np.void, prefix: str) -> Box:
    x0, x1, y0, y1 = (int(row[prefix + name]) for name, _ in _BOX_FIELDS)
    return Box.factory[y0:y1, x0:x1]


def _region_counts(valid: Region | None) -> tuple[int, int]:
    """Runs of pixels (-1 for none told) and vertices (0 for none told) of an input's valid region."""
    if valid is None:
        return -1, 0
    if isinstance(valid, SpanSet):
        return len(valid), 0
    if isinstance(valid, Polygon):
        return -1, valid.n_vertices
    raise TypeError(f"A valid region must be a SpanSet or a Polygon to be written; got {type(valid).__name__}.")


def _read_regions(
    rows: NDArray[np.void], spans: NDArray[np.void], vertices: NDArray[np.void] | None
) -> list[Region | None]:
    """The valid region of every input."""
    regions: list[Region | None] = []
    first_span = first_vertex = 0
    for row in rows:
        n_spans, n_vertices = int(row["spans"]), 0 if vertices is None else int(row["vertices"])
        if n_spans >= 0:
            part = spans[first_span : first_span + n_spans]
            regions.append(SpanSet(part["y"], part["x0"], part["x1"]))
            first_span += n_spans
        elif n_vertices and vertices is not None:
            part = vertices[first_vertex : first_vertex + n_vertices]
            regions.append(Polygon(x_vertices=part["x"].astype(float), y_vertices=part["y"].astype(float)))
            first_vertex += n_vertices
        else:
            regions.append(None)
    return regions


def _stack_spans(parts: Sequence[SpanSet]) -> NDArray[np.void]:
    table = np.empty(sum(len(part) for part in parts), _SPAN_DTYPE)
    for name in cast(tuple[str, ...], _SPAN_DTYPE.names):
        if parts:
            table[name] = np.concatenate([getattr(part, name) for part in parts])
    return table


def _stack_vertices(parts: Sequence[Polygon]) -> NDArray[np.void]:
    table = np.empty(sum(part.n_vertices for part in parts), _VERTEX_DTYPE)
    if parts:
        table["x"] = np.concatenate([part.x_vertices for part in parts])
        table["y"] = np.concatenate([part.y_vertices for part in parts])
    return table
