"""Amplifiers without overscan, whose raw pixels lie where the trimmed ones do."""

from __future__ import annotations

import numpy as np

from skyloom.isr.amplifiers import AmplifierLayout, Region


def bare_amplifier(name: str, region: Region, gain: float = 1.0) -> AmplifierLayout:
    """An amplifier on a region (rows, columns) of the detector."""
    return AmplifierLayout(
        name=name,
        trimmed=region,
        data=region,
        serial=None,
        parallel=None,
        flip_x=False,
        flip_y=False,
        gain=gain,
        read_noise=4.0,
        saturation_adu=60000.0,
        suspect_adu=np.inf,
    )
