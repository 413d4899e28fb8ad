"""Masters from simulated raw frames against the detector that they were drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from skyloom.calibs import MasterSettings, Raw, make_bias, make_dark, make_flat
from skyloom.calibs.frame_stack import FrameStack
from skyloom.calibs.noise import pair_noise, photon_transfer_gain
from skyloom.errors import BadFrameError
from skyloom.images import bitmask
from skyloom.images.raw import RawExposure
from skyloom.instruments import Camera
from skyloom.isr import correct_raw
from skyloom.simulate import DetectorSettings, Mosaic
from skyloom.simulate.headers import Exposure, make_header
from skyloom.simulate.readout import expose
from skyloom.simulate.signature import make_signature

CAMERA = Camera.read("simulated")
MOSAIC = Mosaic.of(CAMERA)
CCD = MOSAIC.ccds[1]
DETECTOR = DetectorSettings(cosmic_rays=0.2)
SIGNATURE = make_signature(DETECTOR, 4, MOSAIC, CCD, "r")
GOOD = ~SIGNATURE.bad
HALVES = {"A": np.s_[:, :512], "B": np.s_[:, 512:]}


def raw_frame(
    kind: str, number: int, *, light: float | np.ndarray = 0.0, seconds: float = 0.0, **changes: str
) -> RawExposure:
    rng = np.random.default_rng([number, len(kind)])
    pixels = expose(np.zeros(CCD.shape) + light, CCD, SIGNATURE, DETECTOR, rng, seconds=seconds).raw
    told = Exposure(
        number=number,
        observation_type=kind,
        begin="2026-01-14T16:00:00",
        seconds=seconds,
        band="r" if kind == "flat" else None,
    )
    header = make_header(told, MOSAIC, CCD, {})
    header.update(changes)
    raw = CAMERA.complete(RawExposure(image=pixels, header=header, file=f"{kind}_{number}.fits"))
    return replace(raw, mode={"SPEED": changes.get("SPEED", "slow")})


def ready(frames: list[RawExposure]) -> list[Raw]:
    return [lambda frame=frame: frame for frame in frames]


@pytest.fixture(scope="module")
def biases() -> list[RawExposure]:
    return [raw_frame("bias", number) for number in range(5)]


@pytest.fixture(scope="module")
def darks() -> list[RawExposure]:
    return [raw_frame("dark", 10 + n, seconds=seconds) for n, seconds in enumerate((300.0, 300.0, 600.0))]


@pytest.fixture(scope="module")
def flats() -> list[RawExposure]:
    return [raw_frame("flat", 20 + n, light=light, seconds=5.0) for n, light in enumerate((28e3, 30e3, 31e3, 29e3))]


def test_bias_is_that_of_the_detector(biases: list[RawExposure]) -> None:
    master = make_bias(ready(biases))
    error = master.image.image.array - SIGNATURE.bias
    # Row medians of 32 overscan columns add their own noise to that of five frames.
    for name, half in HALVES.items():
        sigma = 5.0 / {"A": 1.5, "B": 1.7}[name]
        assert error[half].std() == pytest.approx(sigma / np.sqrt(5) * np.sqrt(1 + np.pi / 64), rel=0.05)
        assert abs(error[half].mean()) < 0.05
        assert master.figures[f"read_noise_electrons_{name}"] == pytest.approx(5.0, rel=0.04)
        stated = np.sqrt(np.median(master.image.variance.array[half]))
        assert stated == pytest.approx(sigma / np.sqrt(5), rel=0.05)
    assert master.frames == [0, 1, 2, 3, 4]
    assert not master.left_out


def test_dark_is_the_current_and_cosmic_rays_are_left_out(biases: list[RawExposure], darks: list[RawExposure]) -> None:
    bias = make_bias(ready(biases)).image
    master = make_dark(ready(darks), bias=bias)
    rate = master.image.image.array
    assert np.median((rate - SIGNATURE.dark)[GOOD]) == pytest.approx(0.0, abs=5e-4)
    hot = SIGNATURE.dark > 20
    assert hot.sum() > 10
    np.testing.assert_allclose(rate[hot], SIGNATURE.dark[hot], rtol=0.03)
    pull = ((rate - SIGNATURE.dark) / np.sqrt(master.image.variance.array))[GOOD]
    # The noise of the bias is common to all frames and not in the variance of the dark.
    assert 0.95 < 1.4826 * np.median(np.abs(pull)) < 1.25
    assert (np.abs(pull) > 8).sum() <= 8  # thousands of pixels were hit in one frame or another


def test_flat_is_the_response_and_tells_the_gains(biases: list[RawExposure], flats: list[RawExposure]) -> None:
    master = make_flat(ready(flats), bias=make_bias(ready(biases)).image)
    response = master.image.image.array
    pull = ((response - SIGNATURE.flat) / np.sqrt(master.image.variance.array))[GOOD]
    assert 1.4826 * np.median(np.abs(pull - np.median(pull))) == pytest.approx(1.0, abs=0.04)
    assert np.median((response / SIGNATURE.flat)[GOOD]) == pytest.approx(1.0, abs=2e-4)
    assert master.figures["photon_transfer_gain_A"] == pytest.approx(1.5, rel=0.01)
    assert master.figures["photon_transfer_gain_B"] == pytest.approx(1.7, rel=0.01)
    assert np.median(response) == pytest.approx(1.0, abs=1e-6)


def test_a_frame_corrected_with_all_three_is_the_light(
    biases: list[RawExposure], darks: list[RawExposure], flats: list[RawExposure]
) -> None:
    bias = make_bias(ready(biases)).image
    dark = make_dark(ready(darks), bias=bias).image
    flat = make_flat(ready(flats), bias=bias, dark=dark).image
    seen = correct_raw(raw_frame("flat", 99, light=700.0, seconds=60.0), bias=bias, dark=dark, flat=flat)
    good = GOOD & (seen.bits == 0)
    pull = (seen.image.array - 700.0)[good] / np.sqrt(seen.variance.array[good])
    assert np.median(pull) == pytest.approx(0.0, abs=0.02)
    assert 1.4826 * np.median(np.abs(pull)) == pytest.approx(1.0, abs=0.03)


def test_odd_frames_are_left_out_with_the_reason(biases: list[RawExposure], flats: list[RawExposure]) -> None:
    lit = raw_frame("bias", 77, light=30.0)
    master = make_bias(ready([*biases, lit]))
    assert list(master.left_out) == ["bias_77.fits"]
    assert "level" in master.left_out["bias_77.fits"]
    y = np.linspace(0.8, 1.2, CCD.shape[0])[:, None]
    odd = [
        raw_frame("flat", 31, light=30e3 * y, seconds=5.0),
        raw_frame("flat", 32, light=500.0, seconds=5.0),
        raw_frame("flat", 33, light=2e5, seconds=5.0),
    ]
    left_out = make_flat(ready([*flats, *odd])).left_out
    assert "shape" in left_out["flat_31.fits"]
    assert "are the least" in left_out["flat_32.fits"]
    assert "saturated" in left_out["flat_33.fits"]


def test_a_frame_that_cannot_be_read_is_left_out(biases: list[RawExposure]) -> None:
    def broken() -> RawExposure:
        raise BadFrameError("the file is truncated.", file="broken.fits")

    master = make_bias([*ready(biases), broken])
    assert master.left_out == {"broken.fits": "the file is truncated."}


def test_too_few_frames_and_mixed_modes_are_refused(biases: list[RawExposure]) -> None:
    with pytest.raises(BadFrameError, match="2 usable bias frames; 3 are the least"):
        make_bias(ready(biases[:2]))
    with pytest.raises(BadFrameError, match="different read-out modes: 'fast' here, 'slow'") as caught:
        make_bias(ready([*biases, raw_frame("bias", 8, SPEED="fast")]))
    assert caught.value.keyword == "SPEED"


def test_a_pedestal_serves_any_mode_and_a_bias_its_own(biases: list[RawExposure]) -> None:
    fast = raw_frame("flat", 50, light=100.0, seconds=1.0, SPEED="fast")
    bias = make_bias(ready(biases))
    with pytest.raises(BadFrameError, match="read out with fast, the bias frame with slow"):
        correct_raw(fast, bias=bias.image)
    pedestal = make_bias(ready(biases), MasterSettings(pedestal_only=True))
    assert all(np.ptp(pedestal.image.image.array[half]) == 0 for half in HALVES.values())
    assert correct_raw(fast, bias=pedestal.image).metadata["LSST ISR BIAS PEDESTAL ONLY"] is True
    assert bias.image.metadata["LSST CALIB MODE SPEED"] == "slow"


def test_pixels_without_a_usable_frame_are_bad(biases: list[RawExposure]) -> None:
    spoilt = []
    for frame in biases:
        image = frame.image.copy()
        image[5, 7] = 65535
        spoilt.append(replace(frame, image=image))
    master = make_bias(ready(spoilt)).image
    assert np.isnan(master.image.array[5, 7])
    assert master.mask.array[5, 7, 0] == bitmask("BAD")
    assert np.isfinite(master.image.array).sum() == master.image.array.size - 1


def test_a_scratch_file_gives_the_same_as_memory(biases: list[RawExposure]) -> None:
    kept = make_bias(ready(biases)).image.image.array
    spilt = make_bias(ready(biases), MasterSettings(memory_mb=1.0)).image.image.array
    np.testing.assert_array_equal(kept, spilt)


def test_a_stack_keeps_what_it_is_told() -> None:
    with FrameStack(4, 1.0) as stack:
        for value in range(4):
            stack.add(np.full((3, 2), value, np.float32))
        stack.keep([1, 3])
        assert [float(frame[0, 0]) for frame in stack.frames] == [1.0, 3.0]


def test_noise_and_gain_of_pairs() -> None:
    rng = np.random.default_rng(5)
    gain, light = 3.4, np.linspace(15e3, 25e3, 300)[None, :] * np.ones((300, 1))
    flats = [gain * (rng.poisson(factor * light) + rng.normal(0, 8, light.shape)) / gain for factor in (1.0, 0.8, 1.1)]
    assert photon_transfer_gain(flats, 8.0, gain) == pytest.approx(gain, rel=0.01)
    assert photon_transfer_gain([2.0 * flat for flat in flats], 16.0, gain) == pytest.approx(gain / 2, rel=0.01)
    assert pair_noise([rng.normal(100, 6, (200, 200)) for _ in range(4)]) == pytest.approx(6.0, rel=0.02)
    assert np.isnan(pair_noise([flats[0]]))
    assert np.isnan(photon_transfer_gain([np.full((200, 200), 9e3)] * 2, 8.0, gain))
