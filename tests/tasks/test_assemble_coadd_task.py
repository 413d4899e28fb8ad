"""`AssembleCoaddTask` by its documented methods: weights, statistics, masks, backgrounds, zero points, names."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from lsst.images import Box, Image
from lsst.images.fields import ChebyshevField
from lsst.pex.config import FieldValidationError
from lsst.pipe.base import NoWorkFound, Struct

from backmatch import tract_visits
from coadd.mock_warps import BOX, TRACT, pixels, samples, warp
from skyloom.coadd import CoaddSettings, ErrorSource, ExposureHandle, Statistic, empty_coadd
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, PhotoCalib, bitmask, pixel_to_radec, to_coadd
from skyloom.tasks import AssembleCoaddTask
from skyloom.tasks.assemble_coadd import AssembleCoaddConfig, AssembleCoaddConnections
from skyloom.tasks.frame_reference import PatchReference
from tasks.joint_frames import sky_map

SKY = Struct(bbox=BOX, wcs=TRACT, band="i")
BACKGROUND, NOISE, FLUX = 314.592, 5.0, 1e4


def task(**changes: Any) -> AssembleCoaddTask:
    config = AssembleCoaddConfig()
    for name, value in changes.items():
        part, _, rest = name.partition("__")
        setattr(getattr(config, part) if rest else config, rest or part, value)
    config.validate()
    return AssembleCoaddTask(config=config)


def visits(n: int = 10) -> list[Exposure]:
    """Visits of 37 stars in seeing of 1.5 to 3 pixels, with noise of 5 and 4 to 6 in the variance planes."""
    rng = np.random.default_rng(12345)
    x = rng.uniform(BOX.x.start + 15, BOX.x.stop - 15, 37)
    y = rng.uniform(BOX.y.start + 15, BOX.y.stop - 15, 37)
    rows, columns = np.mgrid[BOX.y.start : BOX.y.stop, BOX.x.start : BOX.x.stop]
    found = []
    for visit, sigma in enumerate(np.linspace(1.5, 3.0, n), 100):
        image = rng.normal(BACKGROUND, NOISE, BOX.shape)
        for px, py in zip(x, y, strict=True):
            r2 = (columns - px) ** 2 + (rows - py) ** 2
            image += FLUX * np.exp(-r2 / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        found.append(warp(visit, image, (NOISE + rng.uniform(-1, 1)) ** 2, sigma=sigma))
    return found


def handles(warps: list[Exposure]) -> list[ExposureHandle]:
    return [ExposureHandle(one, int(one.inputs["visit"][0])) for one in warps]


def assembled(job: AssembleCoaddTask, warps: list[Any], **words: Any) -> Struct:
    prepared = job.prepareInputs(warps)
    return job.assemble(SKY, prepared.tempExpRefList, prepared.imageScalerList, prepared.weightList, **words)


@pytest.mark.parametrize("statistic", ["CLIPPED", "MEAN", "MEANCLIP", "MEDIAN"])
def test_mock_of_ten_visits(statistic: str) -> None:
    warps = visits()
    job = task(statistic=statistic)
    result = assembled(job, handles(warps))
    coadd = result.coaddExposure
    assert coadd.unit == u.nJy
    assert to_coadd(coadd).image.unit == u.nJy
    assert coadd.band == "i"
    assert (coadd.bbox, coadd.projection) == (BOX, TRACT)
    assert coadd.inputs["visit"].tolist() == list(range(100, 110))
    sky = np.median(coadd.image.array)
    assert sky == pytest.approx(BACKGROUND, abs=0.5)
    total = (coadd.image.array - BACKGROUND).sum()
    if statistic == "MEAN":
        assert total == pytest.approx(37 * FLUX, rel=0.02)
        assert (result.nImage.array == 10).all()
    assert result.nImage.array.dtype == np.uint16
    assert [ref.dataId["visit"] for ref in result.warpRefList] == list(range(100, 110))


def test_pipeline_call_and_documented_steps_make_the_same() -> None:
    warps = handles(visits(5))
    job = task(statistic="MEANCLIP")
    first = job.run(warps[::-1], box=BOX, projection=TRACT, band="i")
    second = assembled(job, warps)
    np.testing.assert_array_equal(first.coadd.image.array, second.coaddExposure.image.array)
    np.testing.assert_array_equal(first.coadd.bits, second.coaddExposure.bits)
    np.testing.assert_array_equal(first.n_image.array, second.nImage.array)
    assert first.coadd.psf == second.coaddExposure.psf
    assert job.metadata.getArray("visits") == [100, 101, 102, 103, 104]


def test_online_mean_is_the_mean() -> None:
    warps = visits()
    for number, one in enumerate(warps):
        one.bits[10 * number : 10 * number + 30, 20:40] = bitmask("BAD")
        one.bits[10 * number : 10 * number + 5, 90:140] = bitmask("SAT")
    classic, online = (
        assembled(task(statistic="MEAN", doOnlineForMean=one), handles(warps)).coaddExposure for one in (False, True)
    )
    np.testing.assert_allclose(online.image.array, classic.image.array, rtol=1e-6)
    np.testing.assert_allclose(online.variance.array, classic.variance.array, rtol=1e-6)
    np.testing.assert_array_equal(online.bits, classic.bits)


def test_weights_are_those_of_the_variance_planes() -> None:
    frames = visits(3)
    for one, level in zip(frames, (4.0, 8.0, 4.0), strict=True):
        one.variance.array[...] = level
    frames[2].variance.array[:, ::2] = np.inf
    frames[2].variance.array[5, 1::2] = 1e6
    frames[2].variance.array[9, 1::2] = 300.0
    frames[2].bits[9] = bitmask("BAD")
    prepared = task().prepareInputs(handles(frames))
    assert prepared.weightList == [0.25, 0.125, 0.25]
    assert prepared.imageScalerList == [None] * 3
    # Of 1 to 9 and 100, at one sigma of the quartiles, 3.34, about 5.5: 3 to 8; then the mean of those is 5.5 again,
    # with a sigma of 1.87: 4 to 7.
    numbers = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 100.0])
    frame = warp(1, np.ones((1, 10)), numbers[np.newaxis], box=Box.factory[0:1, 0:10])
    assert task(sigmaClip=1.0).prepareInputs([frame]).weightList == [1 / 5.5]
    once = numbers[(numbers > 5.5 - 1.5 * 3.34) & (numbers < 5.5 + 1.5 * 3.34)]
    assert task(sigmaClip=1.5, clipIter=1).prepareInputs([frame]).weightList == [pytest.approx(1 / once.mean())]


def test_warps_that_cannot_take_part_are_named(caplog: pytest.LogCaptureFixture) -> None:
    frames = visits(7)
    frames[1].image.array[...] = np.nan
    for one, value in zip(frames[2:5], (0.0, -1.0, np.nan), strict=True):
        one.variance.array[...] = value
    frames[5].unit = u.adu
    job = task()
    prepared = job.prepareInputs(frames)
    assert [int(ref.dataId["visit"]) for ref in prepared.tempExpRefList] == [100, 106]
    assert sorted(job.metadata.getArray("skipped_visits")) == [101, 102, 103, 104, 105]
    for words in ("visit 101 is left out: no pixel with a value", "visit 103 is left out: no pixel with a finite"):
        assert words in caplog.text
    assert "visit 105 is left out: it is in adu, not nJy" in caplog.text
    with pytest.raises(NoWorkFound, match="0 of 5 warps"):
        job.run(frames[1:6], box=BOX, projection=TRACT, band="r")
    with pytest.raises(NoWorkFound, match="no warps"):
        job.assemble(SKY, [], [], [])


def test_order_of_the_references_stays_and_does_not_matter() -> None:
    frames = visits(4)
    job = task()
    mixed = [frames[2], ExposureHandle(frames[0], 100), frames[3], frames[1]]
    prepared = job.prepareInputs(mixed)
    assert [ref.dataId["visit"] for ref in prepared.tempExpRefList] == [102, 100, 103, 101]
    np.testing.assert_array_equal(
        assembled(job, mixed).coaddExposure.image.array, assembled(job, frames).coaddExposure.image.array
    )
    with pytest.raises(BadFrameError, match="twice"):
        job.prepareInputs([frames[0], frames[0]])
    frames[0].inputs = None
    with pytest.raises(BadFrameError, match="warp 0 does not tell its visit"):
        job.prepareInputs(frames)


@pytest.mark.parametrize("by_visit", [False, True])
def test_alternate_masks_and_other_bad_bits(by_visit: bool) -> None:
    box = Box.factory[0:1, 0:3]
    refs = [part.handle for part in samples([[1.0] * 3, [4.0] * 3], bits=[[0] * 3, [0, 0, bitmask("SUSPECT")]])]
    planes = {"CLIPPED": pixels(1)}
    result = task(statistic="MEAN").assemble(
        Struct(bbox=box, wcs=TRACT),
        refs,
        [None, None],
        [1.0, 1.0],
        altMaskList={0: planes} if by_visit else [planes, None],
        mask=bitmask("NO_DATA", "CLIPPED", "SUSPECT"),
        supplementaryData=Struct(anything=1),
    )
    assert result.coaddExposure.image.array[0].tolist() == [2.5, 4.0, 1.0]
    assert result.coaddExposure.band == "r"
    assert result.nImage.array[0].tolist() == [2, 1, 1]
    with pytest.raises(BadFrameError, match="altMaskList has 1 elements, of 2 warps"):
        task().assemble(Struct(bbox=box, wcs=TRACT), refs, None, [1.0, 1.0], altMaskList=[None])
    with pytest.raises(BadFrameError, match="weightList has 1 elements, of 2 warps"):
        task().assemble(Struct(bbox=box, wcs=TRACT), refs, None, [1.0])


def test_subregions_fill_a_coadd() -> None:
    frames = handles(visits(5))
    job = task(statistic="MEANCLIP")
    whole = assembled(job, frames)
    prepared = job.prepareInputs(frames)
    coadd, n_image = empty_coadd(BOX, TRACT), Image(np.zeros(BOX.shape, np.uint16), bbox=BOX)
    job.assembleMetadata(coadd, prepared.tempExpRefList, prepared.weightList)
    for box in (Box.factory[-45:40, -123:78], Box.factory[40:300, -123:0], Box.factory[40:300, 0:300]):
        job.assembleSubregion(
            coadd,
            box,
            prepared.tempExpRefList,
            prepared.imageScalerList,
            prepared.weightList,
            None,
            None,
            Statistic.MEANCLIP,
            None,
            n_image,
        )
    np.testing.assert_array_equal(coadd.image.array, whole.coaddExposure.image.array)
    np.testing.assert_array_equal(coadd.variance.array, whole.coaddExposure.variance.array)
    np.testing.assert_array_equal(coadd.bits, whole.coaddExposure.bits)
    np.testing.assert_array_equal(n_image.array, whole.nImage.array)
    assert coadd.psf == whole.coaddExposure.psf
    assert coadd.band == "r"
    assert coadd.inputs["weight"].tolist() == sorted(prepared.weightList, key=prepared.weightList.index)
    settings = CoaddSettings(statistic=Statistic.MEAN, bad_planes=("NO_DATA",))
    other = empty_coadd(BOX, TRACT)
    job.assembleSubregion(other, BOX, frames, None, [1.0] * 5, None, None, None, settings)
    mean = np.mean([one.get(component="image").array for one in frames], axis=0)
    np.testing.assert_allclose(other.image.array, mean, rtol=1e-6)


def test_missing_pixels_are_interpolated_if_asked() -> None:
    frames = visits(3)
    for one in frames:
        one.image.array[50:53, 60:63], one.variance.array[50:53, 60:63] = np.nan, np.inf
        one.bits[50:53, 60:63] = bitmask("NO_DATA")
    hole = np.s_[50:53, 60:63]
    plain = task(statistic="MEAN").run(handles(frames), box=BOX, projection=TRACT, band="i").coadd
    assert np.isnan(plain.image.array[hole]).all()
    filled = task(statistic="MEAN", doInterp=True).run(handles(frames), box=BOX, projection=TRACT, band="i").coadd
    assert filled.image.array[hole] == pytest.approx(BACKGROUND, abs=30.0)
    assert np.isinf(filled.variance.array[hole]).all()
    assert (filled.bits[hole] == bitmask("NO_DATA", "INTRP")).all()


def test_bright_objects(caplog: pytest.LogCaptureFixture) -> None:
    ra, dec = (float(v) for v in pixel_to_radec(TRACT, 0.0, 0.0))
    rows = [{"id": 1, "ra": ra, "dec": dec, "type": kind, "radius": 2.5} for kind in ("circle", "blob")]
    catalogue = Table(rows, meta={"tract": 0, "patch": 7, "band": "i"})
    job = task(doMaskBrightObjects=True)
    assert job.brightObjectBitmask == bitmask("BRIGHT_OBJECT")
    result = job.run(
        visits(2),
        box=BOX,
        projection=TRACT,
        band="i",
        bright_objects=catalogue,
        data_id={"tract": 0, "patch": 8, "band": "i"},
    )
    assert (result.coadd.bits & bitmask("BRIGHT_OBJECT") != 0).sum() == 317  # lattice points within 10 of the origin
    assert "bright objects are of patch 7, the coadd of 8" in caplog.text
    assert "of band" not in caplog.text
    assert "bright object 1 is a blob" in caplog.text
    job.run(visits(2), box=BOX, projection=TRACT, band="i")
    assert "no catalogue of bright objects" in caplog.text
    assert not hasattr(task(), "brightObjectBitmask")
    with pytest.raises(RuntimeError, match="no mask plane 'STARS'"):
        task(doMaskBrightObjects=True, brightObjectMaskName="STARS")


def matched_visits() -> list[ExposureHandle]:
    """Visits on one patch with skies that differ by a constant; the noise of the last is not what its variance says."""
    tract = tract_visits.sky_map().tract(0)
    found = []
    for number, level in enumerate((10.0, 30.0, -5.0), 1):
        exposure = tract_visits.make_warp(
            tract_visits.Visit(number=number, sky=tract_visits.flat(level), sigma=0.5), tract.patch(0)
        )
        exposure.inputs = Table({"visit": [number], "detector": [0], "weight": [1.0]})
        found.append(ExposureHandle(exposure, number))
    found[2].get().image.array[...] += np.random.default_rng(3).normal(0.0, 1.0, found[2].get().bbox.shape)
    return found


def matcher(**changes: Any) -> AssembleCoaddTask:
    config = AssembleCoaddConfig()
    for model in (config.matchBackgrounds.tractBgModel, config.matchBackgrounds.reference.tractBgModel):
        model.xBin = model.yBin = float(tract_visits.BIN)
    config.statistic, config.doMatchBackgrounds = "MEAN", True
    for name, value in changes.items():
        setattr(config, name, value)
    config.validate()
    return AssembleCoaddTask(config=config)


def test_warps_are_brought_to_one_sky() -> None:
    sky, refs = tract_visits.sky_map(), matched_visits()
    job = matcher(maxMatchResidualRatio=9.0)
    prepared = job.prepareInputs(refs)
    matched = job.backgroundMatching(Struct(**prepared.getDict(), skyMap=sky), refs[1])
    assert [one.isReference for one in matched.backgroundInfoList] == [False, True, False]
    for weight, old, info in zip(matched.weightList, prepared.weightList, matched.backgroundInfoList, strict=True):
        expected = old if info.isReference else 1 / (1 / old + info.fitRMS**2)
        assert weight == pytest.approx(expected, rel=1e-12)
    tract = sky.tract(0)
    patch = Struct(bbox=tract.patch(0).outer_bbox, wcs=tract.projection)
    coadd = job.assemble(
        patch, matched.tempExpRefList, matched.imageScalerList, matched.weightList, matched.backgroundInfoList
    ).coaddExposure
    assert coadd.image.array.mean() == pytest.approx(30.0, abs=0.02)
    weights = np.array(matched.weightList)
    added = np.array([0.0 if one.isReference else one.fitRMS**2 for one in matched.backgroundInfoList])
    expected = (weights**2 * (0.25 + added)).sum() / weights.sum() ** 2
    np.testing.assert_allclose(coadd.variance.array, expected, rtol=1e-5)
    job.addBackgroundMatchingMetadata(coadd, matched.tempExpRefList, matched.backgroundInfoList)
    assert coadd.metadata["ReferenceExp_ID"] == "visit=2"
    assert coadd.metadata["CTExp_ID_0"] == "visit=1"
    first = matched.backgroundInfoList[0]
    assert coadd.metadata["CTExp_SDQA1_0"] == first.matchedMSE / first.diffImVar == pytest.approx(1.0, abs=0.02)
    assert coadd.metadata["CTExp_SDQA2_0"] == first.fitRMS
    assert "CTExp_ID_1" not in coadd.metadata
    assert "mean square" in coadd.metadata["CTExp_SDQA1_DESCRIPTION"]


def test_warps_that_do_not_match_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    sky, refs = tract_visits.sky_map(), matched_visits()
    tract = sky.tract(0)
    words = {"box": tract.patch(0).outer_bbox, "projection": tract.projection, "band": "r"}
    job = matcher()
    result = job.run(refs, sky_map=sky, **words)
    assert set(result.coadd.inputs["visit"]) == {1, 2}
    assert "visit 3 is left out: its pixels differ by" in caplog.text
    assert job.metadata.getArray("unmatched_visits") == [3]
    assert result.coadd.metadata["ReferenceExp_ID"] in ("visit=1", "visit=2")
    narrow = matcher(maxMatchResidualRMS=1e-6, maxMatchResidualRatio=9.0)
    assert len(set(narrow.run(refs, sky_map=sky, **words).coadd.inputs["visit"])) == 1
    with pytest.raises(BadFrameError, match="sky map"):
        job.run(refs, **words)


def test_coadd_in_counts_of_a_zero_point() -> None:
    """A source of AB magnitude 27 has one count, whatever the unit of the warps."""
    box = Box.factory[0:4, 0:5]
    flux = 10 ** (0.4 * (31.4 - 27.0))
    in_njy = warp(1, np.full(box.shape, flux), flux**2, box=box)
    in_electrons = warp(
        2, np.full(box.shape, 8.0), 64.0, box=box, unit=u.electron, photo_calib=PhotoCalib(flux / 8.0, 0.0)
    )
    unknown = warp(3, np.ones(box.shape), box=box, unit=u.electron)
    job = task(doScaleZeroPoint=True, statistic="MEAN")
    prepared = job.prepareInputs([in_njy, in_electrons, unknown])
    assert [scaler.scale for scaler in prepared.imageScalerList] == pytest.approx([1 / flux, 1 / 8.0])
    assert prepared.weightList == pytest.approx([1.0, 1.0])
    assert job.metadata.getArray("skipped_visits") == [3]
    coadd = job.run([in_njy, in_electrons], box=box, projection=TRACT, band="r").coadd
    np.testing.assert_allclose(coadd.image.array, 1.0, rtol=1e-6)
    np.testing.assert_allclose(coadd.variance.array, 0.5, rtol=1e-6)
    assert coadd.unit == u.ct
    assert coadd.photo_calib.calibration_mean == pytest.approx(flux)
    assert coadd.photo_calib.zero_point_mag == pytest.approx(27.0)
    job.scaleZeroPoint.run(in_electrons)
    np.testing.assert_allclose(in_electrons.variance.array, 1.0)


def test_names_places_and_bits() -> None:
    job = task(badMaskPlanes=["CR", "NO_DATA"], warpType="psfMatched")
    assert job.getBadPixelMask() == bitmask("CR", "NO_DATA")
    assert job.warpType == "psfMatched"
    assert (job.getCoaddDatasetName(), job.getCoaddDatasetName("psfMatched")) == ("deepCoadd", "deepCoaddPsfMatched")
    assert job.getTempExpDatasetName("psfMatched") == "deepCoadd_psfMatchedWarp"
    info = job.getSkyInfo(PatchReference(sky_map=sky_map(), dataId={"tract": 0, "patch": 0}))
    assert info.bbox == sky_map().tract(0).patch(0).outer_bbox
    assert info.wcs == sky_map().tract(0).projection


def test_frame_with_and_without_its_background() -> None:
    from lsst.images import BackgroundMap

    from skyloom.tasks.frame_reference import FrameReference

    frame = warp(1, np.zeros(BOX.shape))
    sky = BackgroundMap()
    sky.add("sky", ChebyshevField(BOX, np.array([[12.0]]), unit=u.nJy), "what was taken off")
    reference = FrameReference(exposure=frame, dataId={"visit": 1, "detector": 1}, background=sky)
    assert (task().getCalExp(reference, True).image.array == 0.0).all()
    np.testing.assert_allclose(task().getCalExp(reference, False).image.array, 12.0)
    assert (frame.image.array == 0.0).all()


def test_kernel_of_the_psf_is_that_of_the_frames() -> None:
    frames = handles(visits(1))
    job = task(coaddPsf__warpingKernelName="lanczos3")
    assembled(job, frames)
    with pytest.raises(BadFrameError, match=r"kernels of order \[3\], not with lanczos5"):
        assembled(task(coaddPsf__warpingKernelName="lanczos5"), frames)


def test_defaults_are_those_of_the_algorithm() -> None:
    settings = AssembleCoaddConfig().settings()
    assert settings == CoaddSettings(subregion_size=(2000, 2000))
    documented = {
        "coaddName": "deep",
        "warpType": "direct",
        "sigmaClip": 3.0,
        "clipIter": 2,
        "calcErrorFromInputVariance": True,
        "doOnlineForMean": False,
        "doMaskBrightObjects": False,
        "brightObjectMaskName": "BRIGHT_OBJECT",
        "doSelectVisits": False,
        "doInputMap": False,
        "doWrite": True,
        "maxMatchResidualRatio": 1.1,
        "maxMatchResidualRMS": 1.0,
        "autoReference": True,
    }
    config = AssembleCoaddConfig()
    assert {name: getattr(config, name) for name in documented} == documented
    assert list(config.subregionSize) == [2000, 2000]
    assert dict(config.maskPropagationThresholds) == {"SAT": 0.1}


def test_configuration_becomes_settings() -> None:
    config = AssembleCoaddConfig()
    with pytest.warns(FutureWarning, match="Set statistic to MEANCLIP"):
        config.doSigmaClip = True
    config.doOnlineForMean, config.calcErrorFromInputVariance = True, False
    settings = config.settings()
    assert (settings.statistic, settings.error_source, settings.online) == (
        Statistic.MEANCLIP,
        ErrorSource.SCATTER,
        False,
    )
    config = AssembleCoaddConfig()
    config.statistic, config.doOnlineForMean = "MEAN", True
    config.calcErrorFromInputVariance, config.calcErrorMosaicMode = False, True
    settings = config.settings()
    assert (settings.statistic, settings.error_source, settings.online) == (Statistic.MEAN, ErrorSource.MOSAIC, True)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"statistic": "MIN", "doInterp": True}, "A MIN is not interpolated"),
        ({"calcErrorMosaicMode": True}, "must be off"),
        ({"doScaleZeroPoint": True, "doMatchBackgrounds": True}, "in nJy"),
        ({"doMatchBackgrounds": True, "autoReference": False}, "refWarpVisit"),
        ({"badMaskPlanes": ["HOLE"]}, "HOLE"),
        ({"subregionSize": [0, 10]}, "subregionSize"),
        ({"statistic": "ERROR"}, "ERROR"),
    ],
)
def test_configuration_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(FieldValidationError, match=words):
        task(**changes)


def test_connections_follow_the_configuration() -> None:
    plain = AssembleCoaddConnections(config=AssembleCoaddConfig())
    assert set(plain.allConnections) == {"warps", "sky_map", "coadd", "n_image"}
    assert [plain.allConnections[name].name for name in ("warps", "coadd")] == ["direct_warp", "deep_coadd"]
    config = AssembleCoaddConfig()
    config.warpType, config.doSelectVisits, config.doMaskBrightObjects = "psfMatched", True, True
    config.doInputMap, config.doNImage = True, False
    other = AssembleCoaddConnections(config=config).allConnections
    assert set(other) == {"warps", "sky_map", "coadd", "selectedVisits", "brightObjectMask", "inputMap"}
    assert [other[name].name for name in ("warps", "coadd")] == ["psf_matched_warp", "deep_coadd_psf_matched"]
    assert other["brightObjectMask"].minimum == 0


def test_frames_of_the_warps_are_listed_with_the_weights_of_their_visits() -> None:
    box = Box.factory[0:20, 0:30]
    frames = [
        warp(7, np.ones(box.shape), 4.0, box=box, detectors=(5, 4)),
        warp(3, np.ones(box.shape), 2.0, box=box, detectors=(9,)),
    ]
    coadd = assembled(task(statistic="MEAN"), frames).coaddExposure
    rows = [(int(row["visit"]), int(row["detector"]), float(row["weight"])) for row in coadd.inputs]
    assert rows == [(3, 9, 0.5), (7, 4, 0.25), (7, 5, 0.25)]
    assert [(part.visit, part.detector) for part in coadd.psf.components] == [(3, 9), (7, 4), (7, 5)]


def test_selected_visits_in_their_order() -> None:
    from skyloom.tasks.assemble_coadd import _selected

    refs = [part.handle for part in samples([1.0, 2.0, 3.0])]
    assert [ref.dataId["visit"] for ref in _selected(refs, {2: 0.5, 0: 0.1, 77: 1.0})] == [2, 0]
    assert _selected(refs, {}) == []


def test_matched_warps_have_the_stamp_of_the_widest_model() -> None:
    frames = [warp(visit, np.ones(BOX.shape), size=size) for visit, size in enumerate((25, 31, 27))]
    coadd = assembled(task(warpType="psfMatched"), frames).coaddExposure
    assert coadd.psf.kernel_bbox.shape == (31, 31)
    kernel = coadd.psf.compute_kernel_image(x=5.0, y=5.0).array
    own = frames[1].psf.compute_kernel_image(x=5.0, y=5.0).array
    np.testing.assert_allclose(kernel, own, atol=1e-4 * own.max())
