"""How many frames are left without a WCS, and how many get a wrong one, of thousands of simulated star lists.

Run ``python bench/accuracy_astrometry.py [--frames N] [--first SEED] [--fields own|other|both] [--log FILE]`` from the
root of the checkout.  Each frame goes through both stages: near its guess, then blind.  Frames are matched against the
catalogue of their own field, and against that of another, which must be refused.  With a log, a line of JSON a frame,
a run that was cut short goes on where it was, and several runs over different seeds add up.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "astrometry"))

from drawn_fields import draw, solve_in_two_stages, wrong_by_px
from scipy.stats import beta

from skyloom.errors import FrameError

WRONG_PX = 5.0
"""A solution is wrong where it errs by more, somewhere on the frame: ten times what noise and distortion leave."""

type Row = dict[str, Any]


def solved(seed: int, other: bool) -> Row:
    """What came of one frame."""
    drawn = draw(seed, wrong=other)
    start = time.process_time()
    refusals: list[FrameError] = []
    solution, stage = solve_in_two_stages(drawn, refusals=refusals)
    row: Row = {
        "seed": seed,
        "other": other,
        "kind": drawn.kind,
        "n_common": drawn.field.n_common,
        "n_detected": len(drawn.field.x),
        "n_reference": drawn.field.n_reference,
        "stage": stage,
        "cpu_s": round(time.process_time() - start, 4),
        "solved": solution is not None,
        "log10_chance_refused": round(min((e.metadata.get("log10_chance", 0.0) for e in refusals), default=0.0), 1),
    }
    if solution is not None:
        row |= {"n_matches": solution.n_matches, "log10_chance": round(solution.log10_chance, 1)}
        row["wrong_px"] = None if other else round(float(wrong_by_px(drawn, solution)), 3)
        row["wrong"] = other or row["wrong_px"] > WRONG_PX
    if row.get("wrong"):
        print("WRONG", row, drawn.parameters, solution.verdict, flush=True)
    return row


def limits(count: int, n: int) -> str:
    """A share with its binomial limits (Clopper & Pearson 1934, 95 %)."""
    low = beta.ppf(0.025, count, n - count + 1) if count else 0.0
    high = beta.ppf(0.975 if count else 0.95, count + 1, n - count) if count < n else 1.0
    return f"{count} of {n} = {count / max(n, 1):.2e} ({low:.1e} .. {high:.1e})"


def report(rows: list[Row]) -> None:
    """Print the figures."""
    own, other = ([row for row in rows if row["other"] == which] for which in (False, True))
    if own:
        print(f"own fields: without WCS {limits(sum(not row['solved'] for row in own), len(own))}")
        print(f"  wrong {limits(sum(row.get('wrong', False) for row in own), len(own))}")
        _split("kind", own, lambda row: row["kind"])
        for names, limit in ((("n_common", "stars in common"), COMMON), (("n_reference", "references"), REFERENCES)):
            _split(names[1], own, lambda row, name=names[0], limit=limit: _bin(row[name], limit))
        errors = [row["wrong_px"] for row in own if row["solved"]]
        print(
            f"  largest error on the frame: median {np.median(errors):.3f}, 99.9 % {np.quantile(errors, 0.999):.2f} px"
        )
    if other:
        print(f"other fields: accepted {limits(sum(row['solved'] for row in other), len(other))}")
        chances = np.array([row.get("log10_chance", row["log10_chance_refused"]) for row in other])
        shares = ", ".join(f"below 1e-{k}: {np.sum(chances < -k)}" for k in range(1, 6))
        print(f"  their least chance probabilities, {shares} (a share of as much is expected of an exact one)")
    for name, some in (
        ("near", [row for row in own if row["stage"] == 1]),
        ("blind", [row for row in own if row["stage"] == 2]),
        ("other fields", other),
    ):
        if some:
            took = [row["cpu_s"] for row in some]
            print(
                f"CPU s, {name}: median {np.median(took):.3f}, 95 % {np.quantile(took, 0.95):.2f}, max {max(took):.1f}"
            )
    sys.stdout.flush()


COMMON = (5, 6, 7, 8, 9, 10, 12, 16, 10_000)
REFERENCES = (7, 8, 10, 12, 16, 25, 10_000)
"""Upper ends of the bins of the report."""


def _bin(value: int, ends: tuple[int, ...]) -> str:
    """Name of the bin of a number."""
    place = int(np.searchsorted(ends, value))
    return f"{ends[place - 1] + 1 if place else 0:2d} .. {ends[place]}"


def _split(title: str, rows: list[Row], key: Callable[[Row], str]) -> None:
    """A line a kind."""
    for name in sorted({key(row) for row in rows}):
        some = [row for row in rows if key(row) == name]
        missed, wrong = sum(not row["solved"] for row in some), sum(row.get("wrong", False) for row in some)
        print(f"  {title} {name}: without WCS {limits(missed, len(some))}; wrong {wrong}")


def run(seeds: Iterable[int], fields: str, log: Path | None) -> list[Row]:
    """Draw, solve, log; the rows of the log come first."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log is not None and log.exists() else []
    done = {(row["seed"], row["other"]) for row in rows}
    for n, seed in enumerate(seeds, 1):
        for other in [which for which in (False, True) if fields in ("both", ("own", "other")[which])]:
            if (seed, other) in done:
                continue
            rows.append(solved(seed, other))
            if log is not None:
                with log.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
        if n % 500 == 0:
            print(f"after {n} seeds")
            report(rows)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--fields", choices=["own", "other", "both"], default="both")
    parser.add_argument("--log", type=Path, help="file to go on with, and to add to")
    options = parser.parse_args()
    report(run(range(options.first, options.first + options.frames), options.fields, options.log))
