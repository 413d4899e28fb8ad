"""Sky background: a robust mesh under an Akima surface."""

from .fit import Background, BackgroundSettings, fit_background
from .subtract import subtract_background

__all__ = ["Background", "BackgroundSettings", "fit_background", "subtract_background"]
