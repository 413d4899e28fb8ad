"""Files of datasets without a registry: the butler of one quantum, and the removal of what is in no registry."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lsst.daf.butler import (
    ButlerConfig,
    DatasetRef,
    DatasetType,
    DatasetTypeNotSupportedError,
    DimensionUniverse,
    LimitedButler,
    Quantum,
    QuantumBackedButler,
)
from lsst.resources import ResourcePath

__all__ = ["FileStores", "is_temporary", "remove_outputs", "remove_temporaries"]

_TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}(\..*)?|.*\.tmp(\..*)?")
"""What files are called while they are written: by the resources of the butler, and by its formatters."""


class FileStores:
    """The file stores of a repository, opened once for many quanta.

    A quantum-backed butler opens them anew for every quantum, which costs more than a small quantum itself. Here they
    stay open, and forget one quantum before they see the next.

    Parameters
    ----------
    repository
        Root of the repository.
    universe
        Its dimensions.
    """

    def __init__(self, repository: str, universe: DimensionUniverse) -> None:
        self._config = ButlerConfig(repository)
        self._universe = universe
        self._open: QuantumBackedButler | None = None

    @contextlib.contextmanager
    def butler(self, quantum: Quantum, dataset_types: Mapping[str, DatasetType]) -> Iterator[QuantumBackedButler]:
        """The butler of one quantum; after an exception the stores are opened anew."""
        butler = self._for(quantum, dataset_types)
        try:
            yield butler
            butler._datastore.forget(_refs(quantum))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the stores."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _for(self, quantum: Quantum, dataset_types: Mapping[str, DatasetType]) -> QuantumBackedButler:
        if self._open is None:
            self._open = QuantumBackedButler.initialize(
                config=self._config, quantum=quantum, dimensions=self._universe, dataset_types=dataset_types
            )
            return self._open
        datastore = self._open._datastore
        datastore.import_records(quantum.datastore_records or {})
        return QuantumBackedButler(
            [ref.id for refs in quantum.inputs.values() for ref in refs]
            + [ref.id for ref in quantum.initInputs.values()],
            [ref.id for refs in quantum.outputs.values() for ref in refs],
            self._universe,
            datastore,
            storageClasses=self._open.storageClasses,
            dataset_types=dataset_types,
        )


def _refs(quantum: Quantum) -> list[DatasetRef]:
    """Every dataset that a quantum knows, once."""
    groups = (*quantum.inputs.values(), *quantum.outputs.values(), list(quantum.initInputs.values()))
    return list({ref.id: ref for refs in groups for ref in refs}.values())


def remove_outputs(butler: LimitedButler, refs: Iterable[DatasetRef]) -> None:
    """Remove the files of datasets that are in no registry, with what a killed process left of them beside."""
    for ref in refs:
        try:
            uris = butler.getURIs(ref, predict=True)
        except DatasetTypeNotSupportedError:  # no formatter, hence no file
            continue
        for uri in (uris.primaryURI, *uris.componentURIs.values()):
            if uri is not None:
                _remove_file(uri.replace(fragment=""))


def _remove_file(uri: ResourcePath) -> None:
    """Remove a file and its temporaries, which the formatters call ``*NAME.tmp.EXTENSION`` in the same folder."""
    if uri.exists():
        uri.remove()
    if not uri.isLocal:
        return
    extension = uri.getExtension()
    ending = f"{uri.basename().removesuffix(extension)}.tmp{extension}"
    with contextlib.suppress(FileNotFoundError):
        for path in Path(uri.dirname().ospath).iterdir():
            if path.name.endswith(ending) and path.name != uri.basename():
                path.unlink()


def is_temporary(name: str) -> bool:
    """Whether files are called so while they are written."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_temporaries(folder: ResourcePath) -> None:
    """Remove what a kill has left half-written anywhere below a folder in which nobody writes."""
    if not folder.isLocal:
        return
    for place, _, names in os.walk(folder.ospath):
        for name in names:
            if is_temporary(name):
                (Path(place) / name).unlink(missing_ok=True)
