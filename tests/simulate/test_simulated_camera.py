"""The camera that the simulator draws is the one that `instruments/simulated.yaml` describes to the pipeline."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.images import pixel_to_radec
from skyloom.instruments import Camera
from skyloom.isr.amplifiers import layout_of
from skyloom.simulate import SurveySettings, TrueProjection, make_visits
from skyloom.simulate import camera as simulated


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("simulated")


def test_amplifiers(camera: Camera) -> None:
    assert tuple(camera.detector_ids) == simulated.DETECTORS
    for number in simulated.DETECTORS:
        assert camera.raw_shape(number) == simulated.RAW_SHAPE
        layouts = layout_of(camera.detector(number), simulated.RAW_SHAPE, "")
        for layout, truth in zip(layouts, simulated.AMPLIFIERS, strict=True):
            assert (layout.name, layout.gain) == (truth.name, truth.gain)
            assert layout.trimmed == (slice(0, simulated.CCD_SIZE), truth.data)
            assert layout.data == (slice(0, simulated.CCD_SIZE), truth.raw_data)
            assert layout.serial == (slice(0, simulated.CCD_SIZE), truth.raw_overscan)
            assert layout.parallel is not None
            assert layout.read_noise == simulated.READ_NOISE
            assert layout.saturation_adu == simulated.SATURATION_ADU
            assert (layout.flip_x, layout.flip_y) == (False, False)


@pytest.mark.parametrize("detector", simulated.DETECTORS)
def test_projection_without_distortion(camera: Camera, detector: int) -> None:
    x, y = np.random.default_rng(1).uniform(0, 1023, (2, 50))
    truth = TrueProjection(150.0, 2.2, 17.0)
    described = camera.projection(detector, ra=150.0, dec=2.2, rotation_deg=17.0)
    back = truth.sky_to_pixel(detector, *pixel_to_radec(described, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-6)


def test_headers_are_wrong_by_less_than_the_camera_allows(camera: Camera) -> None:
    visits = make_visits(SurveySettings())
    for visit in visits:
        header = TrueProjection(visit.header_ra_deg, visit.header_dec_deg, visit.header_rotation_deg)
        u, v = header.sky_to_focal_plane(*visit.projection.focal_plane_to_sky(np.zeros(1), np.zeros(1)))
        assert np.hypot(u, v)[0] * simulated.PIXEL_SCALE < 3600 * camera.pointing_error_deg
        assert abs(visit.header_rotation_deg - visit.rotation_deg) < camera.rotation_error_deg
    assert len({visit.zero_point_mag for visit in visits}) == 5
