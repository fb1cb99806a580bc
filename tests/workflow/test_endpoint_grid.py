"""A teacher behind an endpoint, through the workflow: planned with its price, answered by real HTTP, paid once."""

import itertools
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


def write(folder, url, number=6, teachers=1, **endpoint):
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
        "teachers": {
            name: {"model": "far", "engine": "openai", "system": name, "sampling": {"temperature": 0, "max_tokens": 8}}
            for name in [TEACHER, *(f"far{i}" for i in range(1, teachers))]
        },
        "bases": {"near": {"model": "near", "template": "own"}},
        "metrics": {"length": {"formula": "length"}},
        "grids": {
            "g": {
                "compare": "teacher",
                "instructions": ["q"],
                "teachers": "all",
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
        # a batch, at half the price
        write(folder, server.url, number=10, usd_in=2e4, usd_out=8e4)
        assert call(folder, "run", "--cores", "1", "--until", "load_instructions").returncode == 0
        one_by_one = generate_of(folder)["asks"]
        write(folder, server.url, number=10, usd_in=2e4, usd_out=8e4, batch=True)
        together = generate_of(folder)["asks"]
        assert together["requests"] == 2
        assert together["usd"]["expected"] == pytest.approx(one_by_one["usd"]["expected"] / 2)
        done = call(folder, "run", "--cores", "1", "--until", "generate")
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(server.batches) >= 1 and {"item 8", "item 9"} <= server.paid.keys()
    written = subprocess.run(["grep", "-rlF", hostile.KEY, str(folder)], capture_output=True, text=True)
    assert written.stdout == ""


@pytest.mark.slow
def test_jobs_take_turns_and_a_run_spends_no_more_than_it_may(folder):
    """The plan cannot know that the endpoint sends useless answers, which are paid for."""
    sent = []

    def behave(server, item):
        sent.append(item)
        return (200, hostile.body("yes" if len(sent) <= 12 else None), b"")

    with hostile.serving(behave) as server:
        write(folder, server.url, teachers=3, usd_in=2e4, usd_out=8e4, at_once=4)
        jobs = json.loads(call(folder, "plan", "--json", "--until", "generate").stdout)["jobs"]
        expected = sum(job["usd"]["expected"] for job in jobs)
        starts = sorted((job["start"], job["end"]) for job in jobs if "asks" in job)
        assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(starts)), "planned in turn"
        cap = round(1.02 * expected, 4)
        done = call(folder, "run", "--cores", "2", "--until", "generate", "--max-usd", str(cap))
        assert done.returncode == 1, done.stdout + done.stderr
        assert server.most <= 4, "one job at a time asks"
        paid = server.paid.total() * (2e4 * hostile.TOKENS[0] + 8e4 * hostile.TOKENS[1]) / 1e6
        assert 0.4 * cap < paid <= cap
        assert f"this run would pass its `--max-usd` at endpoints of {cap:g} USD" in done.stdout + done.stderr
        assert "failed: money" in call(folder, "status").stdout
        # without a limit, another run is not held to it
        before = len(server.asked)
        sent.clear()
        done = call(folder, "run", "--cores", "2", "--until", "generate", "--resources", "endpoint_hostile=2")
        assert done.returncode == 0, done.stdout + done.stderr
        assert 0 < len(server.asked) - before < 18
