"""What instrument signature removal does, and how."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .bad_regions import BadRegionStatistic
from .brighter_fatter import BrighterFatterSettings
from .crosstalk import CrosstalkSettings
from .fringe import FringeSettings
from .vignette import VignetteSettings

__all__ = ["InterpolationSettings", "IsrSettings", "OverscanMethod", "OverscanSettings"]

OverscanMethod = Literal[
    "MEAN",
    "MEANCLIP",
    "MEDIAN",
    "MEDIAN_PER_ROW",
    "MEAN_PER_ROW",
    "POLY",
    "CHEB",
    "LEG",
    "NATURAL_SPLINE",
    "CUBIC_SPLINE",
    "AKIMA_SPLINE",
    "NONE",
]


@dataclass(frozen=True, kw_only=True)
class OverscanSettings:
    """How the level of one overscan region is found."""

    method: OverscanMethod = "MEDIAN_PER_ROW"
    """One level for the whole region, a level for each row (median or clipped mean), a polynomial or a spline along the
    rows, or none at all."""
    order: int = 16
    """Degree of a polynomial (1 to 5 are usual), or number of groups of rows that a spline runs through (5 or more)."""
    n_sigma: float = 3.0
    """A pixel further than this from the median of its row, in units of the row's scatter, does not count."""
    skip_leading: int = 0
    """Columns next to the data to leave out: they hold charge that was transferred late."""
    skip_trailing: int = 0
    """Columns at the far side to leave out."""
    max_deviation_adu: float = 1000.0
    """Pixels farther from the median of the region are no overscan (bleeds, cosmic rays in the register)."""


@dataclass(frozen=True, kw_only=True)
class InterpolationSettings:
    """Which unusable pixels receive a value from their neighbours."""

    planes: tuple[str, ...] = ("BAD", "UNMASKEDNAN")
    """Pixels with one of these planes; empty for no interpolation."""
    max_run: int = 16
    """Longest run of unusable pixels to bridge; what is wider both ways becomes NO_DATA."""


@dataclass(frozen=True, kw_only=True)
class IsrSettings:
    """Which corrections a raw frame goes through.

    A calibration may be used where there is one (None), required (True), or left out (False).
    """

    use_bias: bool | None = None
    use_dark: bool | None = None
    use_flat: bool | None = None
    use_defects: bool | None = None
    use_crosstalk: bool | None = None
    use_linearity: bool | None = None
    use_brighter_fatter: bool | None = None
    use_fringes: bool | None = None
    use_illumination: bool | None = False
    mark_saturated: bool = True
    mark_suspect: bool = True
    """Whether pixels beyond the amplifiers' levels of saturation and of trust become SAT and SUSPECT."""
    saturation_adu: float | None = None
    """Level of saturation in place of the amplifiers'; None for theirs."""
    serial_overscan: OverscanSettings = field(default_factory=OverscanSettings)
    parallel_overscan: OverscanSettings = field(default_factory=lambda: OverscanSettings(method="NONE"))
    crosstalk: CrosstalkSettings = field(default_factory=CrosstalkSettings)
    measured_read_noise: bool = True
    """Take the read noise from the overscan where there is one; else the camera's."""
    level_amplifiers: bool = False
    """Bring all amplifiers to one median after the gains; for frames without flat."""
    count_variance: bool = True
    """Give each pixel its variance; else 1."""
    negative_plane: str | None = None
    """Mask plane of pixels so negative that electrons plus read noise squared are none; None marks none."""
    widen_trails: bool = True
    """Widen saturated areas along the rows, the more the wider they are: charge spilled over there."""
    grow_saturated: int = 1
    """Radius in pixels (city-block) by which saturated areas grow."""
    edge_width: int = 0
    """Pixels this near to the edge of the detector become SUSPECT."""
    edge_of_amplifiers: bool = False
    """Those near to the edges of amplifiers, too."""
    mark_not_a_number: bool = True
    brighter_fatter: BrighterFatterSettings = field(default_factory=BrighterFatterSettings)
    brighter_fatter_interpolation: InterpolationSettings = InterpolationSettings(
        planes=("SAT", "BAD", "NO_DATA", "UNMASKEDNAN")
    )
    """Pixels that get a value while charge is moved back, since they repelled charge too."""
    brighter_fatter_grow: int = 0
    """Radius (city-block) by which those planes grow, since charge moved over the border of what is known."""
    fringes: FringeSettings = field(default_factory=FringeSettings)
    fringes_first: bool = False
    """Take the fringes off before the flat: for fringe frames that were not flattened."""
    flat_scaling: Literal["MEDIAN", "MEAN", "USER"] = "MEDIAN"
    """What the flat is divided by first: its median or mean over the detector, or `flat_scale`."""
    flat_scale: float = 1.0
    flat_minimum: float = 0.1
    """Pixels whose relative response is below this are bad."""
    vignette: VignetteSettings | None = None
    """What the optics illuminate; pixels outside become VIGNETTED and NO_DATA.  None: the whole detector."""
    vignette_value: float | None = None
    """Value of those pixels; None for not a number."""
    illumination_scale: float = 1.0
    """The illumination frame is divided by this."""
    fill_bad: BadRegionStatistic | None = None
    """Level of the frame that BAD pixels get before the interpolation; None leaves them."""
    interpolation: InterpolationSettings = field(default_factory=InterpolationSettings)
