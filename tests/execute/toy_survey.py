"""A repository of four numbers for pipelines of toy tasks."""

from __future__ import annotations

from pathlib import Path

from lsst.daf.butler import Butler, CollectionType, DatasetType
from lsst.pipe.base import Pipeline

from skyloom.execute import RunRequest

HERE = Path(__file__).parent
N_DETECTORS = 4


def make_sky(butler: Butler, name: str, collections: object, instrument: str) -> str:
    """Stands for the sky map: one tract."""
    butler.registry.syncDimensionData("skymap", {"name": name, "hash": b"0", "tract_max": 1})
    butler.registry.syncDimensionData("tract", {"skymap": name, "id": 0})
    return name


class Survey:
    """A repository of four numbers, and a folder of switches that say how the tasks fare."""

    def __init__(self, root: Path) -> None:
        self.root = root / "repo"
        self.switches = root / "switches"

    def make(self, n_detectors: int = N_DETECTORS) -> None:
        self.switches.mkdir(parents=True)
        butler = Butler.from_config(Butler.makeRepo(str(self.root)), writeable=True)
        registry = butler.registry
        registry.insertDimensionData("instrument", {"name": "toy", "detector_max": 1000, "class_name": "none"})
        registry.insertDimensionData(
            "detector", *({"instrument": "toy", "id": one, "full_name": str(one)} for one in range(n_detectors))
        )
        registry.registerDatasetType(
            DatasetType("number", ("instrument", "detector"), "StructuredDataDict", universe=butler.dimensions)
        )
        butler.collections.register("toy/defaults", CollectionType.RUN)
        for one in range(n_detectors):
            number = {"value": one + 0.25, "switch": str(self.switches / str(one))}
            butler.put(number, "number", instrument="toy", detector=one, run="toy/defaults")

    def switch(self, **ways: str) -> None:
        for path in self.switches.iterdir():
            path.unlink()
        for name, way in ways.items():
            (self.switches / name.removeprefix("d")).write_text(way)

    def butler(self, collections: str) -> Butler:
        return Butler.from_config(str(self.root), collections=collections)

    def request(self, output: str, **changes: object) -> RunRequest:
        pipeline = changes.pop("pipeline", None) or Pipeline.from_uri(str(HERE / "dummy.yaml"))
        settings = {
            "repository": str(self.root),
            "pipeline": pipeline,
            "name": "dummy",
            "inputs": ["toy/defaults"],
            "output": output,
            "instrument": "toy",
            "skymap": "flat",
            "between": make_sky,
        }
        return RunRequest(**(settings | changes))  # type: ignore[arg-type]
