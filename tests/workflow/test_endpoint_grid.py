"""A teacher behind an endpoint, through the workflow: planned with its price, answered by real HTTP, paid once."""

import json
import subprocess
import sys

import hostile_endpoint as hostile
import pytest
import workspace
import yaml

TEACHER = "far"


@pytest.fixture
def folder(tmp_path):
    workspace.copy_code(tmp_path, stand_in=False)
    return tmp_path


def write(folder, url, number=6, **endpoint):
    rows = [{"id": f"i{i}", "instruction": f"item {i}"} for i in range(number)]
    (folder / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "seed": 1,
        "models": {
            "far": {"api": hostile.API, "endpoint": "hostile"},
            "near": {"repo": "org/near", "revision": "sha256-111", "parameters": 0.1},
        },
        "endpoints": {"hostile": {"base_url": url, "key_env": hostile.KEY_ENV, "at_once": 4} | endpoint},
        "instructions": {"q": {"source": "asked.jsonl"}},
        "teachers": {TEACHER: {"model": "far", "engine": "openai", "sampling": {"temperature": 0, "max_tokens": 8}}},
        "bases": {"near": {"model": "near", "template": "own"}},
        "metrics": {"length": {"formula": "length"}},
        "grids": {
            "g": {
                "compare": "teacher",
                "instructions": ["q"],
                "teachers": [TEACHER],
                "bases": ["near"],
                "metrics": ["length"],
            }
        },
    }
    (folder / "far.yaml").write_text(yaml.safe_dump(config))


def call(folder, *argv):
    env = workspace.ENV | {hostile.KEY_ENV: hostile.KEY, "PYTHONPATH": str(folder / "workflow/scripts")}
    command = [sys.executable, "-m", "teachergrid", *argv, "--configfile", "far.yaml"]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def generate_of(folder, *argv):
    done = call(folder, "plan", "--json", *argv, "--until", "generate")
    assert done.returncode == 0, done.stdout + done.stderr
    return next(job for job in json.loads(done.stdout)["jobs"] if job["rule"] == "generate")


@pytest.mark.slow
def test_a_teacher_behind_an_endpoint_is_planned_answered_and_paid_once(folder):
    with hostile.serving() as server:
        write(folder, server.url)
        unpriced = generate_of(folder)
        assert unpriced["usd"] is None and unpriced["gpus"] == 0 and unpriced["asks"]["requests"] == 6
        refused = call(folder, "plan", "--max-usd", "100", "--until", "generate")
        assert refused.returncode != 0 and "at endpoints, whose price is unknown" in refused.stdout + refused.stderr
        write(folder, server.url, usd_in=2e4, usd_out=8e4)
        priced = generate_of(folder)
        asks = priced["asks"]
        usd = (2e4 * asks["prompt_tokens"] + 8e4 * asks["response_tokens"]) / 1e6
        assert priced["usd"]["expected"] == pytest.approx(usd, rel=0.05)
        done = call(folder, "run", "--cores", "1", "--until", "generate")
        assert done.returncode == 0, done.stdout + done.stderr
        # more rows: only they are asked for; a new address makes nothing again
        asked = len(server.asked)
        write(folder, server.url, number=8, usd_in=2.0, usd_out=8.0, tries=99)
        done = call(folder, "run", "--cores", "1", "--until", "load_instructions")
        assert done.returncode == 0, done.stdout + done.stderr
        assert generate_of(folder)["asks"]["requests"] == 2
        done = call(folder, "run", "--cores", "1", "--until", "generate")
        assert done.returncode == 0, done.stdout + done.stderr
        assert {request["messages"][-1]["content"] for request in server.asked[asked:]} == {"item 6", "item 7"}
    written = subprocess.run(["grep", "-rlF", hostile.KEY, str(folder)], capture_output=True, text=True)
    assert written.stdout == ""
