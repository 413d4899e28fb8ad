"""Connections and configuration of `MakeDirectWarpTask`."""

from __future__ import annotations

from typing import Any

from lsst.pex.config import ChoiceField, ConfigField, DictField, Field, ListField, RangeField
from lsst.pipe.base import PipelineTaskConfig, PipelineTaskConnections
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.images import is_mask_plane
from skyloom.warp import FALLBACK, KERNELS, PsfSelectionSettings, WarpSettings

from .mirrored_config import mirror

__all__ = ["MakeDirectWarpConfig", "MakeDirectWarpConnections", "WarpSelectionConfig", "remove_unused"]

_FRAME = ("instrument", "visit", "detector")
_VISIT = ("instrument", "visit")
_WARP = ("instrument", "visit", "skymap", "tract", "patch")
_DEFAULTS = WarpSettings()
_LIMITS = PsfSelectionSettings()
MAX_NOISE = 3
"""Most realisations of the noise."""

_SWITCHES = {
    "visit_summary": "do_select",
    "joint_wcs": "use_joint_wcs",
    "joint_photo_calib": "use_joint_photo_calib",
    "backgrounds": "do_revert_background",
    "sky_corrections": "do_apply_sky_correction",
    "flat_ratios": "do_apply_flat_ratio",
    "masked_fraction_warp": "do_masked_fraction",
}
"""Name of a connection: the field of the configuration without which it is not needed."""


def remove_unused(connections: Any, config: Any) -> None:
    """Take the connections away that a configuration has no use for."""
    for name, switch in _SWITCHES.items():
        if hasattr(connections, name) and not getattr(config, switch):
            delattr(connections, name)


class MakeDirectWarpConnections(PipelineTaskConnections, dimensions=_WARP):
    """The calibrated frames of a visit, and its warp."""

    exposures = Input(
        doc="Calibrated frames that overlap the patch; those that failed are absent.",
        name="initial_pvi",
        storageClass="VisitImage",
        dimensions=_FRAME,
        multiple=True,
        deferLoad=True,
    )
    visit_summary = Input(
        doc="Places and PSFs of the frames, by which they are chosen.",
        name="visit_summary",
        storageClass="ArrowAstropy",
        dimensions=_VISIT,
    )
    joint_wcs = Input(
        doc="WCSs of the joint fit; without them the frames keep their own.",
        name="joint_wcs",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "skymap", "tract"),
        multiple=True,
        minimum=0,
        deferGraphConstraint=True,
    )
    joint_photo_calib = Input(
        doc="Flux scales of the joint fit; without them the frames keep their own.",
        name="joint_photo_calib",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "skymap", "tract"),
        multiple=True,
        minimum=0,
        deferGraphConstraint=True,
    )
    backgrounds = Input(
        doc="The sky that was subtracted from each frame, to be put back.",
        name="initial_pvi_background",
        storageClass="BackgroundMap",
        dimensions=_FRAME,
        multiple=True,
        deferLoad=True,
    )
    sky_corrections = Input(
        doc="What puts the sky of the whole focal plane in the place of each frame's own.",
        name="sky_correction",
        storageClass="BackgroundMap",
        dimensions=_FRAME,
        multiple=True,
        deferLoad=True,
    )
    flat_ratios = Input(
        doc="What each frame was divided by after flat fielding, in the flat field before which the sky is flat.",
        name="background_to_photometric_ratio",
        storageClass="ImageV2",
        dimensions=_FRAME,
        multiple=True,
        deferLoad=True,
    )
    sky_map = Input(doc="The sky map.", name="sky_map", storageClass="SkyloomSkyMap", dimensions=("skymap",))
    warp = Output(
        doc="The visit on the pixels of the patch's outer box, nJy.",
        name="direct_warp",
        storageClass="WarpImage",
        dimensions=_WARP,
    )
    masked_fraction_warp = Output(
        doc="Share of bad pixels in each pixel of the warp.",
        name="direct_warp_masked_fraction",
        storageClass="ImageV2",
        dimensions=_WARP,
    )
    noise_warp0 = Output(
        doc="A realisation of the noise of the warp.",
        name="direct_warp_noise0",
        storageClass="WarpImage",
        dimensions=_WARP,
    )
    noise_warp1 = Output(
        doc="Another realisation.", name="direct_warp_noise1", storageClass="WarpImage", dimensions=_WARP
    )
    noise_warp2 = Output(
        doc="A third realisation.", name="direct_warp_noise2", storageClass="WarpImage", dimensions=_WARP
    )

    def __init__(self, *, config: MakeDirectWarpConfig | None = None) -> None:
        super().__init__(config=config)
        if config is None:
            return
        remove_unused(self, config)
        for number in range(config.n_noise_realisations, MAX_NOISE):
            delattr(self, f"noise_warp{number}")


def _has_fallback(limits: Any) -> bool:
    return FALLBACK in limits


class WarpSelectionConfig(mirror(_LIMITS)):  # type: ignore[misc]
    """Which frames are good enough to be warped; None switches a test off."""

    min_psf_stars: Any = DictField(
        keytype=str,
        itemtype=int,
        default=dict(_LIMITS.min_psf_stars or {}),
        dictCheck=_has_fallback,
        optional=True,
        doc="Fewest stars that the PSF was fitted to, by band, with an entry 'fallback' for all others.",
    )
    max_star_ellipticity: Any = DictField(
        keytype=str,
        itemtype=float,
        default=dict(_LIMITS.max_star_ellipticity or {}),
        dictCheck=_has_fallback,
        optional=True,
        doc="Largest median ellipticity of the PSF stars, by band, with an entry 'fallback' for all others.",
    )
    exclude_detectors: Any = ListField(dtype=int, default=[], doc="Detectors that are left out in any case.")

    def settings(self, **unset: Any) -> PsfSelectionSettings:
        """The same as the algorithm takes it."""
        limits = {name: getattr(self, name) for name in self._fields_of.values()}
        for name in ("min_psf_stars", "max_star_ellipticity"):
            limits[name] = None if getattr(self, name) is None else dict(getattr(self, name))
        return PsfSelectionSettings(**(limits | {"exclude_detectors": tuple(self.exclude_detectors)}))


class MakeDirectWarpConfig(PipelineTaskConfig, pipelineConnections=MakeDirectWarpConnections):
    """Settings of `MakeDirectWarpTask`."""

    kernel: Any = ChoiceField(
        dtype=str,
        default=_DEFAULTS.kernel,
        allowed={name: f"order {order}" for name, order in KERNELS.items()},
        doc="Interpolation kernel.",
    )
    mask_kernel: Any = ChoiceField(
        dtype=str,
        default=_DEFAULTS.mask_kernel,
        optional=True,
        allowed={name: f"order {order}" for name, order in KERNELS.items()},
        doc="Mask bits are handed on by all pixels on which this kernel has a weight; None: by significant_weight.",
    )
    grown_planes: Any = ListField(
        dtype=str,
        default=list(_DEFAULTS.grown_planes),
        itemCheck=is_mask_plane,
        doc="Mask planes that every pixel on which the kernel has a weight hands on.",
    )
    grid_step: Any = RangeField(
        dtype=int, default=32, min=2, doc="Pixels between the positions at which the WCSs are evaluated."
    )
    tolerance: Any = RangeField(
        dtype=float,
        default=1e-3,
        min=0.0,
        inclusiveMin=False,
        doc="Largest error of the interpolated mapping in pixels; the grid is refined until it is kept.",
    )
    significant_weight: Any = RangeField(
        dtype=float,
        default=0.05,
        min=0.0,
        max=1.0,
        inclusiveMin=False,
        inclusiveMax=False,
        doc="Share of the kernel from which on a pixel hands on its mask, or makes the result unmeasured.",
    )
    do_select: Any = Field(dtype=bool, default=False, doc="Leave out frames by place and PSF, from the visit summary?")
    select: Any = ConfigField(dtype=WarpSelectionConfig, doc="Limits of the selection.")
    use_joint_wcs: Any = Field(dtype=bool, default=True, doc="Use the WCSs of the joint fit, where there are any?")
    use_joint_photo_calib: Any = Field(
        dtype=bool, default=True, doc="Use the flux scales of the joint fit, where there are any?"
    )
    do_revert_background: Any = Field(dtype=bool, default=False, doc="Put the sky of the single frames back?")
    do_apply_sky_correction: Any = Field(
        dtype=bool, default=False, doc="Put the sky of the whole focal plane in the place of each frame's own?"
    )
    do_apply_flat_ratio: Any = Field(
        dtype=bool,
        default=False,
        doc="Exchange skies in the flat field of the sky, where frames were put into that of the stars?",
    )
    do_interpolate: Any = Field(dtype=bool, default=False, doc="Interpolate bad pixels before the warp?")
    interpolated_planes: Any = ListField(
        dtype=str,
        default=["BAD", "SAT", "CR", "UNMASKEDNAN"],
        itemCheck=is_mask_plane,
        doc="Pixels with one of these planes are interpolated, and count as bad for the masked fraction.",
    )
    do_masked_fraction: Any = Field(dtype=bool, default=False, doc="Write the share of bad pixels?")
    n_noise_realisations: Any = RangeField(
        dtype=int, default=0, min=0, max=MAX_NOISE, inclusiveMax=True, doc="Realisations of the noise to write."
    )
    noise_seed_offset: Any = RangeField(dtype=int, default=0, min=0, doc="Another number gives other noise.")
    use_median_variance: Any = Field(
        dtype=bool, default=True, doc="Noise of one variance, the median of the frame's, or of each pixel's own?"
    )

    def validate(self) -> None:
        """Refuse what makes no sense together."""
        super().validate()  # type: ignore[no-untyped-call]
        if self.do_revert_background and self.do_apply_sky_correction:
            raise ValueError(
                "do_apply_sky_correction puts the frames' own sky back by itself: not do_revert_background."
            )
        if self.do_apply_flat_ratio and not (self.do_revert_background or self.do_apply_sky_correction):
            raise ValueError("do_apply_flat_ratio needs do_revert_background or do_apply_sky_correction.")
        self.settings()

    def settings(self) -> WarpSettings:
        """The same as the algorithm takes it."""
        return WarpSettings(
            kernel=self.kernel,
            mask_kernel=self.mask_kernel,
            grown_planes=tuple(self.grown_planes),
            grid_step=self.grid_step,
            tolerance=self.tolerance,
            significant_weight=self.significant_weight,
        )
