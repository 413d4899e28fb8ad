"""How far calibrated frames are from the truth, for fields and seeings from easy to hard.

Run ``python bench/accuracy_calibrate.py [--frames 20] [--case NAME]``; each case is that many simulated frames of the
simulated camera, 1000 x 1000 pixels or so, calibrated against the true stars.  The limits are those of
``tests/calibrate/test_accuracy.py``, which does the same on a tenth of the frames.
"""

from __future__ import annotations

import argparse
import sys
import time
from multiprocessing import Pool
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "calibrate"))

import numpy as np
from accuracy_cases import CASES, HARD_CASES, calibrated_figures

from skyloom.errors import FrameError


def one(task: tuple[str, int]) -> dict[str, float] | str:
    """The figures of one frame, or why it failed."""
    try:
        return calibrated_figures(*task)
    except FrameError as error:
        return f"{task}: {error}"


def main() -> None:
    """Simulate, calibrate, compare, print a line a figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=20, help="of each case")
    parser.add_argument("--case", action="append", choices=sorted(CASES | HARD_CASES))
    parser.add_argument("-j", type=int, default=1, help="processes")
    options = parser.parse_args()
    for case in options.case or CASES | HARD_CASES:
        before = time.perf_counter()
        with Pool(options.j) as pool:
            done = pool.map(one, [(case, seed) for seed in range(options.frames)], chunksize=1)
        rows = [row for row in done if isinstance(row, dict)]
        print(f"{case}: {len(rows)} of {len(done)} frames, {time.perf_counter() - before:.0f} s", flush=True)
        for failure in (row for row in done if isinstance(row, str)):
            print("   ", failure)
        for name in rows[0] if rows else ():
            values = np.array([row[name] for row in rows])
            values = values[np.isfinite(values)]
            if values.size:
                error = values.std() / np.sqrt(max(values.size - 1, 1))
                worst = values[np.argmax(np.abs(values - np.median(values)))]
                print(f"    {name:22s} mean {values.mean():+9.4f} +- {error:.4f}   furthest from it {worst:+9.4f}")


if __name__ == "__main__":
    main()
