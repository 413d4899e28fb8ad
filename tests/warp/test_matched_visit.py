"""The warp of a visit of two detectors matched to a model, detector by detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matched_visits import FLUX, STARS_X, STARS_Y, moffat_psf, visit_warp

from skyloom.errors import PsfError
from skyloom.images import Exposure, bitmask
from skyloom.psf import CoaddPsf, ModelPsfSettings, psf_sigma
from skyloom.warp import MatchedWarp, PsfMatchSettings, match_visit_warp

FEW_CELLS = PsfMatchSettings(spatial_order=2)


@pytest.fixture(scope="module")
def warp() -> Exposure:
    return visit_warp({0: moffat_psf(3.4, 3.5, 0.08), 1: moffat_psf(4.6, 2.8, -0.05)})


@pytest.fixture(scope="module")
def matched(warp: Exposure) -> MatchedWarp:
    return match_visit_warp(warp, FEW_CELLS)


def star_errors(picture: Exposure) -> list[float]:
    """Largest difference of each star from the PSF, in units of its peak."""
    assert isinstance(picture.psf, CoaddPsf)
    stamps, x0, y0 = picture.psf.stamps(STARS_X, STARS_Y)
    size, errors = stamps.shape[1], []
    for stamp, left, bottom in zip(stamps, x0 - picture.bbox.x.start, y0 - picture.bbox.y.start, strict=True):
        star = picture.image.array[bottom : bottom + size, left : left + size] / FLUX
        errors.append(float(np.abs(star - stamp).max() / stamp.max()))
    return errors


def test_stars_of_both_detectors_are_the_model(warp: Exposure, matched: MatchedWarp) -> None:
    assert max(star_errors(matched.warp)) < 0.007
    assert matched.warp.psf is not None
    assert psf_sigma(matched.warp.psf) == pytest.approx(7.7 / 2.3548, rel=1e-3)
    assert not matched.failures
    assert sorted(matched.kernels) == [0, 1]
    assert matched.warp.metadata["psf_match_residual"] == max(k.residual for k in matched.kernels.values())
    # What the stars were is something else.
    assert psf_sigma(warp.psf) < 0.7 * psf_sigma(matched.warp.psf)


def test_no_kernel_reaches_across_the_gap(warp: Exposure, matched: MatchedWarp) -> None:
    before, after = np.isnan(warp.image.array), np.isnan(matched.warp.image.array)
    assert (after[before]).all()
    row = 150
    gap = np.flatnonzero(before[row, 100:350]) + 100
    lost = np.flatnonzero(after[row, 100:350]) + 100
    assert 5 <= gap[0] - lost[0] <= 11
    assert 5 <= lost[-1] - gap[-1] <= 11
    assert (matched.warp.bits[after] & bitmask("NO_DATA")).all()
    assert np.isinf(matched.warp.variance.array[after]).all()
    # A bright pixel at the border of a detector changes nothing on the other one.
    lit = warp.copy()
    column = gap[0] - 1
    lit.image.array[row, column] += 1e7
    other = match_visit_warp(lit, FEW_CELLS).warp.image.array
    changed = np.abs(np.nan_to_num(other - matched.warp.image.array)) > 0.0
    assert changed[:, :column].any()
    assert not changed[:, gap[-1] :].any()


def test_inputs_and_psf_know_what_is_left(warp: Exposure, matched: MatchedWarp) -> None:
    result = matched.warp
    assert isinstance(result.psf, CoaddPsf)
    assert result.inputs is not None
    assert list(result.inputs["detector"]) == [0, 1]
    assert result.inputs["n_pixels"].sum() == np.isfinite(result.image.array).sum()
    assert (result.inputs["n_pixels"] < warp.inputs["n_pixels"]).all()
    assert warp.inputs["n_pixels"].sum() == np.isfinite(warp.image.array).sum()
    y, x = np.mgrid[result.bbox.y.start : result.bbox.y.stop : 7, result.bbox.x.start : result.bbox.x.stop : 7]
    known = result.psf.n_inputs(x.ravel(), y.ravel()).reshape(x.shape)
    np.testing.assert_array_equal(known == 1, np.isfinite(result.image.array[::7, ::7]))
    assert (result.bbox, result.unit, result.band) == (warp.bbox, warp.unit, warp.band)


def test_detector_that_cannot_be_matched_is_left_out() -> None:
    warp = visit_warp({0: moffat_psf(3.4, 3.5, 0.0), 1: moffat_psf(6.5, 3.5, 0.0)})
    settings = replace(FEW_CELLS, model=ModelPsfSettings(fwhm=5.0, wing=False))
    result = match_visit_warp(warp, settings)
    assert sorted(result.kernels) == [0]
    assert "at least" in result.failures[1].cure
    assert result.warp.inputs is not None
    assert list(result.warp.inputs["detector"]) == [0]
    middle = warp.bbox.x.size // 2
    assert np.isnan(result.warp.image.array[:, middle + 20 :]).all()
    with pytest.raises(PsfError, match="cannot be turned"):
        match_visit_warp(visit_warp({1: moffat_psf(6.5, 3.5, 0.0)}), settings)


def test_warp_without_psfs_is_refused(warp: Exposure) -> None:
    bare = warp.copy()
    bare.psf = None
    with pytest.raises(PsfError, match="does not know the PSFs"):
        match_visit_warp(bare)
