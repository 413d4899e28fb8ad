"""A claim on a run keeps others out as long as its holder works, and no longer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lsst.resources import ResourcePath

from skyloom.errors import RepositoryError
from skyloom.execute.claim import LIFE_SECONDS, Claim


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.claim"


def test_a_claim_keeps_others_out_until_it_is_released(file: Path) -> None:
    uri = ResourcePath(str(file))
    assert not Claim.is_held(uri)
    claim = Claim(uri, "out/1")
    assert Claim.is_held(uri)
    with pytest.raises(RepositoryError, match="another process is running in 'out/1'"):
        Claim(uri, "out/1")
    claim.release()
    assert not Claim.is_held(uri)
    assert not file.exists()


def test_a_claim_of_a_process_that_is_gone_is_taken_over(file: Path) -> None:
    uri = ResourcePath(str(file))
    Claim(uri, "out/1")  # never released
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    file.write_text(json.dumps({**json.loads(file.read_text()), "pid": int(dead.stdout)}))
    Claim(uri, "out/1").release()


def test_a_claim_from_elsewhere_holds_until_it_is_old(file: Path) -> None:
    uri = ResourcePath(str(file))
    claim = {"token": "1", "host": "elsewhere.example.org", "pid": 1}
    file.write_text(json.dumps({**claim, "t": time.time() - LIFE_SECONDS / 2}))
    with pytest.raises(RepositoryError, match="process 1 on elsewhere"):
        Claim(uri, "out/1")
    file.write_text(json.dumps({**claim, "t": time.time() - LIFE_SECONDS - 1}))
    Claim(uri, "out/1").release()


def test_a_claim_is_written_anew_while_it_is_held(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyloom.execute.claim._RENEWAL_SECONDS", 0.05)
    claim = Claim(ResourcePath(str(file)), "out/1")
    first = json.loads(file.read_text())["t"]
    time.sleep(0.3)
    assert json.loads(file.read_text())["t"] > first
    claim.release()
