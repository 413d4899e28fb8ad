"""The small survey that the pages run on: three visits of two CCDs, brought to a coadd by the README's commands; and
the frames of a laboratory beside it.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from astropy.table import Table
from example_commands import commands_folder
from example_laboratory import make_laboratory
from lsst.daf.butler import Butler, CollectionType

from skyloom.simulate import CalibrationSettings, DetectorSettings, SurveySettings, VisitSettings, simulate_survey

__all__ = ["copy_survey", "make_survey", "run_shell", "survey_block"]

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
MASTERS = {"biases": "bias", "darks": "dark", "flats": "flat"}
R_AB_LESS_VEGA = 0.21
"""Of the filter R, as `skyloom refcat import` has it."""
ALIASES = {
    "COLLECTION": ("objects", "deep", "night"),
    "calibrated": ("night",),
    "OUTPUT": ("night",),
    "demo": ("night",),
    "refcats/gaia_dr3": ("refcats/stars",),
    "INSTRUMENT/defaults": ("mycamera/defaults",),
    "CAMERA/defaults": ("mycamera/defaults",),
}
"""Collections that pages name in general."""


def survey_block(text: str) -> str:
    """The README's block that begins with ``skyloom init``."""
    found = re.search(r"^```sh\n(skyloom init .*?)^```", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError("the README has no block of commands that begins with skyloom init")
    return found[1]


def make_survey(folder: Path) -> Path:
    """The survey in a folder; whoever comes first makes it, and others wait for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            shutil.copytree(HERE / "examples", folder / "docs" / "examples")
            _draw(folder)
            make_laboratory(folder / "laboratory", folder / "mycamera.yaml")
            failure = run_shell(survey_block(README.read_text()), folder)
            if failure:
                raise RuntimeError(f"the README's commands fail\n{failure}")
            _name_in_general(folder)
            done.touch()
    return folder


def copy_survey(survey: Path, folder: Path) -> Path:
    """A copy to work in; files are written anew and never changed, so that links do, but for the registry."""

    def link(source: str, target: str) -> None:
        if source.endswith((".sqlite3", ".yaml", ".jsonl")):
            shutil.copy2(source, target)
        else:
            os.link(source, target)

    shutil.copytree(survey, folder, copy_function=link, symlinks=True)
    return folder


def run_shell(script: str, folder: Path, variables: Mapping[str, str] | None = None) -> str:
    """Run a script in a folder; an empty text, or what it said where it failed."""
    environment = os.environ | {
        "PATH": os.pathsep.join([str(commands_folder()), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OPENBLAS_NUM_THREADS": "1",
        "NO_COLOR": "1",
    }
    environment |= variables or {}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else f"exit status {done.returncode}\n{done.stdout[-6000:]}"


def _draw(folder: Path) -> None:
    """Camera, raw frames, flats and reference stars, under the names that the README gives them."""
    camera = shutil.copy2(HERE / "examples" / "mycamera.yaml", folder)
    settings = SurveySettings(
        camera=str(camera),
        seed=3,
        visits=VisitSettings(visits_per_band=3),
        detector=DetectorSettings(cosmic_rays=0.05),
        calibrations=CalibrationSettings(biases=3, darks=3, flats=3),
    )
    drawn = simulate_survey(folder / "sky", settings, workers=2)
    (folder / "sky" / "raw").rename(folder / "raw")
    (folder / "raw" / "sim_000001_0.fits").rename(folder / "raw" / "frame1.fits")
    for name, kind in MASTERS.items():
        _move(sorted((folder / "sky" / "masters").glob(f"{kind}_*.fits")), folder / name)
    stars = Table.read(drawn.reference_file)
    stars["R"] = stars["mag_r"] - R_AB_LESS_VEGA
    stars["id", "ra", "dec", "R"].write(folder / "stars.csv")


def _move(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        file.rename(folder / file.name)


def _name_in_general(folder: Path) -> None:
    """Collections and the repository under the names that pages give to what the reader has."""
    (folder / "REPO").symlink_to("repo")
    with Butler.from_config(str(folder / "repo"), writeable=True) as butler:
        for name, children in ALIASES.items():
            butler.collections.register(name, CollectionType.CHAINED)
            butler.collections.redefine_chain(name, children)
