"""Circles around frames, and tracts added to those of a sky map."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.skymap import DiscreteSkyMap, enclosing_circles
from skymap.whole_sky import separation

HALF = 100 * 0.2 / 3600


def frames(*centres: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Corners of frames of 200 x 200 pixels of 0.2 arcsec."""
    ra, dec = np.array(centres).T[:, :, np.newaxis]
    across = HALF / np.cos(np.radians(dec))
    return ra + across * [-1, 1, 1, -1], dec + HALF * np.array([-1, -1, 1, 1])


def test_one_tract_holds_neighbouring_frames_and_further_ones_come_after_it() -> None:
    near, far = frames((10.0, 0.0), (11.0, 1.0)), frames((20.0, 10.0))
    skymap = DiscreteSkyMap(name="a", tracts=enclosing_circles(*near), pixel_scale=0.2)
    assert len(skymap) == 1
    assert skymap.tract(0).contains(*near).all()
    assert separation(skymap.tract(0).ra, skymap.tract(0).dec, 10.5, 0.5) < 0.01
    # Half the diagonal of a degree by a degree, and of a frame
    assert skymap.tracts[0].radius == pytest.approx(np.hypot(0.5 + HALF, 0.5 + HALF), abs=2e-4)
    more = skymap.with_tracts(enclosing_circles(*far), "b")
    assert len(more) == 2
    assert more.name == more.tract(0).skymap == "b"
    assert more.tract(1).contains(*far).all()
    assert np.array_equal(more.tract(0).vertices, skymap.tract(0).vertices)
    assert [p.outer_bbox for p in more.tract(0).patches()] == [p.outer_bbox for p in skymap.tract(0).patches()]
    assert more.sha1 != skymap.sha1


def test_groups_and_margins() -> None:
    corners = frames((359.9, 0.0), (0.1, 0.0), (5.0, 0.0))
    assert [len(enclosing_circles(*corners, max_gap=gap)) for gap in (0.1, 1.0, 10.0)] == [3, 2, 1]
    circle, wider = (enclosing_circles(*corners, margin=margin)[0] for margin in (0.0, 0.5))
    assert circle.ra in (0.0, 360.0)
    assert wider.radius - circle.radius == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize("rotation", [30.0, 45.0, 90.0])
def test_rotated_tracts_hold_the_frames(rotation: float) -> None:
    corners = frames((10.0, 60.0), (11.0, 61.0), (9.0, 61.0), (10.0, 62.0))
    circles = enclosing_circles(*corners, rotation=rotation)
    fields = {"name": "a", "pixel_scale": 0.2, "patch_size": 10, "rotation": rotation}
    assert DiscreteSkyMap.from_dict({**fields, "tracts": circles}).contains(*corners).all()
    if rotation == 45.0:
        narrow = enclosing_circles(*corners)
        assert not DiscreteSkyMap.from_dict({**fields, "tracts": narrow}).contains(*corners).all()


def test_no_frame_and_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match="no frame"):
        enclosing_circles(np.empty((0, 4)), np.empty((0, 4)))
    chain = frames(*((ra, 0.0) for ra in np.arange(0.0, 24.0, 2.5)))
    with pytest.raises(ValueError, match="too wide for a tangent plane"):
        enclosing_circles(*chain)
