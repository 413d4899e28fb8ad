"""What a frame is corrected with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from skyloom.errors import BadFrameError

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table

    from .crosstalk_matrix import CrosstalkMatrix
    from .linearity import Linearity
    from .masters import MasterSource
    from .settings import IsrSettings

__all__ = ["Calibrations"]

_KINDS = {
    "bias": ("use_bias", "BIAS"),
    "crosstalk": ("use_crosstalk", "CROSSTALK"),
    "linearities": ("use_linearity", "LINEARIZER"),
    "defects": ("use_defects", "DEFECTS"),
    "brighter_fatter": ("use_brighter_fatter", "BF"),
    "dark": ("use_dark", "DARK"),
    "flat": ("use_flat", "FLAT"),
    "fringes": ("use_fringes", "FRINGE"),
    "illumination": ("use_illumination", "ILLUMINATION"),
}
"""The switch of each, and its name in the metadata."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibrations:
    """The calibrations that `skyloom.isr.correct_raw` takes; None where there is none."""

    bias: MasterSource | None = None
    crosstalk: CrosstalkMatrix | None = None
    linearities: Mapping[str, Linearity] | None = None
    defects: Table | None = None
    brighter_fatter: np.ndarray | None = None
    dark: MasterSource | None = None
    flat: MasterSource | None = None
    fringes: Sequence[MasterSource] | None = None
    illumination: MasterSource | None = None

    def chosen(self, settings: IsrSettings, file: str) -> Calibrations:
        """Those that the settings want.

        Raises
        ------
        BadFrameError
            If one that they require is not there.
        """
        left_out: dict[str, None] = {}
        for name, (switch, _) in _KINDS.items():
            wanted = getattr(settings, switch)
            if wanted is False:
                left_out[name] = None
            elif wanted and getattr(self, name) is None:
                raise BadFrameError(
                    f"the settings require {name.replace('_', '-')}, and there is none.",
                    file=file,
                    cure="Run 'skyloom calibs build' or 'skyloom calibs import' for this detector and date, or switch "
                    "the correction off.",
                )
        return replace(self, **left_out)

    def applied(self) -> dict[str, bool]:
        """Metadata that tell which are there."""
        return {f"LSST ISR {name} APPLIED": getattr(self, field) is not None for field, (_, name) in _KINDS.items()}
