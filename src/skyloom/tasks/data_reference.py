"""`ButlerDataRef`: a data id and its butler, which is what the classic methods of tasks are given."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType, MissingDatasetTypeError

from skyloom.errors import FrameError, RepositoryError

from .frame_reference import FrameReference

__all__ = ["CLASSIC_NAMES", "ButlerDataRef", "MissingDatasetError", "dataset_type_of"]

CLASSIC_NAMES: Mapping[str, str] = {
    "postISRCCD": "post_isr",
    "ossThumb": "oss_thumbnail",
    "flattenedThumb": "flattened_thumbnail",
    "bfKernel": "brighterFatterKernel",
    "calexp": "initial_pvi",
    "calexpBackground": "initial_pvi_background",
    "skyCorr": "sky_correction",
    "visitSummary": "visit_summary",
    "jointcal_wcs": "joint_wcs",
    "jointcal_photoCalib": "joint_photo_calib",
    "deepCoadd_skyMap": "sky_map",
    "deepCoadd_directWarp": "direct_warp",
    "deepCoadd_psfMatchedWarp": "psf_matched_warp",
    "deepCoadd": "deep_coadd",
    "deepCoaddPsfMatched": "deep_coadd_psf_matched",
    "deepCoadd_nImage": "deep_coadd_n_image",
    "brightObjectMask": "bright_object_mask",
}
"""Dataset types of ours by the names that classic scripts know them by."""
_USUAL = {"exposures": "initial_pvi", "backgrounds": "initial_pvi_background", "sky_corrections": "sky_correction"}
"""Connections that a reference to a calibrated frame asks for, where its task names them otherwise or not at all."""


class MissingDatasetError(FrameError, LookupError):
    """A dataset that a data reference was asked for is not there."""

    code = "NO-DATASET"


def dataset_type_of(name: str, connections: Mapping[str, str]) -> str:
    """The dataset type of a name, which may be one of a task's connections or a classic one."""
    return connections.get(name) or _USUAL.get(name) or CLASSIC_NAMES.get(name, name)


@dataclass(frozen=True, kw_only=True, eq=False)
class ButlerDataRef:
    """A reference to data: a data id and the butler that finds what belongs to it.

    Dataset types go by their own names, by those of a task's connections, and by the classic ones of `CLASSIC_NAMES`.
    A reference to a patch does for the methods that take a `PatchReference`, one to a calibrated frame or a warp for
    those that take a `DataReference`.
    """

    butler: Butler
    """Reads from its default collections, and writes to its default run."""
    dataId: DataCoordinate
    """With its dimension records."""
    kind: str
    """The dataset type that is read when none is named."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Connections of a task to dataset types."""
    written: list[uuid.UUID] = field(default_factory=list)
    """Ids of what was put by this reference and those made of it."""
    known: dict[Any, Any] = field(default_factory=dict, repr=False)
    """References to datasets, and tables, that were looked up before; references made of this one share it."""

    def get(
        self,
        datasetType: str | None = None,
        immediate: bool = True,
        *,
        component: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> Any:
        """Read a dataset, or a component of it; without ``immediate``, a deferred handle of it.

        Parameters
        ----------
        datasetType
            What to read; None for `kind`.
        immediate
            Whether it is read now.
        component
            Name of the component.
        parameters
            Of the reading: ``bbox`` cuts out.

        Raises
        ------
        MissingDatasetError
            If it is not there.
        """
        ref = self.find(datasetType)
        if ref is None:
            where = ", ".join(self.butler.collections.defaults)
            raise MissingDatasetError(
                f"there is no {self.name_of(datasetType)} of {self} in {where}.",
                cure="Make it first, or name the collection that has it by --input.",
            )
        handle = self.butler.getDeferred(ref)
        return handle.get(component=component, parameters=parameters) if immediate else handle

    def put(self, dataset: Any, datasetType: str | None = None) -> None:
        """Write a dataset into the run of the butler, in the place of one that is there.

        Parameters
        ----------
        dataset
            What to write, in the form that its storage class wants.
        datasetType
            As what; None for `kind`.

        Raises
        ------
        skyloom.errors.RepositoryError
            If the dataset type is not registered.
        """
        name = self.name_of(datasetType)
        kind = self._type(name)
        if kind is None:
            raise RepositoryError(f"the repository has no dataset type {name}.", cure="Run the task that makes it.")
        data_id = self._part(kind)
        old = self.butler.find_dataset(kind, data_id, collections=self.butler.run)
        if old is not None:
            self.butler.pruneDatasets([old], disassociate=True, unstore=True, purge=True)
        ref = self.butler.put(dataset, kind, data_id)
        self.known[name, data_id] = ref
        self.written.append(ref.id)

    def datasetExists(self, datasetType: str | None = None) -> bool:
        """Whether a dataset is there, with its file."""
        ref = self.find(datasetType)
        return ref is not None and self.butler.stored(ref)

    def find(self, datasetType: str | None = None, **instead: Any) -> DatasetRef | None:
        """The reference of the butler to a dataset; of a calibration, to that which is valid for the frame.

        Parameters
        ----------
        datasetType
            Which; None for `kind`.
        **instead
            Values that take the place of those of the data id.

        Raises
        ------
        MissingDatasetError
            If the data id lacks one of its dimensions.
        """
        name = self.name_of(datasetType)
        kind = self._type(name)
        if kind is None:
            return None
        data_id = self._part(kind)
        if instead:
            changed = {**data_id.required, **{one: instead[one] for one in kind.dimensions.required if one in instead}}
            data_id = DataCoordinate.standardize(changed, dimensions=kind.dimensions)
        if (name, data_id) not in self.known:
            timespan = self.dataId.timespan if kind.isCalibration() else None
            ref = self.butler.find_dataset(kind, data_id, timespan=timespan)
            if ref is None:
                return None
            self.known[name, data_id] = ref
        found: DatasetRef = self.known[name, data_id]
        return found

    def name_of(self, datasetType: str | None = None) -> str:
        """The dataset type of a name, as the repository has it."""
        return dataset_type_of(datasetType or self.kind, self.names)

    def of(self, kind: str, **values: Any) -> ButlerDataRef:
        """A reference to something else that belongs to the data id, or to the data id with more values."""
        name = self.name_of(kind)
        data_id = self.butler.registry.expandDataId(self.dataId, **values) if values else self.dataId
        return replace(self, kind=name, dataId=data_id)

    def frame_reference(self) -> FrameReference:
        """The calibrated frame with what belongs to it; the tables of the joint fit are of the tract in the data id.

        Raises
        ------
        MissingDatasetError
            If there is no calibrated frame.
        """
        return FrameReference(
            exposure=self.get("exposures", immediate=False),
            dataId=self.dataId,
            background=self.of("backgrounds"),
            sky_correction=self.of("sky_corrections"),
            **{name: self._table(name) for name in ("visit_summary", "joint_wcs", "joint_photo_calib")},
        )

    def _table(self, name: str) -> Any:
        """A table of the visit, read once; None where the task does not want it, or there is none."""
        kind = self._type(self.name_of(name))
        if kind is None or (self.names and name not in self.names):
            return None
        if not kind.dimensions.required <= self.dataId.dimensions.names:
            return None
        ref = self.find(name)
        if ref is not None and ref.id not in self.known:
            self.known[ref.id] = self.butler.get(ref)
        return None if ref is None else self.known[ref.id]

    def _type(self, name: str) -> DatasetType | None:
        if name not in self.known:
            try:
                self.known[name] = self.butler.get_dataset_type(name)
            except MissingDatasetTypeError:
                return None
        found: DatasetType = self.known[name]
        return found

    def _part(self, kind: DatasetType) -> DataCoordinate:
        """The part of the data id that a dataset type has."""
        missing = kind.dimensions.required - set(self.dataId.mapping)
        if missing:
            raise MissingDatasetError(
                f"the data id {self} has no {' and no '.join(sorted(missing))}, which {kind.name} needs.",
                cure="Add it to --id.",
            )
        return self.dataId.subset(kind.dimensions)

    def __str__(self) -> str:
        return " ".join(f"{name}={self.dataId[name]}" for name in self.dataId.dimensions.required)
