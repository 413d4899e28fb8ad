"""Gain and noise of photon-transfer curves against those of the simulated amplifiers."""

from __future__ import annotations

import numpy as np
import pytest
from flat_ramp import GAINS, PLAIN, flat, ramp, ready
from scipy import ndimage

from skyloom.calibs import Measured, PtcSettings, make_ptc
from skyloom.calibs.photon_transfer import fit_photon_transfer
from skyloom.errors import BadFrameError
from skyloom.images.raw import RawExposure
from skyloom.simulate import DetectorSettings
from skyloom.simulate.charge import brighter_fatter_kernel

LEVELS = np.linspace(12, 290, 24) ** 2
FATTER = DetectorSettings(bias_structure_adu=0.0, hot_pixels=5, brighter_fatter=0.05)
A00 = -4 * 0.05 / 1e5  # each of four sides loses the strength for each of 1e5 electrons


@pytest.fixture(scope="module")
def frames() -> list[RawExposure]:
    return [*ramp(LEVELS, detector=FATTER), flat(90, 500.0), flat(91, 1.3e5), flat(92, 1.3e5)]


@pytest.fixture(scope="module")
def ptc(frames: list[RawExposure]) -> Measured:
    return make_ptc(ready(frames))


def test_gain_and_noise_are_those_of_the_detector(ptc: Measured) -> None:
    for name, noise in (("A", 8.0), ("B", 5.0)):
        found = ptc.data["amplifiers"][name]
        assert found["gain_error"] < 0.006 * GAINS[name]
        # The simulator's law of the variance differs in its third order from that of the fit.
        assert abs(found["gain"] - GAINS[name]) < 3 * found["gain_error"] + 0.005 * GAINS[name]
        assert found["read_noise_error"] < 0.06 * noise
        assert abs(found["read_noise"] - np.hypot(noise, GAINS[name] / np.sqrt(12))) < 3 * found["read_noise_error"]
        assert found["a00"] == pytest.approx(A00, rel=0.15)
        assert found["reduced_chi2"] < 3.0


def test_a_straight_line_would_be_wrong_and_a_polynomial_is_not(frames: list[RawExposure], ptc: Measured) -> None:
    polynomial = make_ptc(ready(frames), settings=PtcSettings(model="POLYNOMIAL", lags=1)).data["amplifiers"]
    for name, truth in GAINS.items():
        found = ptc.data["amplifiers"][name]
        used = np.array(found["used"])
        levels, variances = np.array(found["levels_adu"])[used], np.array(found["variances_adu2"])[used]
        line = 1.0 / np.polyfit(levels, variances, 1, w=1.0 / variances)[0]
        assert line > 1.03 * truth
        assert abs(polynomial[name]["gain"] - truth) < 3 * polynomial[name]["gain_error"]


def test_covariances_are_of_the_effect_and_the_rest_is_told(ptc: Measured) -> None:
    coefficients = np.mean([one["coefficients"] for one in ptc.data["amplifiers"].values()], axis=0)
    errors = np.mean([one["coefficient_errors"] for one in ptc.data["amplifiers"].values()], axis=0) / np.sqrt(2)
    assert coefficients.shape == errors.shape == (9, 9)
    assert coefficients[0, 0] == pytest.approx(A00, rel=0.15)
    potential, lags = brighter_fatter_kernel(0.05), ([0, 1, 1, 0, 2], [1, 0, 1, 2, 0])
    truth = np.asarray(ndimage.laplace(potential))[8:, 8:]
    near_error = np.sqrt((errors[lags] ** 2).sum())
    assert coefficients[lags].sum() > 5 * near_error
    assert abs(coefficients[lags].sum() - truth[lags].sum()) < 4 * near_error
    assert list(ptc.left_out) == ["flat_90.fits"]
    assert len(ptc.frames) == 2 * len(LEVELS) + 2
    for name, gain in GAINS.items():
        assert ptc.figures[f"full_well_reached_{name}"] == 1.0
        assert ptc.figures[f"full_well_adu_{name}"] == pytest.approx(LEVELS[-1] / gain, rel=0.01)
        assert np.shape(ptc.data["amplifiers"][name]["covariances_adu2"]) == (len(LEVELS) + 1, 3, 3)


@pytest.mark.parametrize("model", ["EXPONENTIAL", "POLYNOMIAL"])
def test_exact_curves_are_recovered_and_outliers_do_not_count(model: str) -> None:
    gain, a, noise = 2.0, -3e-6, 30.0
    x = np.linspace(100, 40000, 20)
    law = {
        "EXPONENTIAL": np.expm1(2 * a * gain * x) / (2 * gain**2 * a),
        "POLYNOMIAL": x / gain + a * x**2 + 2e-12 * x**3,
    }
    y = law[model] + noise
    errors = 1e-3 * y
    y[7] *= 1.2
    fit = fit_photon_transfer(x, y, errors, model=model)
    assert fit.gain == pytest.approx(gain, rel=1e-6)
    assert fit.a00 == pytest.approx(a, rel=1e-4)
    assert fit.noise_adu2 == pytest.approx(noise, rel=1e-4)
    assert not fit.used[7]
    assert fit.used.sum() == 19
    assert np.isnan(fit_photon_transfer(x[:3], y[:3], errors[:3], model=model).gain)


def test_errors_are_the_scatter_of_many_curves() -> None:
    rng, x = np.random.default_rng(3), np.linspace(100, 40000, 20)
    y = np.expm1(-1.2e-5 * x) / (-2.4e-5) + 30.0
    fits = [fit_photon_transfer(x, rng.normal(y, 0.01 * y), 0.01 * y) for _ in range(300)]
    for value, error in (("gain", "gain_error"), ("noise_adu2", "noise_error_adu2"), ("a00", "a00_error")):
        scatter = np.std([getattr(fit, value) for fit in fits])
        assert np.median([getattr(fit, error) for fit in fits]) == pytest.approx(scatter, rel=0.25)
    assert np.mean([fit.gain for fit in fits]) == pytest.approx(2.0, rel=2e-3)


def test_a_dead_amplifier_is_told_and_only_dead_ones_are_refused(frames: list[RawExposure]) -> None:
    levels = [1000.0, 4000.0, 9000.0, 20000.0, 40000.0, 60000.0]
    lit = np.arange(300) < 150
    half = [flat(number, lit * level, seconds=level / 6000.0) for number, level in enumerate(levels * 2)]
    found = make_ptc(ready(half), settings=PtcSettings(level_tolerance=0.2)).data["amplifiers"]
    assert found["A"]["gain"] == pytest.approx(1.5, rel=0.05)
    assert np.isnan(found["B"]["gain"])
    assert found["B"]["coefficients"] is None
    with pytest.raises(BadFrameError, match="no amplifier"):
        make_ptc(ready(ramp([*levels, 1.2e5], detector=PLAIN)), settings=PtcSettings(fit_to=0.1))
