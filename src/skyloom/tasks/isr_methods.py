"""Single steps of the signature removal as methods of `IsrTask`, for those who make their own list of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import Table
from lsst.images import Box
from lsst.pipe.base import Struct

from skyloom.errors import BadFrameError
from skyloom.images import Exposure, RawExposure, bitmask
from skyloom.isr import (
    InterpolationSettings,
    OverscanLevel,
    dark_time,
    divide_by_flat,
    fit_overscan,
    flat_level,
    grow,
    interpolate_unusable,
    is_rate,
    mark_above,
    mark_defects,
    mark_edges,
    mark_not_a_number,
    master_planes,
    measure_background,
    multiply_by_flat,
    overscan_region,
    rough_zero_point,
    subtract_dark,
    trimmed_overscan,
    valid_polygon,
)

from .isr_debug import show_frame
from .isr_geometry import boxes_of, nominal_levels, overscan_scatter, raw_geometry, table_of, trimmed_regions

if TYPE_CHECKING:
    from lsst.images import Image, MaskedImage, Region
    from lsst.images.cameras import Amplifier
    from lsst.pipe.base import TaskMetadata
    from lsst.utils.logging import LsstLogAdapter

    from .isr_config import IsrConfig
    from .isr_groups import QaConfig

__all__ = ["IsrMethods"]


class IsrMethods:
    """Each method changes the exposure that it is given, in place; the settings are those of the task.

    "Untrimmed" is an exposure in ADU as `convertIntToFloat` makes it of a raw frame, whose boxes are the raw ones of
    the amplifiers.
    """

    if TYPE_CHECKING:
        config: IsrConfig
        metadata: TaskMetadata
        log: LsstLogAdapter

    debug_frames: Mapping[str, int]
    """Number of the figure in which `debugView` shows the frame after a step, by the name of the step."""

    def convertIntToFloat(self, exposure: RawExposure | Exposure) -> Exposure:
        """An untrimmed exposure of a raw frame: float32, mask zero, variance one.  An exposure is returned as it is.

        Raises
        ------
        RuntimeError
            If it is neither.
        """
        if isinstance(exposure, Exposure):
            return exposure
        if not isinstance(exposure, RawExposure):
            raise BadFrameError(f"a {type(exposure).__name__} is no frame.", cure="Give a RawExposure or an Exposure.")
        image = np.array(exposure.image, np.float32)
        return Exposure.from_arrays(
            image,
            variance=np.ones_like(image),
            unit=u.adu,
            detector=exposure.detector,
            obs_info=exposure.obs_info,
            projection=exposure.projection,
            metadata={card.keyword: card.value for card in exposure.header.cards if card.keyword},
        )

    def saturationDetection(self, exposure: Exposure, amp: Amplifier) -> None:
        """Mark saturated pixels of an amplifier of an untrimmed exposure SAT."""
        level = self.config.saturation if math.isfinite(self.config.saturation) else nominal_levels(amp).saturation
        part = exposure[raw_geometry(amp).bbox]
        mark_above(part.image.array, level, part.bits, bitmask("SAT"))

    def suspectDetection(self, exposure: Exposure, amp: Amplifier) -> None:
        """Mark pixels beyond the level of trust of an amplifier of an untrimmed exposure SUSPECT."""
        part = exposure[raw_geometry(amp).bbox]
        mark_above(part.image.array, nominal_levels(amp).suspect_level, part.bits, bitmask("SUSPECT"))

    def maskAmplifier(
        self,
        ccdExposure: Exposure,
        amp: Amplifier,
        defects: Table | Sequence[Box] | None,
    ) -> bool:
        """Mark an amplifier of an untrimmed exposure BAD, or its saturated and suspect pixels, as the settings say.

        Returns
        -------
        bad
            Whether a defect holds the whole amplifier, or all its pixels are saturated or suspect.
        """
        whole, data = (ccdExposure[box] for box in (raw_geometry(amp).bbox, raw_geometry(amp).data_bbox))
        if any(box.contains(amp.bbox) for box in boxes_of(defects)):
            whole.bits[...] |= bitmask("BAD")
            return True
        if self.config.doSaturation:
            self.saturationDetection(ccdExposure, amp)
        if self.config.doSuspect:
            self.suspectDetection(ccdExposure, amp)
        if ((data.bits & bitmask("SAT", "SUSPECT")) != 0).all():
            data.bits[...] |= bitmask("BAD")
            return True
        return False

    def overscanCorrection(self, ccdExposure: Exposure, amp: Amplifier) -> Struct | None:
        """Take the level of the serial overscan off an amplifier of an untrimmed exposure, and off the overscan.

        Returns
        -------
        Struct or None
            ``imageFit`` and ``overscanFit``: levels of the rows of the data and of the overscan, ADU;
            ``overscanImage``: the overscan that is left, an `Exposure`.  None where the amplifier has no overscan, or
            nothing of it is usable.

        Raises
        ------
        RuntimeError
            If the amplifier does not say where its pixels lie in the raw frame.
        """
        geometry = raw_geometry(amp)
        region, settings = overscan_region(geometry, "serial_overscan_bbox"), self.config.settings().serial_overscan
        if region is None:
            self.log.info("Amplifier %s has no serial overscan.", amp.name)
            return None
        data, overscan = ccdExposure[geometry.data_bbox], ccdExposure[geometry.serial_overscan_bbox]
        counts = np.where((overscan.bits & bitmask("BAD", "SAT")) != 0, np.nan, overscan.image.array)
        data_first = geometry.data_bbox.x.start < geometry.serial_overscan_bbox.x.start
        level = fit_overscan(trimmed_overscan(counts, settings, data_first=data_first), settings)
        if level is None:
            self.log.warning("No pixel of the overscan of amplifier %s can be used.", amp.name)
            return None
        rows = np.arange(geometry.data_bbox.y.start, geometry.data_bbox.y.stop)
        levels = level.at(rows, geometry.serial_overscan_bbox.y.start)
        data.image.array[...] -= levels[:, None]
        overscan.image.array[...] -= level.levels_adu[:, None]
        self._record_overscan(ccdExposure, amp.name, level)
        return Struct(imageFit=levels, overscanFit=level.levels_adu, overscanImage=overscan)

    def _record_overscan(self, exposure: Exposure, name: str, level: OverscanLevel) -> None:
        exposure.metadata["OVERSCAN"] = "Overscan corrected"
        for kind, fit, residual in (
            ("MEAN", level.mean_adu, level.residual_mean_adu),
            ("MEDIAN", level.median_adu, level.residual_median_adu),
            ("STDEV", level.scatter_adu, level.noise_adu),
        ):
            exposure.metadata[f"LSST ISR OVERSCAN SERIAL {kind} {name}"] = fit
            exposure.metadata[f"LSST ISR OVERSCAN RESIDUAL SERIAL {kind} {name}"] = residual
            self.metadata[f"FIT {kind} {name}"], self.metadata[f"RESIDUAL {kind} {name}"] = fit, residual

    def updateVariance(
        self,
        ampExposure: Exposure,
        amp: Amplifier,
        overscanImage: Exposure | Image | np.ndarray | None = None,
    ) -> None:
        """Set the variance of the pixels of an amplifier: image / gain + (read noise / gain)^2 in ADU, image + read
        noise^2 in electrons.

        Parameters
        ----------
        ampExposure
            The part of an exposure, bias taken off, that the amplifier reads.
        amp
            Gives gain (electrons an ADU) and read noise (electrons); a gain that is no positive number counts as one.
        overscanImage
            Overscan (ADU) from which the level was taken off: gives the read noise if ``doEmpiricalReadNoise``.
        """
        nominal = nominal_levels(amp)
        gain, noise = nominal.gain, nominal.read_noise
        if not (math.isfinite(gain) and gain > 0):
            self.log.warning("Amplifier %s has gain %s: 1 is taken.", amp.name, gain)
            gain = 1.0
        if self.config.doEmpiricalReadNoise and overscanImage is not None:
            noise = overscan_scatter(overscanImage) * gain
            self.log.info("Read noise of amplifier %s from the overscan: %.3f electrons.", amp.name, noise)
        if ampExposure.unit == u.electron:
            gain = 1.0
        ampExposure.variance.array[...] = ampExposure.image.array / gain + (noise / gain) ** 2

    def maskNegativeVariance(self, exposure: Exposure) -> None:
        """Mark pixels whose variance is zero or less."""
        exposure.bits[exposure.variance.array <= 0] |= bitmask(self.config.negativeVarianceMaskName)

    def darkCorrection(
        self,
        exposure: Exposure,
        darkExposure: MaskedImage | Exposure,
        invert: bool = False,
    ) -> None:
        """Subtract a dark frame of the same unit, or with ``invert`` add it.

        Parameters
        ----------
        exposure
            Gives the dark time.
        darkExposure
            Current a second, or a frame with a dark time of its own.

        Raises
        ------
        RuntimeError
            If the dark time of the exposure is unknown, or the frames differ in size.
        """
        planes = master_planes(darkExposure, exposure.image.array.shape, "dark", None)  # type: ignore[arg-type]
        factor = dark_time(exposure.obs_info) / self._dark_time_of(darkExposure)
        subtract_dark(
            exposure.image.array, exposure.variance.array, exposure.bits, planes, -factor if invert else factor
        )

    def _dark_time_of(self, dark: MaskedImage | Exposure) -> float:
        """Seconds to divide a dark frame by."""
        if not isinstance(dark, Exposure):
            if is_rate(dark):
                return 1.0
        elif math.isfinite(seconds := dark_time(dark.obs_info)) and seconds > 0:
            return seconds
        self.log.warning("The dark frame has no dark time: it is taken as current a second.")
        return 1.0

    def flatCorrection(
        self,
        exposure: Exposure,
        flatExposure: MaskedImage | Exposure,
        invert: bool = False,
    ) -> None:
        """Divide by a flat frame, or with ``invert`` multiply by it.

        Raises
        ------
        RuntimeError
            If the frames differ in size.
        """
        planes = master_planes(flatExposure, exposure.image.array.shape, "flat", None)  # type: ignore[arg-type]
        level = self.config.flatUserScale
        if self.config.flatScalingType != "USER":
            level = flat_level(planes, (), {"": 1.0}, self.config.flatScalingType)
        image, variance = exposure.image.array, exposure.variance.array
        if invert:
            multiply_by_flat(image, variance, planes, 1.0 / level)
        else:
            divide_by_flat(image, variance, exposure.bits, planes, 1.0 / level)

    @contextmanager
    def flatContext(
        self, exp: Exposure, flat: MaskedImage | Exposure, dark: MaskedImage | Exposure | None = None
    ) -> Iterator[Exposure]:
        """Dark and flat corrected inside the context, as far as the settings want them, and as before afterwards.

        The pixels return to their values but for rounding; the noise of dark and flat stays in the variance.
        """
        with ExitStack() as undo:
            if dark is not None and self.config.doDark is not False:
                self.darkCorrection(exp, dark)
                undo.callback(self.darkCorrection, exp, dark, invert=True)
            if self.config.doFlat is not False:
                self.flatCorrection(exp, flat)
                undo.callback(self.flatCorrection, exp, flat, invert=True)
            yield exp

    def maskAndInterpDefect(
        self,
        ccdExposure: Exposure,
        defectBaseList: Table | Sequence[Box],
    ) -> None:
        """Mark defects of a trimmed exposure BAD, give them values from their neighbours; mark edges SUSPECT."""
        bits = ccdExposure.bits
        table = defectBaseList if isinstance(defectBaseList, Table) else table_of(defectBaseList)
        mark_defects(bits, table, bitmask("BAD"))
        self._interpolate(ccdExposure, "BAD")
        by_amplifier = self.config.edgeMaskLevel == "AMP" and ccdExposure.detector is not None
        regions = trimmed_regions(ccdExposure.detector) if by_amplifier and ccdExposure.detector is not None else None
        mark_edges(bits, bitmask("SUSPECT"), self.config.numEdgeSuspect, regions)

    def maskAndInterpNan(self, exposure: Exposure) -> None:
        """Mark pixels that are not numbers UNMASKEDNAN and give them values from their neighbours."""
        count = mark_not_a_number(exposure.image.array, exposure.variance.array, exposure.bits, bitmask("UNMASKEDNAN"))
        self.metadata["NUMNANS"] = count
        if count:
            self.log.warning("%d pixels are not numbers.", count)
            self._interpolate(exposure, "UNMASKEDNAN")

    def saturationInterpolation(self, ccdExposure: Exposure) -> None:
        """Grow saturated areas, and give their pixels values from their neighbours."""
        grow(ccdExposure.bits, bitmask("SAT"), self.config.growSaturationFootprintSize)
        self._interpolate(ccdExposure, "SAT")

    def _interpolate(self, exposure: Exposure, *planes: str) -> None:
        settings = InterpolationSettings(planes=planes, max_run=self.config.interpolate_max_run)
        interpolate_unusable(exposure.image.array, exposure.variance.array, exposure.bits, settings)

    def setValidPolygonIntersect(self, ccdExposure: Exposure, fpPolygon: Region) -> None:
        """Keep with the exposure which part of its detector lies in a region of the focal plane (mm).

        Where the two do not overlap nothing is kept.

        Raises
        ------
        RuntimeError
            If the exposure has no detector.
        """
        if ccdExposure.detector is None:
            raise BadFrameError("the exposure has no detector.", cure="Complete it with its camera first.")
        ccdExposure.valid_polygon = valid_polygon(ccdExposure.detector, fpPolygon)
        if ccdExposure.valid_polygon is None:
            self.log.info("The polygon does not overlap detector %s.", ccdExposure.detector.name)

    def roughZeroPoint(self, exposure: Exposure) -> None:
        """Give the exposure the calibration that the settings know for its filter, and its exposure time."""
        info = exposure.obs_info
        time = None if info is None else info.exposure_time
        seconds = math.nan if time is None else float(time.to_value(u.s))
        found = rough_zero_point(exposure.physical_filter, seconds, self.config.zero_points())
        if found is None:
            level = logging.DEBUG if seconds == 0 else logging.WARNING
            self.log.log(level, "No rough zero point: the exposure time is %s s.", seconds)
            return
        if not found.known_filter:
            # Where the settings name no filter at all, nobody expects one to be known.
            some_are_set = set(self.config.fluxMag0T1) != {"Unknown"}
            self.log.log(
                logging.WARNING if some_are_set else logging.DEBUG,
                "No rough zero point is set for filter %s: the default is taken.",
                exposure.physical_filter,
            )
        exposure.photo_calib = found.calibration
        self.log.info("Rough zero point: %.3f mag.", found.calibration.zero_point_mag)

    def measureBackground(self, exposure: Exposure, IsrQaConfig: QaConfig | None = None) -> None:
        """Keep level, scatter and flatness of the background in the metadata; without settings do nothing."""
        if IsrQaConfig is None:
            return
        figures = measure_background(exposure.image.array, exposure.bits, IsrQaConfig.flatness.settings())
        exposure.metadata |= figures
        if not math.isfinite(float(figures["FLATNESS_RMS"])):
            self.log.warning("The background of the frame cannot be measured.")

    def debugView(self, exposure: Exposure, stepname: str) -> None:
        """Show an exposure in the figure that `debug_frames` names for a step; otherwise nothing."""
        if stepname in self.debug_frames:
            show_frame(exposure, stepname, self.debug_frames[stepname])
