"""What a kill leaves half-written is found by its name, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.resources import ResourcePath

from skyloom.execute.journal import Journal
from skyloom.execute.register import Registrar
from skyloom.execute.stores import remove_temporaries


def test_only_temporaries_go(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "isr_config"
    folder.mkdir(parents=True)
    kept = ["isr_config_out.py", "tmpl_summary.fits", "skyloom_run.jsonl", "bias_tmp.fits", "tmpabcd.py"]
    gone = ["tmpna9y8jmi", "tmp_abcd12_.json", "x1_bias.tmp.fits"]
    for name in (*kept, *gone):
        (folder / name).write_text("x")
    remove_temporaries(ResourcePath(str(tmp_path / "run"), forceDirectory=True))
    assert sorted(path.name for path in folder.iterdir()) == sorted(kept)


@pytest.mark.parametrize(("phase", "stays"), [("sky map", False), ("work", True), ("end", True)])
def test_a_half_written_sky_map_goes_where_the_run_was_stopped_at_it(tmp_path: Path, phase: str, stays: bool) -> None:
    root = tmp_path / "repo"
    half = root / "skymaps" / "sky_map" / "x1_sky_map_simulated.tmp.json"
    half.parent.mkdir(parents=True)
    half.write_text("{")
    with Butler.from_config(Butler.makeRepo(str(root)), writeable=True) as butler:
        first = Journal(butler, "out/1")
        first.begin({"pipeline": "p"})
        first.phase(phase)
        first.close()
        second = Journal(butler, "out/1")
        Registrar(butler, str(root), second).recover()
        second.close()
    assert half.exists() == stays
