"""Pipeline tasks: where configuration, data and algorithms meet, one task a file, imported when first named."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "AssembleCoaddTask": "assemble_coadd",
    "BinSkyTask": "bin_sky",
    "CalibrateImageTask": "calibrate_image",
    "CfhtIsrTask": "cfht_isr",
    "CompareWarpAssembleCoaddTask": "compare_warp_assemble_coadd",
    "DetectCoaddSourcesTask": "detect_coadd_sources",
    "ForcedPhotVisitTask": "forced_phot_visit",
    "IsrTask": "isr",
    "JointcalCoaddTask": "jointcal_coadd",
    "JointcalTask": "jointcal",
    "MakeBiasTask": "make_bias",
    "MakeBrighterFatterKernelTask": "make_brighter_fatter",
    "MakeCoaddFromFramesTask": "make_coadd_from_frames",
    "MakeCoaddTempExpTask": "make_coadd_temp_exp",
    "MakeCrosstalkTask": "make_crosstalk",
    "MakeDarkTask": "make_dark",
    "MakeDefectsTask": "make_defects",
    "MakeDirectWarpTask": "make_direct_warp",
    "MakeFlatTask": "make_flat",
    "MakeFringeTask": "make_fringe",
    "MakeLinearizerTask": "make_linearizer",
    "MakePsfMatchedWarpTask": "make_psf_matched_warp",
    "MakePtcTask": "make_ptc",
    "MakeSkyFlatTask": "make_sky_flat",
    "MakeSkyFrameTask": "make_sky_frame",
    "MatchBackgroundsTask": "match_backgrounds",
    "MeasureObjectsTask": "measure_objects",
    "SafeClipAssembleCoaddTask": "safe_clip_assemble_coadd",
    "SkyCorrectionTask": "sky_correction",
    "VisitSummaryTask": "visit_summary",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
