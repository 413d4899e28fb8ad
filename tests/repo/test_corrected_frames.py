"""Frames that another pipeline has corrected, beside the raw ones of the same exposures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler, CollectionType
from lsst.pipe.base import LabelSpecifier, Pipeline
from tiny_camera import TINY, WriteFrame, tiny_header

from skyloom.errors import BadFrameError
from skyloom.execute.graph import build_graph
from skyloom.images import bitmask, from_post_isr
from skyloom.instruments import Camera
from skyloom.pipelines import load_pipeline
from skyloom.repo.incoming import ingest
from skyloom.repo.ingest import ingest_raws
from skyloom.repo.setup import initialise

DESCRIPTION = """
corrected:
  recognise: "get('DONE', '') == 'FLAT'"
  gain: 3.0
  blank: 0
  saturation: 0.5
  keep: [DONE, MASKFILE]
masters:
  recognise: "has('NCOMBINE')"
"""


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.from_yaml(TINY + DESCRIPTION)


@pytest.fixture
def butler(tmp_path: Path, camera: Camera) -> Butler:
    initialise(str(tmp_path / "repo"), camera)
    return Butler.from_config(str(tmp_path / "repo"), writeable=True)


def corrected(path: Path, exposure: int, shape: tuple[int, int] = (30, 24)) -> Path:
    """Counts of 100 in the data, none in the overscan; a dead pixel, and one at 60 % of the saturation level."""
    image = np.zeros(shape, np.float32)
    image[:, :20] = 100.0
    image[3, 4], image[5, 6] = 0.0, 30000.0
    header = tiny_header(exposure, 0, DONE="FLAT", MASKFILE="mask.fits[0]")
    fits.PrimaryHDU(image, header).writeto(path)
    return path


def exposures(butler: Butler, pipeline: Pipeline, task: str) -> set[int]:
    """Exposures, or visits, of which a task would work."""
    graph = pipeline.subsetFromLabels(LabelSpecifier(labels={task})).to_graph()
    butler.collections.register("u/run", CollectionType.RUN)
    predicted = build_graph(butler, graph, where="", inputs=["tiny/defaults"], run="u/run", output="u")
    quanta = predicted.quanta_by_task[task]
    return {int(dict(data_id.required).get("exposure", data_id.get("visit"))) for data_id in quanta}


@pytest.mark.parametrize("shape", [(30, 24), (30, 20)], ids=["as raw", "trimmed"])
def test_to_electrons_of_the_common_gain(
    butler: Butler, camera: Camera, tmp_path: Path, shape: tuple[int, int]
) -> None:
    assert ingest(butler, camera, [corrected(tmp_path / "a.fits", 5, shape)]).ingested == 1
    stored = butler.get("post_isr", instrument="tiny", exposure=5, detector=0, collections="tiny/post_isr")
    exposure = from_post_isr(stored)
    image, variance, bits = exposure.image.array, exposure.variance.array, exposure.bits
    assert image.shape == (30, 20)
    assert image[0, 0] == pytest.approx(300.0)
    # The amplifier's own gain is 2 and its read noise 4: 200 electrons, of a variance of 216, are called 300.
    assert variance[0, 0] == pytest.approx(1.5**2 * 216.0)
    assert bits[3, 4] == bitmask("BAD", "INTRP")
    assert image[3, 4] == pytest.approx(300.0)
    assert np.isposinf(variance[3, 4])
    assert bits[5, 6] & bitmask("SAT")
    assert not bits[6:].any()
    assert (exposure.metadata["DONE"], exposure.metadata["MASKFILE"]) == ("FLAT", "mask.fits[0]")


def test_pipelines_take_the_frames_that_they_begin_with(
    butler: Butler, camera: Camera, write_frame: WriteFrame, tmp_path: Path
) -> None:
    paths = [write_frame(5, 0), write_frame(6, 0), corrected(tmp_path / "a.fits", 5), corrected(tmp_path / "b.fits", 7)]
    result = ingest(butler, camera, paths)
    assert (result.ingested, result.visits, result.rejected) == (4, 3, [])
    assert ingest(butler, camera, paths).known == 4
    assert exposures(butler, load_pipeline("drp"), "isr") == {5, 6}
    assert exposures(butler, load_pipeline("drp_post_isr"), "calibrate_image") == {5, 7}


def test_raw_ingest_alone_leaves_them_out(butler: Butler, camera: Camera, tmp_path: Path) -> None:
    result = ingest_raws(butler, camera, [corrected(tmp_path / "a.fits", 5)])
    assert result.ingested == 0
    assert "no raw one" in str(result.rejected[0].error)


def test_contradicting_frames_are_left_out(
    butler: Butler, camera: Camera, write_frame: WriteFrame, tmp_path: Path
) -> None:
    path = corrected(tmp_path / "a.fits", 5)
    fits.setval(path, "FILTER", value="g")
    result = ingest(butler, camera, [write_frame(5, 0), path])
    assert result.ingested == 1
    assert "has filter, type and time" in str(result.rejected[0].error)


def test_masters_are_no_exposures(butler: Butler, camera: Camera, write_frame: WriteFrame) -> None:
    result = ingest(butler, camera, [write_frame(5, 0, IMGTYPE="bias", NCOMBINE=11)])
    (rejection,) = result.rejected
    assert isinstance(rejection.error, BadFrameError)
    assert "calibs import" in rejection.error.cure
