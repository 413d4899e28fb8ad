"""Objects: the sources of coadds, merged over the bands, and forced photometry of them on coadds and frames."""

from .detect import CoaddDetections, detect_on_coadd, prepare_coadd
from .forced import force_on_coadd
from .frames import force_on_frame, forced_columns, make_forced_table
from .measure import measure_on_coadd, patch_ids
from .merge import BandSources, MergedObjects, band_order, merge_bands
from .object_table import band_columns, make_object_table, object_columns, reference_values
from .settings import BAND_ORDER, CoaddSourceSettings, ForcedFrameSettings, MergeSettings, ObjectSettings

__all__ = [
    "BAND_ORDER",
    "BandSources",
    "CoaddDetections",
    "CoaddSourceSettings",
    "ForcedFrameSettings",
    "MergeSettings",
    "MergedObjects",
    "ObjectSettings",
    "band_columns",
    "band_order",
    "detect_on_coadd",
    "force_on_coadd",
    "force_on_frame",
    "forced_columns",
    "make_forced_table",
    "make_object_table",
    "measure_on_coadd",
    "merge_bands",
    "object_columns",
    "patch_ids",
    "prepare_coadd",
    "reference_values",
]
