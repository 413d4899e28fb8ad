"""The trimmed detector on its way from ADU to electrons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np

from skyloom.images.exposure import Exposure

from .masters import MasterPlanes, is_per_adu, master_planes
from .mode import check_mode

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.images.raw import RawExposure

    from .amplifiers import AmplifierLayout
    from .settings import IsrSettings

__all__ = ["IsrFrame"]


@dataclass(kw_only=True, eq=False)
class IsrFrame:
    """What the steps of the signature removal work on and change; all planes ``[y, x]``."""

    raw: RawExposure
    layouts: list[AmplifierLayout]
    image: np.ndarray
    """float32, in `unit`."""
    bits: np.ndarray
    """int32 mask bits."""
    noise_adu: dict[str, float]
    """Read noise measured in the overscan, for the amplifiers that have one."""
    metadata: dict[str, Any]
    """Receives what was done and what was found."""
    settings: IsrSettings
    unit: u.UnitBase = u.adu
    variance: np.ndarray = field(init=False)
    """float32, in `unit` squared; in ADU that of the bias frame alone."""

    def __post_init__(self) -> None:
        self.variance = np.zeros(self.image.shape, np.float32)

    def planes_of(self, master: MaskedImage, kind: str) -> MasterPlanes:
        """The planes of a master that was read out as the frame was, and fits the trimmed detector."""
        check_mode(master, kind, self.raw)
        return master_planes(master, (self.image.shape[0], self.image.shape[1]), kind, self.raw.file)

    def factors_of(self, master: MaskedImage) -> dict[str, float]:
        """What turns a master into electrons, by amplifier: the gains where it is in ADU, else one."""
        return {layout.name: layout.gain if is_per_adu(master) else 1.0 for layout in self.layouts}

    def exposure(self) -> Exposure:
        """The frame as it is now; image and variance are shared, the mask is a copy."""
        detector = self.raw.detector
        assert detector is not None
        return Exposure.from_arrays(
            self.image,
            self.bits,
            self.variance,
            unit=self.unit,
            x0=detector.bbox.x.start,
            y0=detector.bbox.y.start,
            detector=detector,
            obs_info=self.raw.obs_info,
            projection=self.raw.projection,
            metadata=self.metadata,
        )
