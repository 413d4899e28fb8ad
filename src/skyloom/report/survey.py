"""The page of a processed simulated survey: figures against truth, the coadd, one calibrated frame, plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef

from skyloom.images import Exposure, from_coadd, from_visit_image
from skyloom.instruments import Camera
from skyloom.simulate import Mosaic, Survey
from skyloom.simulate.scene import electrons_per_njy

from .coadd_truth import CoaddAgreement, compare_coadd
from .figures import count_figure, image_figure, photometry_figure, position_figure, zero_point_figure
from .page import Page, PageFigure, PageTable
from .truth import SurveyAgreement, compare_survey

__all__ = ["survey_page"]

_MAX_ASTROMETRY_MAS = 10.0
_MAX_ZERO_POINT_MMAG = 10.0
_MAX_REPEATABILITY_MMAG = 15.0
_MAX_DEPTH_ERROR = 0.05
_BLOCK = 4


def survey_page(repository: Path, collection: str, survey: Survey) -> tuple[Page, bool]:
    """Compare the products of ``collection`` with the truth of the survey, in its first band.

    Parameters
    ----------
    repository
        Root of the repository.
    collection
        Output chain of the run.
    survey
        The simulated survey.

    Returns
    -------
    page, passed
        The page, and whether every frame was calibrated and the targets are met.

    Raises
    ------
    ValueError
        If no frame or no patch was made.
    """
    sky, band, n_frames = survey.sky_now, survey.settings.bands[0], len(survey.raw_files)
    with Butler.from_config(str(repository), collections=[collection]) as butler:
        agreement = compare_survey(_star_tables(butler), sky, band)
        sizes = _size_residuals(butler)
        picture, counts = _Mosaic(), _Mosaic()
        coadd = compare_coadd(
            _patches(butler, band, picture, counts),
            sum(visit.band == band for visit in survey.visits),
            sky,
            band,
            _pixel_noise_njy(survey, band),
        )
        frame = from_visit_image(butler.get(_refs(butler, "initial_pvi")[0]))
    passed = (
        len(agreement.frames) == n_frames
        and agreement.astrometry_mas < _MAX_ASTROMETRY_MAS
        and agreement.worst_zero_point_mmag < _MAX_ZERO_POINT_MMAG
        and agreement.repeatability_mmag < _MAX_REPEATABILITY_MMAG
        and abs(coadd.depth_ratio - 1.0) < _MAX_DEPTH_ERROR
    )
    page = Page(
        title="A simulated survey, processed and compared with its truth",
        summary=f"{n_frames} raw frames of the simulated camera, from overscan to coadd; bright, isolated stars.",
        tables=[_summary(agreement, coadd, sizes, n_frames), _frame_table(agreement)],
        figures=[
            PageFigure(caption="The coadd", png=image_figure(picture.whole(), "Coadd", "nJy")),
            PageFigure(
                caption="Inputs a pixel",
                png=count_figure(counts.whole()),
            ),
            PageFigure(caption="One calibrated frame", png=image_figure(frame.image.array, "Calibrated frame", "nJy")),
            PageFigure(caption="Astrometry", png=position_figure(agreement.stars)),
            PageFigure(caption="Photometry", png=photometry_figure(agreement.stars)),
            PageFigure(caption="Zero points", png=_zero_points(agreement)),
        ],
    )
    return page, passed


def _refs(butler: Butler, dataset_type: str, band: str | None = None) -> list[DatasetRef]:
    """The datasets of a type in order of their data ids."""
    where = f"band = '{band}'" if band else ""
    refs = butler.query_datasets(dataset_type, where=where, explain=False, limit=None)
    return sorted(refs, key=lambda ref: tuple(ref.dataId.required_values))


def _star_tables(butler: Butler) -> Iterator[tuple[int, int, Table]]:
    for ref in _refs(butler, "initial_sources_detector"):
        # Frames that failed write their stars too; only published ones count.
        if butler.exists("initial_pvi", ref.dataId):
            yield int(ref.dataId["visit"]), int(ref.dataId["detector"]), butler.get(ref)


def _size_residuals(butler: Butler) -> np.ndarray:
    """Median dT/T of the stars that each frame's PSF was not fitted to; T is the sum of the second moments."""
    found = []
    for ref in _refs(butler, "initial_pvi"):
        figures = butler.get("calibrate_image_metadata", ref.dataId).to_dict()["calibrate_image"]
        found.append(2.0 * float(figures["psf_reserved_size_residual_median"]))
    return np.array(found)[np.isfinite(found)]


def _pixel_noise_njy(survey: Survey, band: str) -> float:
    """Noise of a pixel that the visits of a band allow together, each with the weight of its own noise."""
    mosaic = Mosaic.of(Camera.read(survey.settings.camera))
    read_noise = np.median([one.layout.read_noise for ccd in mosaic.ccds.values() for one in ccd.amplifiers])
    weight = 0.0
    for visit in survey.visits:
        if visit.band == band:
            dark = survey.settings.detector.dark_electrons_per_s * visit.exposure_time_s
            weight += electrons_per_njy(visit) ** 2 / (visit.sky_electrons + dark + read_noise**2)
    return float(1.0 / np.sqrt(weight))


def _summary(survey: SurveyAgreement, coadd: CoaddAgreement, sizes: np.ndarray, n_frames: int) -> PageTable:
    rows = [
        ["frames calibrated", f"{len(survey.frames)} of {n_frames}", "all"],
        ["stars compared", f"{len(survey.stars)}", ""],
        ["astrometry, rms a coordinate", f"{survey.astrometry_mas:.1f} mas", f"< {_MAX_ASTROMETRY_MAS:.0f} mas"],
        ["astrometry, worst frame", f"{survey.worst_astrometry_mas:.1f} mas", ""],
        ["zero-point error, median", f"{survey.zero_point_mmag:.1f} mmag", ""],
        [
            "zero-point error, worst frame",
            f"{survey.worst_zero_point_mmag:.1f} mmag",
            f"< {_MAX_ZERO_POINT_MMAG:.0f} mmag",
        ],
        [
            "repeatability of bright stars",
            f"{survey.repeatability_mmag:.1f} mmag",
            f"< {_MAX_REPEATABILITY_MMAG:.0f} mmag",
        ],
        ["PSF size of reserved stars, dT/T", f"{sizes.mean():+.4f} ± {sizes.std() / np.sqrt(len(sizes)):.4f}", ""],
        [
            "coadd: depth, noise of PSF fluxes over expectation",
            f"{coadd.depth_ratio:.3f}",
            f"within {100 * _MAX_DEPTH_ERROR:.0f} %",
        ],
        ["coadd: noise of a pixel over its variance plane", f"{coadd.noise_ratio:.3f}", ""],
        ["coadd: PSF magnitudes, median error", f"{coadd.flux_mmag:+.1f} mmag", ""],
        ["coadd: astrometry, rms a coordinate", f"{coadd.astrometry_mas:.1f} mas", ""],
    ]
    return PageTable(title="Against the truth", columns=["figure", "measured", "target"], rows=rows)


def _frame_table(survey: SurveyAgreement) -> PageTable:
    rows = [
        [
            f"{frame.visit}",
            f"{frame.detector}",
            f"{frame.n_stars}",
            f"{frame.offset_mas:.1f}",
            f"{frame.astrometry_mas:.1f}",
            f"{frame.zero_point_mmag:+.1f}",
            f"{frame.scatter_mmag:.1f}",
        ]
        for frame in survey.frames
    ]
    columns = ["visit", "detector", "stars", "offset (mas)", "rms (mas)", "zero point (mmag)", "scatter (mmag)"]
    return PageTable(title="Frame by frame", columns=columns, rows=rows)


def _zero_points(survey: SurveyAgreement) -> str:
    visits = np.asarray([frame.visit for frame in survey.frames])
    return zero_point_figure(visits, np.asarray([frame.zero_point_mmag for frame in survey.frames]))


def _patches(butler: Butler, band: str, picture: _Mosaic, counts: _Mosaic) -> Iterator[tuple[Exposure, np.ndarray]]:
    """The patches of the coadd, one at a time, with their numbers of inputs; both go into the mosaics."""
    for ref in _refs(butler, "deep_coadd", band):
        patch, count = from_coadd(butler.get(ref)), butler.get("deep_coadd_n_image", ref.dataId).array
        picture.add(patch.bbox.y.start, patch.bbox.x.start, patch.image.array)
        counts.add(patch.bbox.y.start, patch.bbox.x.start, count.astype(np.float32))
        yield patch, count


class _Mosaic:
    """Pieces of one pixel grid, in blocks of 4 x 4 pixels: a page shows no more, and drawing takes much memory."""

    def __init__(self) -> None:
        self._pieces: list[tuple[int, int, np.ndarray]] = []

    def add(self, y0: int, x0: int, pixels: np.ndarray) -> None:
        """Take in a piece ``[y, x]`` by its first pixel."""
        first_y, first_x = (-y0) % _BLOCK, (-x0) % _BLOCK
        rows, columns = (
            (length - first) // _BLOCK for length, first in zip(pixels.shape, (first_y, first_x), strict=True)
        )
        part = pixels[first_y : first_y + rows * _BLOCK, first_x : first_x + columns * _BLOCK]
        blocks = part.reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3))
        self._pieces.append(((y0 + first_y) // _BLOCK, (x0 + first_x) // _BLOCK, blocks))

    def whole(self) -> np.ndarray:
        """All pieces as one image, a value a block; NaN where there is none."""
        y0, x0 = (min(piece[axis] for piece in self._pieces) for axis in (0, 1))
        y1, x1 = (max(piece[axis] + piece[2].shape[axis] for piece in self._pieces) for axis in (0, 1))
        pixels = np.full((y1 - y0, x1 - x0), np.nan, dtype=np.float32)
        for y, x, array in self._pieces:
            part = pixels[y - y0 : y - y0 + array.shape[0], x - x0 : x - x0 + array.shape[1]]
            np.copyto(part, array, where=np.isfinite(array))
        return pixels
