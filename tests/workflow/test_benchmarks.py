"""Eight benchmarks in small through the whole workflow, with a scripted judge behind a real HTTP server; scores computed by hand."""

import copy
import json
import math
import re
from collections import defaultdict
from pathlib import Path

import hostile_endpoint as hostile
import preloaded
import pyarrow.parquet as pq
import pytest
import workspace
import yaml

pytestmark = pytest.mark.slow
KNOWN, MODELS = "known", ("bs__lessons__book__sft__s1", "bs-untuned", "known")
WORTH = {"(good)": 3, "(poor)": 0}  # of an answer with this word; 1 without one
LABELS = {2: "[[B>>A]]", 1: "[[B>A]]", 0: "[[A=B]]", -1: "[[A>B]]", -2: "[[A>>B]]"}  # by how much B is better
# mean scores of the published answers `known`, by task; in tests/benchmarks_small 7 of 10 sums are right, and so on
VERIFIED = {"gsm8k": 0.7, "math500": 0.6, "ifeval": 0.6, "humaneval": 0.8, "mbpp": 0.7}
# 10 of 14 instructions; one answer more without its last line
IFEVAL = {"prompt_strict": 0.6, "instruction_strict": 10 / 14, "prompt_loose": 0.7, "instruction_loose": 11 / 14}
# six answers preferred with probability 0.8, two with 0.2, one equal, one empty
WINS = (6 * 0.8 + 2 * 0.2 + 0.5 + 0) / 10
# seven hard prompts: four strong wins (six battles each), two losses (two each), a tie (two halves); three creative ones: one strong
# win, two losses
BATTLES = {"hard_prompt": 25 / 30, "creative_writing": 6 / 10}
# of each group's levels 1 to 4 all but the third satisfy all; of the third one, a judge finds two of three, a rule nothing
FOLLOW = {"hard": 0.75, "soft": (11 / 12 + 3 / 4) / 2, "consistent": 0.4, "hard_3": 0.0}


def worth(text: str) -> int:
    return next((value for word, value in WORTH.items() if word in text), 1)


def judged(server: hostile.Server, prompt: str) -> hostile.Answer:
    """Judge as told: by the words of WORTH, and by how many constraints an answer says that it meets."""
    if found := re.search(r"Number of constraints that were added: (\d+)", prompt):
        meets = re.search(r"\(meets (\d+)\)", prompt)
        said = ["YES" if n < int(meets[1] if meets else 0) else "NO" for n in range(int(found[1]))]
        return 200, hostile.body(f"Let me see.\n{said}"), b""
    first, second = re.findall(r"(?s)<answer[^>]*>\n(.*?)\n</answer", prompt)
    better = worth(second) - worth(first)
    if not server.asked[-1].get("logprobs"):
        return 200, hostile.body(f"My verdict: {LABELS[better]}"), b""
    share = 0.8 if better > 0 else 0.2
    top = [{"token": "M", "logprob": math.log(share)}, {"token": "m", "logprob": math.log(1 - share)}]
    message = {"role": "assistant", "content": "M" if better > 0 else "m"}
    choice = {"index": 0, "message": message, "finish_reason": "length"}
    return (
        200,
        hostile.body(None, choices=[choice | {"logprobs": {"content": [{"token": "m", "top_logprobs": top}]}}]),
        b"",
    )


class Run:
    """A finished run of config/benchmarks_small.yaml in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        workspace.copy_code(folder, stand_in=False)
        for part in ("workflow/miniworld", "config/benchmarks", "tests"):
            (folder / part).symlink_to(workspace.ROOT / part)
        config = yaml.safe_load((workspace.ROOT / "config/benchmarks_small.yaml").read_text())
        config["endpoints"]["here"] |= {"base_url": url, "key_env": hostile.KEY_ENV}
        self.write(config)

    def write(self, config: dict) -> None:
        self.config = config
        (self.folder / "config/config.yaml").write_text(yaml.safe_dump(config))

    def call(self, *argv: str) -> str:
        env = workspace.ENV | {hostile.KEY_ENV: hostile.KEY}
        done = preloaded.run(("teachergrid", *argv), self.folder, env)
        assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
        return done.stdout

    def jobs(self) -> set[str]:
        return {json.loads(line)["job"] for line in self.call("plan", "--jsonl").splitlines()}

    def scores(self, suite: str, judge: str, model: str = KNOWN) -> list[dict]:
        return pq.read_table(self.folder / f"results/scores/{model}/{suite}/{judge}.parquet").to_pylist()


@pytest.fixture(scope="module")
def server():
    with hostile.serving(judged) as serving:
        yield serving


@pytest.fixture(scope="module")
def done(server, tmp_path_factory) -> Run:
    run = Run(tmp_path_factory.mktemp("benchmarks"), server.url)
    run.call("run")
    return run


def means(rows: list[dict], by: str) -> dict[str, float]:
    found = defaultdict(list)
    for row in rows:
        found[row[by]].append(row["score"])
    return {name: sum(values) / len(values) for name, values in found.items()}


def measures(rows: list[dict]) -> dict[str, float]:
    found = defaultdict(list)
    for row in rows:
        for one in row["measures"] or ():
            found[one["measure"]].append(one["value"])
    return {name: sum(values) / len(values) for name, values in found.items()}


def test_scores_are_those_computed_by_hand(done):
    checked = done.scores("checked", "verify")
    assert means(checked, "task") == pytest.approx(VERIFIED)
    assert measures([row for row in checked if row["task"] == "ifeval"]) == pytest.approx(IFEVAL)
    wins = done.scores("alpaca", "win")
    assert means(wins, "task") == pytest.approx({"alpaca": WINS}) and measures(wins) == {"discrete": 0.65}
    assert means(done.scores("arena", "battles"), "category") == pytest.approx(BATTLES)
    constraints = done.scores("follow", "constraints")
    assert len(constraints) == 8 and means(constraints, "task") == pytest.approx({"follow": 0.75})
    found = measures(constraints)
    assert {name: found[name] for name in FOLLOW} == pytest.approx(FOLLOW)
    # the same numbers in the summary, from 0 to 100
    rows = pq.read_table(done.folder / "results/grids/benchmarks/performance.parquet").to_pylist()
    of_known = {row["measure"]: row["value"] for row in rows if row["model"] == KNOWN}
    expected = {f"checked/verify/{task}": 100 * value for task, value in VERIFIED.items()} | {
        "alpaca/win": 100 * WINS,
        "arena/battles": 10 * (7 * BATTLES["hard_prompt"] + 3 * BATTLES["creative_writing"]),
        "follow/constraints/follow:hard": 75,
    }
    assert {name: of_known[name] for name in expected} == pytest.approx(expected)
    assert of_known["AP"] == pytest.approx(sum(expected.values()) / 8)


def test_models_are_asked_all_items(done):
    for model in MODELS:
        for suite, judge, number in (("checked", "verify", 50), ("alpaca", "win", 10), ("arena", "battles", 10)):
            rows = done.scores(suite, judge, model)
            assert len(rows) == number and all(row["score"] is not None or row["reason"] for row in rows)
    # what length or style is held fixed for is fitted for each model alone
    fit = json.loads((done.folder / "results/scores/known/alpaca/win-lc.parquet.fit").read_text())["alpaca"]
    values = means(done.scores("alpaca", "win-lc"), "task")["alpaca"]
    assert 0 < values < 1 and values == pytest.approx(fit["rate"]) and fit["missing"] == 0
    style = json.loads((done.folder / "results/scores/known/arena/battles-style.parquet.fit").read_text())
    assert {*style} == {"arena/hard_prompt", "arena/creative_writing"}
    rates = {name.removeprefix("arena/"): one["rate"] for name, one in style.items()}
    assert means(done.scores("arena", "battles-style"), "category") == pytest.approx(rates)
    # short and long answers win and lose, so that style moves the rates a little
    assert all(0 < abs(rates[name] - BATTLES[name]) < 0.1 for name in BATTLES)


def test_nothing_is_done_twice(done, server):
    asked = len(server.asked)
    assert done.jobs() == set()
    config = copy.deepcopy(done.config)
    config["tasks"]["gsm8k"]["checker_version"] = 2
    done.write(config)
    assert {job.split()[0] for job in done.jobs()} == {"verify", "correlate", "report"}, (
        "no model runs for a new checker"
    )
    done.call("run")
    assert len(server.asked) == asked and done.jobs() == set()
