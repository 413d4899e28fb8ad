"""Frames of a tiny camera, and repositories."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from tiny_camera import TINY, WriteFrame, frame_writer

from fixtures.versions import versions_once
from fixtures.workers import warm_workers
from skyloom.instruments import Camera
from skyloom.repo.setup import initialise

__all__ = ["versions_once", "warm_workers"]


@pytest.fixture(scope="session")
def tiny() -> Camera:
    return Camera.from_yaml(TINY)


@pytest.fixture
def write_frame(tmp_path: Path) -> WriteFrame:
    """Writes a raw frame of the tiny camera: (exposure, detector, name=..., pixels=..., KEYWORD=...)."""
    return frame_writer(tmp_path / "raw")


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
