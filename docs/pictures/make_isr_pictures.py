"""Make the pictures of the pages about signature removal: simulate frames, correct them, draw before and after.

    python docs/pictures/make_isr_pictures.py SCRATCH

The pictures go beside this file, the frames to the folder SCRATCH.  Everything goes through the commands that a user
types; the calibrations are the simulation's own truth, so that what a picture shows is the correction alone.
"""

from __future__ import annotations

import shutil
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from isr_panels import offset_panel, pair_panel, ratio_panel, size_panel, vignette_panel
from lsst.daf.butler import Butler
from PIL import Image

from skyloom.calibs.boxes import boxes_from_map
from skyloom.cli import skyloom
from skyloom.images import Exposure, from_post_isr
from skyloom.instruments import Camera
from skyloom.isr import VignetteSettings
from skyloom.report.png import png_of
from skyloom.simulate import Mosaic, SurveySettings
from skyloom.simulate.charge import brighter_fatter_kernel
from skyloom.simulate.settings_file import changed
from skyloom.simulate.signature import draw_fringes, make_signature

HERE = Path(__file__).parent
SEED = 3
CROSSTALK, NONLINEARITY, BRIGHTER_FATTER = 0.002, 0.05, 0.03
COMMON = {
    "calibrations.biases": 0,
    "calibrations.darks": 0,
    "calibrations.flats": 0,
    "sky.stars_per_square_arcmin": 60,
    "sky.saturated_stars": 12,
    "visits.distortion_pixels": 0,
}
SIGNATURE = {
    "detector.overscan_slope_adu": 25,
    "detector.bias_structure_adu": 20,
    "detector.dark_electrons_per_s": 1,
    "detector.vignetting": 0.2,
    "detector.crosstalk": CROSSTALK,
    "detector.bleed_level": 1.02,
    "detector.bad_columns": 3,
    "visits.fringe_amplitude": 0.1,
}
GHOST = slice(120, 250), slice(90, 430)
FRINGES = slice(110, 250), slice(150, 380)
DEFECTS = slice(110, 230), slice(80, 260)
"""Rows and columns that the pictures show."""
WIDEST, COLOURS, FEW_COLOURS = 760, 64, 20
"""Columns and colours of a picture; few where it is noisy, and would be large."""
NOISY = ("isr_before_after", "isr_fringe", "isr_vignette")
FAINT = {"sky.saturated_stars": 0, "sky.mag_bright": 15.0, "detector.hot_pixels": 0, "detector.bad_columns": 0}


def run(*arguments: str) -> None:
    """Run a command of skyloom."""
    try:
        skyloom.main([str(one) for one in arguments], prog_name="skyloom", standalone_mode=False)
    except SystemExit as stop:
        if stop.code:
            raise


class Frames:
    """A simulated survey of one frame in a repository with its true calibrations."""

    def __init__(self, folder: Path, effects: dict[str, Any], shift_adu: float = 0.0) -> None:
        self.repo, self.folder = folder / "repo", folder
        changes = [f"{name}={value}" for name, value in (COMMON | effects).items()]
        options = [part for change in changes for part in ("-c", change)]
        camera = HERE / "camera.yaml"
        run(
            "simulate",
            folder / "sky",
            "--camera",
            camera,
            "--band",
            "i",
            "--visits",
            "1",
            "--seed",
            SEED,
            *options,
            "-q",
        )
        if shift_adu:
            self._shift(shift_adu)
        run("init", self.repo, "--camera", camera)
        run("ingest", self.repo, folder / "sky" / "raw")
        for kind in ("bias", "dark", "flat"):
            run("calibs", "import", self.repo, kind, *(folder / "sky" / "masters").glob(f"{kind}_*"))
        self.settings = changed(SurveySettings(camera=str(camera), bands=("i",), seed=SEED), changes)
        self._import_truth()

    def _shift(self, adu: float) -> None:
        """Lift the data of amplifier A above its overscan."""
        (path,) = (self.folder / "sky" / "raw").glob("sim_*")
        with fits.open(path, mode="update") as hdus:
            hdus[0].data[:, 32:288] += np.uint16(adu)

    def _import_truth(self) -> None:
        """Defects, crosstalk, linearity, brighter-fatter kernel and fringes as they were simulated."""
        mosaic = Mosaic.of(Camera.read(str(HERE / "camera.yaml")))
        ccd = mosaic.ccds[0]
        detector = self.settings.detector
        boxes = boxes_from_map(make_signature(detector, SEED, mosaic, ccd, "i").bad)
        self._import("defects", "csv", lambda path: boxes.write(path, format="ascii.csv"))
        loss = detector.nonlinearity / 40000.0
        if loss:
            # What undoes y = x - k x^2: x = y + k y^2 + 2 k^2 y^3 + 5 k^3 y^4 + ...
            series = [float(count * loss**power) for power, count in enumerate((1, 2, 5, 14, 42), start=1)]
            part = {"kind": "Polynomial", "coefficients": series}
            self._import_yaml("linearizer", {"amplifiers": {"A": part, "B": part}})
        if detector.crosstalk:
            matrix = [[0.0, detector.crosstalk], [detector.crosstalk, 0.0]]
            self._import_yaml("crosstalk", {"amplifiers": ["A", "B"], "coefficients": matrix})
        if detector.brighter_fatter:
            kernel = -brighter_fatter_kernel(detector.brighter_fatter)
            self._import_yaml("brighter_fatter", {"kernel": kernel.tolist()})
        if self.settings.visits.fringe_amplitude:
            pattern = fits.PrimaryHDU(draw_fringes(SEED, ccd, "i").astype(np.float32))
            self._import("fringe", "fits", pattern.writeto, "--detector", "0", "--filter", "i", "--unit", "electron")

    def _import_yaml(self, kind: str, data: dict[str, Any]) -> None:
        self._import(kind, "yaml", lambda path: path.write_text(yaml.safe_dump(data)), "--detector", "0")

    def _import(self, kind: str, suffix: str, write: Any, *options: str) -> None:
        path = self.folder / f"{kind}.{suffix}"
        write(path)
        run("calibs", "import", self.repo, kind, path, *(options or ("--detector", "0")))

    def corrected(self, name: str, **changes: object) -> Exposure:
        """The frame, corrected under settings of `IsrTask`."""
        options = [part for key, value in changes.items() for part in ("-c", f"isr:{key.replace('__', '.')}={value}")]
        run("run", "drp", self.repo, "-s", "isr", "-o", name, "-q", *options)
        with Butler.from_config(str(self.repo), collections=[name]) as butler:
            return from_post_isr(butler.get("post_isr", instrument="small", exposure=1, detector=0))


def write(name: str, png: bytes) -> None:
    """Put a picture beside this file, small enough to be kept with the text."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    if picture.width > WIDEST:
        picture = picture.resize((WIDEST, round(picture.height * WIDEST / picture.width)), Image.Resampling.LANCZOS)
    path = HERE / f"{name}.png"
    colours = FEW_COLOURS if name in NOISY else COLOURS
    # Median cut would drop the red of the few marked pixels.
    method = Image.Quantize.FASTOCTREE if name == "isr_masks" else Image.Quantize.MEDIANCUT
    picture.quantize(colours, method, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def from_report(frames: Frames, collection: str, **names: str) -> None:
    """Take figures of the report on a run."""
    folder = frames.folder / f"report_{collection}"
    run("report", "isr", frames.repo, "exposure=1", "--collection", collection, "-o", folder, "-q")
    for figure, name in names.items():
        write(name, (folder / f"isr_small_1_0_{figure}.png").read_bytes())


def signature_pictures(frames: Frames) -> None:
    """Overscan, masters, masks, crosstalk, fringes, defects, vignetting, amplifier offsets."""
    whole = frames.corrected("whole", doInterpolate=True)
    from_report(
        frames, "whole", overscan="isr_overscan", masks="isr_masks", medians="isr_medians", pictures="isr_before_after"
    )
    frames.corrected("one_level", overscan__fitType="MEDIAN")
    from_report(frames, "one_level", overscan="isr_overscan_one_level")
    ghosts = frames.corrected("ghosts", doCrosstalk=False)
    write("isr_crosstalk", png_of(pair_panel(ghosts, whole, GHOST, 12.0)))
    fringed = frames.corrected("fringed", doFringe=False)
    write("isr_fringe", png_of(pair_panel(fringed, whole, FRINGES, 8.0)))
    holes = frames.corrected("holes", doDefect=False, doInterpolate=False)
    write("isr_interpolation", png_of(pair_panel(holes, whole, DEFECTS, 15.0)))
    dimmed = frames.corrected("dimmed", doVignette=True, vignette__radius=3.6, vignette__xCenter=0.5)
    write("isr_vignette", png_of(vignette_panel(dimmed, VignetteSettings(x_centre_mm=0.5, radius_mm=3.6))))


def shape_pictures(scratch: Path) -> None:
    """Linearity and brighter-fatter effect, against the same frame without them."""
    true = Frames(scratch / "true", FAINT).corrected("true")
    bent = Frames(scratch / "bent", FAINT | {"detector.nonlinearity": NONLINEARITY})
    before, after = bent.corrected("before", doLinearize=False), bent.corrected("after")
    write("isr_linearity", png_of(ratio_panel(true, before, after)))
    fat = Frames(scratch / "fat", FAINT | {"detector.brighter_fatter": BRIGHTER_FATTER})
    before, after = fat.corrected("before", doBrighterFatter=False), fat.corrected("after")
    write("isr_brighter_fatter", png_of(size_panel(true, before, after)))


def offset_picture(scratch: Path) -> None:
    """A step between amplifiers that the overscan does not tell."""
    frames = Frames(scratch / "step", FAINT, shift_adu=6.0)
    levelled = {"doAmpOffset": True, "ampOffset__doApplyAmpOffset": True, "ampOffset__ampEdgeMaxOffset": 20.0}
    write(
        "isr_amplifier_offsets", png_of(offset_panel(frames.corrected("before"), frames.corrected("after", **levelled)))
    )


def main(scratch: Path) -> None:
    """Make all pictures anew."""
    shutil.rmtree(scratch, ignore_errors=True)
    signature_pictures(Frames(scratch / "signature", SIGNATURE))
    shape_pictures(scratch)
    offset_picture(scratch)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
