"""A night of the tiny camera through a short pipeline; each visit may fare in a way of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline

from repo.tiny_camera import TINY, tiny_header
from skyloom.execute import RunRequest, RunSummary, run_pipeline
from skyloom.instruments import Camera
from skyloom.repo.calibrations import import_calibrations, parse_validity
from skyloom.repo.incoming import ingest
from skyloom.repo.regions import update_regions
from skyloom.repo.setup import initialise
from skyloom.repo.skymaps import make_sky_map

HERE = Path(__file__).parent


def make_small_sky_map(butler: Butler, name: str, collections: Any, instrument: str) -> str:
    """A sky map of small patches around the fitted frames."""
    update_regions(butler, collections, instrument)
    make_sky_map(butler, "field", collections, instrument=instrument, patch_size=80, border=5)
    return "field"


class Night:
    """A repository, the folder of its raw frames, and the outcome of its run."""

    def __init__(self, root: Path) -> None:
        self.root, self.raw = root / "repo", root / "raw"
        self.raw.mkdir(parents=True)
        self.camera = Camera.from_yaml(TINY)
        initialise(str(self.root), self.camera)
        flat = root / "flat.fits"
        fits.PrimaryHDU(np.linspace(0.8, 1.2, 600, dtype=np.float32).reshape(30, 20)).writeto(flat)
        self.butler = Butler.from_config(str(self.root))
        with Butler.from_config(str(self.root), writeable=True) as butler:
            for detector in (0, 1):
                validity = parse_validity("2026-01-01", "2026-02-01")
                (done,) = import_calibrations(
                    butler, self.camera, "flat", [flat], validity=validity, detector=detector, physical_filter="r"
                )
                assert done.error is None

    def expose(self, exposure: int, *detectors: int, empty: bool = False, **cards: Any) -> None:
        """Write raw frames; None as the value of a card takes it away."""
        for detector in detectors or (0,):
            rng = np.random.default_rng([exposure, detector])
            pixels = np.full((30, 24), 1000) if empty else rng.normal(1000.0, 10.0, (30, 24))
            header = tiny_header(exposure, detector, **cards)
            fits.PrimaryHDU(pixels.astype(np.uint16), header).writeto(self.raw / f"tiny_{exposure}_{detector}.fits")

    def ingest(self) -> None:
        """Bring in all frames that there are."""
        with Butler.from_config(str(self.root), writeable=True) as butler:
            ingest(butler, self.camera, sorted(self.raw.glob("*.fits")))

    def run(
        self,
        fates: Mapping[int, str],
        refused: Mapping[int, str],
        where: str = "",
        steps: Sequence[str] = (),
        inputs: Sequence[str] = (),
        output: str = "out",
    ) -> RunSummary:
        """Run the pipeline, or some of its tasks, on all that is in the repository."""
        pipeline = Pipeline.from_uri(str(HERE / "short.yaml"))
        pipeline.addConfigOverride("calibrate_image", "fates", dict(fates))
        pipeline.addConfigOverride("jointcal", "refused", dict(refused))
        summary = run_pipeline(
            RunRequest(
                repository=str(self.root),
                pipeline=pipeline,
                name="short",
                inputs=[*inputs, "tiny/defaults"],
                output=output,
                instrument="tiny",
                where=where,
                steps=steps,
                between=make_small_sky_map,
            )
        )
        self.butler.registry.refresh()
        return summary
