"""What the simulator draws is what the camera's description tells the pipeline, for any described camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from skyloom.errors import CameraError
from skyloom.images import pixel_to_radec
from skyloom.instruments import Camera
from skyloom.simulate import Mosaic, SurveySettings, TrueProjection, VisitSettings, make_visits

SIMULATED = Camera.read("simulated")


def with_changes(**changes: str) -> Camera:
    text = SIMULATED.to_yaml()
    for old, new in changes.items():
        text = text.replace(f"{old}:", f"{old}: {new} #")
    return Camera.from_yaml(text)


CAMERAS: dict[str, Callable[[], Camera]] = {
    "simulated": lambda: SIMULATED,
    "mirrored": lambda: Camera.from_yaml(SIMULATED.to_yaml() + "\nflipped: true\n"),
    "turned": lambda: with_changes(position_angle="120 deg"),
    "other way": lambda: Camera.from_yaml(SIMULATED.to_yaml() + "\nrotator_sign: -1\n"),
}


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("detector", [0, 2])
def test_projection_without_distortion(name: str, detector: int) -> None:
    camera = CAMERAS[name]()
    mosaic, described = Mosaic.of(camera), camera.description
    x, y = np.random.default_rng(1).uniform(0, 1023, (2, 50))
    angle = described.position_angle + described.rotator_sign * 17.0
    truth = TrueProjection(mosaic=mosaic, ra_deg=150.0, dec_deg=2.2, rotation_deg=angle)
    projection = camera.projection(detector, ra=150.0, dec=2.2, rotation_deg=17.0)
    back = truth.sky_to_pixel(mosaic.ccds[detector], *pixel_to_radec(projection, x, y))
    np.testing.assert_allclose(back, (x, y), atol=1e-6)


def test_headers_are_wrong_by_less_than_the_camera_allows() -> None:
    mosaic = Mosaic.of(SIMULATED)
    visits = make_visits(SurveySettings(), mosaic)
    for visit in visits:
        header = TrueProjection(
            mosaic=mosaic,
            ra_deg=visit.header_ra_deg,
            dec_deg=visit.header_dec_deg,
            rotation_deg=visit.header_rotation_deg,
        )
        u, v = header.sky_to_focal_plane(*visit.projection(mosaic).focal_plane_to_sky(np.zeros(1), np.zeros(1)))
        assert np.hypot(u, v)[0] * mosaic.pixel_scale < 3600 * SIMULATED.pointing_error_deg
        assert abs(visit.header_rotation_deg - visit.rotation_deg) < SIMULATED.rotation_error_deg
    assert len({visit.zero_point_mag for visit in visits}) == 5


def test_clouds_dim_every_visit_by_its_own() -> None:
    settings = SurveySettings(visits=VisitSettings(cloud_mag=0.3, cloud_gradient=0.1))
    visits = make_visits(settings, Mosaic.of(SIMULATED))
    assert all(0 <= visit.cloud_mag <= 0.3 for visit in visits)
    assert len({visit.cloud_mag for visit in visits}) == len(visits)
    assert all(0 < np.hypot(*visit.cloud_gradient) <= 0.1 for visit in visits)


def test_a_camera_without_raw_frames_is_refused() -> None:
    with pytest.raises(CameraError, match="without instrument signature"):
        Mosaic.of(Camera.read("sdss"))


def test_a_band_without_filter_is_refused() -> None:
    with pytest.raises(CameraError, match="no filter of the band 'z'"):
        Mosaic.of(SIMULATED).filter_of("z")
