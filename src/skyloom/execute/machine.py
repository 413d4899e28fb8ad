"""What `skyloom doctor` looks at on a machine: memory, disk, versions, the cache of compiled kernels."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from .finding import Finding

__all__ = ["check_cache", "check_machine", "check_versions"]

_GB = 1e9
_LEAST_MEMORY, _LEAST_DISK = 2.0 * _GB, 5.0 * _GB
"""Bytes: a worker takes up to about one, a mosaic's night some tens."""
_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def check_machine(folder: Path) -> Iterator[Finding]:
    """Processor, memory, and the disk that holds a folder."""
    cores, memory = len(os.sched_getaffinity(0)), psutil.virtual_memory()
    load = os.getloadavg()[0]
    yield Finding(
        topic="machine",
        state="look" if load > 1.5 * cores else "ok",
        text=f"{platform.system()} {platform.machine()}, {cores} cores, load {load:.1f}",
        cure="Others compute here: runs will take longer." if load > 1.5 * cores else "",
    )
    yield Finding(
        topic="memory",
        state="ok" if memory.available > _LEAST_MEMORY else "wrong",
        text=f"{memory.available / _GB:.1f} of {memory.total / _GB:.1f} GB free",
        cure="" if memory.available > _LEAST_MEMORY else "A worker takes 1 to 2 GB: end other work, or use --memory.",
    )
    free = shutil.disk_usage(folder).free
    yield Finding(
        topic="disk",
        state="ok" if free > _LEAST_DISK else "look",
        text=f"{free / _GB:.1f} GB free at {folder}",
        cure="" if free > _LEAST_DISK else "A calibrated frame takes about 12 bytes a pixel, a warp the same.",
    )
    threads = {name: os.environ[name] for name in _THREADS if name in os.environ}
    yield Finding(
        topic="threads",
        state="ok",
        text="each worker computes with one thread"
        + (f" ({', '.join(f'{name}={value}' for name, value in threads.items())})" if threads else ""),
    )


def check_versions() -> Iterator[Finding]:
    """Python, and whether what is installed is what skyloom asks for."""
    yield Finding(
        topic="versions", state="ok", text=f"skyloom {metadata.version('skyloom')}, Python {sys.version.split()[0]}"
    )
    wrong = []
    wanted = [Requirement(text) for text in metadata.requires("skyloom") or ()]
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            there = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(there, prereleases=True):
            wrong.append(f"{requirement.name} is {there}, not {requirement.specifier}")
    weeks = Counter(re.sub(r"00$", "", metadata.version(one.name)) for one in wanted if one.name.startswith("lsst-"))
    yield Finding(
        topic="packages",
        state="wrong" if wrong else "ok",
        text="; ".join(wrong) if wrong else f"all as asked for; Rubin middleware of {weeks.most_common(1)[0][0]}",
        cure="Install skyloom anew, into an environment of its own." if wrong else "",
    )


def check_cache() -> Finding:
    """Where compiled kernels are kept, and whether they can be."""
    from skyloom.kernels.statistics import clipped_mean as kernel

    place = Path(kernel._cache.cache_path)
    place.mkdir(parents=True, exist_ok=True)
    writable = os.access(place, os.W_OK)
    compiled = sum(1 for _ in place.glob("*.nbc"))
    if not writable:
        state, cure = "wrong", "Set NUMBA_CACHE_DIR to a folder that you can write to; else each process compiles anew."
    elif not compiled:
        state, cure = "look", "The first run compiles for a minute or two; skyloom demo does it, too."
    else:
        state, cure = "ok", ""
    return Finding(topic="kernels", state=state, text=f"{compiled} compiled in {place}", cure=cure)  # type: ignore[arg-type]
