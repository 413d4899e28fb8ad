"""Bulk registration of what workers wrote, and the taking back of what is to be made anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lsst.daf.butler import Butler, DatasetRef, DatasetType, QuantumBackedButler

from skyloom.repo.collections import SKYMAPS

from .journal import SKY_MAP_PHASE, Journal, Past, folder_of
from .stores import remove_outputs, remove_temporaries

__all__ = ["Registrar"]


class Registrar:
    """Brings the registry of a run up to date with its files.

    Parameters
    ----------
    butler
        Writeable butler of the repository.
    repository
        Its root.
    journal
        Journal of the run.
    """

    def __init__(self, butler: Butler, repository: str, journal: Journal) -> None:
        self._butler, self._repository, self._journal = butler, repository, journal
        self._pending: list[DatasetRef] = []

    @property
    def pending(self) -> int:
        """Number of datasets that the registry does not know yet."""
        return len(self._pending)

    def add(self, refs: Iterable[DatasetRef]) -> None:
        """Take in datasets whose files are written."""
        self._pending.extend(refs)

    def flush(self) -> None:
        """Register all that was taken in; a file that is not there after all is passed over."""
        if self._pending:
            self._register(self._pending)
            self._pending = []
        self._journal.registered()

    def recover(self) -> int:
        """Register what a killed run had finished but not registered, and clear away what it had only begun.

        Returns
        -------
        int
            Number of quanta that were found begun and not finished.
        """
        finished: list[DatasetRef] = []
        begun = 0
        for key, past in list(self._journal.quanta.items()):
            if past.registered:
                continue
            refs = self._refs(past)
            if past.status is None:
                begun += 1
                self.take_back(refs)
                self._journal.drop(key)
            else:
                finished.extend(ref for ref in refs if ref.id in past.written)
        self.add(finished)
        self.flush()
        if self._journal.was_stopped:
            remove_temporaries(self._journal.uri.dirname())
            if self._journal.last_phase == SKY_MAP_PHASE:
                remove_temporaries(folder_of(self._butler, SKYMAPS))
        return begun

    def take_back(self, refs: Iterable[DatasetRef]) -> None:
        """Remove datasets from the registry, under whatever id it knows them in this run, and their files."""
        refs = list(refs)
        found = [self._butler.find_dataset(ref.datasetType.name, ref.dataId, collections=ref.run) for ref in refs]
        known = [ref for ref in found if ref is not None]
        if known:
            self._butler.pruneDatasets(known, disassociate=True, unstore=True, purge=True)
        remove_outputs(self._butler, refs)

    def _refs(self, past: Past) -> list[DatasetRef]:
        """The outputs of a quantum of the journal as references."""
        types: Mapping[str, DatasetType] = {name: self._butler.get_dataset_type(name) for name, _, _ in past.outputs}
        run = self._journal.run
        standardize = self._butler.registry.expandDataId
        return [
            DatasetRef(types[name], standardize(data_id, dimensions=types[name].dimensions), run=run, id=one)
            for name, data_id, one in past.outputs
        ]

    def _register(self, refs: list[DatasetRef]) -> None:
        types = {ref.datasetType.name: self._butler.get_dataset_type(ref.datasetType.name) for ref in refs}
        plain = [DatasetRef(types[ref.datasetType.name], ref.dataId, run=ref.run, id=ref.id) for ref in refs]
        source = QuantumBackedButler.from_predicted(
            config=self._repository,
            predicted_inputs=[ref.id for ref in plain],
            predicted_outputs=[],
            dimensions=self._butler.dimensions,
            datastore_records={},
            dataset_types=types,
        )
        with source:
            self._butler.transfer_from(source, plain, transfer="auto")
