"""The warps of a coadd brought to the sky of one of them, as `AssembleCoaddTask.backgroundMatching` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lsst.pipe.base import Struct

from .match_backgrounds import DIFFERENCE, MatchBackgroundsTask

if TYPE_CHECKING:
    from skyloom.skymap import SkyMap

__all__ = ["match_skies", "reason_against"]


def match_skies(
    task: MatchBackgroundsTask, warps: Sequence[Any], sky_map: SkyMap, reference: int | None
) -> list[Struct]:
    """What is added to each warp, and how well it matches then.

    Parameters
    ----------
    task
        How to match.
    warps
        References to warps, in nJy.
    sky_map
        The sky map.
    reference
        The visit to whose sky the others are brought; None to have it chosen.

    Returns
    -------
    list of Struct
        One a warp: ``isReference``, ``isMatched``; ``backgroundModel``, a field, nJy; ``fitRMS``, nJy, of the levels
        after matching; ``matchedMSE`` and ``diffImVar``, nJy^2, mean square and mean variance of the pixels of the
        difference from the reference.

    Raises
    ------
    skyloom.errors.BadFrameError
        If the reference is not among the warps.
    """
    if reference is not None and task.config.refWarpVisit != reference:
        config: Any = task.config.copy()
        config.refWarpVisit = reference
        task = MatchBackgroundsTask(config=config, name=task.getName(), log=task.log)
    matched = task.run(warps, sky_map)
    rows = {int(row["visit"]): row for row in matched.figures}
    return [
        Struct(
            isReference=bool(row["is_reference"]),
            isMatched=bool(row["is_matched"]),
            backgroundModel=background[DIFFERENCE].field,
            fitRMS=float(row["rms"]),
            matchedMSE=float(row["mse"]),
            diffImVar=float(row["difference_variance"]),
        )
        for background, row in zip(
            matched.backgroundInfoList, (rows[int(warp.dataId["visit"])] for warp in warps), strict=True
        )
    ]


def reason_against(match: Struct, max_ratio: float, max_rms: float) -> str | None:
    """Why a warp does not match well enough; None if it does."""
    if match.isReference:
        return None
    if not match.isMatched:
        return "nothing tells its sky from that of the reference"
    ratio = match.matchedMSE / match.diffImVar if match.diffImVar > 0.0 else np.nan
    if not ratio <= max_ratio:
        return f"its pixels differ by {ratio:.3g} times their variance, more than {max_ratio}"
    if not match.fitRMS <= max_rms:
        return f"its levels differ by {match.fitRMS:.3g} nJy rms, more than {max_rms}"
    return None
