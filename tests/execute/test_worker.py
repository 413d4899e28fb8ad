"""A worker on its own, without a process."""

from __future__ import annotations

import pickle
import subprocess
import sys
import uuid

from lsst.daf.butler import Butler
from toy_survey import Survey

from skyloom.execute.outcome import Status, WorkerDied
from skyloom.execute.worker import StepSetup, Worker, WorkerSetup


def test_what_a_worker_cannot_deal_with_ends_one_quantum(survey: Survey) -> None:
    butler = Butler.from_config(str(survey.root))
    worker = Worker(WorkerSetup(str(survey.root), butler.dimensions.dimensionConfig, ""))
    worker.set_step(pickle.dumps(StepSetup({}, {})))
    end = worker.account("double", uuid.uuid4(), b"no quantum")
    assert isinstance(end, WorkerDied)
    assert end.code == "UnpicklingError"
    assert "Traceback" in end.stderr
    assert end.outcome.status is Status.FAILED


def test_the_end_of_a_worker_is_told() -> None:
    assert WorkerDied("it went").outcome.line == "[WORKER-DIED] it went"


def test_the_fork_server_imports_what_workers_need() -> None:
    code = "import sys, skyloom.execute.preload as _; print('numba' in sys.modules, 'lsst.images.fits' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
