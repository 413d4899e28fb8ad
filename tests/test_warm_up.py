"""Kernels that are compiled before they are needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
from skyloom import warm_up
assert not warm_up.is_compiled()
warm_up.subprocess.Popen = lambda command, **_: command
assert len(warm_up.start_compiling()) == 2
folder = warm_up.Path(warm_up.fit_stamps.stats.cache_path)
folder.mkdir(parents=True, exist_ok=True)
(folder / "psf_flux.fit_stamps-1.py313.nbi").touch()
assert warm_up.is_compiled()
assert warm_up.start_compiling() == []
"""


def test_compiling_begins_where_the_cache_is_empty(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_small_frame_goes_all_the_way() -> None:
    from skyloom.kernels.deblend import deblend_footprints
    from skyloom.kernels.joint_fit import star_steps
    from skyloom.kernels.median import _filtered
    from skyloom.kernels.psf_flux import fit_stamps
    from skyloom.kernels.stack import combine_stack
    from skyloom.warm_up import compile_kernels

    compile_kernels()
    assert all(kernel.signatures for kernel in (_filtered, fit_stamps, combine_stack, deblend_footprints, star_steps))
