"""The corrections that turn a raw frame into electrons, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skyloom.errors import BadFrameError

from .amplifiers import AmplifierLayout, layout_of
from .frame import IsrFrame
from .mode import check_mode
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
    from lsst.images import MaskedImage

    from skyloom.images.exposure import Exposure
    from skyloom.images.raw import RawExposure

    from .crosstalk_matrix import CrosstalkMatrix
    from .linearity import Linearity

__all__ = ["Step", "Watch", "correct_raw"]

type Step = Callable[[IsrFrame], None]
"""Corrects the frame in place."""

type Watch = Callable[[str, IsrFrame], None]
"""Is told the name of a step that was made, and shown the frame, which it must not change."""


def correct_raw(
    raw: RawExposure,
    *,
    bias: MaskedImage | None = None,
    dark: MaskedImage | None = None,
    flat: MaskedImage | None = None,
    defects: Table | None = None,
    crosstalk: CrosstalkMatrix | None = None,
    linearities: Mapping[str, Linearity] | None = None,
    brighter_fatter: np.ndarray | None = None,
    fringes: Sequence[MaskedImage] | None = None,
    illumination: MaskedImage | None = None,
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
    bias = _chosen("bias", bias, settings.use_bias, raw)
    dark = _chosen("dark", dark, settings.use_dark, raw)
    flat = _chosen("flat", flat, settings.use_flat, raw)
    defects = _chosen("defects", defects, settings.use_defects, raw)
    crosstalk = _chosen("crosstalk", crosstalk, settings.use_crosstalk, raw)
    linearities = _chosen("linearity", linearities, settings.use_linearity, raw)
    brighter_fatter = _chosen("brighter-fatter", brighter_fatter, settings.use_brighter_fatter, raw)
    fringes = _chosen("fringes", fringes or None, settings.use_fringes, raw)
    illumination = _chosen("illumination", illumination, settings.use_illumination, raw)
    for kind, master in (("bias", bias), ("dark", dark), ("flat", flat)):
        if master is not None:
            check_mode(master, kind, raw)

    frame = _begun(raw, defects, None if bias is not None else pedestals_adu or {}, settings)
    watch = watch or _nobody
    watch("overscan", frame)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("bias", lambda: step_bias(frame, bias)),
        ("crosstalk", lambda: step_crosstalk(frame, crosstalk)),
        ("linearity", lambda: step_linearity(frame, linearities)),
        ("gains", lambda: step_gains(frame)),
        ("masks", lambda: step_masks(frame, defects)),
        *([("camera_masks", lambda: camera_masks(frame))] if camera_masks else []),
        ("brighter_fatter", lambda: step_brighter_fatter(frame, brighter_fatter)),
        ("dark", lambda: step_dark(frame, dark)),
        *([("stray_light", lambda: stray_light(frame))] if stray_light else []),
        *_flat_and_fringes(frame, flat, fringes),
        ("vignette", lambda: step_vignette(frame)),
        ("illumination", lambda: step_illumination(frame, illumination)),
        ("interpolation", lambda: step_interpolation(frame)),
    ]
    for name, step in steps:
        step()
        watch(name, frame)
    for kind, given in {
        "BIAS": bias,
        "CROSSTALK": crosstalk,
        "LINEARIZER": linearities,
        "BF": brighter_fatter,
        "DARK": dark,
        "FLAT": flat,
        "FRINGE": fringes,
        "ILLUMINATION": illumination,
        "DEFECTS": defects,
    }.items():
        frame.metadata[f"LSST ISR {kind} APPLIED"] = given is not None
    return frame.exposure()


def _flat_and_fringes(
    frame: IsrFrame, flat: MaskedImage | None, fringes: Sequence[MaskedImage] | None
) -> list[tuple[str, Callable[[], None]]]:
    steps: list[tuple[str, Callable[[], None]]] = [
        ("flat", lambda: step_flat(frame, flat)),
        ("fringes", lambda: step_fringes(frame, fringes)),
    ]
    return steps[::-1] if frame.settings.fringes_first else steps


def _begun(
    raw: RawExposure, defects: Table | None, pedestals_adu: Mapping[str, float] | None, settings: IsrSettings
) -> IsrFrame:
    """The trimmed detector in ADU, its overscan taken off."""
    if raw.detector is None:
        raise BadFrameError("the frame has no detector.", file=raw.file, cure="Complete it with its camera first.")
    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    check_not_empty(raw, layouts)
    y_size, x_size = raw.detector.bbox.shape
    metadata: dict[str, Any] = {"LSST ISR UNITS": "electron", "LSST ISR OVERSCAN SERIAL UNITS": "adu"}
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


def _chosen[T](kind: str, given: T | None, wanted: bool | None, raw: RawExposure) -> T | None:
    """The calibration to use, as the settings want it."""
    if wanted is False:
        return None
    if wanted and given is None:
        raise BadFrameError(
            f"the settings require {kind}, and there is none.",
            file=raw.file,
            cure="Run 'skyloom calibs build' or 'skyloom calibs import' for this detector and date, or switch the "
            "correction off.",
        )
    return given


def _nobody(name: str, frame: IsrFrame) -> None:
    """Watch nothing."""
