"""Which calibrations the frames of an inventory allow, which are given, and what is done without."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lsst.daf.butler import Butler, CollectionType  # type: ignore[attr-defined]

from skyloom.errors import BadFrameError
from skyloom.instruments import Camera
from skyloom.repo.calibration_kinds import CALIBRATION_TYPES
from skyloom.repo.calibrations import build_chain, parse_validity
from skyloom.repo.collections import calib_collection
from skyloom.repo.frame_files import SUFFIXES, find_image, merged_header, open_frame
from skyloom.repo.setup import instruments

from .inventory import SCIENCE, Inventory

__all__ = ["Given", "MastersPlan", "certified_before", "given_calibrations", "plan_masters"]

LEAST = {"bias": 3, "dark": 3, "flat": 3, "defects": 5}
"""Frames that a calibration is made of, at least: defaults of the tasks."""
_WITHOUT = {
    "bias": "the level is taken from the overscan, its pattern stays in",
    "dark": "dark current stays in",
    "flat": "pixels keep their own sensitivity",
}
_NAMES: dict[str, tuple[str, ...]] = {
    "photometric_flat": ("photometric_flat", "photflat"),
    "brighter_fatter": ("brighter_fatter", "brighterfatter", "bfk"),
    "linearizer": ("lineari",),
    "crosstalk": ("crosstalk", "xtalk"),
    "defects": ("defect", "badpix", "bad_pix", "bpm", "mask"),
    "fringe": ("fringe",),
    "illum": ("illum",),
    "bias": ("bias", "zero"),
    "dark": ("dark",),
    "flat": ("flat",),
    **{kind: (kind,) for kind in CALIBRATION_TYPES if kind.startswith("transmission")},
}
"""Parts of names of files and folders, in lower case, that tell the kind; the first that fits counts."""
_ENDINGS = (*SUFFIXES, ".csv", ".ecsv", ".parq", ".parquet", ".yaml", ".yml", ".json", ".npy")

type Mode = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Given:
    """Calibrations that a user has."""

    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    """By kind, as `skyloom.repo.calibrations.import_calibrations` takes it."""
    unknown: Sequence[Path] = ()
    """Files that do not tell what they are."""


@dataclass(kw_only=True)
class MastersPlan:
    """What to import and to build before the frames of the sky are reduced."""

    given: Given = field(default_factory=Given)
    kinds: list[str] = field(default_factory=list)
    """To be built."""
    where: str = ""
    """Limits the frames, where they are of several read-out modes."""
    pedestal_only: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    """By kind, the exposures that it is made of."""
    lines: list[str] = field(default_factory=list)
    """What is said of it."""


def given_calibrations(folder: Path | None, inventory: Inventory) -> Given:
    """Sort the files below a folder by kind: by their names, those of their folders, or their headers.

    A folder that is a single file is taken as such.
    """
    if folder is None:
        return Given()
    paths = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else [folder]
    files: dict[str, list[Path]] = defaultdict(list)
    unknown = []
    for path in paths:
        if path.name.startswith(".") or not path.name.lower().endswith(_ENDINGS):
            continue
        inside = path.relative_to(folder).parts if folder.is_dir() else (path.name,)
        kind = next((found for part in reversed(inside) if (found := _kind_of_name(part))), None)
        kind = kind or _kind_of_header(path, inventory)
        if kind is None:
            unknown.append(path)
        else:
            files[kind].append(path.absolute())
    order = ["bias", *(kind for kind in files if kind != "bias")]  # others may be read with the biases
    return Given({kind: files[kind] for kind in order if kind in files}, unknown)


def _kind_of_name(name: str) -> str | None:
    return next((kind for kind, parts in _NAMES.items() if any(part in name.lower() for part in parts)), None)


def _kind_of_header(path: Path, inventory: Inventory) -> str | None:
    if not path.name.lower().endswith(SUFFIXES):
        return None
    try:
        with open_frame(path) as hdus:
            told = inventory.camera.reader(merged_header(hdus, find_image(hdus, path))).observation_type()
    except (BadFrameError, OSError):
        return None
    return told if told in CALIBRATION_TYPES else None


def certified_before(butler: Butler, camera: Camera) -> set[str]:
    """Kinds of calibrations that a repository has from elsewhere, which a build must not replace.

    A flat of the sky in the place of one of a lamp is such.
    """
    if camera.name not in instruments(butler):
        return set()
    chain = build_chain(camera.name, parse_validity(None, None))
    return {
        kind
        for kind in LEAST
        for one in butler.registry.queryDatasetAssociations(
            kind, collections=[calib_collection(camera.name)], collectionTypes={CollectionType.CALIBRATION}
        )
        if not one.ref.run.startswith(f"{chain}/{kind}/")
    }


def plan_masters(
    inventory: Inventory, given: Given, skip: Collection[str] = (), *, there: Collection[str] = ()
) -> MastersPlan:
    """Choose what to build: what there are frames enough for, in the read-out mode of the frames of the sky.

    Parameters
    ----------
    inventory
        The frames.
    given
        What is imported; it is not built.
    skip
        ``masters`` or ``defects``, or both, for what is not to be built.
    there
        Kinds that the repository has from elsewhere; they are not built either.
    """
    plan = MastersPlan(given=given)
    for kind, files in given.files.items():
        plan.lines.append(f"{kind}: imported from {len(files)} file{'s' if len(files) != 1 else ''}")
    plan.lines += [f"{path}: left out, its name tells no kind of calibration" for path in given.unknown]
    if inventory.corrected:
        plan.lines.append("none needed: the frames come without the instrument's signature")
        return plan
    plan.lines += [f"{kind}: those of the repository" for kind in sorted(there) if kind not in given.files]
    settled = {*given.files, *there}
    if "masters" in skip:
        plan.lines.append("not built, as --skip masters says")
    else:
        usable = _usable(inventory, plan)
        for kind in ("bias", "dark", "flat"):
            if kind not in settled:
                _plan_kind(inventory, kind, usable, plan)
    if "defects" not in settled:
        _plan_defects(inventory, skip, plan)
    return plan


def _usable(inventory: Inventory, plan: MastersPlan) -> dict[str, set[int]]:
    """Exposures of each type that are of the read-out mode of the frames of the sky."""
    everything = {kind: inventory.exposures(kind) for kind in (SCIENCE, "bias", "dark", "flat")}
    modes = inventory.modes.get(SCIENCE, Counter())
    if not modes:
        return everything
    mode = modes.most_common(1)[0][0]
    mine = {
        kind: {one for one in exposures if inventory.mode_of.get(one, mode) == mode}
        for kind, exposures in everything.items()
    }
    if len(modes) > 1:
        plan.lines.append(
            f"{len(modes)} read-out modes: masters are made for the one of {modes[mode]} exposures "
            f"({_told(mode)}); the other {modes.total() - modes[mode]} cannot be corrected with them"
        )
    if everything["bias"] and not mine["bias"]:
        plan.pedestal_only = True
        mine["bias"] = everything["bias"]
        other = inventory.modes["bias"].most_common(1)[0][0]
        differing = tuple(pair for pair in other if pair not in mode)
        plan.lines.append(f"bias frames of another read-out mode ({_told(differing)}): only their level is used")
    if any(mine[kind] != everything[kind] for kind in everything):
        chosen = sorted(set().union(*mine.values()))
        plan.where = f"exposure IN ({', '.join(map(str, chosen))})"
    return mine


def _told(mode: Mode) -> str:
    return ", ".join(f"{name} {value}" for name, value in mode)


def _plan_kind(inventory: Inventory, kind: str, usable: Mapping[str, set[int]], plan: MastersPlan) -> None:
    exposures = usable[kind]
    n_others = len(inventory.exposures(kind)) - len(exposures)
    others = f" ({n_others} of another read-out mode left out)" if n_others else ""
    plan.counts[kind] = len(exposures)
    if len(exposures) < LEAST[kind]:
        have = f"{len(exposures)} frame{'s' if len(exposures) != 1 else ''}, {LEAST[kind]} are the least"
        why = f"no {kind} frames" if not exposures else have
        plan.lines.append(f"{kind}: {why}{others}: {_without(kind, inventory)}")
        return
    if kind != "flat":
        plan.kinds.append(kind)
        plan.lines.append(f"{kind}: from {len(exposures)} frames{others}")
        return
    by_filter = {
        name: len(inventory.exposures("flat", name) & exposures)
        for name in sorted({one.physical_filter for one in inventory.of("flat")})
    }
    good = {name: count for name, count in by_filter.items() if count >= LEAST[kind]}
    if good:
        plan.kinds.append(kind)
        plan.lines.append(f"flat: from {_list(good)} frames{others}")
    lacking = sorted({one.physical_filter for one in inventory.science} - set(good))
    if lacking:
        few = {name: by_filter[name] for name in lacking if name in by_filter}
        have = f" ({_list(few)} frames, {LEAST[kind]} are the least)" if few else ""
        plan.lines.append(f"flat: none in {', '.join(lacking)}{have}: {_WITHOUT[kind]}")


def _plan_defects(inventory: Inventory, skip: Collection[str], plan: MastersPlan) -> None:
    if "defects" in skip:
        plan.lines.append("defects: not looked for, as --skip defects says")
        return
    n = len(inventory.exposures(SCIENCE) | inventory.exposures("dark"))
    plan.counts["defects"] = n
    if n >= LEAST["defects"]:
        plan.kinds.append("defects")
        plan.lines.append(f"defects: hot and dead pixels, from {n} frames")
    else:
        frames = f"{n} frame{'s' if n != 1 else ''}"
        plan.lines.append(f"defects: not looked for in {frames}, {LEAST['defects']} are the least")


def _without(kind: str, inventory: Inventory) -> str:
    """What becomes of frames without a master."""
    amplifiers = [one for detector in inventory.camera.description.detectors for one in detector.amplifiers]
    if kind == "bias" and not any(
        one.raw and (one.raw.serial_overscan or one.raw.parallel_overscan) for one in amplifiers
    ):
        return "the camera has no overscan, the level is that of its description"
    return _WITHOUT[kind]


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
