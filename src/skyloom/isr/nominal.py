"""A detector whose amplifiers have other nominal calibrations."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lsst.images.cameras import Amplifier, Detector

__all__ = ["with_nominal"]


def with_nominal(detector: Detector, changes: Mapping[str, Mapping[str, float]]) -> Detector:
    """A copy of a detector with other gains, read noises, ... of some amplifiers; the given one stays as it is.

    Parameters
    ----------
    detector
        Its amplifiers have nominal calibrations.
    changes
        By amplifier name: ``gain`` (electrons an ADU), ``read_noise`` (electrons), ``saturation``, ``suspect_level``
        (ADU).
    """
    # Detector.copy forgets the visit.
    twin = copy.copy(detector)
    twin._amplifiers = [_changed(amplifier, changes.get(amplifier.name, {})) for amplifier in detector.amplifiers]
    return twin


def _changed(amplifier: Amplifier, told: Mapping[str, float]) -> Amplifier:
    if not told:
        return amplifier
    assert amplifier.nominal_calibrations is not None
    calibrations = amplifier.nominal_calibrations.model_copy(update=dict(told))
    return amplifier.model_copy(update={"nominal_calibrations": calibrations})
