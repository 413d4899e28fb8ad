"""The instrument class that the registry names for cameras described in YAML.

The registry keeps the name of a class for every instrument, and `lsst.pipe.base.Instrument.fromName` imports it.
There is no such class in any file here: this module makes one for whatever name is asked of it, so that
``skyloom.repo.instrument.<name>`` is the class of the camera <name>.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from lsst.pipe.base import Instrument
from lsst.utils import doImportType

from skyloom.instruments import Camera

if TYPE_CHECKING:
    from lsst.daf.butler import Registry  # type: ignore[attr-defined]

__all__ = ["NO_FILTER", "DescribedInstrument", "class_name", "instrument_class", "register_camera"]

NO_FILTER = "none"
"""Filter, and band, of frames without one: the registry wants a filter for every exposure."""


class DescribedInstrument(Instrument):
    """An instrument whose camera is described in YAML; the subclass of one camera has its name."""

    camera_name: ClassVar[str] = ""
    raw_definition = ("raw", ("instrument", "exposure", "detector"), "RawExposure")

    @classmethod
    def getName(cls) -> str:  # noqa: N802
        """Name of the instrument."""
        return cls.camera_name

    def register(self, registry: Registry, *, update: bool = False) -> None:
        """Write the dimension records of a camera that comes with skyloom; others come in with ``skyloom init``.

        Raises
        ------
        CameraError
            If the camera does not come with skyloom.
        """
        register_camera(registry, Camera.read(self.getName()), update=update)

    def getRawFormatter(self, dataId: Any) -> type:  # noqa: N802, N803
        """The formatter that reads raw frames."""
        return doImportType("skyloom.repo.formatters.RawExposureFormatter")


def instrument_class(name: str) -> type[DescribedInstrument]:
    """The class of the camera of a name."""
    return type(name, (DescribedInstrument,), {"camera_name": name, "__module__": __name__})


def __getattr__(name: str) -> type[DescribedInstrument]:
    if name.startswith("__"):
        raise AttributeError(name)
    return instrument_class(name)


def class_name(name: str) -> str:
    """Full name of the class of the camera of a name, as the registry keeps it."""
    return f"{__name__}.{name}"


def register_camera(registry: Registry, camera: Camera, *, update: bool = False) -> bool:
    """Write the dimension records of a camera: instrument, detectors, filters, visit system.

    Parameters
    ----------
    registry
        Of a writeable butler.
    camera
        The camera.
    update
        Whether records that differ are changed; otherwise they raise an error of the registry.

    Returns
    -------
    changed
        Whether any record was new or changed.
    """
    description = camera.description
    changed = False

    def sync(element: str, **record: Any) -> None:
        nonlocal changed
        changed |= bool(registry.syncDimensionData(element, record, update=update))

    with registry.transaction():
        sync(
            "instrument",
            name=camera.name,
            class_name=class_name(camera.name),
            detector_max=camera.detector_max,
            visit_max=description.exposure_max,
            exposure_max=description.exposure_max,
            visit_system=0,
        )
        for detector in description.detectors:
            sync(
                "detector",
                instrument=camera.name,
                id=detector.id,
                full_name=detector.name,
                name_in_raft=detector.name,
                purpose=detector.purpose,
            )
        for name, entry in camera.filters.items():
            sync("physical_filter", instrument=camera.name, name=name, band=entry.band)
        sync("physical_filter", instrument=camera.name, name=NO_FILTER, band=NO_FILTER)
        sync("visit_system", instrument=camera.name, id=0, name="one-to-one")
    return changed
