"""Build calibrations from raw frames, kind by kind, and certify each before the next is built with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError, Timespan
from lsst.pipe.base import Pipeline
from lsst.pipe.base.pipeline import LabelSpecifier

from skyloom.errors import RepositoryError
from skyloom.instruments import Camera
from skyloom.repo.calibrations import build_chain, certify_built
from skyloom.repo.collections import calib_collection, defaults_collection
from skyloom.repo.read_out_modes import check_modes
from skyloom.repo.setup import read_camera

from .chosen import choose_calibrations
from .journal import digest
from .kinds import KINDS
from .limits import Limits
from .progress import Reporter
from .run import RunRequest, run_pipeline
from .summary import Failure

__all__ = ["BuildRequest", "Built", "BuiltMaster", "build_masters"]


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build.

    Parameters
    ----------
    repository
        Root of the repository.
    pipeline
        The pipeline ``masters``, with all changes to its settings.
    validity
        Dates for which the calibrations hold.
    instrument
        Name of the camera; None where the repository has one only.
    kinds
        Some of `KINDS`; when empty, all those that are built by default and that the frames allow.
    where
        Query that limits the frames.
    inputs
        Where the frames are; the camera's inputs when empty.
    pedestal_only
        Whether the biases, being of another read-out mode, give nothing but their level.
    replace
        Whether calibrations from elsewhere that are certified for the same dates give way.
    processes
        Number of workers.
    limits
        What each of the runs may take.
    command
        The command line, for the record.
    """

    repository: str
    pipeline: Pipeline
    validity: Timespan
    instrument: str | None = None
    kinds: Sequence[str] = ()
    where: str = ""
    inputs: Sequence[str] = ()
    pedestal_only: bool = False
    replace: bool = False
    processes: int = 1
    limits: Limits = field(default_factory=Limits)
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class BuiltMaster:
    """One calibration that was built and certified."""

    kind: str
    data_id: dict[str, Any]
    figures: dict[str, Any]
    """What its task keeps of it in its metadata."""


@dataclass
class Built:
    """What came of a request."""

    chain: str
    masters: list[BuiltMaster] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """0 if everything that was begun succeeded, and something was."""
        return 1 if self.failures or not self.masters else 0


def build_masters(request: BuildRequest, reporter: Reporter | None = None) -> Built:
    """Build calibrations; what an earlier call has built from the same frames is kept.

    Parameters
    ----------
    request
        What to build.
    reporter
        Takes in the progress.

    Raises
    ------
    RepositoryError
        If there are no frames at all, or other calibrations are certified for the dates.
    BadFrameError
        If the calibration frames were read out in another mode than the frames they are for.
    """
    with Butler.from_config(request.repository, writeable=True) as butler:
        camera = read_camera(butler, request.instrument)
        builder = _Builder(butler, camera, request, reporter)
        for kind in builder.choose():
            builder.build(kind)
        return builder.built


_MISSED = ("bias", "linearizer")
"""What frames should be corrected with, and a user is told where they are not; a camera may do without the others."""


class _Builder:
    """The state of a build that outlives its kinds."""

    def __init__(self, butler: Butler, camera: Camera, request: BuildRequest, reporter: Reporter | None) -> None:
        self._butler, self._camera, self._request, self._reporter = butler, camera, request, reporter
        self.built = Built(build_chain(camera.name, request.validity))
        self._chosen = f"{calib_collection(camera.name)}/chosen"
        self._inputs = list(request.inputs or [defaults_collection(camera.name)])

    def choose(self) -> list[str]:
        """The kinds to build: those asked for, or of the default ones all of which there are frames."""
        types = sorted({one for kind in KINDS.values() for one in kind.frames})
        frames = {one: self._query("raw", (one,)) for one in types}
        default = [name for name, kind in KINDS.items() if kind.by_default]
        wanted = self._request.kinds or [name for name in default if self._allow(name, frames)]
        if not wanted:
            raise RepositoryError(
                f"no raw frame of {self._camera.name} is selected.", cure="Ingest frames first, or correct --where."
            )
        # Defects serve frames of any mode; all else is of the mode of the frames of the sky.
        served = {one for name in wanted if name != "defects" for one in KINDS[name].frames}
        involved = {one: refs for one, refs in frames.items() if one in served | {"science"}} if served else {}
        check_modes(self._butler, self._camera, involved, pedestal_only=self._request.pedestal_only)
        return [name for name in KINDS if name in wanted]

    def _allow(self, name: str, frames: Mapping[str, Sequence[DatasetRef]]) -> bool:
        """Whether there are frames of a kind; those for defects are taken for other ends, and may be few."""
        exposures = {ref.dataId["exposure"] for one in KINDS[name].frames for ref in frames[one]}
        if name != "defects":
            return bool(exposures)
        config: Any = self._pipeline_of(name).to_graph().tasks["make_defects"].config
        least: int = config.minimum_frames
        if len(exposures) < least:
            self.built.notes.append(f"defects are not looked for: {len(exposures)} exposures, {least} are the least")
        return len(exposures) >= least

    def _pipeline_of(self, name: str) -> Pipeline:
        """A pipeline of the one task of a kind, for several kinds may make calibrations of the same type."""
        return self._request.pipeline.subsetFromLabels(LabelSpecifier(labels={f"make_{name}"}))

    def build(self, name: str) -> None:
        """Run the step of a kind, and certify what it has made."""
        kind, request, pipeline = KINDS[name], self._request, self._pipeline_of(name)
        frame_type = kind.made_of
        if name == "bias":
            pipeline.addConfigOverride("make_bias", "pedestal_only", request.pedestal_only)
        if name == "defects":
            frame_type = "raw" if self._query("raw", kind.frames, limit=1) else "post_isr"
            pipeline.addConfigOverride("make_defects", "frame_type", frame_type)
        frames = self._query(frame_type, kind.frames)
        if not frames and frame_type == "sky_cells":
            raise RepositoryError(
                f"no sky cells of {self._camera.name} are selected.",
                cure="Run 'sky_correction#bin_sky_of_frames' first, and name its output with --collections.",
            )
        if not frames:
            raise RepositoryError(
                f"no {' or '.join(kind.frames)} frame of {self._camera.name} is selected.",
                cure="Ingest frames first, or correct --where, --collections or --detector.",
            )
        chosen = self._choose_inputs(name)
        summary = run_pipeline(
            RunRequest(
                repository=request.repository,
                pipeline=pipeline,
                name="masters",
                inputs=[self._chosen, *self._inputs],
                output=f"{self.built.chain}/{name}",
                instrument=self._camera.name,
                where=self._where(kind.frames if "exposure" in self._dimensions(frame_type) else ()),
                # Of other frames the masters are made in a new run: the old ones hold until the new ones are there.
                basis=digest(ref.id for ref in (*frames, *chosen)),
                steps=[name],
                processes=request.processes,
                limits=request.limits,
                retry=True,
                command=request.command,
            ),
            self._reporter,
        )
        self.built.failures += summary.failures
        self.built.notes += summary.notes
        self._butler.registry.refresh()
        refs = self._butler.query_datasets(kind.dataset_type, collections=summary.run, explain=False, limit=None)
        certify_built(self._butler, refs, validity=request.validity, chain=self.built.chain, replace=request.replace)
        for ref in sorted(refs, key=lambda ref: ref.dataId):
            self.built.masters.append(self._account(name, ref, summary.run))

    def _account(self, kind: str, ref: DatasetRef, run: str) -> BuiltMaster:
        """The figures of a master, from the metadata of its task."""
        label = f"make_{kind}"
        metadata = self._butler.get(f"{label}_metadata", ref.dataId, collections=run)
        figures: dict[str, Any] = metadata.to_dict().get(label, {})
        data_id = {name: value for name, value in ref.dataId.required.items() if name != "instrument"}
        return BuiltMaster(kind=kind, data_id=data_id, figures=figures)

    def _choose_inputs(self, name: str) -> list[DatasetRef]:
        """Tag the calibrations that the frames of a kind are corrected with, and return them."""
        frames = self._query("raw", KINDS[name].frames, records=True) if KINDS[name].corrected_with else []
        chosen, missing = choose_calibrations(
            self._butler, frames, KINDS[name].corrected_with, validity=self._request.validity, tagged=self._chosen
        )
        self.built.notes += [
            f"the {name} frames of detector {data_id['detector']} are corrected without a {dataset_type}"
            for dataset_type, data_id in missing
            if dataset_type in _MISSED
        ]
        return chosen

    def _query(
        self,
        dataset_type: str,
        observation_types: Sequence[str],
        *,
        limit: int | None = None,
        records: bool = False,
    ) -> list[DatasetRef]:
        """Frames of some observation types that the request selects, in the order of their exposures or visits."""
        key = "exposure" if "exposure" in self._dimensions(dataset_type) else "visit"
        observation_types = observation_types if key == "exposure" else ()
        where = [f"instrument = '{self._camera.name}'", self._where(observation_types)]
        found = self._butler.query_datasets(
            dataset_type,
            collections=self._inputs,
            where=" AND ".join(one for one in where if one),
            find_first=True,
            with_dimension_records=records,
            limit=limit,
            explain=False,
        )
        return sorted(found, key=lambda ref: (ref.dataId[key], ref.dataId["detector"]))

    def _dimensions(self, dataset_type: str) -> Collection[str]:
        """Dimensions of frames; of those of a type that nobody has made yet, those of visits."""
        try:
            return self._butler.get_dataset_type(dataset_type).dimensions.names
        except MissingDatasetTypeError:
            return ("instrument", "visit", "detector")

    def _where(self, observation_types: Sequence[str]) -> str:
        """The user's query, limited to some observation types where any are given."""
        if not observation_types:
            return f"({self._request.where})" if self._request.where else ""
        names = ", ".join(f"'{one}'" for one in observation_types)
        condition = f"exposure.observation_type IN ({names})"
        return f"({self._request.where}) AND {condition}" if self._request.where else condition
