"""Kernels that are compiled before they are needed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from skyloom import warm_up
from skyloom.kernels.deblend import deblend_footprints
from skyloom.kernels.joint_fit import star_steps
from skyloom.kernels.median import _filtered
from skyloom.kernels.psf_flux import fit_stamps
from skyloom.kernels.stack import combine_stack


def test_compiling_begins_where_the_cache_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels"
    monkeypatch.setattr(warm_up, "fit_stamps", SimpleNamespace(stats=SimpleNamespace(cache_path=str(folder))))
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: command)
    assert not warm_up.is_compiled()
    assert len(warm_up.start_compiling()) == 2
    folder.mkdir()
    (folder / "psf_flux.fit_stamps-1.py313.nbi").touch()
    assert warm_up.is_compiled()
    assert warm_up.start_compiling() == []


def test_one_small_frame_goes_all_the_way() -> None:
    warm_up.compile_kernels()
    assert all(kernel.signatures for kernel in (_filtered, fit_stamps, combine_stack, deblend_footprints, star_steps))
    assert warm_up.is_compiled()
