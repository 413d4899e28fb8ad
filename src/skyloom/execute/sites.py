"""Sites for ``bps``: Slurm, HTCondor and Kubernetes, with all that parsl's own providers can be told.

A site file names one of them as ``site.NAME.class``.  ``provider`` below it holds arguments of parsl's provider as
they are, ``executor`` those of its `HighThroughputExecutor`; see docs/cluster.md.
"""

from __future__ import annotations

from typing import Any

from lsst.ctrl.bps.parsl import SiteConfig
from lsst.ctrl.bps.parsl.configuration import get_workflow_name
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import CondorProvider, KubernetesProvider, SlurmProvider

__all__ = ["HTCondor", "Kubernetes", "Slurm"]


class _PilotSite(SiteConfig):  # type: ignore[misc]
    """A site on which parsl starts workers that take one job after the other."""

    label: str
    provider: type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "resource_list": ["priority"]})

    def get_executors(self) -> list[HighThroughputExecutor]:
        """The one executor of the site."""
        provider = self.provider(**self._provider_arguments())
        address = {"address": self.get_address()}
        return [HighThroughputExecutor(self.label, provider=provider, **{**address, **self._arguments("executor")})]

    def select_executor(self, job: Any) -> str:
        """Its name."""
        return self.label

    def _provider_arguments(self) -> dict[str, Any]:
        """What the provider is given."""
        return self._arguments("provider")

    def _arguments(self, name: str) -> dict[str, Any]:
        """The settings below a keyword of the site."""
        found = self.site.toDict().get(name) or {}
        return {key: _as_argument(value) for key, value in found.items()}


def _as_argument(value: Any) -> Any:
    """Pairs of a YAML file as the tuples that providers ask for."""
    if isinstance(value, list):
        return [tuple(item) if isinstance(item, list) else item for item in value]
    return value


class Slurm(_PilotSite):
    """Workers are jobs of Slurm, which share nodes with others unless ``exclusive`` is true; ``provider`` takes the
    arguments of parsl's `SlurmProvider`.
    """

    label = "slurm"
    provider = SlurmProvider

    def _provider_arguments(self) -> dict[str, Any]:
        """Jobs are called after their step; parsl's own launcher would start workers on the first node alone."""
        given = {"exclusive": False, **super()._provider_arguments()}
        lines = [
            given.get("scheduler_options", "").rstrip("\n"),
            f"#SBATCH --job-name={get_workflow_name(self.config)}",
        ]
        given["scheduler_options"] = "\n".join(line for line in lines if line)
        if given.get("nodes_per_block", 1) > 1:
            given["launcher"] = SrunLauncher(overrides="-K0 -k --cpu-bind=none")
        return given


class HTCondor(_PilotSite):
    """Workers are jobs of HTCondor; ``provider`` takes the arguments of parsl's `CondorProvider`."""

    label = "htcondor"
    provider = CondorProvider


class Kubernetes(_PilotSite):
    """Workers are pods; ``provider`` takes the arguments of parsl's `KubernetesProvider`, above all ``image``."""

    label = "kubernetes"
    provider = KubernetesProvider
