"""Size and ellipticity of the fitted PSF on reserved stars, against the truth, over 200 simulated frames and more.

Run ``python bench/accuracy_psf.py [--frames N] [--only NAME]``; N frames of each kind.  Printed are means over frames
with their standard errors: of T = Ixx + Iyy and of the ellipticities of the PSF less the truth at the reserved stars,
and of T of the reserved stars' noisy images themselves.  A tenth of it runs in ``tests/psffit/test_psf_accuracy.py``.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "psffit"))

from psf_scenes import Draw, Scene, draw, true_errors

from skyloom.kernels.psf_fit import stamp_shapes
from skyloom.psffit import PsfFit, PsfFitSettings, SelectionSettings, fit_psf, select_psf_stars

KINDS: dict[str, tuple[Scene, int]] = {
    "FWHM 1.6, 150 stars": (Scene(fwhm=1.6, n_stars=150), 2),
    "FWHM 2.0, 150 stars": (Scene(fwhm=2.0, n_stars=150), 2),
    "FWHM 2.5, Kolmogorov, 150 stars": (Scene(fwhm=2.5, kolmogorov=True, n_stars=150), 2),
    "FWHM 3.0, 100 stars": (Scene(fwhm=3.0, n_stars=100), 2),
    "FWHM 3.5, Kolmogorov, 30 stars": (Scene(fwhm=3.5, kolmogorov=True, n_stars=30), 2),
    "FWHM 4.0, 500 stars": (Scene(fwhm=4.0, n_stars=500), 2),
    "FWHM 5.0, Kolmogorov, 100 stars": (Scene(fwhm=5.0, kolmogorov=True, n_stars=100), 2),
    "FWHM 7.0, 100 stars": (Scene(fwhm=7.0, n_stars=100), 2),
    "FWHM 4.0, steep, 200 stars, order 2": (Scene(fwhm=4.0, gradient=0.2, ellipticity=0.1, n_stars=200), 2),
    "FWHM 4.0, steep, 400 stars, order 3": (Scene(fwhm=4.0, gradient=0.2, ellipticity=0.1, n_stars=400), 3),
    "FWHM 2.0, steep, 300 stars, order 2": (Scene(fwhm=2.0, gradient=0.2, ellipticity=0.1, n_stars=300), 2),
    "FWHM 4.0, neighbours and galaxies": (Scene(fwhm=4.0, n_stars=150, neighbour_fraction=0.3, n_galaxies=100), 2),
}


def scene_of(kind: str, frame: int) -> Scene:
    """One frame of a kind, each star with sixteen by sixteen FWHM of sky."""
    scene, _ = KINDS[kind]
    extent = int(16 * scene.fwhm * np.sqrt(scene.n_stars + scene.n_galaxies))
    return dataclasses.replace(scene, extent=extent, seed=1000 * list(KINDS).index(kind) + frame)


def fit(drawn: Draw, order: int) -> tuple[np.ndarray, PsfFit]:
    """Selected stars, and the PSF, as the calibration of a frame makes them."""
    stars = select_psf_stars(drawn.field.table, SelectionSettings(n_max=500))
    return stars, fit_psf(drawn.field.exposure, drawn.field.table, stars, PsfFitSettings(order_max=order))


def observed_size(drawn: Draw, result: PsfFit, rows: np.ndarray) -> float:
    """Mean of T of bright stars' images over that of the PSF at their places, less one."""
    table = drawn.field.table
    ratio = np.asarray(table["aperture_flux_6_0"] / table["aperture_flux_6_0_err"])
    rows = rows[(ratio[rows] > 100) & ~np.asarray(table["flag_shape"])[rows]]
    x, y = np.asarray(table["x"])[rows], np.asarray(table["y"])[rows]
    stamps, x0, y0 = result.psf.stamps(x, y)
    model = stamp_shapes(stamps, x - x0, y - y0, result.psf.sigma(x[0], y[0])) if rows.size else np.empty((0, 3))
    size = np.asarray(table["ixx"] + table["iyy"])[rows] / (model[:, 0] + model[:, 1]) - 1
    size = size[np.abs(size) < 0.1]  # stars with a neighbour
    return float(np.mean(size)) if size.size else float("nan")


def frame_errors(kind: str, frame: int) -> dict[str, float]:
    """Means over the reserved stars of one frame."""
    scene = scene_of(kind, frame)
    drawn = draw(scene)
    start = time.process_time()
    stars, result = fit(drawn, KINDS[kind][1])
    spent = time.process_time() - start
    tested = result.reserved if result.reserved.any() else result.used
    rows = np.flatnonzero(tested & drawn.star)
    errors = true_errors(result.psf, scene, drawn.field.x[rows], drawn.field.y[rows])
    means = {name: float(np.nanmean(values)) for name, values in errors.items()}
    others = {"galaxies": float(np.sum(stars & ~drawn.star)), "used": float(result.used.sum()), "seconds": spent}
    return means | {"observed": observed_size(drawn, result, rows)} | others


def summary(frames: list[dict[str, float]]) -> str:
    """Means over frames, with standard errors where a figure has a target."""
    values = {name: np.array([frame[name] for frame in frames]) for name in frames[0]}
    parts = []
    for name in ("size", "e1", "e2", "peak", "observed"):
        finite = values[name][np.isfinite(values[name])]
        parts.append(f"{1e4 * finite.mean():6.1f}+-{1e4 * finite.std() / np.sqrt(finite.size):4.1f}")
    means = (f"{np.mean(values[name]):{form}}" for name, form in (("used", "5.0f"), ("galaxies", "4.1f")))
    return "  ".join([*parts, *means, f"{np.median(values['seconds']):5.2f}"])


def main() -> None:
    """Simulate, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    print(
        "in units of 1e-4: T, e1, e2 and peak of the PSF less the truth; T of the stars' images; stars, others, CPU s"
    )
    everything = []
    for kind in (kind for kind in KINDS if options.only in kind):
        frames = [frame_errors(kind, frame) for frame in range(options.frames)]
        everything += frames
        print(f"{kind:38s}{summary(frames)}", flush=True)
    print(f"{f'all {len(everything)} frames':38s}{summary(everything)}")


if __name__ == "__main__":
    main()
