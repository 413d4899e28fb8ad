"""Pipeline tasks: where configuration, data and algorithms meet, one task a file, imported when first named."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AssembleCoaddTask": "assemble_coadd",
    "CalibrateImageTask": "calibrate_image",
    "CfhtIsrTask": "cfht_isr",
    "IsrTask": "isr",
    "JointcalTask": "jointcal",
    "MakeBiasTask": "make_bias",
    "MakeBrighterFatterKernelTask": "make_brighter_fatter",
    "MakeCrosstalkTask": "make_crosstalk",
    "MakeDarkTask": "make_dark",
    "MakeDefectsTask": "make_defects",
    "MakeDirectWarpTask": "make_direct_warp",
    "MakeFlatTask": "make_flat",
    "MakeFringeTask": "make_fringe",
    "MakeLinearizerTask": "make_linearizer",
    "MakePtcTask": "make_ptc",
    "MakeSkyFlatTask": "make_sky_flat",
    "VisitSummaryTask": "visit_summary",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
