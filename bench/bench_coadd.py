"""Safe-clip coadd of 16 frames with artifacts, beside SWarp's clipped coadd and ccdproc; validated before it is timed.

Run from the root of the checkout: ``python bench/bench_coadd.py FRAMES [PEERS]``.  FRAMES is a folder as for
``bench_swarp.py``, with ``artifacts.csv`` (frame, trail_x_bottom, trail_x_top: where a trail of 6 pixels crosses the
frame) and ``fwhm_px`` in ``frames.csv``.  PEERS is a folder into which ``ccdproc`` was installed (``pip install
--target``).  All get the same frames, sky taken off and on one zero point; SWarp resamples them by itself onto the
same pixels.  Sources are marked on the frames before, as single-frame calibration does.  CPU seconds on one thread,
reading included.

What is left of a trail is judged against the mean of the same warps without the pixels that the truth names, in sigma
of that mean.  Peak memory is that of a process of its own, with 4, 16 and 64 inputs.
"""

from __future__ import annotations

import csv
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from lsst.images import Box, Image, Mask, SkyProjection, TractFrame
from lsst.images.psfs import GaussianPointSpreadFunction

from bench_swarp import Clock, prepare, read_frame, run_swarp
from skyloom.coadd import CoaddInput, CoaddSettings, Statistic, assemble_coadd, masked_mean, prepare_inputs, safe_clip
from skyloom.detection import DetectionSettings, find_sources
from skyloom.images import MASK_SCHEMA, Exposure, bitmask, bits_of
from skyloom.psf import CoaddPsf, CoaddPsfComponent
from skyloom.warp import VisitWarp

TRUTH = "VIGNETTED"
"""A plane that nothing else here uses: pixels that the truth names."""
SMALL = CoaddSettings(statistic=Statistic.MEAN, max_memory_mb=16.0)
"""Strips that fit the processor's cache."""
PLANES = {"image": np.float32, "variance": np.float32, "mask": np.int32}


class StoredWarp:
    """A warp in files of bare numbers, of which rows are read as they are asked for."""

    def __init__(self, folder: Path, name: str, visit: int, known: dict[str, Any]) -> None:
        self.dataId = {"visit": visit}
        self._paths = {plane: folder / f"{name}.{plane}" for plane in PLANES}
        self._known = known

    @classmethod
    def write(cls, folder: Path, name: str, visit: int, warp: Exposure) -> StoredWarp:
        known = {"bbox": warp.bbox, "psf": warp.psf, "inputs": warp.inputs, "unit": warp.unit}
        stored = cls(folder, name, visit, known)
        for plane, values in {"image": warp.image.array, "variance": warp.variance.array, "mask": warp.bits}.items():
            np.ascontiguousarray(values, PLANES[plane]).tofile(stored._paths[plane])
        return stored

    def get(self, *, component: str | None = None, parameters: dict[str, Any] | None = None) -> Any:
        parameters = parameters or {}
        if component == "components":
            box = parameters.get("bbox")
            return {name: self._component(name, box) for name in parameters["components"]}
        return self._component(str(component), parameters.get("bbox"))

    def _component(self, name: str, box: Box | None) -> Any:
        if name not in PLANES:
            return self._known[name]
        whole = self._known["bbox"]
        box = whole if box is None else box
        skip = (box.y.start - whole.y.start) * whole.x.size
        values = np.fromfile(
            self._paths[name], PLANES[name], box.y.size * whole.x.size, offset=skip * np.dtype(PLANES[name]).itemsize
        ).reshape(box.y.size, whole.x.size)
        values = values[:, box.x.start - whole.x.start : box.x.stop - whole.x.start]
        if name != "mask":
            return Image(values, bbox=box)
        return Mask(values[..., np.newaxis], schema=MASK_SCHEMA, bbox=box)


def trails(folder: Path) -> dict[str, tuple[float, float]]:
    """Frame to the column of its trail in the first and the last row."""
    with (folder / "artifacts.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    return {row["frame"]: (float(row["trail_x_bottom"]), float(row["trail_x_top"])) for row in rows}


def mark_truth(frame: Exposure, trail: tuple[float, float]) -> None:
    """Mark the pixels of a trail."""
    rows = np.arange(frame.bbox.y.size)
    centre = trail[0] + (trail[1] - trail[0]) * rows / (rows.size - 1)
    for offset in range(-3, 3):
        columns = np.clip(np.round(centre + offset).astype(int), 0, frame.bbox.x.size - 1)
        frame.bits[rows, columns] |= bitmask(TRUTH)


def make_warps(
    clock: Clock, folder: Path, paths: list[Path], box: Box, tract: SkyProjection[Any], work: Path
) -> list[StoredWarp]:
    """Frames with their sources marked, warped and written."""
    with (folder / "frames.csv").open() as stream:
        fwhm = {row["frame"]: float(row["fwhm_px"]) for row in csv.DictReader(stream)}
    known, warps = trails(folder), []
    frames = [read_frame(path) for path in paths[:1]]
    find_sources(frames[0], 1.6, DetectionSettings(negative=True))
    with clock.step("skyloom: reading, sources and warp of one frame", len(paths)):
        for number, path in enumerate(paths):
            frame = read_frame(path)
            sigma = fwhm[path.name] / 2.3548
            frame.psf = GaussianPointSpreadFunction(sigma, frame.bbox, 25)
            find_sources(frame, sigma, DetectionSettings(negative=True))
            frame.bits[...] &= ~np.int32(bitmask("EDGE"))
            saturated = frame.image.array > 3e4
            frame.bits[saturated] |= bitmask("SAT")
            if path.name in known:
                mark_truth(frame, known[path.name])
            warp = VisitWarp(number + 1, box, tract)
            warp.add(0, frame)
            warps.append(StoredWarp.write(work, f"warp{number}", number + 1, warp.finish()))
    return warps


def coadd_all(
    clock: Clock, warps: list[StoredWarp], box: Box, tract: SkyProjection[Any]
) -> tuple[dict[str, np.ndarray], Exposure, np.ndarray]:
    """The safe-clip coadd and the plain mean; the mean without true artifacts, and where the truth names any."""
    bad = ("BAD", "SAT", "CR", "NO_DATA", "STREAK")
    small = Box.factory[box.y.start : box.y.start + 300, box.x.start : box.x.stop]
    inputs, _ = prepare_inputs(warps, bad)
    safe_clip(inputs, small, tract)
    masked_mean(inputs, small, tract, {})
    with clock.step("skyloom: safe-clip coadd, reading included"):
        inputs, _ = prepare_inputs(warps, bad)
        with clock.step("skyloom:   of which artifacts"):
            result = safe_clip(inputs, box, tract)
        clipped, _ = masked_mean(inputs, box, tract, result.masks, SMALL)
    with clock.step("skyloom: plain mean, reading included"):
        inputs, _ = prepare_inputs(warps, bad)
        mean, _ = assemble_coadd(inputs, box, tract, SMALL)
    oracle, _ = assemble_coadd(inputs, box, tract, CoaddSettings(statistic=Statistic.MEAN, bad_planes=(*bad, TRUTH)))
    names = [part.visit for part in inputs]
    truth = np.zeros(box.shape, bool)
    for part in inputs:
        inside = part.bbox
        bits = bits_of(part.handle.get(component="mask"))
        own = bits & bitmask(TRUTH) != 0
        truth[inside.slice_within(box)] |= own
        spans = result.masks.get(part.visit, {}).get("CLIPPED")
        mask = np.zeros(inside.shape, bool) if spans is None else spans.to_mask(inside)
        if own.any():
            print(f"visit {part.visit}: {mask[own].mean():.5f} of the trail clipped, {mask.mean():.4f} of the warp")
            assert mask[own].mean() > 0.99, part.visit
        else:
            print(f"visit {part.visit}: no artifact; {mask.mean():.6f} of the warp clipped")
            assert mask.mean() < 1e-3, part.visit
    print(f"{len(names)} warps, {result.n_regions} regions, {len(result.clipped.footprints)} clipped")
    return {"safe clip": clipped.image.array, "plain mean": mean.image.array}, oracle, truth


def judge(images: dict[str, np.ndarray], oracle: Exposure, truth: np.ndarray) -> None:
    """What is left of trails, in sigma of the mean without them."""
    noise = np.sqrt(oracle.variance.array)
    at = truth & np.isfinite(noise) & (oracle.bits & bitmask("SAT") == 0)
    for name, image in images.items():
        left = (image - oracle.image.array)[at] / noise[at]
        left = left[np.isfinite(left)]
        rms = float(np.sqrt(np.mean(left**2)))
        print(
            f"trails in {name:12s} mean {left.mean():7.3f}, rms {rms:7.3f}, 99 % within "
            f"{np.percentile(np.abs(left), 99):7.3f} sigma"
        )
        if name == "safe clip":
            assert abs(left.mean()) < 0.05, left.mean()


def run_ccdproc(clock: Clock, peers: str, warps: list[StoredWarp], rows: int) -> None:
    """Sigma-clipped mean of a part of the rows, scaled to all of them."""
    sys.path.append(peers)
    ccdproc, nddata = importlib.import_module("ccdproc"), importlib.import_module("astropy.nddata")
    height = warps[0].get(component="bbox").y.size
    frames = [nddata.CCDData(warp.get(component="image").array[:rows], unit="adu") for warp in warps]
    shape = min(frame.shape for frame in frames)
    frames = [frame[: shape[0], : shape[1]] for frame in frames]
    with clock.step(f"ccdproc: sigma-clipped mean of {rows} of {height} rows"):
        combiner = ccdproc.Combiner(frames)
        combiner.sigma_clipping(low_thresh=3, high_thresh=3, func="median", dev_func="mad_std")
        combiner.average_combine()
    print(f"ccdproc: {clock.rows[-1][1] * height / rows:.1f} CPU s for all rows")


def peak_memory(folder: Path, count: int) -> None:
    """Print the peak of a coadd of ``count`` warps, in a process of its own."""
    known = json.loads((folder / "known.json").read_text())
    box = Box.factory[0 : known["shape"][0], 0 : known["shape"][1]]
    tract = _projection(fits.Header.fromstring(known["wcs"]), box)
    psf = GaussianPointSpreadFunction(1.6, box, 25)
    inputs = []
    for number in range(count):
        held = Box.factory[tuple(slice(*side) for side in known["boxes"][number % len(known["boxes"])])]
        part = CoaddPsfComponent(visit=number, detector=0, weight=1.0, psf=psf, projection=tract, bbox=held)
        table = Table({"visit": [number], "detector": [0], "weight": [1.0], "n_pixels": [held.area]})
        parts = {"bbox": held, "psf": CoaddPsf([part], tract, box), "inputs": table, "unit": u.nJy}
        handle = StoredWarp(folder, f"warp{number % len(known['boxes'])}", number, parts)
        inputs.append(CoaddInput(number, 1.0, handle, held))
    small = Box.factory[0:200, 0 : known["shape"][1]]
    masked_mean(inputs[:4], small, tract, safe_clip(inputs[:4], small, tract).masks, SMALL)
    before = _largest_mb()
    masked_mean(inputs, box, tract, safe_clip(inputs, box, tract).masks, SMALL)
    print(f"{count:3d} inputs: {_largest_mb():6.0f} MB, {before:.0f} MB before", flush=True)


def _largest_mb() -> float:
    """Largest resident size so far; that of `resource` begins with what the parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _projection(header: fits.Header, box: Box) -> SkyProjection[Any]:
    return SkyProjection.from_fits_wcs(WCS(header), TractFrame(skymap="", tract=0, bbox=box))


def main(folder: Path, peers: str | None) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        work = Path(scratch)
        paths = prepare(folder, work)
        print(f"{'step':58s} {'CPU s':>8s} {'wall s':>8s}")
        theirs, wcs = run_swarp(clock, work, paths)
        box = Box.from_shape(theirs.shape)
        header = wcs.to_header()
        tract = _projection(header, box)
        warps = make_warps(clock, folder, paths, box, tract, work)
        images, oracle, truth = coadd_all(clock, warps, box, tract)
        images["SWarp"] = theirs
        judge(images, oracle, truth)
        ours, swarp = "skyloom: safe-clip coadd, reading included", "SWarp: clipped coadd, files included"
        print(f"safe-clip coadd: {clock.cpu(ours) / clock.cpu(swarp):.2f} of SWarp's CPU time")
        if peers is not None:
            run_ccdproc(clock, peers, warps, 500)
        boxes = [warp.get(component="bbox") for warp in warps]
        sides = [[[one.y.start, one.y.stop], [one.x.start, one.x.stop]] for one in boxes]
        known = {"shape": list(theirs.shape), "wcs": header.tostring(), "boxes": sides}
        (work / "known.json").write_text(json.dumps(known))
        for count in (4, 16, 64):
            subprocess.run([sys.executable, __file__, "--memory", scratch, str(count)], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--memory":
        peak_memory(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
