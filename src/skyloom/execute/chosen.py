"""Which calibrations the frames of a calibration are corrected with: a master spans nights, so no date can choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lsst.daf.butler import Butler, CollectionType, DataCoordinate, DatasetRef, Timespan  # type: ignore[attr-defined]

from skyloom.repo.collections import calib_collection

from .kinds import KINDS

__all__ = ["choose_calibrations"]


def choose_calibrations(
    butler: Butler, frames: Sequence[DatasetRef], dataset_types: Sequence[str], *, validity: Timespan, tagged: str
) -> tuple[list[DatasetRef], list[tuple[str, DataCoordinate]]]:
    """Tag the calibrations that frames are corrected with, in place of those that were tagged before.

    Those that hold for the dates that are built for, or else those that hold when the frames were taken.

    Parameters
    ----------
    butler
        A writeable butler.
    frames
        Raw frames of one camera, in the order of their exposures, with their dimension records.
    dataset_types
        Types of the calibrations.
    validity
        Dates that are built for.
    tagged
        Name of the collection.

    Returns
    -------
    chosen, missing
        What was tagged; types and data ids of which there is nothing.
    """
    butler.collections.register(tagged, CollectionType.TAGGED)
    for old_type in {one for kind in KINDS.values() for one in kind.corrected_with}:
        old = butler.query_datasets(old_type, collections=tagged, explain=False, limit=None)
        butler.registry.disassociate(tagged, old)
    chosen: list[DatasetRef] = []
    missing: list[tuple[str, DataCoordinate]] = []
    for dataset_type in dataset_types if frames else ():
        collection = calib_collection(str(frames[0].dataId["instrument"]))
        valid = _certified_for(butler, dataset_type, collection, validity)
        for data_id, taken in _data_ids(butler, frames, dataset_type):
            ref = valid.get(data_id) or butler.find_dataset(
                dataset_type, data_id, collections=collection, timespan=taken
            )
            if ref is None:
                missing.append((dataset_type, data_id))
            else:
                chosen.append(ref)
    butler.registry.associate(tagged, chosen)
    return chosen, missing


def _certified_for(
    butler: Butler, dataset_type: str, collection: str, validity: Timespan
) -> dict[DataCoordinate, DatasetRef]:
    """Calibrations of one type that are certified for the whole of a range of dates."""
    associations = butler.registry.queryDatasetAssociations(
        dataset_type, collections=[collection], collectionTypes={CollectionType.CALIBRATION}
    )
    return {
        one.ref.dataId: one.ref for one in associations if one.timespan is not None and one.timespan.contains(validity)
    }


def _data_ids(
    butler: Butler, frames: Sequence[DatasetRef], dataset_type: str
) -> Iterator[tuple[DataCoordinate, Timespan | None]]:
    """Data ids of the calibrations that frames need, each with the time when the first of them was taken."""
    dimensions = butler.get_dataset_type(dataset_type).dimensions
    seen: set[DataCoordinate] = set()
    for frame in frames:
        data_id = frame.dataId.subset(dimensions)
        if data_id not in seen:
            seen.add(data_id)
            yield data_id, frame.dataId.records["exposure"].timespan  # type: ignore[union-attr]
