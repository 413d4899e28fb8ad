"""A frame looks for its reference stars where its header may be wrong by, whatever a fit made of its region."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.table import Table
from lsst.daf.butler import Butler
from tiny_camera import TINY, WriteFrame

from skyloom.catalog.htm import shard_ids
from skyloom.instruments import Camera
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.refcat import RefcatImport, import_refcat
from skyloom.repo.reference_shards import find_reference_shards
from skyloom.repo.setup import initialise
from skyloom.skymap import convex_polygon


@pytest.fixture
def butler(tmp_path):
    """A repository whose camera may point a degree off, with stars over eight degrees."""
    initialise(str(tmp_path / "wide"), Camera.from_yaml(TINY.replace("2 arcmin", "1 deg")))
    ra, dec = (axis.ravel() for axis in np.meshgrid(np.linspace(146, 154, 81), np.linspace(-2, 6, 81)))
    Table({"ra": ra, "dec": dec, "mag": np.full(ra.size, 15.0)}).write(tmp_path / "stars.csv")
    with Butler.from_config(str(tmp_path / "wide"), writeable=True) as butler:
        spec = RefcatImport(name="grid", system="AB", epoch_year=2026.0, magnitudes={"r": "mag"})
        import_refcat(butler, [tmp_path / "stars.csv"], spec)
        yield butler


def shards(butler: Butler, detector: int = 0) -> list[int]:
    data_id = butler.registry.expandDataId(instrument="tiny", visit=5, detector=detector)
    collections = ["tiny/defaults", "refcats"]
    found = find_reference_shards(butler.get_dataset_type("refcat"), butler.registry, data_id, collections)
    return [int(ref.dataId["htm7"]) for ref in found]


def test_a_fit_does_not_change_where_references_are_looked_for(butler: Butler, write_frame: WriteFrame) -> None:
    camera = Camera.from_yaml(TINY.replace("2 arcmin", "1 deg"))
    ingest_raws(butler, camera, [write_frame(5, 0)])
    before = shards(butler)
    angle = np.linspace(0, 2 * np.pi, 40)
    rim = shard_ids(150.0 + np.cos(angle), 2.0 + np.sin(angle))
    assert set(rim) <= set(before)
    assert shard_ids(153.5, -1.5)[0] not in before
    corners = np.array([150.90, 150.95, 150.95, 150.90]), np.array([2.0, 2.0, 2.05, 2.05])
    record = {"instrument": "tiny", "visit": 5, "detector": 0, "region": convex_polygon(*corners)}
    butler.registry.syncDimensionData("visit_detector_region", record, update=True)
    (visit,) = butler.query_dimension_records("visit", instrument="tiny", visit=5)
    butler.registry.syncDimensionData("visit", {**visit.toDict(), "region": record["region"]}, update=True)
    with Butler.from_config(butler._config.configDir.ospath) as again:
        assert shards(again) == before
