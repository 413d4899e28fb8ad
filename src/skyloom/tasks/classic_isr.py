"""The classic methods of `IsrTask`: a raw frame of a repository, by its data reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import NoWorkFound, Struct

from skyloom.errors import BadFrameError

from .classic import ClassicTask
from .data_reference import ButlerDataRef, MissingDatasetError
from .isr_inputs import as_arguments, provenance_of

if TYPE_CHECKING:
    from lsst.utils.logging import LsstLogAdapter

    from skyloom.images import Exposure, RawExposure
    from skyloom.instruments import Camera

    from .isr_config import IsrConfig

__all__ = ["ClassicIsr"]

_NOT_CALIBRATIONS = ("ccdExposure", "camera")
_LARGE = ("bias", "dark", "flat", "fringes", "illumMaskedImage")
_NAMES = (
    "bias", "linearizer", "crosstalkSources", "dark", "flat", "bfKernel", "defects", "fringes", "opticsTransmission",
    "filterTransmission", "sensorTransmission", "atmosphereTransmission",
)  # fmt: skip
"""What `readIsrData` returns in any case."""


class ClassicIsr(ClassicTask):
    """Reads what a frame is corrected with, corrects it and writes it."""

    if TYPE_CHECKING:
        config: IsrConfig
        log: LsstLogAdapter
        run: Callable[..., Struct]
        _products: Callable[[Struct], dict[str, Any]]

    classic_kind = "ccdExposure"

    def runDataRef(self, sensorRef: ButlerDataRef) -> Struct:
        """Correct one raw frame of a repository, and write what its pipeline writes of it.

        Parameters
        ----------
        sensorRef
            The frame.

        Returns
        -------
        Struct
            What `run` returns: ``exposure``, the frame in electrons, and more.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            If it is no frame of ``observation_types``.
        skyloom.errors.BadFrameError
            As of `run`, and if its camera is not described.
        """
        kinds, record = list(self.config.observation_types), cast("Any", sensorRef.dataId.records["exposure"])
        if kinds and record.observation_type not in kinds:
            raise NoWorkFound(f"it is a {record.observation_type}, and observation_types has {', '.join(kinds)}.")
        camera = self._camera(sensorRef)
        detector = int(cast("Any", sensorRef.dataId["detector"]))
        raw = camera.complete(sensorRef.get("ccdExposure"), detector_id=detector)
        outputs = self.run(raw, camera=camera, **self._calibrations(sensorRef, immediate=False))
        if self.config.doHeaderProvenance:
            found = {name: sensorRef.find(name) for name in self._wanted()}
            outputs.exposure.metadata |= provenance_of({name: ref for name, ref in found.items() if ref is not None})
        for name, product in self._products(outputs).items():
            sensorRef.put(product, name)
        return outputs

    def readIsrData(self, dataRef: ButlerDataRef, rawExposure: RawExposure | Exposure) -> Struct:
        """Read what a frame is corrected with, as far as the settings want it and the repository has it.

        Parameters
        ----------
        dataRef
            The frame.
        rawExposure
            The frame as it was read; it stays as it is.

        Returns
        -------
        Struct
            As `run` takes it, None for what is not there: ``bias``, ``linearizer``, ``dark``, ``flat``, ``bfKernel``,
            ``defects``, ``fringes``, ``opticsTransmission``, ``filterTransmission``, ``sensorTransmission``,
            ``atmosphereTransmission``.  ``crosstalkSources`` is None: crosstalk is between the amplifiers of a
            detector.  Where the settings want them also ``crosstalk``, ``ptc`` and ``illumMaskedImage``.

        Raises
        ------
        TypeError
            If the frame is neither a raw frame nor an exposure.
        """
        if not hasattr(rawExposure, "detector"):
            raise TypeError(f"A raw frame is a RawExposure or an Exposure, not a {type(rawExposure).__name__}.")
        return Struct(**(dict.fromkeys(_NAMES) | self._calibrations(dataRef, immediate=True)))

    def getIsrExposure(self, dataRef: ButlerDataRef, datasetType: str, immediate: bool = True) -> Any:
        """Read a calibration frame, of another filter if there is none of the frame's own.

        That other filter is ``fallbackFilterName`` of the settings.

        Parameters
        ----------
        dataRef
            The frame that is to be corrected with it.
        datasetType
            Name of the calibration: bias, dark, flat, fringe, ...
        immediate
            Whether it is read now.

        Returns
        -------
        lsst.images.MaskedImage or function
            The frame, or without ``immediate`` a function that reads it.

        Raises
        ------
        RuntimeError
            If there is none of either filter.
        """
        fallback = self.config.fallbackFilterName
        ref = dataRef.find(datasetType)
        if ref is None and fallback:
            ref = dataRef.find(datasetType, physical_filter=fallback)
            if ref is not None:
                self.log.warning("using fallback %s for the %s of %s", fallback, datasetType, dataRef)
        if ref is None:
            raise MissingDatasetError(
                f"there is no {datasetType} of {dataRef}" + (f", nor of the fallback {fallback}." if fallback else "."),
                cure="Import or build one ('skyloom calibs'), or switch it off in the configuration.",
            )
        handle = dataRef.butler.getDeferred(ref)
        return handle.get() if immediate else handle.get

    def _camera(self, ref: ButlerDataRef) -> Camera:
        camera: Camera | None = ref.get("camera") if ref.find("camera") is not None else None
        if camera is None:
            raise BadFrameError(f"the repository does not describe the camera of {ref}.", cure="Run 'skyloom init'.")
        return camera

    def _wanted(self) -> Iterable[str]:
        """The connections of calibrations that the settings want."""
        connections = self.config.connections.ConnectionsClass(config=self.config)
        return sorted(set(connections.prerequisiteInputs) - set(_NOT_CALIBRATIONS))

    def _calibrations(self, ref: ButlerDataRef, *, immediate: bool) -> dict[str, Any]:
        """By the names of `run`, the calibrations that are there; large ones as functions if not ``immediate``."""
        large: dict[str, Any] = {}
        small: dict[str, Any] = {}
        for name in self._wanted():
            if name in _LARGE:
                with suppress(MissingDatasetError):
                    large[name] = self.getIsrExposure(ref, name, immediate)
            elif ref.find(name) is not None:
                small[name] = ref.get(name)
        return as_arguments(small) | large
