"""The kinds of calibrations that can be built: of which frames, and what has to be there before."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "CalibrationKind"]


@dataclass(frozen=True, kw_only=True)
class CalibrationKind:
    """One kind; the task ``make_<kind>`` of the pipeline ``masters`` makes it."""

    frames: tuple[str, ...]
    """Observation types of the frames that it is made of."""
    dataset_type: str
    """What comes out."""
    corrected_with: tuple[str, ...] = ()
    """Dataset types of the calibrations that its frames are corrected with, where there are some."""
    made_of: str = "raw"
    """Dataset type of the frames; what is not raw is looked for where the user says."""
    by_default: bool = False
    """Whether it is built wherever there are frames, without being asked for."""


KINDS: dict[str, CalibrationKind] = {
    "bias": CalibrationKind(frames=("bias",), dataset_type="bias", by_default=True),
    "dark": CalibrationKind(frames=("dark",), dataset_type="dark", corrected_with=("bias",), by_default=True),
    "ptc": CalibrationKind(frames=("flat",), dataset_type="ptc", corrected_with=("bias",)),
    "linearizer": CalibrationKind(frames=("flat",), dataset_type="linearizer", corrected_with=("bias",)),
    "brighter_fatter": CalibrationKind(
        frames=("flat",), dataset_type="brighterFatterKernel", corrected_with=("bias", "linearizer")
    ),
    "flat": CalibrationKind(frames=("flat",), dataset_type="flat", corrected_with=("bias", "dark"), by_default=True),
    "defects": CalibrationKind(frames=("science", "dark"), dataset_type="defects", by_default=True),
    "crosstalk": CalibrationKind(frames=("science",), dataset_type="crosstalk", corrected_with=("bias",)),
    "sky_flat": CalibrationKind(frames=("science",), dataset_type="flat", corrected_with=("bias", "dark", "defects")),
    "fringe": CalibrationKind(
        frames=("science",), dataset_type="fringe", corrected_with=("bias", "dark", "flat", "defects")
    ),
    "sky_frame": CalibrationKind(frames=("science",), dataset_type="sky_frame", made_of="sky_cells"),
}
"""By name, in the order in which one needs the other."""
