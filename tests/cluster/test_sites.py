"""The sites of the documentation: their files can be read, and what parsl needs can be made of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lsst.ctrl.bps import BPS_DEFAULTS, BPS_SEARCH_ORDER, BpsConfig
from lsst.ctrl.bps.parsl import ParslService
from lsst.ctrl.bps.parsl.workflow import get_parsl_config
from lsst.ctrl.bps.transform import gather_job_environment
from lsst.pipe.base import Pipeline
from lsst.resources import ResourcePath
from parsl.launchers import SingleNodeLauncher, SrunLauncher
from parsl.providers import CondorProvider, KubernetesProvider, LocalProvider, SlurmProvider

from skyloom.execute.submission import write_submission

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
PROVIDERS = {
    "local": LocalProvider,
    "slurm": SlurmProvider,
    "htcondor": CondorProvider,
    "kubernetes": KubernetesProvider,
}
CLUSTER = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    "clusters": [{"name": "here", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "me", "user": {"token": "none"}}],
}


@pytest.fixture(autouse=True)
def _address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that is never asked anything."""
    config = tmp_path / "kube.yaml"
    config.write_text(yaml.safe_dump(CLUSTER))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(config))


def submission(name: str, folder: Path) -> BpsConfig:
    """The file that `skyloom run --site` gives to ``bps``, as that reads it."""
    file = write_submission(
        str(EXAMPLES / f"site_{name}.yaml"),
        folder,
        folder / "graph.qg",
        repository="s3://survey/repo",
        run="out/1",
        output="out",
        step="coadd",
        ends=ResourcePath("s3://survey/repo/out/1/skyloom_jobs/coadd_1/"),
    )
    config = BpsConfig(str(file), search_order=BPS_SEARCH_ORDER, defaults=BPS_DEFAULTS)
    config[".bps_defined.operator"] = "me"
    return config


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_site_of_the_documentation_can_be_built(name: str, tmp_path: Path) -> None:
    config = submission(name, tmp_path)
    parsl = get_parsl_config(config)
    assert [type(one.provider) for one in parsl.executors] == [PROVIDERS[name]]
    assert parsl.retries == config[".site"][name]["retries"] >= 1
    assert isinstance(ParslService(config), ParslService)
    assert gather_job_environment(config, {"curvals": {"curr_site": name}}) == {}


def test_settings_of_a_site_reach_its_provider(tmp_path: Path) -> None:
    (executor,) = get_parsl_config(submission("kubernetes", tmp_path)).executors
    assert executor.provider.persistent_volumes == [("survey-scratch", "/scratch")]
    assert executor.provider.image.startswith("registry.example.org/")
    (executor,) = get_parsl_config(submission("htcondor", tmp_path)).executors
    assert executor.provider.max_blocks == 20
    assert "request_memory" not in executor.provider.scheduler_options
    assert executor.provider.mem_per_slot == 16


def test_slurm_jobs_share_nodes_and_start_workers_on_all_of_theirs(tmp_path: Path) -> None:
    config = submission("slurm", tmp_path)
    (executor,) = get_parsl_config(config).executors
    options = executor.provider.scheduler_options
    assert "--exclusive" not in options
    assert "#SBATCH --job-name=skyloom.coadd\n#SBATCH --partition=science\n" in options
    assert isinstance(executor.provider.launcher, SingleNodeLauncher)
    config[".site.slurm.provider.nodes_per_block"] = 2
    config[".site.slurm.provider.scheduler_options"] = "#SBATCH --nice\n"
    (executor,) = get_parsl_config(config).executors
    assert "--nice\n" in executor.provider.scheduler_options
    assert isinstance(executor.provider.launcher, SrunLauncher)


def test_jobs_call_the_python_of_the_site(tmp_path: Path) -> None:
    command = submission("kubernetes", tmp_path)["runQuantumCommand"]
    assert command.startswith("/opt/skyloom/bin/python -m skyloom.execute.job s3://survey/repo s3://")


def test_the_plain_file_for_bps_submit_is_whole() -> None:
    config = BpsConfig(str(EXAMPLES / "bps_single_frame.yaml"), search_order=BPS_SEARCH_ORDER, defaults=BPS_DEFAULTS)
    assert "--no-raise-on-partial-outputs" in config["extraRunQuantumOptions"]
    assert set(Pipeline.from_uri(config["pipelineYaml"]).task_labels) == {"isr", "calibrate_image", "visit_summary"}
    assert config["computeSite"] == "local"
