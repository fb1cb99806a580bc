"""Evolution through the workflow: what a change makes again, and a real run behind an endpoint that is killed in its second round."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import hostile_endpoint as endpoint
import pytest
import yaml
from teachergrid.store import artifacts
from workspace import ENV, Grid, copy_code, jobs, setting

pytestmark = pytest.mark.slow

OWN = "operators: {deepen: Ask for more of it., shorter: Make it shorter.}\n"
REPORT = jobs("{correlate,report} evolved")


def with_evolution(config):
    """Add an evolver of its own, its two rounds, and a block that measures one teacher's responses to them."""
    config["teachers"]["evolver"] = {"model": "large", "sampling": {"temperature": 0.7}}
    config["evolutions"] = {"wiz": evolution("evolver")}
    config["grids"] = {
        "evolved": {
            "compare": "instructions",
            "instructions": ["seed", "wiz.r1", "wiz.r2"],
            "teachers": ["small"],
            "bases": ["q"],
            "metrics": ["length"],
        }
    }


def evolution(by: str) -> dict:
    operators = ["constraint", "deepen", "reasoning"]
    return {"of": "seed", "by": by, "rounds": 2, "operators": operators, "prompts": "config/own.yaml"}


def answered(*sets: str) -> set[str]:
    """The jobs on the responses to evolved sets, which a student would be trained on."""
    return jobs(*(f"{{generate,check}} {name}__small" for name in sets), *(f"metric q/{name}__small" for name in sets))


def asked(name: str, by: str = "evolver") -> set[str]:
    return jobs(f"load_instructions {name}.asked", f"generate {name}.asked__{by}")


def add_evolver(config):
    config["evolutions"]["big"] = evolution("large")
    config["grids"]["evolved"]["instructions"] += ["big.r1", "big.r2"]


def grade(config):
    """A model says how hard the instructions of one set are: nothing else is made again but the page."""
    config["evolutions"]["hard"] = {"of": "wiz.r1", "by": "large", "method": "grade"}


def add_round(config):
    config["evolutions"]["wiz"]["rounds"] = 3
    config["grids"]["evolved"]["instructions"].append("wiz.r3")


ROUND_2 = asked("wiz.r2") | jobs("load_instructions wiz.r2")
AFTER = jobs("load_instructions wiz.r1") | ROUND_2 | answered("wiz.r1", "wiz.r2") | REPORT
ALL = asked("wiz.r1") | AFTER
CASES = {
    "add an evolver": (
        add_evolver,
        asked("big.r1", "large")
        | asked("big.r2", "large")
        | jobs("load_instructions {big.r1,big.r2}")
        | answered("big.r1", "big.r2")
        | REPORT,
    ),
    "add a round": (
        add_round,
        asked("wiz.r3") | jobs("load_instructions wiz.r3") | answered("wiz.r3") | REPORT,
    ),
    "add a model that grades": (
        grade,
        asked("hard.r1", "large") | jobs("load_instructions hard.r1", "report evolved"),
    ),
    "add an operator": (
        setting("evolutions", "wiz", "operators", to=["constraint", "deepen", "reasoning", "shorter"]),
        ALL,
    ),
    "the evolver's temperature": (
        setting("teachers", "evolver", "sampling", "temperature", to=0.5),
        jobs("generate wiz.r1.asked__evolver") | AFTER,
    ),
    "what is eliminated": (setting("evolutions", "wiz", "eliminate", to=["equal"]), AFTER),
    "a seed that no draw reads": (setting("evolutions", "wiz", "seed", to=5), set()),
    "a join that nothing reads": (setting("instructions", "all", to={"join": ["wiz.r1", "wiz.r2"]}), set()),
}


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    """A grid with an evolution whose jobs have run, with a stand-in for their work."""
    folder = tmp_path_factory.mktemp("evolved") / "grid"
    folder.mkdir()
    copy_code(folder)
    grid = Grid(folder)
    (folder / "config/own.yaml").write_text(OWN)
    grid.edit(with_evolution)
    planned = grid.jobs()
    assert ALL | jobs("load_instructions seed") | answered("seed") == planned
    grid.run("--cores", "2")
    assert grid.jobs() == set()
    return folder


@pytest.fixture
def grid(evolved, tmp_path):
    shutil.copytree(evolved, tmp_path / "grid", symlinks=True)
    return Grid(tmp_path / "grid")


@pytest.mark.parametrize("name", CASES)
def test_what_a_change_makes_again(grid, name):
    change, expected = CASES[name]
    grid.edit(change)
    assert grid.jobs() == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Ask for more of it.", "Go deeper.", ALL),
        ("Make it shorter.", "Shorten it.", set()),  # an operator that nothing uses
        ("operators", "version: 2\noperators", set()),  # the texts decide, not their number
    ],
)
def test_a_changed_prompt_makes_again_what_was_made_with_it(grid, old, new, expected):
    grid.replace("config/own.yaml", old, new)
    assert grid.jobs() == expected


def test_the_plan_says_how_many_rows_there_are_at_most_and_learns_it(grid):
    """The stand-in writes three rows, whatever the seeds have."""
    rows = {job["job"]: job["rows"] for job in made_rows(grid)}
    assert rows["generate wiz.r2__small"] == 3
    shutil.rmtree(grid.folder / "results/instructions")
    rows = {job["job"]: job["rows"] for job in made_rows(grid)}
    assert rows["generate wiz.r2__small"] == 1


def made_rows(grid) -> list[dict]:
    program = (
        "import json, yaml; from teachergrid.grid import cells, config;"
        "t = cells.Cells(config.checked(yaml.safe_load(open('config/config.yaml'))));"
        "print(json.dumps([{'job': f'generate {n}', 'rows': r['rows']} for n, r in t.rows['generate'].items()]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=grid.folder, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# --- a real run: an endpoint stands for the evolver, and a script behind it for what it writes


def scripted(delay: float = 0.0):
    """Return a behaviour that rewrites what stands last in a prompt, refuses item 3, repeats item 4, and answers anything else."""

    def behave(server, prompt):
        text = prompt.rpartition("Given task:\n")[2].partition("\n\nRevised task:")[0].strip()
        if "Given task:" not in prompt:
            reply = f"answer to {prompt}"
        elif text.startswith("item 3 "):
            reply = "I cannot help with that."
        elif text.startswith("item 4 "):
            reply = text.upper()
        else:
            reply = f"Sure, here is the revised task:\n\n{text} and give {len(text)} good reasons for it"
        if delay and "good reasons" in text:
            time.sleep(delay)
        return 200, endpoint.body(reply), b""

    return behave


def behind_endpoint(folder, url):
    folder.mkdir()
    copy_code(folder, stand_in=False)
    rows = [{"instruction": f"item {i} is to be explained"} for i in range(8)]
    (folder / "seeds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "seed": 1,
        "models": {
            "far": {"api": endpoint.API, "endpoint": "there"},
            "near": {"repo": "org/near", "revision": "sha256-1"},
        },
        "endpoints": {"there": {"base_url": url, "key_env": endpoint.KEY_ENV, "at_once": 1}},
        "instructions": {"q": {"source": "seeds.jsonl"}, "both": {"join": ["e.r1", "e.r2"], "paired_with": ["e.r2"]}},
        "teachers": {"far": {"model": "far", "engine": "openai", "sampling": {"temperature": 0, "max_tokens": 64}}},
        "evolutions": {"e": {"of": "q", "by": "far", "rounds": 2, "operators": ["constraint", "reasoning"]}},
        "bases": {"near": {"model": "near", "template": "own"}},
        "metrics": {"length": {"formula": "length"}},
        "grids": {
            "g": {
                "compare": "instructions",
                "instructions": ["q", "e.r1", "e.r2", "both"],
                "teachers": ["far"],
                "bases": ["near"],
                "metrics": ["length"],
            }
        },
    }
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config))


def run(folder):
    env = ENV | {endpoint.KEY_ENV: endpoint.KEY}
    # what is evolved, and neither the answers to it nor a report
    command = [sys.executable, "-m", "teachergrid", "run", "--cores", "1", "results/instructions/both.parquet"]
    return subprocess.Popen(
        command,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def tables(folder) -> dict:
    """Return {path: rows} of the instruction sets, the lineages and the responses."""
    found = {}
    for name in ("q", "both", "e.r1", "e.r1.asked", "e.r2", "e.r2.asked"):
        path = folder / f"results/instructions/{name}.parquet"
        found[name] = artifacts.read(path, artifacts.INSTRUCTIONS).to_pylist()
        if name != "q":
            found[f"{name} lineage"] = artifacts.read(f"{path}.lineage", artifacts.EVOLVED).to_pylist()
    for path in sorted((folder / "results/responses").glob("*.parquet")):
        found[path.stem] = artifacts.read(path, artifacts.RESPONSES).to_pylist()
    return found


def test_a_run_that_is_killed_in_its_second_round_ends_as_an_undisturbed_one(tmp_path):
    with endpoint.serving(scripted()) as server:
        behind_endpoint(tmp_path / "whole", server.url)
        done = run(tmp_path / "whole")
        assert done.wait() == 0, done.stdout.read()
    whole = tables(tmp_path / "whole")
    assert len(whole["e.r1"]) == 6 and len(whole["e.r2.asked"]) == 8
    reasons = {row["parent_id"]: row["reason"] for row in whole["e.r1 lineage"]}
    ids = [row["id"] for row in whole["q"]]
    assert (reasons[ids[3]], reasons[ids[4]]) == ("refusal", "equal")
    assert len(whole["both"]) == 12
    assert not any("Sure" in row["messages"][-1]["content"] for row in whole["e.r1"])
    with endpoint.serving(scripted(delay=0.5)) as server:
        behind_endpoint(tmp_path / "killed", server.url)
        killed = run(tmp_path / "killed")
        deadline = time.monotonic() + 600
        while not in_second_round(server.asked) and time.monotonic() < deadline and killed.poll() is None:
            time.sleep(0.1)
        assert in_second_round(server.asked) and killed.poll() is None
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert not (tmp_path / "killed/results/responses/e.r2.asked__far.parquet").exists()
    with endpoint.serving(scripted()) as server:
        path = tmp_path / "killed/config/config.yaml"
        config = yaml.safe_load(path.read_text())
        config["endpoints"]["there"]["base_url"] = server.url
        path.write_text(yaml.safe_dump(config))
        done = run(tmp_path / "killed")
        assert done.wait() == 0, done.stdout.read()
        # what was paid for before is not asked again
        assert sum("Given task" in request["messages"][-1]["content"] for request in server.asked) < 8
    assert tables(tmp_path / "killed") == whole


def in_second_round(requests: list[dict]) -> bool:
    """Whether several prompts of round 2 have been asked."""
    texts = [request["messages"][-1]["content"] for request in requests]
    return sum("Given task:" in text and "good reasons" in text for text in texts) >= 3
