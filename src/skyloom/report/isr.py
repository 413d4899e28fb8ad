"""Pages about frames before and after the removal of the instrument's signature."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import SkyloomError
from skyloom.files import write_beside
from skyloom.images import bits_of
from skyloom.isr import AmplifierLayout, layout_of, read_out

from .isr_figures import mask_figure, median_figure, overscan_figure, thumbnail_figure
from .isr_inputs import IsrInputs, find_frames, name_of, read_inputs
from .isr_profiles import in_electrons, line_medians, overscan_profile, plane_counts
from .isr_tables import amplifier_table, correction_table, figure_table, plane_table
from .page import Page, PageFigure, PageTable, write_page
from .png import png_of

if TYPE_CHECKING:
    from lsst.daf.butler import Butler
    from matplotlib.figure import Figure

__all__ = ["IsrReport", "report_isr"]

_CAPTIONS = {
    "overscan": "Serial overscan of each amplifier. Left: means of its rows, and the level that is taken off. Middle: "
    "what is left, its means over groups of rows in red, and in grey the noise of the mean of a row. Right: what is "
    "left in each column; columns that do not count are empty circles. A trend in the middle wants a level that bends "
    "more; one on the right, leadingColumnsToSkip.",
    "pictures": "As it was read, its overscan taken off, and corrected; asinh stretch from three sigma below the "
    "background.",
    "medians": "Medians of rows and columns, masked pixels left out. What is left of columns, edges and steps shows in "
    "the blue line.",
    "masks": "Where each mask plane is set: red blocks hold at least one pixel of it.",
}


@dataclass(frozen=True, kw_only=True)
class IsrReport:
    """What was written."""

    pages: list[Path]
    """A page a frame; the last is the index where there are several."""
    failures: list[SkyloomError]
    """Frames that have no page, and why."""


def report_isr(
    butler: Butler,
    expression: str,
    folder: Path,
    *,
    collection: str | None = None,
    advance: Callable[[Path], object] = lambda _: None,
) -> IsrReport:
    """Write a page with its figures for every frame that an expression picks, and an index of them.

    Parameters
    ----------
    butler
        The repository.
    expression
        Has to name the instrument.
    folder
        Receives ``isr_<instrument>_<exposure>_<detector>.html`` and the figures as PNG files beside it.
    collection
        Where the corrected frames are; None: the newest of each.
    advance
        Called with each page that is written.

    Raises
    ------
    SkyloomError
        If not even one page can be written.
    """
    refs, failures = find_frames(butler, expression, collection)
    folder.mkdir(parents=True, exist_ok=True)
    pages: list[Path] = []
    entries: list[list[str]] = []
    found: list[SkyloomError] = list(failures)
    for ref in refs:
        stem = "_".join(["isr", *(str(ref.dataId[key]) for key in ("instrument", "exposure", "detector"))])
        try:
            inputs = read_inputs(butler, ref)
            page, figures = isr_page(inputs)
        except SkyloomError as error:
            found.append(error)
            continue
        pages.append(_write(page, figures, folder / f"{stem}.html"))
        entries.append([name_of(ref), *_summary(inputs)])
        advance(pages[-1])
    if not pages:
        raise found[0]
    if len(pages) + len(found) > 1:
        links = [page.name for page in pages]
        pages.append(_write_index(folder / "index.html", entries, links, found))
        advance(pages[-1])
    return IsrReport(pages=pages, failures=found)


def isr_page(inputs: IsrInputs) -> tuple[Page, dict[str, bytes]]:
    """The page of a frame, and its figures as PNG, by name.

    Raises
    ------
    BadFrameError
        If the raw frame does not have the pixels that its detector says.
    """
    raw, frame, settings = inputs.raw, inputs.frame, inputs.settings
    assert raw.detector is not None
    layouts = layout_of(raw.detector, raw.image.shape, raw.file)
    image, bits, metadata = frame.image.array, bits_of(frame.mask), dict(frame.metadata)
    before = _overscan_off(inputs, layouts)
    counts = plane_counts(bits)
    profiles = [
        profile
        for layout in layouts
        if (profile := overscan_profile(raw.image, layout, settings.serial_overscan)) is not None
    ]
    figures = {
        **({"overscan": png_of(overscan_figure(profiles))} if profiles else {}),
        "pictures": png_of(_pictures(raw.image, before, image, bits)),
        "medians": png_of(median_figure(line_medians(in_electrons(before, layouts), bits), line_medians(image, bits))),
        **({"masks": png_of(mask_figure(image, bits, counts))} if counts else {}),
    }
    method: str = settings.serial_overscan.method if profiles else "NONE"
    if profiles and not inputs.settings_known:
        method += " (as the run's settings are not known; the level shown may not be the one taken off)"
    page = Page(
        title=f"Signature removal: {inputs.name}",
        summary=_sentence(inputs, metadata),
        tables=[
            correction_table(metadata, method),
            amplifier_table(metadata, layouts),
            plane_table(counts, bits.size),
            figure_table(metadata, layouts),
        ],
        figures=[
            PageFigure(caption=_CAPTIONS[name], png=base64.b64encode(png).decode("ascii"))
            for name, png in figures.items()
        ],
    )
    return page, figures


def _overscan_off(inputs: IsrInputs, layouts: Sequence[AmplifierLayout]) -> np.ndarray:
    """The trimmed detector in ADU with nothing but its overscan (or its pedestal) taken off."""
    detector = inputs.raw.detector
    assert detector is not None
    rows, columns = detector.bbox.shape
    pedestals = None if inputs.frame.metadata.get("LSST ISR BIAS APPLIED") else inputs.camera.bias_levels(detector.id)
    return read_out(
        inputs.raw, list(layouts), (rows, columns), inputs.settings, pedestals_adu=pedestals, metadata={}
    ).image


def _pictures(raw: np.ndarray, before: np.ndarray, after: np.ndarray, bits: np.ndarray) -> Figure:
    counts = raw.astype(np.float32)
    return thumbnail_figure(
        {
            "raw (ADU)": (counts, np.zeros(counts.shape, np.int32)),
            "overscan taken off (ADU)": (before, bits),
            "corrected (electrons)": (after, bits),
        }
    )


def _sentence(inputs: IsrInputs, metadata: dict[str, Any]) -> str:
    info = inputs.frame.obs_info
    parts = [f"Corrected in {inputs.run}", f"raw file {inputs.raw.file}"]
    if info is not None:
        parts.append(f"filter {info.physical_filter}")
        if info.exposure_time is not None:
            parts.append(f"{info.exposure_time.to_value('s'):g} s")
    parts.append(f"in {metadata.get('LSST ISR UNITS', 'unknown unit')}s")
    return "; ".join(parts) + "."


def _summary(inputs: IsrInputs) -> list[str]:
    """What the index says of a frame."""
    image, bits = inputs.frame.image.array, bits_of(inputs.frame.mask)
    metadata, info = inputs.frame.metadata, inputs.frame.obs_info
    finite = image[::4, ::4][np.isfinite(image[::4, ::4])]
    applied = [key.split()[2] for key, value in metadata.items() if key.endswith(" APPLIED") and value is True]
    return [
        "" if info is None else str(info.physical_filter),
        f"{np.median(finite):.1f}" if finite.size else "none",
        f"{100 * np.count_nonzero(bits) / bits.size:.3g} %",
        " ".join(applied),
    ]


def _write(page: Page, figures: dict[str, bytes], path: Path) -> Path:
    """Write the figures, then the page that holds them too."""
    for name, png in figures.items():
        write_beside(path.with_name(f"{path.stem}_{name}.png"), lambda part, png=png: part.write_bytes(png))  # type: ignore[misc]
    write_page(page, path)
    return path


def _write_index(path: Path, entries: list[list[str]], links: list[str], failures: Sequence[SkyloomError]) -> Path:
    tables = [
        PageTable(
            title="Frames",
            columns=["frame", "filter", "median (e⁻)", "masked", "corrections"],
            rows=entries,
            links=links,
        )
    ]
    if failures:
        tables.append(PageTable(title="Left out", columns=["why"], rows=[[str(one)] for one in failures]))
    summary = f"{len(entries)} frames before and after, {len(failures)} left out."
    write_page(Page(title="Signature removal", summary=summary, tables=tables), path)
    return path
