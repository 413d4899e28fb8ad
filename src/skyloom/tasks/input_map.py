"""`HealSparseInputMapTask`: which inputs a coadd has at each place of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from lsst.pipe.base import Task

from skyloom.coadd import InputMapSettings, make_input_map

from .mirrored_config import mirror

if TYPE_CHECKING:
    from skyloom.coadd import AlternateMasks, CoaddInput, CoaddSettings
    from skyloom.images import Exposure

__all__ = ["HealSparseInputMapConfig", "HealSparseInputMapTask"]

HealSparseInputMapConfig = mirror(InputMapSettings(), documented={"bad_fraction": "bad_mask_min_coverage"})


class HealSparseInputMapTask(Task):
    """Make a HealSparse map with one bit an input."""

    ConfigClass = HealSparseInputMapConfig
    _DefaultName = "inputMapper"

    def run(
        self,
        inputs: Sequence[CoaddInput],
        coadd: Exposure,
        settings: CoaddSettings,
        alternate_masks: AlternateMasks | None = None,
    ) -> Any:
        """The map of a coadd; see `skyloom.coadd.make_input_map`."""
        map_settings: InputMapSettings = cast("Any", self.config).settings()
        return make_input_map(inputs, cast("Any", coadd.psf), coadd.bbox, settings, map_settings, alternate_masks)
