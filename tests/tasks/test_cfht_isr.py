"""`CfhtIsrTask` on simulated pixels: gains, noises and saturation of a frame's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from astropy.io.fits import Header

from skyloom.errors import BadFrameError
from skyloom.images import RawExposure, bitmask
from skyloom.instruments import Camera
from skyloom.isr import with_nominal
from skyloom.tasks import CfhtIsrTask

Make = Callable[..., RawExposure]


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.read("megaprime")


@pytest.fixture(scope="module")
def make(camera: Camera) -> Make:
    """A frame of CCD 20 (level 1000 ADU, sky 500) with a few cards changed, or left out where None."""
    rng = np.random.default_rng(1)
    pixels = 1000 + 3 * rng.standard_normal((4644, 2112))
    pixels[:4612, 32:2080] += 500
    counts = np.rint(pixels).astype(np.uint16)

    def build(brightest: int = 0, **cards: Any) -> RawExposure:
        header: dict[str, Any] = {
            "INSTRUME": "MegaPrime", "EXPNUM": 7, "CCDNAME": "8352-13-4", "FILTER": "r.MP9601", "EXPTIME": 60.0,
            "DATE-OBS": "2008-03-30", "UTC-OBS": "6:15:39.35", "RA_DEG": 132.43, "DEC_DEG": 63.575,
            "OBSTYPE": "OBJECT", "SATURATE": 65535, "GAINA": 1.5, "GAINB": 1.7, "RDNOISEA": 3, "RDNOISEB": 5,
            "RDNOISE": 4,
        }  # fmt: skip
        image = counts.copy()
        if brightest:
            image[100:110, 100:130] = brightest
        cards = {name: value for name, value in (header | cards).items() if value is not None}
        return camera.complete(RawExposure(image=image, header=Header(cards), file="7o.fits"), detector_id=20)

    return build


def task(**changes: Any) -> CfhtIsrTask:
    """The task without calibrations."""
    config = CfhtIsrTask.ConfigClass()
    config.update(doBias=None, doDark=None, doFlat=None, doDefect=None, **changes)
    return CfhtIsrTask(config=config)


def nominal(exposure: Any, name: str) -> Any:
    (amplifier,) = [one for one in exposure.detector.amplifiers if one.name == name]
    return amplifier.nominal_calibrations


def test_gains_and_noises_are_the_headers(make: Make) -> None:
    exposure = task().run(make(GAINA=1.25, RDNOISEB=65535)).exposure
    assert [nominal(exposure, name).gain for name in "AB"] == [1.25, 1.7]
    assert [nominal(exposure, name).read_noise for name in "AB"] == [3.0, 4.0]
    assert nominal(exposure, "A").saturation == 65535
    assert np.median(exposure.image.array[:, :1024]) == pytest.approx(500 * 1.25, abs=1.0)
    assert np.median(exposure.image.array[:, 1024:]) == pytest.approx(500 * 1.7, abs=1.0)
    assert exposure.detector.visit == 7


def test_saturation_is_where_pixels_pile_up(make: Make) -> None:
    raw = make(brightest=62000)
    before = nominal(raw, "A").saturation
    exposure = task().run(raw).exposure
    assert nominal(exposure, "A").saturation == nominal(exposure, "B").saturation == int(0.95 * (60000 + 99 * 20.01))
    assert (exposure.bits[101:109, 70:96] & bitmask("SAT")).all()
    assert nominal(raw, "A").saturation == before
    # A second frame, with other cards, has nothing of the first.
    second = task().run(make(GAINA=1.1)).exposure
    assert (nominal(second, "A").gain, nominal(second, "A").saturation) == (1.1, 65535)


def test_the_safety_factor_is_a_setting(make: Make) -> None:
    exposure = task(safe=0.5).run(make(brightest=62000)).exposure
    assert nominal(exposure, "A").saturation == int(0.5 * (60000 + 99 * 20.01))


def test_what_it_refuses(make: Make) -> None:
    with pytest.raises(ValueError, match="brighter-fatter"):
        task().run(make(), bfKernel=np.zeros((17, 17)))
    with pytest.raises(BadFrameError, match="lacks it") as caught:
        task().run(make(GAINB=None))
    assert (caught.value.keyword, caught.value.file) == ("GAINB", "7o.fits")
    with pytest.raises(BadFrameError, match="no number"):
        task().run(make(RDNOISEA=65535, RDNOISE="unknown"))
    raw = make()
    raw.detector = None
    with pytest.raises(BadFrameError, match="no detector"):
        task().run(raw)


def test_other_amplifiers_are_refused(make: Make) -> None:
    raw = make()
    assert raw.detector is not None
    raw.detector = with_nominal(raw.detector, {})
    first = raw.detector.amplifiers[0]
    raw.detector.amplifiers[0] = first.model_copy(update={"name": "C"})
    with pytest.raises(BadFrameError, match="amplifier C is none"):
        task().run(raw)
