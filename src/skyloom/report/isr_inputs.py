"""Find the frames that a report on signature removal shows, and read what it needs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError
from skyloom.isr import IsrSettings
from skyloom.repo.collections import raw_run
from skyloom.repo.setup import instruments, read_camera

if TYPE_CHECKING:
    from skyloom.images import PostIsrImage, RawExposure
    from skyloom.instruments import Camera

__all__ = ["IsrInputs", "find_frames", "name_of", "read_inputs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class IsrInputs:
    """One frame before and after."""

    name: str
    """Instrument, exposure and detector."""
    run: str
    """Where the corrected frame is."""
    raw: RawExposure
    """With the detector that the corrected frame has: its gains are those that were applied."""
    frame: PostIsrImage
    camera: Camera
    settings: IsrSettings
    settings_known: bool
    """Whether the settings are those of the run; else they are the defaults."""


def find_frames(
    butler: Butler, expression: str, collection: str | None = None
) -> tuple[list[DatasetRef], list[RepositoryError]]:
    """The corrected frames that an expression picks, in the order of their data ids, and what is wrong with others.

    Parameters
    ----------
    butler
        The repository.
    expression
        Has to name the instrument.
    collection
        Where to look for corrected frames; None: everywhere, the newest of each.

    Raises
    ------
    RepositoryError
        If the repository has no such frame, or no such collection.
    """
    raws = butler.query_datasets(
        "raw",
        [raw_run(name) for name in instruments(butler)],
        where=expression,
        with_dimension_records=True,
        limit=None,
        explain=False,
    )
    try:
        found = _newest(butler, expression, collection)
    except MissingCollectionError as error:
        raise RepositoryError(
            f"there is no collection {collection!r}.", cure="List them with 'butler query-collections REPO'."
        ) from error
    lacking = [
        raw
        for raw in raws
        # Whoever asks for a whole night means the sky; whoever asks for a flat alone gets told about it.
        if raw.dataId not in found and (not found or _type_of(raw) == "science")
    ]
    if not found and not lacking:
        raise RepositoryError(
            f"the repository has no frame where {expression}.",
            cure="List its frames with 'butler query-dimension-records REPO exposure'.",
        )
    refs = sorted(found.values(), key=lambda ref: tuple(ref.dataId.required_values))
    where = collection or "any run"
    return refs, [_not_corrected(raw, where) for raw in sorted(lacking, key=lambda ref: name_of(ref))]


def _newest(butler: Butler, expression: str, collection: str | None) -> dict[object, DatasetRef]:
    """By data id, the corrected frame of the collection, or that which was written last."""
    where = [collection] if collection else butler.collections.query("*", CollectionType.RUN)
    with butler.query() as query:
        try:
            refs = query.datasets("post_isr", where, find_first=bool(collection)).where(expression)
        except MissingDatasetTypeError:
            return {}
        newest: dict[object, DatasetRef] = {}
        for ref in refs if collection else refs.order_by("-post_isr.ingest_date"):
            newest.setdefault(ref.dataId, ref)
    return newest


def _type_of(raw: DatasetRef) -> str:
    record = raw.dataId.records["exposure"]
    return "" if record is None else str(record.observation_type)


def _not_corrected(raw: DatasetRef, where: str) -> RepositoryError:
    kind, data_id = _type_of(raw), raw.dataId
    if kind != "science":
        return RepositoryError(
            f"{name_of(raw)}: there is no post_isr in {where}; the frame is a {kind}.",
            cure="Ask for a frame of the sky, or run 'isr' with -c isr:observation_types=[].",
        )
    return RepositoryError(
        f"{name_of(raw)}: there is no post_isr in {where}.",
        cure=f"Make it: skyloom run drp REPO -s isr -d \"instrument = '{data_id['instrument']}' AND "
        f'exposure = {data_id["exposure"]} AND detector = {data_id["detector"]}".',
    )


def name_of(ref: DatasetRef) -> str:
    """A frame as people call it."""
    return f"{ref.dataId['instrument']} exposure {ref.dataId['exposure']} detector {ref.dataId['detector']}"


def read_inputs(butler: Butler, ref: DatasetRef) -> IsrInputs:
    """Read a corrected frame, its raw frame, and the settings of the run that corrected it.

    Raises
    ------
    RepositoryError
        If there is no raw frame, or its file is gone, or the frame does not say what detector it is of.
    """
    name, instrument = name_of(ref), str(ref.dataId["instrument"])
    raw_ref = butler.find_dataset("raw", ref.dataId, collections=raw_run(instrument))
    if raw_ref is None:
        raise RepositoryError(
            f"{name} has no raw frame: it came without instrument signature.", cure="Ask for a frame that was raw."
        )
    try:
        raw: RawExposure = butler.get(raw_ref)
    except FileNotFoundError as error:
        raise RepositoryError(
            f"{name}: the raw file is gone.",
            file=str(butler.getURI(raw_ref)),
            cure="Put it back where it was when it was ingested.",
        ) from error
    frame: PostIsrImage = butler.get(ref)
    if frame.detector is None:
        raise RepositoryError(f"{name}: the corrected frame has no detector.", cure="Correct it again.")
    settings = _settings(butler, ref)
    return IsrInputs(
        name=name,
        run=str(ref.run),
        raw=replace(raw, detector=frame.detector),
        frame=frame,
        camera=read_camera(butler, instrument),
        settings=settings or IsrSettings(),
        settings_known=settings is not None,
    )


def _settings(butler: Butler, ref: DatasetRef) -> IsrSettings | None:
    """What the run kept of the task's settings."""
    try:
        config_ref = butler.find_dataset("isr_config", collections=ref.run)
    except MissingDatasetTypeError:
        return None
    if config_ref is None:
        return None
    settings: IsrSettings = butler.get(config_ref).settings()
    return settings
