"""Joint fits: the WCSs and flux scales of all visits of a field together."""

from .catalogues import FrameCatalogue
from .fit import JointFit, JointSettings, fit_jointly
from .frame_results import photo_calib_rows, wcs_rows
from .outputs import (
    PHOTO_CALIB_COLUMNS,
    WCS_COLUMNS,
    is_refused,
    photo_calib_of,
    projection_of,
    row_box,
    row_projection,
    table_of,
)
from .select import SelectionSettings, frame_catalogue
from .settings import FitSettings, JointAstrometrySettings, JointPhotometrySettings
from .tables import (
    history_table,
    measurement_table,
    metric_table,
    star_table,
)

__all__ = [
    "PHOTO_CALIB_COLUMNS",
    "WCS_COLUMNS",
    "FitSettings",
    "FrameCatalogue",
    "JointAstrometrySettings",
    "JointFit",
    "JointPhotometrySettings",
    "JointSettings",
    "SelectionSettings",
    "fit_jointly",
    "frame_catalogue",
    "history_table",
    "is_refused",
    "measurement_table",
    "metric_table",
    "photo_calib_of",
    "photo_calib_rows",
    "projection_of",
    "row_box",
    "row_projection",
    "star_table",
    "table_of",
    "wcs_rows",
]
