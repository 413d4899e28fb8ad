"""`solve_blind`: guesses off by up to a degree, turned and mirrored; and what must never be accepted."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_fields import circle, draw, solve_in_two_stages, wrong_by_px
from lsst.images import Box
from simulated_field import camera, error_arcsec, projection, simulate

from skyloom.astrometry import AstrometrySettings, BlindSettings, from_tangent_plane, solve_astrometry, solve_blind
from skyloom.errors import AstrometryError, NoReferenceError

BOX = Box.factory[0:1000, 0:1400]
SCALE = 0.5
SEEDS = (1, 6, 7, 8, 12, 13, 18, 19, 23)
"""Frames with small catalogues, for the sake of time."""


def shifted(ra, dec, shift_deg, angle):
    ra, dec = from_tangent_plane(shift_deg * np.cos(angle), shift_deg * np.sin(angle), ra, dec)
    return float(ra), float(dec)


def make(seed, *, ra=80.0, dec=-30.0, shift=0.9, rotation=77.0, mirrored=True, scale=1.04, **how):
    rng = np.random.default_rng(seed)
    truth = camera(
        *shifted(ra, dec, shift, 1.0), SCALE * scale, box=BOX, rotation=rotation, mirrored=mirrored, distortion_px=1.5
    )
    return simulate(rng, truth, BOX, reach_deg=1.0, **{"n_stars": 50} | how), camera(ra, dec, SCALE, box=BOX)


def blind(field, guess, reference=None, **settings):
    return solve_blind(
        field.x, field.y, field.flux, circle(field) if reference is None else reference, projection(guess, BOX),
        box=BOX, settings=AstrometrySettings(**settings),
    )  # fmt: skip


@pytest.mark.parametrize(("ra", "dec"), [(80.0, -30.0), (359.9, 10.0), (200.0, 89.5)])
def test_far_off_turned_scaled_and_mirrored(ra, dec):
    field, guess = make(1, ra=ra, dec=dec, contamination=0.4, completeness=0.8)
    with pytest.raises((AstrometryError, NoReferenceError)):
        solve_astrometry(field.x, field.y, field.flux, field.reference, projection(guess, BOX), box=BOX)
    found = blind(field, guess)
    assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE
    assert found.verdict.mirrored
    assert found.verdict.shift_arcsec == pytest.approx(0.9 * 3600.0, rel=0.01)
    assert found.verdict.scale_factor == pytest.approx(1.04, abs=0.003)
    assert found.log10_chance < -10.0


def test_rotation_and_parity_are_told():
    field, guess = make(2, rotation=100.0, mirrored=False, scale=1.0, shift=0.0)
    found = blind(field, guess).verdict
    assert not found.mirrored
    # As seen in the pixels of the guess, whose parity is that of the sky: east to the left.
    assert abs(found.rotation_deg) == pytest.approx(100.0, abs=0.1)


def test_a_dense_catalogue_takes_a_moment():
    field, guess = make(3, n_stars=900, depth=2.0, completeness=0.9)
    assert len(field.reference) > 40_000
    found = solve_blind(
        field.x, field.y, field.flux, field.reference, projection(guess, BOX), box=BOX, blind=BlindSettings()
    )
    assert error_arcsec(found.projection, field.truth, BOX)[1] < 0.5 * SCALE


def test_references_are_asked_for_once_in_a_circle():
    field, guess = make(4)
    asked = []

    def load(ra, dec, radius):
        asked.append((ra, dec, radius))
        return circle(field)(ra, dec, radius)

    blind(field, guess, load)
    ((ra, dec, radius),) = asked
    assert (ra, dec) == pytest.approx((80.0, -30.0), abs=1e-6)
    assert 1.1 < radius < 1.2


def test_the_distortion_of_the_camera_is_kept():
    rng = np.random.default_rng(5)
    truth = camera(*shifted(80.0, -30.0, 0.4, 2.0), SCALE, box=BOX, rotation=200.0, distortion_px=15.0)
    field = simulate(rng, truth, BOX, n_stars=25, noise_px=0.02, reach_deg=0.6)
    guess = camera(80.0, -30.0, SCALE, box=BOX, distortion_px=15.0)
    found = blind(field, guess, fit="affine")
    assert found.verdict.order == 1
    assert error_arcsec(found.projection, truth, BOX)[1] < 0.2 * SCALE


def test_what_is_beyond_the_limits_is_refused():
    field, guess = make(6, shift=1.3)
    with pytest.raises(AstrometryError, match="any orientation within 1 deg"):
        blind(field, guess)
    field, guess = make(7, scale=1.08)
    with pytest.raises(AstrometryError, match="any orientation within 1 deg"):
        blind(field, guess)
    field, guess = make(8, shift=0.1)
    with pytest.raises(NoReferenceError):
        blind(field, guess, field.reference[:3])
    field.x, field.y, field.flux = field.x[:4], field.y[:4], field.flux[:4]
    with pytest.raises(AstrometryError, match="4 stars"):
        blind(field, guess)


def test_two_stages_find_the_drawn_frames_and_never_another_field():
    """The first of the frames of ``bench/accuracy_astrometry.py``."""
    missed, wrong, accepted = [], [], []
    for seed in SEEDS:
        drawn = draw(seed, max_references=8000)
        found, _ = solve_in_two_stages(drawn)
        if found is None and drawn.solvable:
            missed.append(seed)
        if found is not None and wrong_by_px(drawn, found) > 5.0:
            wrong.append(seed)
        if solve_in_two_stages(draw(seed, wrong=True, max_references=8000))[0] is not None:
            accepted.append(seed)
    assert (missed, wrong, accepted) == ([], [], [])


def test_eight_stars_in_common_are_enough_when_their_fluxes_agree():
    """Frames of ``bench/accuracy_astrometry.py`` turned by any angle, whose places alone might agree by chance."""
    for seed in (214, 878, 1519):
        drawn = draw(seed)
        assert drawn.field.n_common == 8
        found, _ = solve_in_two_stages(drawn)
        assert found is not None
        assert wrong_by_px(drawn, found) < 5.0
    refusals = []
    drawn = draw(214)
    drawn.field.flux = np.random.default_rng(9).permutation(drawn.field.flux)
    assert solve_in_two_stages(drawn, refusals=refusals)[0] is None
    assert "chance probability" in str(refusals[-1])
