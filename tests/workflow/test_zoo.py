"""config/zoo.yaml on a small file in the layout of Magpie-100K-Generator-Zoo, with two demo bases: CAR without any generation."""

import json
from collections import defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from teachergrid.store import job_index
from workspace import ROOT, Grid, copy_code

pytestmark = pytest.mark.slow
LATER = "Phi-3-small-128k-instruct"  # in the file, and not yet in the config
NAMES = ["gemma-2-9b-it", "Meta-Llama-3.1-405B-Instruct"]
REWARDS = ["ArmoRM-Llama3-8B-v0.1", "Skywork-Reward-Llama-3.1-8B", "Skywork-Reward-Gemma-2-27B"]
ROWS = 12
CONFIG = "config/zoo.yaml"


def write_zoo(path: Path, names: list[str]) -> None:
    """Write the file. The rewards of the first row of the first teacher are missing."""
    rows = []
    for i in range(ROWS):
        row: dict = {"uuid": f"u{i}", "instruction": f"add {i} and {i + 1}"}
        for k, name in enumerate(names):
            row[name] = {"content": f"{i} and {i + 1} is {2 * i + 1}" + " yes" * k} | {
                reward: None if i == k == 0 else (i + k) / 10 for reward in REWARDS
            }
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Grid:
    folder = tmp_path_factory.mktemp("zoo")
    copy_code(folder, stand_in=False)
    (folder / "workflow/miniworld").symlink_to(ROOT / "workflow/miniworld")
    write_zoo(folder / "zoo.parquet", [*NAMES, LATER])
    config = yaml.safe_load((ROOT / CONFIG).read_text())
    config["models"] = {
        name: {"repo": f"workflow/miniworld/models/{name}", "dtype": "float32", "parameters": 0.001}
        for name in ("bs", "bm")
    }
    config["bases"] = {name: {"model": name, "template": "own"} for name in config["models"]}
    config["instructions"]["magpie-100k"] |= {"source": "zoo.parquet", "sample": ROWS - 2}
    config["zoos"]["magpie"] |= {"source": "zoo.parquet", "teachers": NAMES}
    config["likelihood"]["max_length"] = 512
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    made = Grid(folder)
    done = made.call("teachergrid", "run", "--configfile", CONFIG)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


def test_car_of_published_teachers_for_own_bases(grid):
    results = grid.folder / "results"
    assert not (results / "students").exists() and not (results / "answers").exists()
    rows = pq.read_table(results / "grids/zoo/metrics.parquet").to_pylist()
    found = {(row["base"], row["unit"]) for row in rows if row["entry"] == "car" and row["value"] is not None}
    assert found == {(base, name.lower()) for base in ("bs", "bm") for name in NAMES}
    assert grid.jobs("--configfile", CONFIG) == set()


def test_rewards_are_those_of_the_file(grid):
    results = grid.folder / "results"
    published = {row["instruction"]: row for row in pq.read_table(grid.folder / "zoo.parquet").to_pylist()}
    asked = pq.read_table(results / "instructions/magpie-100k.parquet").to_pylist()
    texts = {row["id"]: row["messages"][-1]["content"] for row in asked}
    for name in NAMES:
        rows = pq.read_table(results / f"rewards/armorm/magpie-100k__{name.lower()}.parquet").to_pylist()
        assert {row["id"]: row["reward"] for row in rows} == pytest.approx(
            {id: published[text][name][REWARDS[0]] for id, text in texts.items()}
        )


def test_what_does_not_join_is_counted(grid):
    health = pq.read_table(grid.folder / "results/health/magpie-100k__gemma-2-9b-it.parquet").to_pylist()
    by_check = {row["check"]: row for row in health}
    assert by_check["missing"]["count"] == 0
    assert "answers none of the instructions, not read (2 rows)" in by_check["reading"]["example"]
    log = grid.folder.glob("**/generate/magpie-100k__gemma-2-9b-it.log")
    assert "10 of 12 rows answer 10 of 10 instructions" in "".join(path.read_text() for path in log)


def test_jobs_without_a_model_are_small(grid):
    """20,000 rows of 19 teachers took 0.36 GB at most, measured on such a file."""
    used: dict[str, list[float]] = defaultdict(list)
    for _, rule, _, _, took in job_index.index_lines(str(grid.folder / "results")):
        used[rule].append(json.loads(took)["host_gb"])
    assert {"load_instructions", "generate", "check", "reward"} <= used.keys()
    assert all(max(used[rule]) < 0.5 for rule in ("load_instructions", "generate", "check", "reward")), used


def test_a_further_teacher_is_a_further_column(grid):
    before = yaml.safe_load((grid.folder / CONFIG).read_text())
    config = yaml.safe_load((grid.folder / CONFIG).read_text())
    config["zoos"]["magpie"]["teachers"].append(LATER)
    (grid.folder / CONFIG).write_text(yaml.safe_dump(config))
    planned = grid.jobs("--configfile", CONFIG)
    (grid.folder / CONFIG).write_text(yaml.safe_dump(before))
    name = f"magpie-100k__{LATER.lower()}"
    column = {f"{rule} {name}" for rule in ("generate", "check")}
    column |= {f"reward {reward}/{name}" for reward in config["rewards"]}
    column |= {f"likelihood {base}/{name}" for base in config["bases"]}
    tables = {job for job in planned if job.split()[0] in ("metric", "correlate", "report")}
    assert planned - tables == column
    assert "report zoo" in tables
