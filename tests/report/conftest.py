from __future__ import annotations

import pytest


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but no pixels are made of them: the page of a whole file shows that this works."""
    monkeypatch.setattr(
        "skyloom.report.png.FigureCanvasAgg.print_png", lambda canvas, buffer, **options: buffer.write(b"no pixels")
    )
