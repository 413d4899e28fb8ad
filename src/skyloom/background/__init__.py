"""Sky background: a robust mesh under a smooth surface."""

from .fit import Background, BackgroundSettings, fit_background
from .settle import SettledBackground, SettleSettings, settle_background
from .subtract import subtract_background

__all__ = [
    "Background",
    "BackgroundSettings",
    "SettleSettings",
    "SettledBackground",
    "fit_background",
    "settle_background",
    "subtract_background",
]
