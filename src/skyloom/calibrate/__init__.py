"""The single-frame recipe: from a frame in electrons to one in nJy with PSF, WCS, catalogue and summary."""

from .frame import CalibratedFrame
from .recipe import calibrate_frame
from .references import ReferenceLoader, epoch_year
from .settings import CalibrateSettings
from .snaps import combine_snaps

__all__ = [
    "CalibrateSettings",
    "CalibratedFrame",
    "ReferenceLoader",
    "calibrate_frame",
    "combine_snaps",
    "epoch_year",
]
