"""CPU seconds a warp of background matching, and memory by number of visits, on patches of 4000 x 4000 pixels.

Run ``python bench/bench_background_matching.py``.  Skies are planes under noise, and all visits show a galaxy that is
wider than the superpixels.  What is left is looked at before times are told; making the warps is not counted.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import astropy.units as u
import numpy as np

from skyloom.images import Exposure
from skyloom.skymap import ClippedPatches, DiscreteSkyMap, Patch, TractCircle
from skyloom.tasks import MatchBackgroundsTask

MAP = DiscreteSkyMap(
    name="bench",
    tracts=(TractCircle(ra=150.0, dec=2.0, radius=3900 * 0.25 / 3600),),
    pixel_scale=0.25,
    layout=ClippedPatches(size=(4000, 4000), border=100),
)
SIGMA = 2.0


def sky(visit: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray(20.0 + 5.0 * visit + 1e-3 * (visit - 2) * x - 5e-4 * visit * y)


@dataclass
class Made:
    """A warp that is made anew whenever it is read."""

    visit: int
    patch: Patch
    seconds: ClassVar[float] = 0.0

    @property
    def dataId(self) -> dict[str, int]:  # noqa: N802
        return {"visit": self.visit, "tract": 0, "patch": self.patch.id}

    def get(self, **_: Any) -> Exposure:
        start = time.process_time()
        box = self.patch.outer_bbox
        x, y = np.arange(box.x.start, box.x.stop), np.arange(box.y.start, box.y.stop)[:, np.newaxis]
        image = np.random.default_rng([self.visit, self.patch.id]).standard_normal(box.shape, dtype=np.float32)
        image *= SIGMA
        image += sky(self.visit, x, y) + 30.0 * np.exp(-np.hypot(x - 3900.0, y - 4100.0) / 400.0)
        made = Exposure.from_arrays(
            image,
            variance=np.full(box.shape, SIGMA**2, np.float32),
            unit=u.nJy,
            x0=box.x.start,
            y0=box.y.start,
        )
        Made.seconds += time.process_time() - start
        return made


def match(n_visits: int, solution: str) -> tuple[float, float]:
    """CPU seconds a warp for backgrounds, and for the matched warps."""
    config = MatchBackgroundsTask.ConfigClass()
    config.solution = solution
    warps = [Made(visit, patch) for visit in range(n_visits) for patch in MAP.tract(0).patches()]
    task = MatchBackgroundsTask(config=config)
    Made.seconds, start = 0.0, time.process_time()
    result = task.run(warps, MAP)
    measured = time.process_time() - start - Made.seconds
    others = result.figures[~result.figures["is_reference"]]
    assert np.all(np.abs(others["mse"] / others["difference_variance"] - 1.0) < 0.01)
    assert np.all(others["rms"] < 0.05 * SIGMA)
    reference = int(task.metadata["reference_visit"])
    Made.seconds, start = 0.0, time.process_time()
    for warp, image in zip(warps[:4], result.matchedImageList[:4], strict=True):
        box = image.bbox
        y, x = np.mgrid[box.y.start : box.y.stop : 50, box.x.start : box.x.stop : 50]
        expected = warp.get().image.array[::50, ::50] - sky(warp.visit, x, y) + sky(reference, x, y)
        assert np.abs(image.image.array[::50, ::50] - expected).max() < 0.05 * SIGMA
    made = (time.process_time() - start - Made.seconds) / 4
    return measured / len(warps), made


def main() -> None:
    """Check and time."""
    match(2, "REFERENCE")
    match(2, "JOINT")
    for n_visits, solution in ((2, "REFERENCE"), (6, "REFERENCE"), (2, "JOINT"), (6, "JOINT")):
        measured, made = match(n_visits, solution)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{n_visits} visits, {solution}: {measured:.2f} CPU s a warp for the backgrounds, {made:.2f} for a matched "
            f"warp; peak memory so far {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
