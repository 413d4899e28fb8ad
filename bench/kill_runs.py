"""Kill runs of the whole pipeline, go on with them, and compare the products with those of a run that nobody killed.

    python bench/kill_runs.py every FOLDER              a kill at every write and rename of a small run of two frames
    python bench/kill_runs.py random FOLDER REPO -n 200   kills at random times of a run on the raws of REPO

`every` copies the repository before each change, which is what a kill at that moment would leave, and goes on from each
copy.  `random` kills the run, or all its processes at once, goes on by the same command, kills again, until it comes to
its end.  Either way the products have to be identical with those of a run that nobody killed, with no partial file, and
nothing that the registry does not know.  A line a trial; status 1 if any trial fails.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from lsst.daf.butler import Butler

from skyloom.execute.faults import VARIABLE
from skyloom.execute.run import RunRequest, run_pipeline
from skyloom.pipelines import load_pipeline
from skyloom.repo.compare import compare_collections
from skyloom.simulate import CalibrationSettings, SkySettings, SurveySettings, VisitSettings, simulate_survey

COMMAND = [sys.executable, "-c", "from skyloom.cli import main; main()"]
OUTPUT = "out"


def skyloom(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A command of ours in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(repo: Path, processes: int = 1, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """The run that is killed."""
    return skyloom("run", "drp", repo, "-o", OUTPUT, "-j", processes, "-q", environment=environment)


def succeed(process: subprocess.Popen[str]) -> None:
    """Wait for a command, which has to succeed."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"status {process.returncode}: {output[-2000:]}")


def small_repository(folder: Path) -> Path:
    """Two frames of one detector, ready to run."""
    settings = SurveySettings(
        detectors=(0,),
        sky=SkySettings(stars_per_square_arcmin=12.0, galaxies_per_square_arcmin=0.0),
        visits=VisitSettings(visits_per_band=2, dither_arcsec=5.0),
        calibrations=CalibrationSettings(biases=0, darks=0, flats=0),
    )
    survey, repo = simulate_survey(folder / "sky", settings), folder / "repo"
    succeed(skyloom("init", repo, "--camera", "simulated"))
    succeed(skyloom("ingest", repo, folder / "sky" / "raw"))
    for kind in ("bias", "dark", "flat"):
        files = [path for path in survey.master_files if path.name.startswith(kind)]
        succeed(skyloom("calibs", "import", repo, kind, *files))
    refcat = ("--name", "truth", "--system", "ab", "--epoch", "2016.0", "--mag", "r=mag_r")
    succeed(skyloom("refcat", "import", repo, survey.reference_file, *refcat))
    return repo


def problems(repo: Path, reference: Path) -> list[str]:
    """What is wrong with a repository whose run was killed and gone on with."""
    found = []
    with Butler.from_config(str(repo)) as butler, Butler.from_config(str(reference)) as other:
        comparison = compare_collections((butler, OUTPUT), (other, OUTPUT))
        if not comparison.equal:
            found.append(f"products differ: {comparison.differences}"[:500])
        known = set()
        for run_name in butler.collections.query(f"{OUTPUT}/*"):
            for kind in butler.registry.queryDatasetTypes():
                refs = butler.query_datasets(kind, collections=run_name, find_first=False, explain=False, limit=None)
                known.update(butler.getURI(ref).ospath for ref in refs)
        missing = [path for path in known if not Path(path).exists()]
        found += [f"registered and not there: {path}" for path in missing]
    there = {str(path) for path in (repo / OUTPUT).rglob("*") if path.is_file() and path.name != "skyloom_run.jsonl"}
    found += [f"not registered: {path}" for path in sorted(there - known)]
    partial = [path for path in repo.rglob("*") if re.match(r"tmp........|.*\.tmp|.*\.part", path.name)]
    found += [f"partial: {path}" for path in partial]
    return found


def copies(folder: Path, pristine: Path) -> list[Path]:
    """What kills at every change of a run would leave, by copying the repository before each."""
    repo, target = folder / "copied", folder / "copies"
    for path in (repo, target):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(pristine, repo)
    target.mkdir()
    succeed(run(repo, environment={VARIABLE: f"copy:{target}"}))
    return sorted(target.iterdir())


def go_on(repo: Path) -> None:
    """The same run, in this process: the imports are there already."""
    summary = run_pipeline(
        RunRequest(
            repository=str(repo),
            pipeline=load_pipeline("drp"),
            name="drp",
            inputs=["simulated/defaults"],
            output=OUTPUT,
            instrument="simulated",
        )
    )
    if summary.exit_status:
        raise RuntimeError(f"the run ended with {summary.failures} {summary.notes}")


def every(options: argparse.Namespace, pristine: Path, reference: Path) -> int:
    """Go on from a kill at each change; the number of failures."""
    states = copies(options.folder, pristine)[:: options.step]
    print(f"{len(states)} changes", flush=True)
    failed = 0
    for state in states:
        try:
            go_on(state)
            wrong = problems(state, reference)
        except Exception as error:
            wrong = [f"{type(error).__name__}: {error}"]
        failed += bool(wrong)
        print(state.name, "ok" if not wrong else f"FAILED {wrong}", flush=True)
        if not wrong:
            shutil.rmtree(state)
    return failed


def at_random(options: argparse.Namespace, pristine: Path, reference: Path) -> int:
    """Kill run after run at random moments, going on each time, until enough kills are done; the number of failures."""
    rng, killed, failed, trials = random.Random(1), 0, 0, 0
    while killed < options.n:
        repo, moments = options.folder / f"trial_{trials:03d}", []
        trials += 1
        shutil.rmtree(repo, ignore_errors=True)
        shutil.copytree(pristine, repo)
        while True:
            process, moment, everyone = run(repo, processes=2), rng.uniform(*options.between), rng.random() < 0.5
            try:
                process.communicate(timeout=moment)
                break
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL) if everyone else process.kill()
                process.communicate()
                moments.append(f"{moment:.1f}{'*' if everyone else ''}")
        killed += len(moments)
        wrong = problems(repo, reference) if process.returncode == 0 else [f"status {process.returncode}"]
        failed += bool(wrong)
        print(repo.name, *moments, "ok" if not wrong else f"FAILED {wrong}", flush=True)
        if not wrong:
            shutil.rmtree(repo)
    print(f"{killed} kills")
    return failed


def main() -> None:
    """Run the trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("every", "random"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("repository", type=Path, nargs="?")
    parser.add_argument("-n", type=int, default=200, help="random kills")
    parser.add_argument("--between", type=float, nargs=2, default=(1.0, 20.0), help="seconds from start to kill")
    parser.add_argument("--step", type=int, default=1, help="every STEP-th change only")
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.folder.mkdir(parents=True, exist_ok=True)
    pristine = options.repository or small_repository(options.folder)
    reference = options.folder / "reference"
    if not reference.exists():
        shutil.copytree(pristine, reference)
    succeed(run(reference, processes=2))
    failed = (every if options.way == "every" else at_random)(options, pristine, reference)
    print(f"{failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
