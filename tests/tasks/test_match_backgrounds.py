"""The task that matches backgrounds: what it takes, what it returns, what it says of bad input."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from lsst.images import BackgroundMap, Mask, MaskPlane, MaskSchema
from lsst.pex.config import FieldValidationError

from backmatch.tract_visits import BIN, PATCH, Handle, Visit, flat, handles_of, make_warp, sky_map, warps_of
from skyloom.background import render_field
from skyloom.backmatch import FIGURES, BinStatistic, MatchSettings, ReferenceWeights, TractModelSettings
from skyloom.coadd import ExposureHandle
from skyloom.errors import BadFrameError
from skyloom.images import Exposure, to_warp
from skyloom.tasks import MatchBackgroundsTask
from skyloom.tasks.match_backgrounds import DIFFERENCE

MAP = sky_map()
TRACT = MAP.tract(0)
SKIES = {1: 10.0, 2: 30.0, 3: -5.0}
VISITS = [Visit(number=number, sky=flat(level), sigma=0.5) for number, level in SKIES.items()]


def task(**changes: Any) -> MatchBackgroundsTask:
    config = MatchBackgroundsTask.ConfigClass()
    for model in (config.tractBgModel, config.reference.tractBgModel):
        model.xBin = model.yBin = float(BIN)
    for name, value in changes.items():
        setattr(config, name, value)
    config.validate()
    return MatchBackgroundsTask(config=config)


def levels(images: Any) -> list[float]:
    return [float(np.nanmean(image.image.array)) for image in images]


def test_defaults_are_those_of_the_algorithm_and_names_those_of_the_pages() -> None:
    config = MatchBackgroundsTask.ConfigClass()
    assert config.settings() == MatchSettings()
    assert config.reference.weights() == ReferenceWeights()
    assert config.reference.tractBgModel.model_settings() == TractModelSettings()
    config.tractBgModel.interpolation = None
    config.tractBgModel.minFrac = 0.3
    config.tractBgModel.mask = ["SAT"]
    config.gridStatistic = "MEDIAN"
    config.numSigmaClip = 4
    settings = config.settings()
    assert settings.model == TractModelSettings(interpolation=None, min_fraction=0.3, mask=("SAT",))
    assert settings.statistic == BinStatistic(statistic="MEDIAN", n_sigma=4.0)
    assert task().statsCtrl == BinStatistic()


@pytest.mark.parametrize(
    ("name", "value"), [("undersampleStyle", "INCREASE_NXNYSAMPLE"), ("gridStatistic", "MODE"), ("jointScale", 0.0)]
)
def test_settings_that_there_are_not(name: str, value: Any) -> None:
    with pytest.raises(FieldValidationError):
        task(**{name: value})


def test_model_that_cannot_be() -> None:
    config = MatchBackgroundsTask.ConfigClass()
    config.tractBgModel.mask = ["SATURATED"]
    with pytest.raises(FieldValidationError, match="SATURATED"):
        config.validate()
    config = MatchBackgroundsTask.ConfigClass()
    config.tractBgModel.binning = 0
    with pytest.raises(FieldValidationError, match="nodes every 0 px"):
        config.validate()


def test_subtask_is_known_by_name() -> None:
    matching = task()
    assert matching.getName() == "matchBackgrounds"
    assert "matchBackgrounds.reference" in matching.getTaskDict()


def test_all_visits_get_the_sky_of_the_reference_in_the_order_given() -> None:
    handles = handles_of(VISITS, TRACT)[::-1]
    matching = task()
    result = matching.run(handles, MAP)
    reference = int(matching.metadata["reference_visit"])
    assert len(result.backgroundInfoList) == len(result.matchedImageList) == 12
    np.testing.assert_allclose(levels(result.matchedImageList), SKIES[reference], atol=0.02)
    for handle, image, background in zip(handles, result.matchedImageList, result.backgroundInfoList, strict=True):
        assert isinstance(background, BackgroundMap)
        assert image.bbox == handle.exposure.bbox
        field = background[DIFFERENCE].field
        assert (field.bounds.bbox, field.unit) == (handle.exposure.bbox, u.nJy)
        added = image.image.array - handle.exposure.image.array
        np.testing.assert_allclose(added, render_field(field, image.bbox), atol=2e-5)
        np.testing.assert_array_equal(image.bits, handle.exposure.bits)
        np.testing.assert_array_equal(image.variance.array, handle.exposure.variance.array)
        assert image.projection is handle.exposure.projection


def test_visit_that_is_named_is_the_reference() -> None:
    handles = handles_of(VISITS, TRACT)
    named = task(refWarpVisit=3).run(handles, MAP)
    np.testing.assert_allclose(levels(named.matchedImageList), -5.0, atol=0.02)
    backgrounds, images = task().matchBackgrounds(handles, MAP, 2)
    np.testing.assert_allclose(levels(images), 30.0, atol=0.02)
    for place in range(4, 8):  # those of visit 2
        np.testing.assert_array_equal(images[place].image.array, handles[place].exposure.image.array)
        pixels = backgrounds[place][DIFFERENCE].field.render(handles[place].exposure.bbox)
        assert not pixels.array.any()
        assert pixels.bbox == handles[place].exposure.bbox


def test_exposures_and_wrapped_ones_do_as_well_and_are_left_alone() -> None:
    exposures = [exposure for _, _, exposure in warps_of(VISITS, TRACT)]
    for place, exposure in enumerate(exposures):
        exposure.metadata["place"] = place
    handles = handles_of(VISITS, TRACT)
    expected = levels(task(refWarpVisit=1).run(handles, MAP).matchedImageList)

    class Stored(Handle):
        def get(self, **_: Any) -> Any:
            return to_warp(self.exposure)

    stored = [Stored(one.exposure, one.dataId) for one in handles]
    wrapped = [ExposureHandle(one.exposure, one.dataId["visit"]) for one in handles]
    for warps in (stored, wrapped):
        result = task(refWarpVisit=1).run(warps, MAP)
        assert levels(result.matchedImageList) == expected
    with pytest.raises(BadFrameError, match="warp 0 does not tell its visit"):
        task().run(exposures, MAP)
    from astropy.table import Table

    for (visit, _, _), exposure in zip(warps_of(VISITS, TRACT), exposures, strict=True):
        exposure.inputs = Table({"visit": [visit.number], "detector": [0]})
    before = [exposure.image.array.copy() for exposure in exposures]
    assert levels(task(refWarpVisit=1).run(exposures, MAP).matchedImageList) == expected
    for exposure, pixels in zip(exposures, before, strict=True):
        np.testing.assert_array_equal(exposure.image.array, pixels)


def test_warps_are_made_when_they_are_asked_for() -> None:
    handles = handles_of(VISITS, TRACT)
    result = task(refWarpVisit=1).run(handles, MAP)
    read = [handle.n_read for handle in handles]
    assert max(read) <= 2  # its outline, and its pixels once
    assert result.matchedImageList[5].bbox == handles[5].exposure.bbox
    assert [handle.n_read for handle in handles] == [n + (place == 5) for place, n in enumerate(read)]
    assert levels(result.matchedImageList[4:6]) == levels(result.matchedImageList)[4:6]


@pytest.mark.parametrize(("solution", "most"), [("REFERENCE", 2), ("JOINT", 1)])
def test_no_more_than_one_warp_and_that_of_the_reference_are_in_memory(solution: str, most: int) -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    largest = 0

    class Watched(Handle):
        def get(self, **_: Any) -> Exposure:
            nonlocal largest
            found = self.exposure.copy()
            owner = found.image.array if found.image.array.base is None else found.image.array.base
            alive.append(weakref.ref(owner))
            largest = max(largest, sum(one() is not None for one in alive))
            return found

    handles = [Watched(one.exposure, one.dataId) for one in handles_of(VISITS, TRACT)]
    result = task(solution=solution).run(handles, MAP)
    assert largest == most
    for image in result.matchedImageList:
        assert image.bbox.area > 0
    assert largest <= 3  # the one that is looked at, the next as it is read, and its copy


def test_figures_are_in_the_table_and_in_the_metadata() -> None:
    matching = task()
    table = matching.run(handles_of(VISITS, TRACT), MAP).figures
    assert table.colnames == list(FIGURES)
    assert list(table["visit"]) == [1, 2, 3]
    assert table["is_reference"].sum() == 1
    assert table["offset_median"].unit == u.nJy
    others = table[~table["is_reference"]]
    assert (others["n_measured"] == 256).all()
    assert (others["n_extrapolated"] == 0).all()
    np.testing.assert_allclose(others["mse"], 0.5, rtol=0.01)
    np.testing.assert_allclose(others["difference_variance"], 0.5, rtol=1e-5)
    assert matching.metadata.getArray("visits") == [1, 2, 3]
    assert matching.metadata.getArray("visit_n_measured") == list(table["n_measured"])
    assert matching.metadata.getArray("visit_offset_max") == list(table["offset_max"])
    assert "runEndUtc" in matching.metadata


def test_no_warps(caplog: pytest.LogCaptureFixture) -> None:
    result = task().run([], MAP)
    assert (result.backgroundInfoList, result.matchedImageList, len(result.figures)) == ([], [], 0)
    assert task().matchBackgrounds([], MAP, 1) == ([], [])
    assert caplog.text.count("no warps") == 2


def test_one_visit_is_its_own_reference() -> None:
    handles = handles_of(VISITS[:1], TRACT)
    result = task().run(handles, MAP)
    for handle, image in zip(handles, result.matchedImageList, strict=True):
        np.testing.assert_array_equal(image.image.array, handle.exposure.image.array)
    assert list(result.figures["is_reference"]) == [True]


def test_reference_that_is_not_among_the_warps() -> None:
    with pytest.raises(BadFrameError, match="reference visit 9 has no warp"):
        task(refWarpVisit=9).run(handles_of(VISITS[:2], TRACT), MAP)


def spoil(handle: Handle, how: str) -> None:
    exposure = handle.exposure
    if how == "all NaN":
        exposure.image.array[...] = np.nan
    elif how == "zero variance":
        exposure.variance.array[...] = 0.0
    elif how == "infinite variance":
        exposure.variance.array[...] = np.inf
    else:
        exposure.unit = {"electrons": u.electron, "adu": u.adu}[how]


CURES = {"electrons": "calibrate its frames", "adu": "calibrate its frames"}


@pytest.mark.parametrize("how", ["all NaN", "zero variance", "infinite variance", "electrons", "adu"])
@pytest.mark.parametrize("place", [5, 1], ids=["of a visit", "of the reference"])
def test_a_bad_warp_is_named_and_the_rest_goes_on(how: str, place: int, caplog: pytest.LogCaptureFixture) -> None:
    handles = handles_of(VISITS, TRACT)
    spoil(handles[place], how)
    with caplog.at_level(logging.WARNING):
        result = task(refWarpVisit=1).run(handles, MAP)
    told = next(one for one in caplog.messages if "patch 1" in one)
    assert f"visit {2 if place == 5 else 1}" in told
    assert CURES.get(how, "look at that warp") in told
    good = [n for n in range(12) if n != place]
    np.testing.assert_allclose(levels(result.matchedImageList[n] for n in good), 10.0, atol=0.05)
    if how in CURES:
        made: Exposure = result.matchedImageList[place]
        np.testing.assert_array_equal(made.image.array, handles[place].exposure.image.array)


@pytest.mark.parametrize("how", ["all NaN", "zero variance"])
def test_a_bad_visit_is_not_chosen_and_is_returned_as_it_is(how: str, caplog: pytest.LogCaptureFixture) -> None:
    handles = handles_of(VISITS, TRACT)
    for handle in handles[:4]:
        spoil(handle, how)
    with caplog.at_level(logging.WARNING):
        result = task().run(handles, MAP)
    assert "visit 1 is not matched" in caplog.text
    assert list(result.figures["is_matched"]) == [False, True, True]
    assert len(set(np.round(levels(result.matchedImageList[4:])))) == 1
    np.testing.assert_array_equal(result.matchedImageList[2].image.array, handles[2].exposure.image.array)


def test_visit_without_a_common_superpixel_is_returned_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    apart = [
        Visit(number=1, sky=flat(1.0), patches=(0,)),
        Visit(number=2, sky=flat(2.0), patches=(3,)),
        Visit(number=3, sky=flat(3.0), patches=(0, 1)),
    ]
    handles = handles_of(apart, TRACT)
    with caplog.at_level(logging.WARNING):
        result = task(refWarpVisit=1).run(handles, MAP)
    assert "visit 2 is not matched: it has no superpixel in common with the reference 1; name another" in caplog.text
    assert "solution=JOINT" in caplog.text
    np.testing.assert_allclose(levels(result.matchedImageList), [1.0, 2.0, 1.0, 1.0], atol=0.05)
    assert list(result.figures["n_extrapolated"] > 0) == [False, False, True]


def test_patches_that_the_reference_lacks_are_named(caplog: pytest.LogCaptureFixture) -> None:
    visits = [dataclasses.replace(VISITS[0], patches=(0, 1, 2)), *VISITS[1:]]
    with caplog.at_level(logging.WARNING):
        result = task(refWarpVisit=1).run(handles_of(visits, TRACT), MAP)
    assert "reference visit 1 has no warp on patches [3]; the offsets of visits [2, 3]" in caplog.text
    assert "refWarpVisit" in caplog.text
    np.testing.assert_allclose(levels(result.matchedImageList), 10.0, atol=0.05)
    assert list(result.figures["n_extrapolated"] > 30) == [False, True, True]
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        task(refWarpVisit=1, solution="JOINT").run(handles_of(visits, TRACT), MAP)
    assert not caplog.messages  # others tell


def test_reference_without_a_pixel_leaves_all_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    handles = handles_of(VISITS, TRACT)
    for handle in handles[:4]:
        spoil(handle, "all NaN")
    with caplog.at_level(logging.WARNING):
        result = task(refWarpVisit=1).run(handles, MAP)
    assert "visit 1, patch 0: no pixel can be used" in caplog.text
    for visit in (2, 3):
        assert f"visit {visit} is not matched" in caplog.text
    np.testing.assert_allclose(levels(result.matchedImageList[4:]), [30.0] * 4 + [-5.0] * 4, atol=0.05)


def test_masks_without_the_planes_of_sources() -> None:
    """Masks of a schema of their own, in another order: planes go by their names."""
    schema = MaskSchema([MaskPlane(name, "") for name in ("NO_DATA", "SAT")], dtype=np.uint8)
    handles = handles_of(VISITS[:2], TRACT)
    for handle in handles:
        exposure = handle.exposure
        mask = Mask(0, schema=schema, bbox=exposure.bbox)
        wild = np.zeros(mask.bbox.shape, bool)
        wild[100:300, 50:90] = True
        mask.set("SAT", wild)
        exposure.image.array[wild] = 1e9
        exposure.mask = mask
    result = task(refWarpVisit=1).run(handles, MAP)
    for image in result.matchedImageList:
        assert image.mask.schema == schema
        assert image.image.array[300:].mean() == pytest.approx(10.0, abs=0.02)
    assert (result.figures["mse"][1:] < 1.01 * result.figures["difference_variance"][1:]).all()


def test_all_get_the_mean_sky() -> None:
    matching = task(solution="JOINT", jointSky="MEAN")
    result = matching.run(handles_of(VISITS, TRACT), MAP)
    np.testing.assert_allclose(levels(result.matchedImageList), np.mean(list(SKIES.values())), atol=0.05)
    assert not result.figures["is_reference"].any()
    assert result.figures["is_matched"].all()


def test_nothing_in_the_right_unit() -> None:
    handles = handles_of(VISITS[:1], TRACT)
    for handle in handles:
        spoil(handle, "electrons")
    with pytest.raises(BadFrameError, match="none of 4 warps is in nJy"):
        task().run(handles, MAP)


def test_warps_of_the_wrong_patch_or_twice() -> None:
    handles = handles_of(VISITS[:1], TRACT)
    with pytest.raises(BadFrameError, match="visit 1 has two warps on patch 0"):
        task().run([handles[0], handles[0]], MAP)
    handles[0].dataId["patch"] = 3
    with pytest.raises(BadFrameError, match="outside patch 3"):
        task().run(handles[:1], MAP)


def test_nan_pixels_stay_and_trimmed_warps_keep_their_boxes() -> None:
    visits = [VISITS[0], Visit(number=2, sky=flat(3.0), covered=lambda x, y: (x - 2 * y < 300) & (x > 77))]
    handles = handles_of(visits, TRACT)
    result = task(refWarpVisit=1).run(handles, MAP)
    for handle, image in zip(handles, result.matchedImageList, strict=True):
        assert image.bbox == handle.exposure.bbox
        np.testing.assert_array_equal(np.isnan(image.image.array), np.isnan(handle.exposure.image.array))
    np.testing.assert_allclose(levels(result.matchedImageList), 10.0, atol=0.05)


def test_patches_that_are_no_squares() -> None:
    oblong = sky_map((400, 300), 40, 1200)
    tract = oblong.tract(0)
    visits = [
        Visit(number=1, sky=flat(1.0), sigma=0.1),
        Visit(number=2, sky=lambda x, y: 5.0 + 0.01 * x - 0.005 * y, sigma=0.1),
    ]
    handles = handles_of(visits, tract)
    result = task(refWarpVisit=1).run(handles, oblong)
    for image in result.matchedImageList:
        tiles = image.image.array[:280, :320].reshape(7, 40, 8, 40).mean(axis=(1, 3))
        assert np.abs(tiles - 1.0).max() < 0.02


def test_joint_solution_matches_what_overlaps_in_a_chain() -> None:
    visits = [
        Visit(number=1, sky=flat(1.0), covered=lambda x, y: x < 400),
        Visit(number=2, sky=flat(5.0), covered=lambda x, y: (x > 200) & (x < 800)),
        Visit(number=3, sky=flat(9.0), covered=lambda x, y: x > 600),
    ]
    handles = [handle for handle in handles_of(visits, TRACT) if np.isfinite(handle.exposure.image.array).any()]
    matching = task(solution="JOINT", refWarpVisit=1)
    result = matching.run(handles, MAP)
    assert result.figures["is_matched"].all()
    np.testing.assert_allclose(levels(result.matchedImageList), 1.0, atol=0.15)


def test_exposures_find_their_patch_by_their_box() -> None:
    from skyloom.tasks.warp_reference import as_warp_references

    class Bare:
        def __init__(self, exposure: Exposure) -> None:
            self.exposure, self.dataId = exposure, {"visit": 4}

        def get(self) -> Exposure:
            return self.exposure

    warps = [Bare(make_warp(VISITS[0], patch)) for patch in TRACT.patches()]
    references, tract = as_warp_references(warps, MAP)
    assert tract.id == 0
    assert [one.patch.id for one in references] == [0, 1, 2, 3]
    assert references[0].patch.inner_bbox.x.size == PATCH
