"""`HealSparseFormatter`: HealSparse maps as the files of their own package."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar, override

from lsst.daf.butler import FormatterV2
from lsst.resources import ResourcePath

__all__ = ["HealSparseFormatter"]


class HealSparseFormatter(FormatterV2):
    """A HealSparse map; the package healsparse is an extra."""

    default_extension: ClassVar[str] = ".hsp"
    can_read_from_local_file: ClassVar[bool] = True

    @override
    def read_from_local_file(self, path: str, component: str | None = None, expected_size: int = -1) -> Any:
        return importlib.import_module("healsparse").HealSparseMap.read(path)

    @override
    def write_local_file(self, in_memory_dataset: Any, uri: ResourcePath) -> None:
        in_memory_dataset.write(uri.ospath, clobber=True)
