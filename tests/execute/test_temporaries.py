"""What a kill leaves half-written is found by its name, and nothing else is."""

from __future__ import annotations

from pathlib import Path

from lsst.resources import ResourcePath

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
