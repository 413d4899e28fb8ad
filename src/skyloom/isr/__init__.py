"""Instrument signature removal: from raw counts to electrons."""

from __future__ import annotations

from .amplifiers import AmplifierLayout, layout_of
from .brighter_fatter import BrighterFatterSettings
from .correct import correct_raw
from .crosstalk import CrosstalkSettings
from .crosstalk_matrix import CrosstalkMatrix
from .fringe import FringeSettings
from .linearity import Linearity
from .linearity_kinds import linearity_of
from .mode import PEDESTAL_ONLY, mode_cards
from .nominal import with_nominal
from .pile_up import pile_up_level
from .plain_data import crosstalk_from_data, kernel_from_data, linearities_from_data
from .readout import check_not_empty, read_out
from .settings import InterpolationSettings, IsrSettings, OverscanMethod, OverscanSettings

__all__ = [
    "PEDESTAL_ONLY",
    "AmplifierLayout",
    "BrighterFatterSettings",
    "CrosstalkMatrix",
    "CrosstalkSettings",
    "FringeSettings",
    "InterpolationSettings",
    "IsrSettings",
    "Linearity",
    "OverscanMethod",
    "OverscanSettings",
    "check_not_empty",
    "correct_raw",
    "crosstalk_from_data",
    "kernel_from_data",
    "layout_of",
    "linearities_from_data",
    "linearity_of",
    "mode_cards",
    "pile_up_level",
    "read_out",
    "with_nominal",
]
