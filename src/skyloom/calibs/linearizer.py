"""The correction of the linearity of each amplifier, from pairs of flats of many exposure times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import BadFrameError
from skyloom.isr import linearities_from_data

from .frames import Raw
from .lamp import Lamp, lamp_of
from .linearity_basis import excess_of
from .linearity_fit import AmplifierCounts, LinearityFit, fit_linearity
from .pair_measurements import AmplifierPairs, Measured, PairMeasurements, measure_pairs
from .pair_settings import LinearizerSettings

if TYPE_CHECKING:
    from lsst.images import MaskedImage

    from skyloom.isr import Linearity

__all__ = ["make_linearizer"]

_FAINT = 0.05  # of the full well: below it a constant number of counts is a large part of the level


def make_linearizer(
    raws: Sequence[Raw], *, bias: MaskedImage | None = None, settings: LinearizerSettings | None = None
) -> Measured:
    """Fit the correction of the linearity of one detector.

    It leaves the first counts as they are: the gain is that of faint light.

    Parameters
    ----------
    raws
        Flats of many exposure times, two of each, by a steady lamp.
    bias
        Master bias in ADU.
    settings
        How.

    Returns
    -------
    linearizer
        Data as `skyloom.isr.linearities_from_data` takes it; amplifiers with too few usable levels are left as they
        are.  Figures: for each amplifier the largest relative correction, and rms and largest of the relative residuals
        from 5 % of the fitted range on; the drift of the lamp from the first flat to the last with its error, its
        flicker, and by how much the shutter is open longer than it says.

    Raises
    ------
    BadFrameError
        If there are too few pairs, all of one exposure time, or the flats are of different read-out modes.
    """
    settings = settings or LinearizerSettings()
    measured = measure_pairs(raws, settings, bias=bias, monitor=settings.monitor)
    lamp = lamp_of(measured, settings)
    counts = _usable_amplifiers(measured, lamp, settings)
    excess = {
        name: excess_of(settings, float(one.levels_adu[one.usable].max()), int(one.usable.sum()) // 2)
        for name, one in counts.items()
    }
    fit = fit_linearity(counts, excess, lamp, settings)
    data: dict[str, Any] = {
        "amplifiers": {
            name: {"kind": excess[name].kind, "coefficients": excess[name].coefficients(fit.excess[name])}
            if name in counts
            else {"kind": "None"}
            for name in measured.amplifiers
        }
    }
    corrections = linearities_from_data(data)
    figures: dict[str, float] = {}
    for name, one in counts.items():
        figures |= {f"{key}_{name}": value for key, value in _figures(name, one, corrections[name], fit, lamp).items()}
    figures |= {
        "lamp_drift": fit.drift,
        "lamp_drift_error": fit.drift_error,
        "lamp_flicker": lamp.flicker,
        "shutter_offset_s": _shutter_offset(fit),
    }
    return Measured(
        data=data, figures=figures, frames=measured.frames, left_out=measured.left_out | _odd_rates(measured, lamp)
    )


def _counts(pairs: AmplifierPairs, lamp: Lamp, settings: LinearizerSettings) -> AmplifierCounts:
    """Frame after frame of one amplifier, up to its full well."""
    levels = pairs.frame_levels_adu.reshape(-1)
    usable = np.repeat(pairs.fitted(settings, _terms(settings) + 4), 2) & lamp.usable & np.isfinite(levels)
    with np.errstate(invalid="ignore", divide="ignore"):
        errors = np.sqrt(np.repeat(pairs.variances_adu2 / pairs.pixels, 2))
    return AmplifierCounts(
        levels_adu=np.where(usable, levels, 0.0), errors_adu=np.where(usable, errors, 1.0), usable=usable
    )


def _terms(settings: LinearizerSettings) -> int:
    """Least number of functions of the counts."""
    return settings.order - 1 if settings.kind == "POLYNOMIAL" else 1


def _usable_amplifiers(
    measured: PairMeasurements, lamp: Lamp, settings: LinearizerSettings
) -> dict[str, AmplifierCounts]:
    """Levels of the amplifiers that have enough of them; a dead one does not hinder the others."""
    counts = {name: _counts(pairs, lamp, settings) for name, pairs in measured.amplifiers.items()}
    usable = {name: one for name, one in counts.items() if one.usable.any()}
    if not usable:
        raise BadFrameError(
            f"no amplifier has pairs of flats of {max(settings.minimum_levels, _terms(settings) + 4)} levels below its "
            "full well.",
            cure="Take flats of more exposure times, or lower the order.",
        )
    return usable


def _figures(
    name: str, counts: AmplifierCounts, correction: Linearity, fit: LinearityFit, lamp: Lamp
) -> dict[str, float]:
    """What the correction does, and what it leaves."""
    used = fit.used[name]
    before = counts.levels_adu[used]
    after = before.astype(np.float32)[None, :]
    correction.apply(after)
    expected = fit.expected_adu(name, lamp)[used]
    bright = before > _FAINT * before.max()
    residual = (after[0] / expected - 1.0)[bright]
    changes = (after[0] / before - 1.0)[bright]
    return {
        "nonlinearity": float(changes[np.argmax(np.abs(changes))]),
        "residual_rms": float(np.sqrt(np.mean(residual**2))),
        "residual_largest": float(np.max(np.abs(residual))),
        "highest_level_adu": float(before.max()),
    }


def _shutter_offset(fit: LinearityFit) -> float:
    """Seconds by which exposures are longer than they say, as the offsets of all amplifiers tell it."""
    return float(np.median([fit.offsets_adu[name] / float(np.median(rates)) for name, rates in fit.rates.items()]))


def _odd_rates(measured: PairMeasurements, lamp: Lamp) -> dict[str, str]:
    flats = [flat for pair in measured.flats for flat in pair]
    return {
        flat.file: "its light a second differs from that of the others"
        for flat, usable in zip(flats, lamp.usable, strict=True)
        if not usable
    }
