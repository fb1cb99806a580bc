"""Language models as judges, through the workflow: asked over real HTTP, paid once, read again without asking."""

import json
import subprocess
import sys

import hostile_endpoint as hostile
import pyarrow.parquet as pq
import pytest
import tiny
import workspace
import yaml
from teachergrid.store import artifacts

# a stand-in for the model that answers: short or long answers, with headers in some
ANSWER = """
from typing import TYPE_CHECKING

from teachergrid.data import loading
from teachergrid.job import context
from teachergrid.store import artifacts

if __name__ == "__main__":
    with context.running(snakemake) as (settings, made_from):
        items = loading.load_tasks(settings["tasks"], snakemake.input.prompts)
        rows = [
            {
                "task": task, "id": row["id"], "sample": 0, "category": None, "finish_reason": "stop",
                "answer": text(snakemake.wildcards.model, row["messages"][0]["content"]),
            }
            for task, table in items.items() for row in table.to_pylist()
        ]
        artifacts.write(snakemake.output.answers, artifacts.table(rows, artifacts.ANSWERS), artifacts.ANSWERS, made_from)
"""
TEXT = '''
def text(model, question):
    """w-raw is right about even numbers, and says nothing to 10; both say the same to 9."""
    number = int(question.split()[-1])
    if number == 9:
        return "the same"
    if model == "w-raw":
        return "" if number == 10 else f"right {number}" if number % 2 == 0 else f"# wrong {number}"
    return f"plain {number}"


'''
ITEMS = 12
JUDGES = {
    "pair": {"model": "far", "protocol": "pairwise", "baseline": "q-raw"},
    "clf": {"model": "far", "protocol": "alpaca_eval2", "baseline": "q-raw"},
    "arena": {"model": "far", "protocol": "arena_hard_v2", "baseline": "q-raw"},
    "alone": {"model": "far", "protocol": "single", "max_tokens": 64},
    "styled": {"of": "pair", "control": "style"},
    "own": {"model": "own", "engine": "transformers", "protocol": "pairwise", "baseline": "q-raw", "max_tokens": 8},
    "wins": {"reward": "rm", "baseline": "q-raw"},
}


def judged(server: hostile.Server, prompt: str) -> hostile.Answer:
    """Judge as told: a right answer is better than a plain one, and that is better than a wrong one; about 7 it says nothing."""
    worth = {"right": 2, "plain": 1, "wrong": 0}
    found = sorted(
        (prompt.index(word), value) for word, value in worth.items() if f"{word} " in prompt.split("<answer", 1)[1]
    )
    asked = server.asked[-1]
    if " 7" in prompt:
        return 200, hostile.body("I cannot say."), b""
    if "from 1 (useless)" in prompt:
        return 200, hostile.body(f"[[{1 + 4 * found[0][1] if found else 5}]]"), b""
    second = found[-1][1] > found[0][1]
    if asked.get("logprobs"):
        top = [{"token": "M", "logprob": -0.1 if second else -2.5}, {"token": "m", "logprob": -2.5 if second else -0.1}]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "M" if second else "m"},
            "finish_reason": "length",
            "logprobs": {"content": [{"token": "M", "top_logprobs": top}]},
        }
        return 200, hostile.body(None, choices=[choice]), b""
    label = (
        ("[[B>>A]]" if second else "[[A>B]]") if "A>>B" in str(asked["messages"]) else "[[B]]" if second else "[[A]]"
    )
    return 200, hostile.body(f"So: {label}"), b""


@pytest.fixture
def folder(tmp_path):
    workspace.copy_code(tmp_path)
    tiny.make(tmp_path / "model", positions=2048)
    for name in ("ask.py", "score.py"):
        real = workspace.ROOT / "workflow/scripts" / name
        (tmp_path / "workflow/scripts" / name).write_text(real.read_text())
    (tmp_path / "workflow/scripts/answer.py").write_text(f'"""Answers."""\n{TEXT}{ANSWER}')
    rows = [{"instruction": f"Say {i}", "answer": "1"} for i in range(ITEMS)]
    (tmp_path / "config/ifeval.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def write(folder, url, **judges):
    path = folder / "config/config.yaml"
    config = yaml.safe_load((workspace.SMALL / "config.yaml").read_text())
    config["models"]["far"] = {"api": hostile.API, "endpoint": "hostile"}
    config["models"]["own"] = {"repo": "model", "dtype": "float32"}
    config["endpoints"] = {
        "hostile": {"base_url": url, "key_env": hostile.KEY_ENV, "at_once": 4, "usd_in": 2.0, "usd_out": 8.0}
    }
    config["judges"] = JUDGES | judges
    config["suites"]["chat"]["judges"] = [*config["judges"]]
    path.write_text(yaml.safe_dump(config))


def call(folder, *argv, ok=True):
    env = workspace.ENV | {hostile.KEY_ENV: hostile.KEY}
    done = subprocess.run([sys.executable, "-m", *argv], cwd=folder, env=env, capture_output=True, text=True)
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


def targets(*judges: str) -> list[str]:
    return [f"results/scores/w-raw/chat/{judge}.parquet" for judge in judges]


def run(folder, *judges):
    return call(folder, "snakemake", *targets(*judges), "-j2", "--quiet", "rules")


def jobs(folder, *judges) -> set[str]:
    """Return rule and judge of all jobs that would run for the scores of these judges."""
    lines = call(folder, "teachergrid", "plan", *targets(*judges), "--jsonl").splitlines()
    return {json.loads(line)["job"] for line in lines if line.startswith("{")}


def scores(folder, judge) -> dict[str, dict]:
    """Return the rows of a judge by the number in the question."""
    rows = pq.read_table(folder / f"results/scores/w-raw/chat/{judge}.parquet").to_pylist()
    order = [row["id"] for row in pq.read_table(folder / "results/answers/w-raw/chat.parquet").to_pylist()]
    return {order.index(row["id"]): row for row in rows}


@pytest.mark.slow
def test_judges_are_asked_once_and_read_again_for_nothing(folder):
    with hostile.serving(judged) as server:
        write(folder, server.url)
        names = ["pair", "clf", "arena", "alone", "styled"]
        run(folder, *names)
        table = artifacts.read(folder / "results/scores/w-raw/chat/pair.parquet", artifacts.SCORES)
        assert table.num_rows == ITEMS
        pair = scores(folder, "pair")
        assert [pair[n]["score"] for n in (0, 1, 2, 7, 9, 10)] == [1, 0, 1, None, 0.5, 0]
        assert [pair[n]["verdict"] for n in (9, 10)] == ["identical", "empty"] and "refused" in pair[7]["reason"]
        clf = scores(folder, "clf")
        assert clf[0]["score"] == pytest.approx(0.9168, abs=1e-4) and clf[1]["score"] == pytest.approx(0.0832, abs=1e-4)
        known = [row["score"] for row in scores(folder, "arena").values() if row["score"] is not None]
        # 5 right answers, one of them empty: [[B>>A]] and [[A>B]] are 4 won battles; 4 wrong ones lose as many; one tie, one empty
        assert sum(known) / len(known) == pytest.approx((5 * 4 + 1) / (5 * 4 + 4 * 4 + 2 + 2))
        assert scores(folder, "alone")[0]["score"] == pytest.approx(8 / 9)
        assert json.loads((folder / "results/scores/w-raw/chat/styled.parquet.fit").read_text()).keys() == {"ifeval"}
        verdicts = artifacts.read(folder / "results/verdicts/w-raw/chat/pair.parquet", artifacts.VERDICTS)
        assert verdicts["cost"].to_pylist() == pytest.approx([hostile.USD] * 2 * (ITEMS - 2))
        # the derived judge has asked nobody
        assert not (folder / "results/verdicts/w-raw/chat/styled.parquet").exists()

        asked = len(server.asked)
        assert jobs(folder, *names) == set()
        # another way to read replies reads them again, and asks nobody
        path = folder / "workflow/scripts/teachergrid/evaluation/replies.py"
        path.write_text(path.read_text().replace('"no verdict"', '"no verdict found"'))
        assert {job.split()[0] for job in jobs(folder, *names)} == {"score"}
        run(folder, *names)
        # verdicts that are lost are in the log of what was paid
        for name in ("pair", "clf", "arena", "alone"):
            for kind in ("verdicts", "scores"):
                (folder / f"results/{kind}/w-raw/chat/{name}.parquet").unlink()
        run(folder, *names)
        assert len(server.asked) == asked
        # a further derived judge is one cheap job; both orders ask for the other half
        write(folder, server.url, more={"of": "arena", "control": "style"}, both={**JUDGES["clf"], "order": "both"})
        assert {job.split()[0] for job in jobs(folder, "more")} == {"score"}
        both = call(folder, "teachergrid", "plan", *targets("both"), "--json")
        document, _ = json.JSONDecoder().raw_decode(both[both.index("{") :])
        ask = next(job for job in document["jobs"] if job["rule"] == "ask")
        assert ask["asks"]["requests"] == ITEMS - 2, "the other half is in the log"
        run(folder, "both")
        assert len(server.asked) == asked + ITEMS - 2
        assert scores(folder, "both")[0]["first"] == pytest.approx(scores(folder, "both")[0]["second"])
    written = subprocess.run(["grep", "-rlF", hostile.KEY, str(folder)], capture_output=True, text=True)
    assert written.stdout == ""


@pytest.mark.slow
def test_a_job_loads_a_judge_as_it_loads_a_teacher(folder):
    """With no endpoint at all. Its verdicts stay until the judging model changes, and nothing else is made again then."""
    write(folder, "http://127.0.0.1:9/v1")
    run(folder, "own")
    verdicts = artifacts.read(folder / "results/verdicts/w-raw/chat/own.parquet", artifacts.VERDICTS)
    assert verdicts.num_rows == 2 * (ITEMS - 2) and any(verdicts["text"].to_pylist())
    assert {*verdicts["finish_reason"].to_pylist()} <= {"stop", "length"} and verdicts["cost"].null_count == 2 * (
        ITEMS - 2
    )
    own = scores(folder, "own")
    assert (own[9]["score"], own[10]["score"]) == (0.5, 0) and own[0]["reason"]
    assert jobs(folder, "own") == set()
    write(folder, "http://127.0.0.1:9/v1", own={**JUDGES["own"], "batch": 3})
    assert {job.split()[0] for job in jobs(folder, "own")} == {"ask", "score"}
    plan = call(folder, "teachergrid", "plan", *targets("own"), "--json", "--cluster", "h100=4")
    document, _ = json.JSONDecoder().raw_decode(plan[plan.index("{") :])
    ask = next(job for job in document["jobs"] if job["rule"] == "ask")
    assert ask["gpus"] == 1 and ask["engine"] == "transformers" and "asks" not in ask
