"""The summary of a visit: written by the task in a repository, read back, and held against the frames."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import numpy as np
import pytest
from astropy.io.fits import Header
from astropy.table import Table
from lsst.daf.butler import Butler, Config, DatasetType
from lsst.images import ObservationSummaryStats
from lsst.pipe.base import Pipeline
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor

from fixtures import samples
from skyloom.images import corner_polygon, pixel_to_radec, projection_from_header, to_visit_image
from skyloom.skymap import convex_polygon

VISIT = {"instrument": "tiny", "visit": 42}


def frame(shift: float):
    exposure = samples.calibrated()
    ra, dec = corner_polygon(exposure.projection, exposure.bbox)
    exposure.summary = ObservationSummaryStats(
        ra=10.0, dec=-5.0, psfSigma=1.5 + shift, zeroPoint=30.4, raCorners=tuple(ra), decCorners=tuple(dec), nPsfStar=7
    )
    exposure.metadata |= {"astrometry_rms_arcsec": 0.03, "n_astrometry_matches": 40}
    return exposure


@pytest.fixture(scope="module")
def butler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    """Two calibrated detectors of three."""
    root = str(tmp_path_factory.mktemp("summary") / "repo")
    Butler.makeRepo(root, config=Config(str(files("skyloom.repo") / "seed.yaml")))
    with Butler.from_config(root, writeable=True, run="frames") as butler:
        insert = butler.registry.insertDimensionData
        insert("instrument", {"name": "tiny", "visit_max": 99, "detector_max": 9, "class_name": "x"})
        insert("physical_filter", {"instrument": "tiny", "name": "r", "band": "r"})
        insert("detector", *({"instrument": "tiny", "id": one, "full_name": f"{one}"} for one in (3, 4, 5)))
        insert("day_obs", {"instrument": "tiny", "id": 20260101})
        insert("visit", {"instrument": "tiny", "id": 42, "name": "42", "physical_filter": "r", "day_obs": 20260101})
        region = convex_polygon(*corner_polygon(samples.calibrated().projection, samples.BOX))
        insert("visit_detector_region", *({**VISIT, "detector": one, "region": region} for one in (3, 4, 5)))
        dimensions = ("instrument", "visit", "detector")
        butler.registry.registerDatasetType(
            DatasetType("initial_pvi", dimensions, "VisitImage", universe=butler.dimensions)
        )
        for detector, shift in ((5, 0.25), (3, 0.0)):
            butler.put(to_visit_image(frame(shift)), "initial_pvi", VISIT, detector=detector)
        yield butler


@pytest.fixture(scope="module")
def table(butler: Butler) -> Table:
    pipeline = Pipeline("summary")
    pipeline.addTask("skyloom.tasks.VisitSummaryTask", "visit_summary")
    writer = butler.clone(run="summaries", collections=["frames"])
    executor = SimplePipelineExecutor.from_pipeline(pipeline, butler=writer)
    executor.run(register_dataset_types=True)
    return butler.get("visit_summary", VISIT, collections="summaries")


def test_there_is_a_row_for_each_calibrated_detector(table: Table) -> None:
    assert list(table["detector"]) == [3, 5]
    assert list(table["psf_sigma"]) == [1.5, 1.75]
    assert list(table["zero_point_mag"]) == [30.4, 30.4]
    assert list(table["n_psf_stars"]) == [7, 7]
    assert list(table["astrometry_rms_arcsec"]) == [0.03, 0.03]
    assert list(table["n_astrometry_matches"]) == [40, 40]


def test_the_columns_have_units_and_descriptions(table: Table) -> None:
    assert str(table["ra_corners"].unit) == "deg"
    assert str(table["sky_noise"].unit) == "electron"
    assert all(column.info.description for column in table.itercols())


def test_the_corners_and_the_box_are_those_of_the_whole_frame(table: Table) -> None:
    exposure = frame(0.0)
    ra, dec = corner_polygon(exposure.projection, exposure.bbox)
    np.testing.assert_array_equal(table["ra_corners"][0], ra)
    np.testing.assert_array_equal(table["dec_corners"][0], dec)
    assert [table[name][0] for name in ("x0", "y0", "x1", "y1")] == [0, 0, 12, 10]


def test_the_header_gives_the_wcs_back(table: Table) -> None:
    exposure = frame(0.0)
    header = Header.fromstring(table["wcs"][1], sep="\n")
    read = projection_from_header(header, exposure.projection.pixel_frame)
    x, y = np.array([0.0, 11.0, 5.5]), np.array([0.0, 9.0, 3.25])
    got, expected = pixel_to_radec(read, x, y), pixel_to_radec(exposure.projection, x, y)
    assert np.abs(np.array(got) - np.array(expected)).max() * 3600 / 0.25 < table["wcs_residual"][1] + 1e-6
