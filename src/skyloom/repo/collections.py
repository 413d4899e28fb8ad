"""Names of the collections of a repository, and their registration."""

from __future__ import annotations

from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]

__all__ = [
    "REFCATS",
    "SKYMAPS",
    "calib_collection",
    "camera_run",
    "defaults_collection",
    "post_isr_run",
    "raw_run",
    "register_collections",
]

REFCATS = "refcats"
"""Chain of all reference catalogues."""
SKYMAPS = "skymaps"
"""Run of all sky maps."""


def raw_run(instrument: str) -> str:
    """Run of the raw frames."""
    return f"{instrument}/raw/all"


def post_isr_run(instrument: str) -> str:
    """Run of frames that came without instrument signature."""
    return f"{instrument}/post_isr"


def camera_run(instrument: str) -> str:
    """Run of the camera's description."""
    return f"{instrument}/camera"


def calib_collection(instrument: str) -> str:
    """Calibration frames with their validity ranges."""
    return f"{instrument}/calib"


def defaults_collection(instrument: str) -> str:
    """Chain of all inputs of a pipeline."""
    return f"{instrument}/defaults"


def register_collections(butler: Butler, instrument: str) -> None:
    """Make the collections of an instrument, and the chain of its inputs; what is there stays as it is."""
    register = butler.collections.register
    for run in (raw_run(instrument), post_isr_run(instrument), camera_run(instrument), SKYMAPS):
        register(run, CollectionType.RUN)
    register(calib_collection(instrument), CollectionType.CALIBRATION)
    register(REFCATS, CollectionType.CHAINED)
    chain = defaults_collection(instrument)
    register(chain, CollectionType.CHAINED)
    wanted = [
        raw_run(instrument),
        post_isr_run(instrument),
        camera_run(instrument),
        calib_collection(instrument),
        REFCATS,
        SKYMAPS,
    ]
    present = butler.collections.get_info(chain).children
    missing = [name for name in wanted if name not in present]
    if missing:
        butler.collections.extend_chain(chain, missing)
