"""`CfhtIsrTask`: `IsrTask` for MegaPrime, whose headers know the gains and whose pixels know the saturation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lsst.pex.config import RangeField
from lsst.pipe.base import Struct

from skyloom.errors import BadFrameError
from skyloom.isr import CrosstalkMatrix, Linearity, MasterSource, pile_up_level, with_nominal

from .isr import IsrConfig, IsrTask
from .isr_inputs import as_raw

if TYPE_CHECKING:
    import numpy as np
    from astropy.table import Table
    from lsst.images.cameras import Detector

    from skyloom.images import Exposure, RawExposure
    from skyloom.instruments import Camera

__all__ = ["CfhtIsrConfig", "CfhtIsrTask"]

_FULL_WELL_ADU = 60000.0
"""No pixel of MegaCam saturates below this."""
_NO_READ_NOISE = 60000.0
"""Read noises above this stand for an unknown one: headers of 2003 and 2004 hold 65535."""
_AMPLIFIERS = ("A", "B")


class UnknownAmplifierError(BadFrameError, ValueError):
    """A detector has an amplifier that MegaPrime does not have."""


class CfhtIsrConfig(IsrConfig):
    """Settings of `CfhtIsrTask`."""

    safe: Any = RangeField(
        dtype=float,
        default=0.95,
        min=0.0,
        max=1.0,
        inclusiveMin=False,
        doc="Part of the level at which saturated pixels pile up, from which on pixels are saturated.",
    )


class CfhtIsrTask(IsrTask):
    """Remove the instrument signature of MegaPrime's frames.

    Gains and read noises come from the header.  The level of saturation is not the header's, but that at which the
    frame's own pixels pile up, where any is bright enough to tell.
    """

    ConfigClass = CfhtIsrConfig
    _DefaultName = "isr"
    config: CfhtIsrConfig

    def run(
        self,
        ccdExposure: RawExposure | Exposure,
        bias: MasterSource | None = None,
        linearizer: Mapping[str, Linearity] | None = None,
        dark: MasterSource | None = None,
        flat: MasterSource | None = None,
        defects: Table | None = None,
        fringes: MasterSource | Sequence[MasterSource] | None = None,
        bfKernel: np.ndarray | None = None,
        camera: Camera | None = None,
        crosstalk: CrosstalkMatrix | None = None,
        **kwds: Any,
    ) -> Struct:
        """Correct one raw frame; the parameters are those of `IsrTask.run`.

        Returns
        -------
        Struct
            ``exposure``: the frame in electrons, an `skyloom.images.Exposure`.

        Raises
        ------
        ValueError
            If a brighter-fatter kernel is given: there is none for this camera.
        skyloom.errors.BadFrameError
            If the header lacks a gain or a read noise, or the amplifiers are not A and B, and as for `IsrTask`.
        """
        if bfKernel is not None:
            raise ValueError("MegaPrime has no brighter-fatter kernel: leave bfKernel out.")
        raw = as_raw(ccdExposure, camera, kwds.pop("detectorNum", None))
        return super().run(
            replace(raw, detector=self._described(raw)),
            bias=bias,
            linearizer=linearizer,
            dark=dark,
            flat=flat,
            defects=defects,
            fringes=fringes,
            camera=camera,
            crosstalk=crosstalk,
            **kwds,
        )

    def _described(self, raw: RawExposure) -> Detector:
        """The frame's detector with what its header and its pixels say of the amplifiers; the given one is kept."""
        if raw.detector is None:
            raise BadFrameError("the frame has no detector.", file=raw.file, cure="Complete it with its camera first.")
        level = pile_up_level(raw.image, _FULL_WELL_ADU, self.config.safe)
        saturation = _card(raw, "SATURATE") if level is None else float(level)
        changes = {}
        for amplifier in raw.detector.amplifiers:
            if amplifier.name not in _AMPLIFIERS:
                raise UnknownAmplifierError(
                    f"amplifier {amplifier.name} is none of MegaPrime's, A and B.",
                    file=raw.file,
                    cure="Process the frame with IsrTask, or correct the camera's description.",
                )
            noise = _card(raw, f"RDNOISE{amplifier.name}")
            changes[amplifier.name] = {
                "gain": _card(raw, f"GAIN{amplifier.name}"),
                "read_noise": noise if noise < _NO_READ_NOISE else _card(raw, "RDNOISE"),
                "saturation": saturation,
            }
        return with_nominal(raw.detector, changes)


def _card(raw: RawExposure, keyword: str) -> float:
    """A number of the header."""
    try:
        return float(raw.header[keyword])
    except KeyError:
        cause = "the header lacks it."
    except (TypeError, ValueError):
        cause = f"{raw.header[keyword]!r} is no number."
    raise BadFrameError(cause, file=raw.file, keyword=keyword, cure="Add it to the header, or use IsrTask.")
