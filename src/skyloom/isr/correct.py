"""The corrections that turn a raw frame into electrons, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyloom.errors import BadFrameError

from .amplifiers import AmplifierLayout, layout_of
from .calibrations import Calibrations
from .frame import IsrFrame
from .readout import check_not_empty, read_out
from .settings import IsrSettings
from .steps import (
    step_bias,
    step_brighter_fatter,
    step_crosstalk,
    step_dark,
    step_flat,
    step_fringes,
    step_gains,
    step_illumination,
    step_interpolation,
    step_linearity,
    step_masks,
    step_vignette,
)

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table

    from skyloom.images.exposure import Exposure
    from skyloom.images.raw import RawExposure

    from .crosstalk_matrix import CrosstalkMatrix
    from .linearity import Linearity
    from .masters import MasterSource

__all__ = ["Step", "Watch", "correct_raw"]

type Step = Callable[[IsrFrame], None]
"""Corrects the frame in place."""

type Watch = Callable[[str, IsrFrame], None]
"""Is told the name of a step that was made, and shown the frame, which it must not change."""


def correct_raw(
    raw: RawExposure,
    *,
    bias: MasterSource | None = None,
    dark: MasterSource | None = None,
    flat: MasterSource | None = None,
    defects: Table | None = None,
    crosstalk: CrosstalkMatrix | None = None,
    linearities: Mapping[str, Linearity] | None = None,
    brighter_fatter: np.ndarray | None = None,
    fringes: Sequence[MasterSource] | None = None,
    illumination: MasterSource | None = None,
    pedestals_adu: Mapping[str, float] | None = None,
    settings: IsrSettings | None = None,
    watch: Watch | None = None,
    camera_masks: Step | None = None,
    stray_light: Step | None = None,
) -> Exposure:
    """Remove the instrument signature of one raw frame.

    In ADU: saturation and suspect masks, overscan, assembly, bias, crosstalk, linearity.  Then gains, amplifier by
    amplifier, and in electrons: variance, masks of defects and saturated trails, brighter-fatter effect, dark, flat,
    fringes, vignetting, illumination.  Then interpolation.

    Each calibration frame may be given as a function that reads it, so that no two have to be in memory.

    Parameters
    ----------
    raw
        A raw frame that its camera has completed: with its detector, and for a dark with its observation.
    bias
        Trimmed master in ADU.
    dark
        Trimmed master in electrons (or ADU) a second.
    flat
        Trimmed master of any level; in ADU the gains are applied to it, in any other unit or none it is taken as it
        is.  It is normalised to a median of one over the detector.
    defects
        Boxes ``x0``, ``y0``, ``width``, ``height`` on the trimmed detector.  An amplifier inside one box is bad as a
        whole.
    crosstalk
        What the detector's amplifiers pick up from each other.
    linearities
        Correction of each amplifier, by its name.
    brighter_fatter
        Kernel ``[y, x]`` of `skyloom.isr.correct_brighter_fatter`, per electron.
    fringes
        Trimmed frames of the fringes' components, of any level; how strong each is comes from the frame itself.
    illumination
        Trimmed frame of the light of the sky over that of the flat.
    pedestals_adu
        Nominal bias by amplifier name, for amplifiers that have no overscan, where there is no bias frame either.
    settings
        Which corrections, and how.
    watch
        Called after the steps overscan, bias, crosstalk, linearity, gains, masks, brighter_fatter, dark, flat, fringes,
        vignette, illumination and interpolation.
    camera_masks, stray_light
        Steps of the user's own: masks of a camera, after all other masks; and stray light, before the flat.

    Returns
    -------
    exposure
        In electrons, with the frame's detector, observation and first guess of the projection.  Its metadata say
        which corrections were made and what was found.

    Raises
    ------
    BadFrameError
        If the frame is empty or of the wrong shape, or a required calibration is missing or of the wrong shape.
    """
    settings = settings or IsrSettings()
    given = Calibrations(
        bias=bias,
        crosstalk=crosstalk,
        linearities=linearities,
        defects=defects,
        brighter_fatter=brighter_fatter,
        dark=dark,
        flat=flat,
        fringes=fringes or None,
        illumination=illumination,
    ).chosen(settings, raw.file)
    frame = _begun(raw, given.defects, None if given.bias is not None else pedestals_adu or {}, settings)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("bias", lambda: step_bias(frame, given.bias)),
        ("crosstalk", lambda: step_crosstalk(frame, given.crosstalk)),
        ("linearity", lambda: step_linearity(frame, given.linearities)),
        ("gains", lambda: step_gains(frame)),
        ("masks", lambda: step_masks(frame, given.defects)),
        *([("camera_masks", lambda: camera_masks(frame))] if camera_masks else []),
        ("brighter_fatter", lambda: step_brighter_fatter(frame, given.brighter_fatter)),
        ("dark", lambda: step_dark(frame, given.dark)),
        *([("stray_light", lambda: stray_light(frame))] if stray_light else []),
        ("flat", lambda: step_flat(frame, given.flat)),
        ("fringes", lambda: step_fringes(frame, given.fringes)),
        ("vignette", lambda: step_vignette(frame)),
        ("illumination", lambda: step_illumination(frame, given.illumination)),
        ("interpolation", lambda: step_interpolation(frame)),
    ]
    if settings.fringes_first:
        flat_at = [name for name, _ in steps].index("flat")
        steps[flat_at : flat_at + 2] = steps[flat_at + 1], steps[flat_at]
    watch = watch or _nobody
    watch("overscan", frame)
    for name, step in steps:
        step()
        watch(name, frame)
    frame.metadata |= given.applied()
    return frame.exposure()


def _begun(
    raw: RawExposure, defects: Table | None, pedestals_adu: Mapping[str, float] | None, settings: IsrSettings
) -> IsrFrame:
    """The trimmed detector in ADU, its overscan taken off."""
    if raw.detector is None:
        raise BadFrameError("the frame has no detector.", file=raw.file, cure="Complete it with its camera first.")
    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    check_not_empty(raw, layouts)
    y_size, x_size = raw.detector.bbox.shape
    metadata: dict[str, Any] = {
        "LSST ISR UNITS": "electron",
        "LSST ISR OVERSCAN SERIAL UNITS": "adu",
    }
    counts = read_out(
        raw,
        layouts,
        (y_size, x_size),
        settings,
        pedestals_adu=pedestals_adu,
        metadata=metadata,
        bad_amplifiers=[layout.name for layout in layouts if defects is not None and _inside_one(layout, defects)],
    )
    return IsrFrame(
        raw=raw,
        layouts=layouts,
        image=counts.image,
        bits=counts.bits,
        noise_adu=counts.noise_adu,
        metadata=metadata,
        settings=settings,
    )


def _inside_one(layout: AmplifierLayout, defects: Table) -> bool:
    """Whether one of the defects holds a whole amplifier."""
    rows, columns = layout.trimmed
    x0, y0, width, height = (defects[name] for name in ("x0", "y0", "width", "height"))
    holds = (x0 <= columns.start) & (x0 + width >= columns.stop) & (y0 <= rows.start) & (y0 + height >= rows.stop)
    return bool(holds.any())


def _nobody(name: str, frame: IsrFrame) -> None:
    """Watch nothing."""
