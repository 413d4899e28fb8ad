"""Overhead of a quantum in our runner and in pipetask: runs of a task that does nothing, of two sizes.

    python bench/bench_runner.py [--small 50] [--large 450] [--repeat 3]

Each run has a repository of its own; the difference of the two sizes, over that of their numbers of quanta, is the wall
time that a quantum costs, start-up and shut-down left out.  Every product is checked.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lsst.daf.butler import Butler, CollectionType, DatasetType

HERE = Path(__file__).parent
PIPELINE = """description: One task that does nothing.
tasks:
  nothing:
    class: runner_tasks.NothingTask
"""


def make_repository(root: Path, quanta: int) -> None:
    """A repository with as many numbers."""
    with Butler.from_config(Butler.makeRepo(str(root)), writeable=True) as butler:
        registry = butler.registry
        registry.insertDimensionData("instrument", {"name": "toy", "detector_max": 100_000, "class_name": "none"})
        rows = [{"instrument": "toy", "id": one, "full_name": str(one)} for one in range(quanta)]
        registry.insertDimensionData("detector", *rows)
        registry.registerDatasetType(
            DatasetType("number", ("instrument", "detector"), "StructuredDataDict", universe=butler.dimensions)
        )
        butler.collections.register("toy/defaults", CollectionType.RUN)
        for one in range(quanta):
            butler.put({"value": one}, "number", instrument="toy", detector=one, run="toy/defaults")


def command(runner: str, root: Path, pipeline: Path, processes: int) -> list[str]:
    """What runs the pipeline."""
    if runner == "ours":
        call = "from skyloom.cli import main; main()"
        rest = ["run", str(pipeline), str(root), "-o", "out", "--instrument", "toy", "-j", str(processes), "-q"]
        return [sys.executable, "-c", call, *rest]
    rest = ["run", "-b", str(root), "-p", str(pipeline), "-i", "toy/defaults", "-o", "out", "-j", str(processes)]
    return [str(Path(sys.executable).parent / "pipetask"), "--log-level", "ERROR", *rest, "--register-dataset-types"]


def timed(runner: str, pristine: Path, pipeline: Path, processes: int) -> float:
    """Wall seconds of a run on a copy of a repository, whose products are checked."""
    with tempfile.TemporaryDirectory(prefix="bench-runner-") as folder:
        root = Path(folder) / "repo"
        shutil.copytree(pristine, root)
        environment = os.environ | {"PYTHONPATH": f"{HERE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        begun = time.monotonic()
        done = subprocess.run(
            command(runner, root, pipeline, processes), env=environment, capture_output=True, text=True, check=False
        )
        wall = time.monotonic() - begun
        if done.returncode:
            raise RuntimeError(f"{runner} ended with {done.returncode}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
        with Butler.from_config(str(root), collections=["out"]) as butler:
            refs = butler.query_datasets("copied", limit=None)
            expected = len(butler.query_datasets("number", collections="toy/defaults", limit=None))
            if sorted(butler.get(ref)["value"] for ref in refs) != list(range(expected)):
                raise RuntimeError(f"{runner} lost or changed something")
        return wall


def main() -> None:
    """Print a line for each runner."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", type=int, default=50)
    parser.add_argument("--large", type=int, default=450)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-runner-") as folder:
        pipeline = Path(folder) / "nothing.yaml"
        pipeline.write_text(PIPELINE)
        sizes = (options.small, options.large)
        repositories = {size: Path(folder) / f"repo{size}" for size in sizes}
        for size, root in repositories.items():
            make_repository(root, size)
        print(f"{'runner':<16}{'start-up, s':>12}{'a quantum, ms':>16}")
        for runner, processes in (("ours", 1), ("ours", 2), ("pipetask", 1)):
            costs, starts = [], []
            for _ in range(options.repeat):
                small, large = (timed(runner, repositories[size], pipeline, processes) for size in sizes)
                step = options.large - options.small
                costs.append(1e3 * (large - small) / step)
                starts.append(small - options.small * costs[-1] / 1e3)
            name = f"{runner} -j {processes}"
            print(f"{name:<16}{np.median(starts):>12.1f}{np.median(costs):>16.1f}", flush=True)


if __name__ == "__main__":
    main()
