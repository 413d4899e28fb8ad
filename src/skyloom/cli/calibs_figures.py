"""What a calibration is judged by, in one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["figures_line"]


def figures_line(kind: str, figures: Mapping[str, Any]) -> str:
    """The figures of a calibration as people read them.

    Parameters
    ----------
    kind
        Kind of the calibration.
    figures
        What its task keeps in its metadata.
    """
    return _LINES.get(kind, _plain)(figures)


def _plain(figures: Mapping[str, Any]) -> str:
    shown = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in figures.items() if isinstance(value, float)]
    return f"{_frames(figures)} frames, {', '.join(shown)}"


def _frames(figures: Mapping[str, Any]) -> int:
    return len(figures.get("frames") or ())


def _amplifiers(figures: Mapping[str, Any], key: str) -> Sequence[str]:
    return [name.removeprefix(f"{key}_") for name in figures if name.startswith(f"{key}_")]


def _defects(figures: Mapping[str, Any]) -> str:
    counts = {name: round(float(figures[name])) for name in ("hot_pixels", "cold_pixels", "boxes", "n_frames")}
    return (
        f"{counts['hot_pixels']} hot and {counts['cold_pixels']} cold or dead pixels "
        f"({100 * float(figures['defective_fraction']):.2f} %) in {counts['boxes']} boxes, from "
        f"{counts['n_frames']} frames"
    )


def _ptc(figures: Mapping[str, Any]) -> str:
    parts = []
    for name in _amplifiers(figures, "gain_error"):
        full = "" if figures[f"full_well_reached_{name}"] else "above "
        parts.append(
            f"{name} gain {figures[f'gain_{name}']:.4f} +- {figures[f'gain_error_{name}']:.4f} e-/ADU, "
            f"read noise {figures[f'read_noise_{name}']:.2f} +- {figures[f'read_noise_error_{name}']:.2f} e-, "
            f"full well {full}{figures[f'full_well_adu_{name}']:.0f} ADU, a00 {figures[f'a00_{name}']:.3g} per e-"
        )
    return f"{_frames(figures) // 2} pairs; {'; '.join(parts)}"


def _linearizer(figures: Mapping[str, Any]) -> str:
    parts = [
        f"{name} corrected by up to {100 * figures[f'nonlinearity_{name}']:.3f} % below "
        f"{figures[f'highest_level_adu_{name}']:.0f} ADU, {100 * figures[f'residual_rms_{name}']:.3f} % rms left"
        for name in _amplifiers(figures, "nonlinearity")
    ]
    lamp = (
        f"lamp drift {100 * figures['lamp_drift']:.3f} +- {100 * figures['lamp_drift_error']:.3f} %, "
        f"flicker {100 * figures['lamp_flicker']:.3f} %, shutter {1000 * figures['shutter_offset_s']:+.1f} ms"
    )
    return f"{_frames(figures) // 2} pairs; {'; '.join(parts)}; {lamp}"


def _brighter_fatter(figures: Mapping[str, Any]) -> str:
    a = {name: 1e6 * float(figures[f"a{name}_per_electron"]) for name in ("00", "10", "01", "00_error", "01_error")}
    return (
        f"{_frames(figures) // 2} pairs; kernel centre {figures['kernel_centre_per_electron']:.3g} per e-; in 1e-6 per "
        f"e-: a00 {a['00']:.3f} +- {a['00_error']:.3f}, a10 {a['10']:.3f}, a01 {a['01']:.3f} +- {a['01_error']:.3f}"
    )


_LINES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "defects": _defects,
    "ptc": _ptc,
    "linearizer": _linearizer,
    "brighter_fatter": _brighter_fatter,
}
