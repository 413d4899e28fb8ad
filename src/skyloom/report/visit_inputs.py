"""Find what a run left of the frames of a visit, and read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import astropy.units as u
from lsst.daf.butler import (  # type: ignore[attr-defined]
    Butler,
    CollectionType,
    DatasetRef,
    MissingCollectionError,
    MissingDatasetTypeError,
)

from skyloom.errors import RepositoryError
from skyloom.images import from_post_isr, from_visit_image
from skyloom.repo.setup import instruments

from .reading import LOG, METADATA, NO_REASON, failure_of, loud_lines, no_collection, query, without_failure
from .visit_products import FrameProducts

if TYPE_CHECKING:
    from skyloom.images import Exposure

__all__ = ["find_runs", "instrument_of", "read_frame"]

_LABEL = "calibrate_image"
_ANCHORS = (_LABEL + LOG, _LABEL + METADATA, "initial_stars_detector", "initial_pvi")
"""What tells that a run was at a frame, the surest first: a frame that failed leaves its log."""
_PRODUCTS = {
    "sources": "initial_sources_detector",
    "stars": "initial_stars_detector",
    "psf_stars": "initial_psf_stars_detector",
    "astrometry_matches": "initial_astrometry_match_detector",
    "photometry_matches": "initial_photometry_match_detector",
    "photo_calib": "initial_photoCalib_detector",
    "background": "initial_pvi_background",
}


def instrument_of(butler: Butler, given: str | None = None) -> str:
    """The instrument of a repository.

    Raises
    ------
    RepositoryError
        If the one that is given is not there, or none is and the repository has several.
    """
    names = instruments(butler)
    if given is not None and given in names:
        return given
    if given is None and len(names) == 1:
        return names[0]
    raise RepositoryError(
        f"the repository has the instruments {', '.join(names) or '(none)'}"
        + (f", and not {given}." if given is not None else "."),
        cure="Choose one with --instrument.",
    )


def find_runs(
    butler: Butler,
    instrument: str,
    visit: int,
    detectors: Sequence[int] = (),
    collections: Sequence[str] = (),
) -> dict[int, str]:
    """By detector, the run that holds what is to be shown of a visit.

    Parameters
    ----------
    detectors
        Wanted ones; empty for all.
    collections
        Where to look, the first first; empty: everywhere, the newest of each detector.

    Raises
    ------
    RepositoryError
        If there is nothing to show, or no such collection.
    """
    where = f"instrument = '{instrument}' AND visit = {visit}"
    if detectors:
        where += f" AND detector IN ({', '.join(str(number) for number in detectors)})"
    places = list(collections) or list(butler.collections.query("*", CollectionType.RUN))
    found: dict[int, str] = {}
    for name in _ANCHORS:
        try:
            for ref in query(butler, name, where, places, first=bool(collections)):
                found.setdefault(int(ref.dataId["detector"]), str(ref.run))
        except MissingCollectionError as error:
            raise no_collection(collections) from error
    if not found:
        raise _nothing(butler, instrument, visit, detectors, collections)
    return dict(sorted(found.items()))


def _nothing(
    butler: Butler, instrument: str, visit: int, detectors: Sequence[int], collections: Sequence[str]
) -> RepositoryError:
    """Why there is nothing to show."""
    records = butler.query_dimension_records(
        "visit", where=f"instrument = '{instrument}' AND visit = {visit}", explain=False
    )
    if not records:
        return RepositoryError(
            f"{instrument} has no visit {visit} in this repository.",
            cure="List its visits with 'butler query-dimension-records REPO visit'.",
        )
    what = f" detector {', '.join(str(number) for number in detectors)}" if detectors else ""
    return RepositoryError(
        f"{instrument} visit {visit}{what}: nothing of its calibration is in {', '.join(collections) or 'any run'}.",
        cure=f"Make it: skyloom run drp REPO -d \"instrument = '{instrument}' AND visit = {visit}\", or see what "
        "failed before with 'skyloom status REPO'.",
    )


def read_frame(butler: Butler, instrument: str, visit: int, detector: int, run: str) -> FrameProducts:
    """All products that a run has of one frame.

    A frame that failed is shown as it was after the removal of the instrument's signature, less its sky where that was
    obtained.
    """
    data_id = {"instrument": instrument, "visit": visit, "detector": detector}
    found: dict[str, Any] = {name: _get(butler, kind, data_id, run) for name, kind in _PRODUCTS.items()}
    # A run may have been told to keep the list of stars alone.
    stars = found.pop("stars")
    found["sources"] = stars if found["sources"] is None else found["sources"]
    frame = _get(butler, "initial_pvi", data_id, run)
    metadata = _metadata(butler, data_id, run)
    failure = failure_of(metadata)
    log = without_failure(loud_lines(_get(butler, _LABEL + LOG, data_id, run)), failure)
    exposure = None if frame is None else from_visit_image(frame)
    if exposure is None:
        exposure = _before_calibration(butler, data_id, run, found["background"])
        failure = failure or " ".join(log[-1:]) or NO_REASON
    return FrameProducts(
        name=f"{instrument} visit {visit} detector {detector}",
        detector=detector,
        exposure=exposure,
        background_unit=u.electron if frame is None or exposure is None else exposure.unit,
        metadata={key: value for key, value in metadata.items() if key != "failure"},
        failure=failure,
        log=log,
        run=run,
        **found,
    )


def _get(butler: Butler, name: str, data_id: dict[str, Any], collections: str) -> Any:
    """A product; None where it is not there."""
    try:
        ref = butler.find_dataset(name, data_id, collections=collections)
    except MissingDatasetTypeError:
        return None
    if ref is None:
        return None
    try:
        return butler.get(ref)
    except FileNotFoundError as error:
        raise RepositoryError(
            f"the file of {name} is gone.", file=str(butler.getURI(ref)), cure="Run the frame again."
        ) from error


def _metadata(butler: Butler, data_id: dict[str, Any], run: str) -> dict[str, Any]:
    """What the task kept of its figures."""
    metadata = _get(butler, _LABEL + METADATA, data_id, run)
    return {} if metadata is None else dict(metadata.to_dict().get(_LABEL, {}))


def _before_calibration(butler: Butler, data_id: dict[str, Any], run: str, background: Any) -> Exposure | None:
    """The frame that went into the calibration, less the sky that was found."""
    where = " AND ".join(f"{key} = {value!r}" for key, value in data_id.items())
    everywhere = _post_isr(butler, where, list(butler.collections.query("*", CollectionType.RUN)))
    refs = [ref for ref in everywhere if ref.run == run] or everywhere
    if len({ref.dataId["exposure"] for ref in refs}) != 1:
        return None  # snaps were added, or nothing is left of the frame
    try:
        exposure = from_post_isr(butler.get(refs[0]))
    except FileNotFoundError:
        return None
    sky = None if background is None else background.subtracted
    if sky is not None and sky.field.bounds.bbox == exposure.bbox:
        exposure.image.array[...] -= sky.field.render(exposure.bbox, dtype=exposure.image.array.dtype).array
    return exposure


def _post_isr(butler: Butler, where: str, runs: Sequence[str]) -> list[DatasetRef]:
    with butler.query() as asked:
        try:
            return list(
                asked.join_dimensions(["visit", "exposure"])
                .datasets("post_isr", list(runs), find_first=False)
                .where(where)
                .order_by("-post_isr.ingest_date")
            )
        except MissingDatasetTypeError:
            return []
