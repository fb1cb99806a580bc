"""The plan of a shipped config where there is no model, no GPU and no network."""

import json
import os
import subprocess
import sys
from pathlib import Path

from workspace import ENV, ROOT, copy_code


def first_plan(folder: Path, config: Path, *argv: str) -> dict[str, int]:
    """Return {job: GPUs} of a config that is planned in a new folder; the test fails where anything looks at the hub.

    argv: further options of `plan`.
    """
    copy_code(folder, stand_in=False)
    for name in ("templates", "benchmarks"):
        (folder / "config" / name).symlink_to(ROOT / "config" / name)
    (folder / "config/mine.yaml").write_text(config.read_text())
    home = folder / "home"
    home.mkdir()
    # nothing listens there, so that any look at the hub would fail
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "HF_HOME": str(home)}
    words = [sys.executable, "-m", "teachergrid", "plan", "--jsonl", "--configfile", "config/mine.yaml", *argv]
    done = subprocess.run(words, cwd=folder, env=ENV | nowhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    jobs = [json.loads(line) for line in done.stdout.splitlines()]
    assert {job["why"][0] for job in jobs} == {"first run"} and not any(os.scandir(home))
    return {job["job"]: job["gpu"] for job in jobs}
