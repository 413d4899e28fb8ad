"""What is left of each effect on a full CCD of MegaCam, simulated with all of them, after the signature removal.

Run ``python bench/accuracy_isr.py [--rows N]``; the limits are those of ``tests/isr/test_every_effect.py``, which does
the same on fewer rows.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "isr"))

from every_effect import ROWS, figures, make_every_effect

from skyloom.tasks.isr import IsrConfig, IsrTask


def main() -> None:
    """Simulate, correct, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    truth = make_every_effect(parser.parse_args().rows)
    for conserving in (True, False):
        config = IsrConfig()
        config.doCrosstalk = config.doBrighterFatter = True
        config.doFluxConservingBrighterFatterCorrection = conserving
        config.overscan.fitType = "MEDIAN_PER_ROW"
        exposure = IsrTask(config=config).run(truth.raw, camera=truth.camera, **truth.calibrations).exposure
        print("brighter-fatter:", "flux-conserving" if conserving else "Coulton et al. 2018")
        for name, value in figures(truth, exposure).items():
            print(f"  {name:45s} {value:.3g}")


if __name__ == "__main__":
    main()
