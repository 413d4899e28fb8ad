"""One page about a visit: the pictures of its single-frame calibration."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.repo.setup import read_camera

from .page import PageFigure, PageTable
from .png import png_of
from .visit_focal_plane import FrameFigures, focal_plane_figure
from .visit_inputs import find_runs, instrument_of, read_frame
from .visit_measured import measured
from .visit_page import Section, VisitPage, frame_section, write_visit_page
from .visit_usual import judge

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["VisitReport", "report_visit"]


@dataclass(frozen=True, kw_only=True)
class VisitReport:
    """What was written."""

    page: Path
    frames: list[FrameFigures]
    """Figures of the detectors, in their order."""

    @property
    def failures(self) -> list[FrameFigures]:
        """The frames that failed."""
        return [frame for frame in self.frames if frame.failure]


def report_visit(
    butler: Butler,
    visit: int,
    folder: Path,
    *,
    instrument: str | None = None,
    detectors: Sequence[int] = (),
    collections: Sequence[str] = (),
    advance: Callable[[FrameFigures], object] = lambda _: None,
) -> VisitReport:
    """Write a page about a visit: an overview of the focal plane, and a section a detector with its pictures.

    Frames are read one at a time.  One that failed is shown as far as it came, with the reason.

    Parameters
    ----------
    butler
        The repository.
    visit
        Number of the visit.
    folder
        Receives ``visit_<instrument>_<visit>.html``.
    instrument
        Needed where the repository has several.
    detectors
        Wanted ones; empty for all.
    collections
        Where the products are, the first first; empty: the newest of each detector.
    advance
        Called with the figures of each frame that is done.

    Raises
    ------
    RepositoryError
        If there is nothing to show.
    """
    name = instrument_of(butler, instrument)
    runs = find_runs(butler, name, visit, detectors, collections)
    sections: list[Section] = []
    frames: list[FrameFigures] = []
    for detector, run in runs.items():
        products = read_frame(butler, name, visit, detector, run)
        values = measured(products)
        sections.append(frame_section(products, values))
        remarks = sum(bool(one.remark) for one in judge(values))
        frames.append(
            FrameFigures(
                detector=detector, values=values, failure=products.failure, remarks=remarks, name=products.name, run=run
            )
        )
        advance(frames[-1])
    page = VisitPage(
        title=f"Calibration of {name} visit {visit}",
        summary=_sentence(frames),
        tables=[_overview(frames, sections)],
        figures=_focal_plane(butler, name, frames),
        sections=sections,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return VisitReport(page=write_visit_page(page, folder / f"visit_{name}_{visit}.html"), frames=frames)


def _sentence(frames: Sequence[FrameFigures]) -> str:
    failed = sum(bool(frame.failure) for frame in frames)
    odd = sum(bool(frame.remarks) and not frame.failure for frame in frames)
    runs = ", ".join(sorted({frame.run for frame in frames}))
    parts = [f"{len(frames)} frame{'s' if len(frames) != 1 else ''} from {runs}"]
    parts.append("none failed" if failed == 0 else f"{failed} failed")
    parts.append(f"{odd} with figures out of the usual" if odd else "nothing else is out of the usual")
    return "; ".join(parts) + "."


def _overview(frames: Sequence[FrameFigures], sections: Sequence[Section]) -> PageTable:
    """A row a frame, which leads to its section."""
    shown = {
        "sources": ("n_sources", "{:,.0f}"),
        "PSF stars": ("n_psf_stars", "{:.0f}"),
        "FWHM (arcsec)": ("fwhm_arcsec", "{:.2f}"),
        "astrometry (mas)": ("astrometry_rms_arcsec", "{:.1f}"),
        "zero point (mag)": ("zero_point_mag", "{:.3f}"),
        "± (mmag)": ("zero_point_err_mag", "{:.1f}"),
    }
    scale = {"astrometry_rms_arcsec": 1e3, "zero_point_err_mag": 1e3}
    rows = [
        [
            f"detector {frame.detector}",
            *(
                text.format(scale.get(name, 1.0) * frame.values[name]) if name in frame.values else ""
                for name, text in shown.values()
            ),
            "failed" if frame.failure else (f"{frame.remarks} to look at" if frame.remarks else "usual"),
        ]
        for frame in frames
    ]
    return PageTable(
        title="Detectors", columns=["frame", *shown, "verdict"], rows=rows, links=[f"#{one.anchor}" for one in sections]
    )


def _focal_plane(butler: Butler, instrument: str, frames: Sequence[FrameFigures]) -> list[PageFigure]:
    """The overview, where there are several detectors."""
    if len(frames) < 2:
        return []
    png = png_of(focal_plane_figure(read_camera(butler, instrument), frames))
    caption = (
        "Figures of the detectors at their places on the sky as the camera's description has them, east to the left. "
        "Hatched: the frame failed. White: the figure is not known."
    )
    return [PageFigure(caption=caption, png=base64.b64encode(png).decode("ascii"))]
