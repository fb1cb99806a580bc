"""A run with one evolver behind an endpoint that can kill it: its config, and the run, again after each kill."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import hostile_endpoint as hostile
import workspace
import yaml

NAME = "auto"  # of the evolution


class Evolver:
    """What the endpoint says. It kills its client at the `left`-th request of each kind that is named there.

    A test says what kind a prompt is (`kind`), and what is answered (`said`).
    """

    def __init__(self, left: Mapping[str, int]) -> None:
        self.run: subprocess.Popen | None = None
        self.left = dict(left)
        self.killed: list[str] = []

    def kind(self, prompt: str) -> str:
        raise NotImplementedError

    def said(self, kind: str, prompt: str, seed: int) -> str:
        raise NotImplementedError

    def __call__(self, server: hostile.Server, prompt: str) -> hostile.Answer | None:
        kind = self.kind(prompt)
        self.left[kind] = self.left.get(kind, 0) - 1
        if self.left[kind] == 0:
            self.kill(kind)
            return None
        return 200, hostile.body(self.said(kind, prompt, server.asked[-1].get("seed", 0))), b""

    def kill(self, kind: str) -> None:
        assert self.run is not None
        self.killed.append(kind)
        os.killpg(self.run.pid, signal.SIGKILL)


def settings(folder: Path, url: str, evolution: dict, asks: str, sampling: dict, prompts: dict, measures: dict) -> dict:
    """Return a config with six instructions, an evolution of them, and a grid that measures its first round; write the files it names.

    asks: an instruction, with {i} for its number. prompts: texts of the evolution. measures: "metrics", and "rewards" where these need some.
    """
    rows = [{"instruction": asks.format(i=i)} for i in range(6)]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "words.yaml").write_text(yaml.safe_dump(prompts))
    block = {
        "compare": "teacher",
        "instructions": [f"{NAME}.r1"],
        "teachers": ["far"],
        "bases": ["near"],
        "metrics": "all",
    }
    return {
        "seed": 1,
        "models": {
            "far": {"api": hostile.API, "endpoint": "hostile"},
            "near": {"repo": "org/near", "revision": "sha256-111", "parameters": 0.1},
        },
        "endpoints": {"hostile": {"base_url": url, "key_env": hostile.KEY_ENV, "at_once": 1}},
        "instructions": {"q": {"source": "q.jsonl"}},
        "teachers": {"far": {"model": "far", "engine": "openai", "sampling": sampling}},
        "evolutions": {NAME: {"of": "q", "by": "far", "prompts": "words.yaml", **evolution}},
        "bases": {"near": {"model": "near", "template": "own"}},
        "grids": {"g": block},
        **measures,
    }


def run_to_the_end(
    folder: Path,
    evolver: Evolver,
    config: Callable[[Path, str], dict],
    target: str,
    wait: Callable[[], int] | None = None,
) -> int:
    """Make a target, in a run that begins again after each kill. Return how many requests were answered.

    config: of (folder, the endpoint's address). wait: for the run, and returns its status; None: does nothing else.
    """
    folder.mkdir(exist_ok=True)
    workspace.copy_code(folder, stand_in=False)
    with hostile.serving(evolver) as server:
        (folder / "far.yaml").write_text(yaml.safe_dump(config(folder, server.url)))
        env = workspace.ENV | {hostile.KEY_ENV: hostile.KEY, "PYTHONPATH": str(folder / "workflow/scripts")}
        command = [sys.executable, "-m", "teachergrid", "run", target, "--cores", "1", "--configfile", "far.yaml"]
        for _ in range(len(evolver.left) + 3):
            with open(folder / "said", "w") as said:
                evolver.run = subprocess.Popen(
                    command, cwd=folder, env=env, stdout=said, stderr=said, start_new_session=True
                )
            code = wait() if wait else evolver.run.wait()
            if code != -signal.SIGKILL:
                break
        assert code == 0, (folder / "said").read_text()[-3000:]
        return server.paid.total()
