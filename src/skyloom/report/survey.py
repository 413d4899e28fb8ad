"""The page of a processed simulated survey: figures against truth, the coadd, one calibrated frame, plots."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from astropy.table import Table
from lsst.daf.butler import Butler, DatasetRef

from skyloom.images import Exposure, from_coadd, from_visit_image

from .coadd_truth import CoaddAgreement, compare_coadd
from .figures import count_figure, image_figure, photometry_figure, position_figure, zero_point_figure
from .page import Page, PageFigure, PageTable
from .truth import SurveyAgreement, compare_survey

__all__ = ["survey_page"]

_MAX_ASTROMETRY_MAS = 10.0
_MAX_ZERO_POINT_MMAG = 10.0


def survey_page(repository: Path, collection: str, sky: Table, n_frames: int, band: str) -> tuple[Page, bool]:
    """Compare the products of ``collection`` with the true sky.

    Parameters
    ----------
    repository
        Root of the repository.
    collection
        Output chain of the run.
    sky
        True sources: ``id``, ``ra``, ``dec`` (deg), ``flux_<band>`` (nJy), ``is_star``.
    n_frames
        Number of simulated frames.
    band
        Band to compare.

    Returns
    -------
    page, passed
        The page, and whether every frame was calibrated and the targets are met.

    Raises
    ------
    ValueError
        If no frame or no patch was made.
    """
    with Butler.from_config(str(repository), collections=[collection]) as butler:
        survey = compare_survey(_star_tables(butler), sky, band)
        patches = [from_coadd(butler.get(ref)) for ref in _refs(butler, "deep_coadd", band)]
        counts = [butler.get(ref) for ref in _refs(butler, "deep_coadd_n_image", band)]
        frame = from_visit_image(butler.get(_refs(butler, "initial_pvi")[0]))
    coadd = compare_coadd(patches, sky, band)
    passed = (
        len(survey.frames) == n_frames
        and survey.astrometry_mas < _MAX_ASTROMETRY_MAS
        and survey.worst_zero_point_mmag < _MAX_ZERO_POINT_MMAG
    )
    page = Page(
        title="A simulated survey, processed and compared with its truth",
        summary=f"{n_frames} raw frames of the simulated camera, from overscan to coadd; bright, isolated stars.",
        tables=[_summary(survey, coadd, n_frames), _frame_table(survey)],
        figures=[
            PageFigure(caption="The coadd", png=image_figure(_mosaic(patches), "Coadd", "nJy")),
            PageFigure(
                caption="Inputs a pixel",
                png=count_figure(_paste([(image.bbox.y.start, image.bbox.x.start, image.array) for image in counts])),
            ),
            PageFigure(caption="One calibrated frame", png=image_figure(frame.image.array, "Calibrated frame", "nJy")),
            PageFigure(caption="Astrometry", png=position_figure(survey.stars)),
            PageFigure(caption="Photometry", png=photometry_figure(survey.stars)),
            PageFigure(caption="Zero points", png=_zero_points(survey)),
        ],
    )
    return page, passed


def _refs(butler: Butler, dataset_type: str, band: str | None = None) -> list[DatasetRef]:
    """The datasets of a type in order of their data ids."""
    where = f"band = '{band}'" if band else ""
    refs = butler.query_datasets(dataset_type, where=where, explain=False, limit=None)
    return sorted(refs, key=lambda ref: tuple(ref.dataId.required_values))


def _star_tables(butler: Butler) -> Iterator[tuple[int, int, Table]]:
    for ref in _refs(butler, "initial_stars_detector"):
        # Frames that failed write their stars too; only published ones count.
        if butler.exists("initial_pvi", ref.dataId):
            yield int(ref.dataId["visit"]), int(ref.dataId["detector"]), butler.get(ref)


def _summary(survey: SurveyAgreement, coadd: CoaddAgreement, n_frames: int) -> PageTable:
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
        ["repeatability of bright stars", f"{survey.repeatability_mmag:.1f} mmag", ""],
        ["coadd: noise over expectation", f"{coadd.noise_ratio:.3f}", ""],
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


def _mosaic(patches: list[Exposure]) -> np.ndarray:
    return _paste([(patch.bbox.y.start, patch.bbox.x.start, patch.image.array) for patch in patches])


def _paste(pieces: list[tuple[int, int, np.ndarray]]) -> np.ndarray:
    """Pieces ``(y0, x0, [y, x])`` of one pixel grid as one image, every second pixel; NaN where there is none."""
    y0, x0 = min(piece[0] for piece in pieces), min(piece[1] for piece in pieces)
    y1, x1 = (max(piece[axis] + piece[2].shape[axis] for piece in pieces) for axis in (0, 1))
    whole = np.full((y1 - y0, x1 - x0), np.nan, dtype=np.float32)
    for y, x, array in pieces:
        part = whole[y - y0 : y - y0 + array.shape[0], x - x0 : x - x0 + array.shape[1]]
        np.copyto(part, array, where=np.isfinite(array))
    return whole[::2, ::2]
