"""`PatchWarp`: a warp as background matching sees it, and the part of it that counts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from lsst.images import Box

from skyloom.errors import BadFrameError
from skyloom.skymap import Patch

from .cell_sums import Planes

__all__ = ["PatchWarp", "by_visit", "counted_box"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PatchWarp:
    """One visit on one patch; its pixels are read when they are needed, and not kept."""

    visit: int
    patch: Patch
    bbox: Box
    """Pixels that the warp has: the patch's outer box or a part of it."""
    read: Callable[[Box], Planes]
    """The planes inside a part of the box, nJy."""


def by_visit(warps: Iterable[PatchWarp]) -> dict[int, dict[int, PatchWarp]]:
    """Warps by visit and number of the patch, both rising.

    Raises
    ------
    BadFrameError
        If two are of the same visit and patch.
    """
    found: dict[int, dict[int, PatchWarp]] = {}
    for warp in sorted(warps, key=lambda one: (one.visit, one.patch.id)):
        patches = found.setdefault(warp.visit, {})
        if warp.patch.id in patches:
            raise BadFrameError(
                f"visit {warp.visit} has two warps on patch {warp.patch.id}.", cure="Give one warp a visit and patch."
            )
        patches[warp.patch.id] = warp
    return found


def counted_box(patch: Patch, present: Collection[int], box: Box) -> Box | None:
    """The part of a box on a patch whose pixels are not counted with another patch.

    It is the inner box, and the border on those sides on which there is no neighbour.  Of two patches that only touch
    at a corner, a square of the border there counts with both.

    Parameters
    ----------
    patch
        Of the warp.
    present
        Numbers of the patches that are counted.
    box
        Pixels that the warp has.

    Returns
    -------
    Box or None
        None where nothing is left.
    """
    inner, (nx, ny) = patch.inner_bbox, patch.tract.n_patches

    def there(dx: int, dy: int) -> bool:
        ix, iy = patch.ix + dx, patch.iy + dy
        return 0 <= ix < nx and 0 <= iy < ny and nx * iy + ix in present

    y0 = max(box.y.start, inner.y.start) if there(0, -1) else box.y.start
    y1 = min(box.y.stop, inner.y.stop) if there(0, 1) else box.y.stop
    x0 = max(box.x.start, inner.x.start) if there(-1, 0) else box.x.start
    x1 = min(box.x.stop, inner.x.stop) if there(1, 0) else box.x.stop
    return Box.factory[y0:y1, x0:x1] if y0 < y1 and x0 < x1 else None
