"""Frames of a tiny camera, and repositories."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from lsst.daf.butler import Butler
from tiny_camera import TINY, WriteFrame, tiny_header

from fixtures.versions import versions_once
from skyloom.instruments import Camera
from skyloom.repo.setup import initialise

__all__ = ["versions_once"]


@pytest.fixture(scope="session")
def tiny() -> Camera:
    return Camera.from_yaml(TINY)


@pytest.fixture
def write_frame(tmp_path: Path) -> WriteFrame:
    """Writes a raw frame of the tiny camera: (exposure, detector, name=..., pixels=..., KEYWORD=...)."""

    def write(exposure: int, detector: int, *, name: str = "", pixels: Any = None, **changes: Any) -> Path:
        path = tmp_path / "raw" / (name or f"tiny_{exposure}_{detector}.fits")
        path.parent.mkdir(exist_ok=True)
        if pixels is None:
            pixels = np.full((30, 24), 1000 + exposure, np.uint16)
        fits.PrimaryHDU(pixels, tiny_header(exposure, detector, **changes)).writeto(path, overwrite=True)
        return path

    return write


@pytest.fixture(scope="session")
def empty_repo(tmp_path_factory: pytest.TempPathFactory, tiny: Camera) -> Path:
    """A repository with the tiny camera; copy it before writing to it."""
    root = tmp_path_factory.mktemp("empty") / "repo"
    initialise(str(root), tiny)
    return root


@pytest.fixture
def repo(tmp_path: Path, empty_repo: Path) -> Path:
    """A repository of its own with the tiny camera."""
    return Path(shutil.copytree(empty_repo, tmp_path / "repo"))


@pytest.fixture
def butler(repo: Path) -> Iterator[Butler]:
    with Butler.from_config(str(repo), writeable=True) as butler:
        yield butler
