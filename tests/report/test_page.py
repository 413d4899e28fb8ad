"""A page is one file that says what it was given, and nothing executable."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np

from skyloom.report.figures import image_figure
from skyloom.report.page import Page, PageFigure, PageTable, write_page


def test_page_is_self_contained_and_escaped(tmp_path: Path) -> None:
    image = np.random.default_rng(1).normal(100.0, 3.0, (40, 50))
    image[5, 5] = np.nan
    png = image_figure(image, "A frame", "nJy")
    assert base64.b64decode(png).startswith(b"\x89PNG")
    assert png == image_figure(image, "A frame", "nJy")
    page = Page(
        title="A <survey>",
        summary="All is well.",
        tables=[PageTable(title="Figures", columns=["what", "value"], rows=[["astrometry", "3.2 mas"]])],
        figures=[PageFigure(caption="The coadd", png=png)],
    )
    write_page(page, tmp_path / "index.html")
    text = (tmp_path / "index.html").read_text()
    assert "A &lt;survey&gt;" in text
    assert "3.2 mas" in text
    assert "http" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
