"""Pages of a site opened as files in a browser without a window: what scripts find there, and the console's errors."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHROMIUM = next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)
_ANSWER = "parent.postMessage({name: %s, answer: await (async () => {%s})().catch(String)}, '*')"
_COLLECT = """
const found = {}, frames = %s;
addEventListener("message", (event) => {
  found[event.data.name] = event.data.answer;
  if (Object.keys(found).length < Object.keys(frames).length) return;
  const all = document.body.appendChild(document.createElement("pre"));
  all.id = "found";
  all.textContent = JSON.stringify(found);
});
for (const name in frames) {
  const frame = document.body.appendChild(document.createElement("iframe"));
  // All in sight: the browser does not animate what is not.
  frame.style = "position: fixed; inset: 0; width: 100%%; height: 100%%";
  frame.src = frames[name];
}
"""


def look(folder: Path, scripts: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """Open pages of a folder side by side.

    Parameters
    ----------
    folder
        The site.
    scripts
        By page, the body of an asynchronous function that runs once it is loaded.

    Returns
    -------
    found, errors
        What each function returned, and the lines of the console.
    """
    assert CHROMIUM is not None
    frames = {}
    for name, script in scripts.items():
        page = folder / name
        copy = page.with_name(f"look_{page.name}")
        answer = _ANSWER % (json.dumps(name), script)
        copy.write_text(page.read_text() + f"<script>addEventListener('load', async () => {{{answer}}})</script>")
        frames[name] = copy.relative_to(folder).as_posix()
    start = folder / "look.html"
    start.write_text(f"<!doctype html><meta charset=utf-8><body><script>{_COLLECT % json.dumps(frames)}</script>")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0", "--no-first-run"]
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [
        CHROMIUM,
        *flags,
        profile,
        "--window-size=1000,700",
        "--virtual-time-budget=60000",
        "--timeout=60000",
        "--dump-dom",
        start.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    answer = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert answer is not None, f"no answer of {CHROMIUM}: {done.stderr[-2000:]}"
    return json.loads(html.unescape(answer[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
