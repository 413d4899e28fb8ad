"""`MeasureObjectsTask`: the sources of all bands of a patch merged, and measured on the coadd of every band."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from astropy.table import Table
from lsst.pex.config import ConfigField, Field, ListField
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    QuantumContext,
    Struct,
)
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.errors import FrameError
from skyloom.images import Exposure, from_coadd
from skyloom.objects import (
    BandSources,
    MergedObjects,
    ObjectSettings,
    band_order,
    force_on_coadd,
    make_object_table,
    merge_bands,
    prepare_coadd,
    reference_values,
)

from .failure import failing_frames
from .mirrored_config import mirror

if TYPE_CHECKING:
    from lsst.images import BackgroundMap

    from skyloom.skymap import Patch, SkyMap

__all__ = ["MeasureObjectsConfig", "MeasureObjectsConnections", "MeasureObjectsTask"]

_PATCH = ("skymap", "tract", "patch")
_BAND = (*_PATCH, "band")
_DEFAULTS = ObjectSettings()


def _of_bands(name: str, storage: str, doc: str, *, deferred: bool = False) -> Input:
    """An input with a dataset a band."""
    return Input(doc=doc, name=name, storageClass=storage, dimensions=_BAND, multiple=True, deferLoad=deferred)


class MeasureObjectsConnections(PipelineTaskConnections, dimensions=_PATCH):
    """What was detected in all bands of a patch, and the objects."""

    sources = _of_bands("deep_coadd_sources", "ArrowAstropy", "Sources in each band.")
    footprints = _of_bands("deep_coadd_footprints", "SkyloomFootprints", "Their footprints.")
    backgrounds = _of_bands("deep_coadd_background", "BackgroundMap", "Rest of sky of each coadd.")
    coadds = _of_bands("deep_coadd", "CoaddImage", "The coadds, one read at a time.", deferred=True)
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    objects = Output(
        doc="Objects of all bands, with forced photometry in each.",
        name="objects",
        storageClass="ArrowAstropy",
        dimensions=_PATCH,
    )


class MeasureObjectsConfig(PipelineTaskConfig, pipelineConnections=MeasureObjectsConnections):
    """Settings of `MeasureObjectsTask`."""

    bands: Any = ListField(
        dtype=str,
        default=[],
        doc="Bands that every table has columns of, in order, whether a patch has them or not; none: those it has.",
    )
    merge: Any = ConfigField(dtype=mirror(_DEFAULTS.merge), doc="Which sources of the bands are one object.")
    do_deblend: Any = Field(dtype=bool, default=_DEFAULTS.deblend, doc="Whether blended objects get their own light.")
    deblend: Any = ConfigField(dtype=mirror(_DEFAULTS.deblending), doc="Deblending, in each band.")
    measurement: Any = ConfigField(
        dtype=mirror(_DEFAULTS.measurement), doc="Measurement on the coadds; plug-ins of it have no columns."
    )

    def settings(self) -> ObjectSettings:
        """The same as the algorithm takes it."""
        return ObjectSettings(
            merge=self.merge.settings(),
            deblend=self.do_deblend,
            deblending=self.deblend.settings(),
            measurement=self.measurement.settings(),
        )


class MeasureObjectsTask(PipelineTask):
    """Merge the sources of the bands of a patch and measure the objects in each; a band that fails is left empty."""

    ConfigClass = MeasureObjectsConfig
    _DefaultName = "measure_objects"
    config: MeasureObjectsConfig

    def runQuantum(self, butlerQC: QuantumContext, inputRefs: Any, outputRefs: Any) -> None:
        """Read the sources of all bands, then coadd by coadd; write the object table."""
        sky_map: SkyMap = butlerQC.get(inputRefs.sky_map)
        data_id = cast("Any", butlerQC.quantum.dataId)
        patch = sky_map.tract(int(data_id["tract"])).patch(int(data_id["patch"]))
        named = {
            name: {str(ref.dataId["band"]): butlerQC.get(ref) for ref in getattr(inputRefs, name)}
            for name in ("sources", "footprints", "backgrounds", "coadds")
        }
        whole = set.intersection(*(set(one) for one in named.values()))
        for band in sorted(set(named["coadds"]) - whole):
            self.log.warning("the coadd in %s has no sources and is left out", band)
        sources = {band: BandSources(named["sources"][band], named["footprints"][band]) for band in sorted(whole)}
        coadds = {band: lambda band=band: from_coadd(named["coadds"][band].get()) for band in sources}
        with failing_frames(self):
            result = self.run(sources, coadds, patch=patch, sky_map=sky_map, backgrounds=named["backgrounds"])
        butlerQC.put(result, outputRefs)

    def run(
        self,
        sources: Mapping[str, BandSources],
        coadds: Mapping[str, Callable[[], Exposure]],
        *,
        patch: Patch,
        sky_map: SkyMap,
        backgrounds: Mapping[str, BackgroundMap] | None = None,
    ) -> Struct:
        """Merge and measure.

        Parameters
        ----------
        sources
            By band, what `DetectCoaddSourcesTask` found.
        coadds
            By band, what reads the coadd as it was before detection.
        patch, sky_map
            Where they are.
        backgrounds
            By band, the rest of sky that was subtracted.

        Returns
        -------
        Struct
            ``objects``: the table of `skyloom.objects.make_object_table`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If no band has a table of sources.
        """
        if not sources:
            raise NoWorkFound(f"No band of patch {patch.id} has a table of sources.")
        settings = self.config.settings()
        merged = merge_bands(sources, patch.outer_bbox, patch.tract.grid.pixel_scale, settings.merge)
        forced: dict[str, Table] = {}
        for band in sources:
            if not len(merged):
                break
            try:
                forced[band] = self._force(band, merged, sources, coadds[band](), backgrounds or {}, patch, sky_map)
            except FrameError as error:
                self.log.warning("no forced photometry in %s: %s", band, error)
                self.metadata[f"failure_{band}"] = str(error)
        bands = list(self.config.bands) or band_order(sources, settings.merge.order)
        if left := sorted(set(sources) - set(bands)):
            self.log.warning("no columns for %s, which the configuration does not name", ", ".join(left))
        radii = settings.measurement.aperture_radii
        objects = make_object_table(merged, sources, forced, bands, radii, patch, sky_map)
        self._report(objects, bands, forced)
        return Struct(objects=objects)

    def _force(
        self,
        band: str,
        merged: MergedObjects,
        sources: Mapping[str, BandSources],
        coadd: Exposure,
        backgrounds: Mapping[str, BackgroundMap],
        patch: Patch,
        sky_map: SkyMap,
    ) -> Table:
        """Measure the objects in a band."""
        table = sources[band].table
        factor = float(table["variance_factor"][0]) if len(table) else None
        prepare_coadd(coadd, backgrounds.get(band), factor)
        moments = np.stack([reference_values(merged, sources, name) for name in ("ixx", "iyy", "ixy")], axis=-1)
        radius = reference_values(merged, sources, "kron_radius")
        return force_on_coadd(coadd, merged, moments, radius, patch, sky_map, self.config.settings())

    def _report(self, objects: Table, bands: list[str], forced: Mapping[str, Table]) -> None:
        self.metadata["n_objects"] = len(objects)
        self.metadata["n_primary"] = int(np.sum(objects["is_primary"]))
        self.metadata["bands"] = list(forced)
        missing = [band for band in bands if band not in forced]
        self.metadata["missing_bands"] = missing
        if missing and len(objects):
            self.log.warning("no measurements in %s", ", ".join(missing))
        self.log.info("%d objects in %s", len(objects), ", ".join(forced) or "no band")
