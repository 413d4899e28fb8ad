"""Dimension records of exposures from what the headers of their frames say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import astropy.units as u
from astro_metadata_translator import ObservationInfo
from lsst.daf.butler import Butler, Timespan

from skyloom.errors import BadFrameError

from .frames import Frame, Rejection
from .instrument import NO_FILTER

__all__ = ["consistent_frames", "exposure_record", "insert_exposures"]

_TEXT = 64


def exposure_record(info: ObservationInfo) -> dict[str, Any]:
    """The record of the dimension ``exposure``."""
    pointing = info.tracking_radec
    horizon = info.altaz_begin
    angle = info.boresight_rotation_angle
    assert info.exposure_time is not None
    assert info.dark_time is not None
    return {
        "instrument": info.instrument,
        "id": info.exposure_id,
        "obs_id": _text(info.observation_id),
        "physical_filter": info.physical_filter or NO_FILTER,
        "group": _text(info.exposure_group),
        "day_obs": info.observing_day,
        "exposure_time": float(info.exposure_time.to_value(u.s)),
        "dark_time": float(info.dark_time.to_value(u.s)),
        "observation_type": info.observation_type,
        "observation_reason": _text(info.observation_reason),
        "seq_num": info.observation_counter,
        "seq_start": info.group_counter_start,
        "seq_end": info.group_counter_end,
        "target_name": _text(info.object),
        "science_program": _text(info.science_program),
        "tracking_ra": None if pointing is None else float(pointing.ra.deg),
        "tracking_dec": None if pointing is None else float(pointing.dec.deg),
        "sky_angle": None if angle is None else float(angle.deg),
        "azimuth": None if horizon is None else float(horizon.az.deg),
        "zenith_angle": None if horizon is None else 90.0 - float(horizon.alt.deg),
        "has_simulated": bool(info.has_simulated_content),
        "can_see_sky": info.can_see_sky,
        "timespan": Timespan(info.datetime_begin, info.datetime_end),
    }


def _text(value: str | None) -> str:
    return (value or "unknown")[:_TEXT]


def consistent_frames(frames: Iterable[Frame], known: dict[int, Any]) -> tuple[list[Frame], list[Rejection]]:
    """Leave out frames that contradict the first frame of their exposure, or double another.

    Parameters
    ----------
    frames
        Frames in order.
    known
        Records of exposures that the repository has, by id.
    """
    told: dict[int, tuple[Any, ...]] = {
        number: (record.physical_filter, record.observation_type, round(record.exposure_time, 6))
        for number, record in known.items()
    }
    where: dict[int, str] = dict.fromkeys(told, "the repository")
    seen: dict[tuple[int, int], Frame] = {}
    good: list[Frame] = []
    bad: list[Rejection] = []
    for frame in frames:
        says = _essence(frame.info)
        if frame.exposure in told and told[frame.exposure] != says:
            bad.append(_contradicts(frame, says, told[frame.exposure], where[frame.exposure]))
        elif frame.key in seen:
            bad.append(doubled(frame, str(seen[frame.key].path)))
        else:
            told.setdefault(frame.exposure, says)
            where.setdefault(frame.exposure, frame.path.name)
            seen[frame.key] = frame
            good.append(frame)
    return good, bad


def _essence(info: ObservationInfo) -> tuple[Any, ...]:
    assert info.exposure_time is not None
    return info.physical_filter or NO_FILTER, info.observation_type, round(float(info.exposure_time.to_value(u.s)), 6)


def _contradicts(frame: Frame, says: tuple[Any, ...], told: tuple[Any, ...], where: str) -> Rejection:
    return Rejection(
        frame.path,
        BadFrameError(
            f"exposure {frame.exposure} has filter, type and time {says} here, but {told} in {where}.",
            file=str(frame.path),
            cure="Exposure ids must be unique: correct header.exposure_id in the camera's description.",
        ),
    )


def doubled(frame: Frame, other: str) -> Rejection:
    """The rejection of a frame whose exposure and detector another file holds."""
    return Rejection(
        frame.path,
        BadFrameError(
            f"exposure {frame.exposure} of detector {frame.detector} is already there, from {other}.",
            file=str(frame.path),
            cure="Leave out one of the two, or make exposure ids unique in the camera's description.",
        ),
    )


def insert_exposures(butler: Butler, frames: Iterable[Frame]) -> int:
    """Insert the records of the frames' exposures, days and groups that the registry lacks; their number."""
    first: dict[int, ObservationInfo] = {}
    for frame in frames:
        first.setdefault(frame.exposure, frame.info)
    if not first:
        return 0
    records = [exposure_record(info) for info in first.values()]
    insert = butler.registry.insertDimensionData
    days = {(record["instrument"], record["day_obs"]) for record in records}
    groups = {(record["instrument"], record["group"]) for record in records}
    insert("day_obs", *[{"instrument": name, "id": day} for name, day in sorted(days)], skip_existing=True)
    insert("group", *[{"instrument": name, "name": group} for name, group in sorted(groups)], skip_existing=True)
    insert("exposure", *records, skip_existing=True)
    return len(records)
