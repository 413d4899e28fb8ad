"""Objects measured on calibrated frames: fluxes, flags, and the light curve of a variable star."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table, vstack
from lsst.pipe.base import NoWorkFound

from objects.coadd_scene import FRAME, NOISE, VISITS, frame, frames, truth
from skyloom.errors import AstrometryError, FrameError, PhotometryError
from skyloom.images import Exposure, bitmask, pixel_to_radec, radec_to_pixel
from skyloom.objects import ForcedFrameSettings, force_on_frame, forced_columns
from skyloom.tasks import ForcedPhotVisitTask
from tasks import joint_frames

VARIABLE, CURVE = 150, {1: 1.0, 2: 0.4, 3: 1.7, 4: 0.0}
"""Number of a star of the scene, and what its flux is multiplied by in each r visit."""


def positions(visit: int) -> tuple[np.ndarray, np.ndarray]:
    return radec_to_pixel(frames()[visit].projection, truth().ra, truth().dec)


def objects(keep: np.ndarray | None = None) -> Table:
    chosen = np.arange(truth().ra.size) if keep is None else np.flatnonzero(keep)
    table = Table({"object_id": chosen + 7000, "ra": truth().ra[chosen], "dec": truth().dec[chosen]})
    table["is_primary"] = True
    return table


def task() -> ForcedPhotVisitTask:
    return ForcedPhotVisitTask(config=ForcedPhotVisitTask.ConfigClass())


def test_fluxes_and_errors_are_those_of_the_truth() -> None:
    pulls, dark = [], []
    for visit in (1, 3, 5):
        table = force_on_frame(frames()[visit], *positions(visit), ForcedFrameSettings())
        flux = truth().flux[VISITS[visit][0]]
        good = ~np.asarray(table["flag_psf_flux"] | table["flag_blended"]) & ~truth().galaxy
        pull = np.asarray((table["psf_flux"] - flux) / table["psf_flux_err"])[good]
        pulls.append(pull)
        dark.append(pull[flux[good] == 0.0])
        bright = flux[good] > 8000.0
        assert abs(np.mean(np.asarray(table["psf_flux"])[good][bright] / flux[good][bright] - 1.0)) < 3e-3
    assert 0.95 < np.concatenate(pulls).std() < 1.05
    assert 0.88 < np.concatenate(dark).std() < 1.12
    assert abs(np.concatenate(dark).mean()) < 3.5 / np.sqrt(np.concatenate(dark).size)


def test_a_variable_star_gets_its_light_curve() -> None:
    assert truth().flux["r"][VARIABLE] > 3000.0
    assert not truth().galaxy[VARIABLE]
    tables = []
    for visit, factor in CURVE.items():
        exposure = frame(visit, {VARIABLE: factor}, seed=9)
        tables.append(task().run(exposure, [objects()], visit=visit, detector=0).forced_sources)
    table = vstack(tables)
    curve = table[np.asarray(table["object_id"]) == VARIABLE + 7000]
    assert list(curve["visit"]) == list(CURVE)
    expected = truth().flux["r"][VARIABLE] * np.array(list(CURVE.values()))
    assert np.abs((curve["psf_flux"] - expected) / curve["psf_flux_err"]).max() < 4.0
    others = table[~np.isin(table["object_id"], [VARIABLE + 7000, *(np.flatnonzero(truth().galaxy) + 7000)])]
    groups = [group for group in others.group_by("object_id").groups if not group["flag_psf_flux"].any()]
    chi2 = np.array([np.sum(((one["psf_flux"] - one["psf_flux"].mean()) / one["psf_flux_err"]) ** 2) for one in groups])
    assert chi2.mean() == pytest.approx(3.0, abs=0.4)  # of four values about their mean
    assert np.percentile(chi2, 99) < 16.0


def test_neighbours_share_their_light_rightly() -> None:
    exposure = frames()[1].copy()
    from objects.coadd_scene import _profile, add_sources

    image = np.zeros(FRAME.shape)
    x, y = np.array([100.3, 104.1, 300.0]), np.array([200.2, 200.9, 300.0])
    flux = np.array([30000.0, 10000.0, 5000.0])
    add_sources(image, _profile(VISITS[1][4]), x, y, flux)
    exposure.image.array[...] = image
    exposure.variance.array[...] = NOISE**2
    table = force_on_frame(exposure, x, y, ForcedFrameSettings())
    np.testing.assert_allclose(table["psf_flux"], flux, rtol=1e-4)
    assert list(table["flag_blended"]) == [True, True, False]
    # What one has in a circle does not hold the other.
    alone = force_on_frame(exposure, x[2:], y[2:], ForcedFrameSettings())
    share = float(alone["aperture_flux_6_0"][0]) / flux[2]
    np.testing.assert_allclose(table["aperture_flux_6_0"] / flux, share, rtol=3e-3)
    single = force_on_frame(exposure, x, y, ForcedFrameSettings(link_fwhm=0.1))
    assert single["psf_flux"][1] > 1.5 * flux[1]


def test_positions_off_the_frame_and_on_bad_pixels_are_flagged_and_kept() -> None:
    exposure = frame(1)
    x = np.array([380.0, -3.0, 500.0, 769.0, 200.0, 640.0])
    y = np.array([380.0, 300.0, 500.0, 400.0, 600.0, 200.0])
    exposure.bits[490:511, 490:511] |= bitmask("NO_DATA")
    exposure.image.array[490:511, 490:511] = np.nan
    exposure.bits[600, 200] |= bitmask("CR")
    exposure.bits[200, 640] |= bitmask("SUSPECT")
    table = force_on_frame(exposure, x, y, ForcedFrameSettings())
    assert list(table["flag_off_image"]) == [False, True, False, True, False, False]
    assert list(table["flag_psf_flux"]) == [False, True, True, True, True, False]
    assert list(table["flag_no_data_center"]) == [False, False, True, False, False, False]
    assert list(table["flag_cosmic_ray_center"]) == [False, False, False, False, True, False]
    assert list(table["flag_suspect_center"]) == [False, False, False, False, False, True]
    assert table["aperture_flag_3_0"][4]
    assert np.isfinite(table["psf_flux"][4])


def test_objects_near_the_frame_are_listed_and_others_are_not() -> None:
    exposure = frame(1)
    ra, dec = pixel_to_radec(exposure.projection, [380.0, -15.0, -25.0, 775.0], [380.0, 10.0, 10.0, 300.0])
    listed = Table({"object_id": [4, 3, 2, 1], "ra": ra, "dec": dec, "is_primary": [True, True, True, False]})
    table = task().run(exposure, [listed], visit=1, detector=5).forced_sources
    assert list(table["object_id"]) == [3, 4]
    assert list(table["flag_off_image"]) == [True, False]
    assert set(table["detector"]) == {5}
    far = Table({"object_id": [1], "ra": [330.0], "dec": [-2.0], "is_primary": [True]})
    with pytest.raises(NoWorkFound, match="No object"):
        task().run(exposure, [far], visit=1, detector=5)
    with pytest.raises(NoWorkFound, match="No object"):
        task().run(exposure, [], visit=1, detector=5)
    exposure.psf = None
    with pytest.raises(FrameError, match="no PSF"):
        task().run(exposure, [listed], visit=1, detector=5)


def of_joint_frame(detector: int) -> tuple[Exposure, Table]:
    """A frame whose own WCS and flux scale are wrong, and its stars as objects."""
    x, y, _ = np.transpose(joint_frames.STARS[detector])
    ra, dec = pixel_to_radec(joint_frames.projection(detector), x, y)
    return joint_frames.frame(detector), Table({"object_id": [1, 2], "ra": ra, "dec": dec, "is_primary": [True, True]})


@pytest.mark.parametrize("detector", [0, 1])
def test_the_joint_fit_gives_positions_and_fluxes(detector: int) -> None:
    exposure, stars = of_joint_frame(detector)
    tables = {name: [table] for name, table in joint_frames.joint_tables().items()}
    run = task()
    run.calibrate(exposure, detector, tables)
    table = run.run(exposure, [stars], visit=42, detector=detector).forced_sources
    flux = [star[2] for star in joint_frames.STARS[detector]]
    np.testing.assert_allclose(table["psf_flux"], flux, rtol=1e-3)
    assert set(table["band"]) == {"r"}
    # 03:04:05 TAI and half of 30 s
    assert table["mjd"][0] % 1.0 == pytest.approx((3 * 3600 + 4 * 60 + 5 + 15) / 86400.0, abs=1e-9)
    assert run.metadata["has_joint_wcs"]
    # With its own WCS the same frame is off by six pixels.
    exposure, stars = of_joint_frame(detector)
    run.calibrate(exposure, detector, {})
    wrong = run.run(exposure, [stars], visit=42, detector=detector).forced_sources
    assert np.all(wrong["psf_flux"] < 0.2 * np.array(flux))
    assert not run.metadata["has_joint_photo_calib"]


def test_a_frame_that_the_joint_fit_refused_is_refused() -> None:
    exposure, _ = of_joint_frame(1)
    tables = joint_frames.joint_tables(1)
    with pytest.raises(AstrometryError, match="too few stars"):
        task().calibrate(exposure, 1, {"joint_wcs": [tables["joint_wcs"]]})
    with pytest.raises(PhotometryError, match="too few stars"):
        task().calibrate(exposure, 1, {"joint_photo_calib": [tables["joint_photo_calib"]]})


def test_columns_of_light_curves_have_units_and_descriptions() -> None:
    table = force_on_frame(frames()[1], *positions(1), ForcedFrameSettings())
    assert table.colnames == [column.name for column in forced_columns(ForcedFrameSettings().aperture_radii)]
    assert not [name for name in table.colnames if not table[name].description]
    assert (table["psf_flux"].unit, table["mjd"].unit, table["x"].unit) == (u.nJy, u.d, u.pix)
    empty = force_on_frame(frames()[1], np.empty(0), np.empty(0), ForcedFrameSettings())
    assert empty.colnames == table.colnames
