"""How many frames are left without a WCS, and how many get a wrong one, of thousands of simulated star lists.

Run ``python bench/accuracy_astrometry.py [--frames N] [--first SEED] [--fields own|other|both]`` from the root of the
checkout.  Each frame goes through both stages: near its guess, then blind.  Frames are matched against the catalogue of
their own field, and against that of another, which must be refused.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "astrometry"))

from drawn_fields import draw, solve_in_two_stages, wrong_by_px

WRONG_PX = 5.0
"""A solution is wrong where it errs by more, somewhere on the frame: ten times what noise and distortion leave."""


@dataclass
class Tally:
    """What came of a number of frames."""

    frames: int = 0
    solvable: int = 0
    missed: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    """Seeds."""
    errors: list[float] = field(default_factory=list)
    """Largest error of each solution, pixel."""
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"near": [], "blind": [], "other fields": []})

    def report(self) -> None:
        """Print the figures."""
        print(
            f"{self.frames} frames, {self.solvable} share 10 stars with the catalogue: {len(self.missed)} without WCS"
        )
        if self.errors:
            print(f"  {len(self.errors)} solutions, error median {np.median(self.errors):.3f} px; wrong: {self.wrong}")
        for name, values in self.seconds.items():
            if values:
                text = (
                    f"median {np.median(values):.3f}, 95 % {np.quantile(values, 0.95):.2f}, largest {max(values):.2f}"
                )
                print(f"  CPU seconds, {name}: {text} of {len(values)}", flush=True)


def own_field(seed: int, tally: Tally) -> None:
    """A frame against the catalogue of its field."""
    drawn = draw(seed)
    start = time.process_time()
    solution, stage = solve_in_two_stages(drawn)
    tally.seconds["near" if stage == 1 else "blind"].append(time.process_time() - start)
    tally.frames, tally.solvable = tally.frames + 1, tally.solvable + drawn.solvable
    if solution is None:
        if drawn.solvable:
            tally.missed.append(seed)
            print(f"MISSED seed {seed}: {drawn.field.n_common} in common, {drawn.parameters}", flush=True)
        return
    tally.errors.append(wrong_by_px(drawn, solution))
    if tally.errors[-1] > WRONG_PX:
        tally.wrong.append(seed)
        print(f"WRONG by {tally.errors[-1]:.1f} px, seed {seed}: {drawn.parameters} {solution.verdict}", flush=True)


def other_field(seed: int, tally: Tally) -> None:
    """A frame against the catalogue of another field."""
    drawn = draw(seed, wrong=True)
    start = time.process_time()
    solution, _ = solve_in_two_stages(drawn)
    tally.seconds["other fields"].append(time.process_time() - start)
    tally.frames += 1
    if solution is not None:
        tally.wrong.append(seed)
        print(f"ACCEPTED another field, seed {seed}: {solution.verdict}", flush=True)


def run(seeds: Iterable[int], fields: str) -> None:
    """Draw, solve, count."""
    own, other = Tally(), Tally()
    for n, seed in enumerate(seeds, 1):
        if fields != "other":
            own_field(seed, own)
        if fields != "own":
            other_field(seed, other)
        if n % 100 == 0:
            print(f"after {n}: {len(own.missed)} missed, {len(own.wrong)} wrong, {len(other.wrong)} other", flush=True)
    own.report()
    print(f"{other.frames} frames of other fields: accepted {other.wrong}")
    other.report()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="First seed.")
    parser.add_argument("--fields", choices=["own", "other", "both"], default="both")
    options = parser.parse_args()
    run(range(options.first, options.first + options.frames), options.fields)
