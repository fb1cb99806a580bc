"""Benchmarks as files: what a config's task becomes, and what is wrong with a file."""

import re
from pathlib import Path

import pytest
import yaml
from teachergrid.errors import BadInput
from teachergrid.spec import benchmarks

ROOT = Path(__file__).parents[2]
SHIPPED = sorted(path.stem for path in (ROOT / "config/benchmarks").glob("*.yaml"))
COMMIT = "0" * 40


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder, **keys) -> str:
    content = {"source": "data/mine.jsonl", "fields": {"answer": "solution"}, "checker": {"compare": "number"}, **keys}
    (folder / "mine.yaml").write_text(yaml.safe_dump(content))
    return "mine.yaml"


def expanded(**task):
    config = benchmarks.expand({"tasks": {"mine": task}, "instructions": {"seed": {"source": "seed.jsonl"}}})
    return config["tasks"]["mine"], config["instructions"]


def test_a_task_has_the_keys_of_its_file_and_those_beside_it_in_their_place(folder):
    file = written(folder, sampling={"max_tokens": 5, "samples": 2}, about="mine", licence="MIT", citation="me")
    task, sets = expanded(file=file, sampling={"max_tokens": 7}, checker={"extract": "(x)"}, prompt_version=2)
    assert task == {
        "file": "mine.yaml",
        "prompts": "data/mine.jsonl",
        "fields": {"answer": "solution"},
        "sampling": {"max_tokens": 7, "samples": 2},
        "checker": {"compare": "number", "extract": "(x)"},
        "prompt_version": 2,
    }
    assert [*sets] == ["seed"]
    assert expanded(file=file, checker=None)[0]["checker"] is None


def test_a_source_on_the_hub_becomes_an_instruction_set(folder):
    file = written(folder, source="hub:org/name", revision=COMMIT, split="test")
    task, sets = expanded(file=file)
    assert (task["instructions"], task.get("fields"), task.get("prompts")) == ("mine", None, None)
    assert sets["mine"] == {
        "source": "hub:org/name",
        "revision": COMMIT,
        "split": "test",
        "fields": {"answer": "solution"},
    }
    # a file of one's own in its place has the same columns
    task, sets = expanded(file=file, prompts="data/other.jsonl")
    assert (task["prompts"], task["fields"], "mine" in sets) == ("data/other.jsonl", {"answer": "solution"}, False)


def test_examples_are_loaded_where_they_are_shown(folder):
    shots = {"source": "hub:org/name", "split": "train", "fields": {"answer": "solution"}, "answer": " {answer}"}
    file = written(folder, shots=shots, plain={"shots": 4})
    task, sets = expanded(file=file)
    assert task["shots"] == {"source": "mine.shots", "answer": " {answer}"}
    assert sets["mine.shots"] == {"source": "hub:org/name", "split": "train", "fields": {"answer": "solution"}}
    task, sets = expanded(file=file, plain={"shots": 0})
    assert task["shots"] == {"answer": " {answer}"} and "mine.shots" not in sets
    task, sets = expanded(file=file, shots={"source": "data/train.jsonl"})
    assert task["shots"] == {"source": "data/train.jsonl", "answer": " {answer}", "fields": {"answer": "solution"}}


def test_a_file_in_the_folder_of_the_config_comes_before_a_shipped_one(folder):
    assert "hub:" in benchmarks.read("gsm8k")["source"]
    (folder / "config/benchmarks").mkdir(parents=True)
    written(folder)
    (folder / "mine.yaml").rename(folder / "config/benchmarks/gsm8k.yaml")
    assert benchmarks.read("gsm8k")["source"] == "data/mine.jsonl"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"chekcer": {}}, "mine.yaml: unknown key 'chekcer', did you mean 'checker'"),
        ({"checker": {"kind": "maths"}}, "mine.yaml, checker.kind: 'maths' is not one of .*did you mean 'math'"),
        (
            {"prompts": "a.jsonl"},
            "mine.yaml: `prompts` is a key of a config's task; here the data is named by `source`",
        ),
        ({"source": None}, "mine.yaml: states no `source`"),
        ({"plain": {"prompt": "Go."}}, "mine.yaml, plain.prompt: .*all prompts would be the same"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_the_file(folder, keys, said):
    file = written(folder, **keys)
    with pytest.raises(BadInput, match=said):
        expanded(file=file)


def test_a_file_that_is_not_there(folder):
    with pytest.raises(BadInput, match=r"config.tasks.mine.file: there is no file 'none.yaml'"):
        expanded(file="none.yaml")
    with pytest.raises(
        BadInput, match=r"no benchmark has the name 'gsm8', did you mean 'gsm8k'\? \(a file of your own"
    ):
        expanded(file="gsm8")
    with pytest.raises(BadInput, match=r"no benchmark has the name 'x'; known: alpaca_eval2, .*gsm8k, humaneval"):
        expanded(file="x")
    (folder / "bad.yaml").write_text("a: [")
    with pytest.raises(BadInput, match=r"bad\.yaml"):
        expanded(file="bad.yaml")
    (folder / "bad.yaml").write_text("- a")
    with pytest.raises(BadInput, match=r"bad\.yaml"):
        expanded(file="bad.yaml")


def test_another_set_of_the_same_name_is_no_benchmark(folder):
    file = written(folder, source="hub:org/name")
    with pytest.raises(BadInput, match=r"config\.instructions\.mine: the benchmark of config.tasks.mine has its items"):
        benchmarks.expand({"tasks": {"mine": {"file": file}}, "instructions": {"mine": {"source": "x.jsonl"}}})


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_files_name_licence_source_and_versions(name):
    content = benchmarks.read(name)
    assert content["licence"] and content["citation"] and content["about"]
    assert content["prompt_version"] == content["checker_version"] == 1
    assert content["rows"] >= 100  # for plans before the items are here
    if content["source"].startswith("hub:"):
        assert len(content["revision"]) == 40
    else:  # a file that is on no hub: where it is, at which commit
        text = (benchmarks.SHIPPED / f"{name}.yaml").read_text()
        assert re.search(r"files of github\.com/\S+/\S+, folder \w+, at commit [0-9a-f]{40}\.", text)
    shots = content.get("shots")
    assert shots is None or len(shots["revision"]) == 40
    assert "seed" not in content["sampling"]


def test_all_of_them_are_shipped():
    assert {"gsm8k", "math", "math500", "ifeval", "ifbench", "humaneval", "mbpp"} <= {*SHIPPED}
    assert {"alpaca_eval2", "arena_hard_v0.1", "arena_hard_v2", "followbench", "humaneval_plus", "mbpp_plus"} <= {
        *SHIPPED
    }


def test_a_config_without_tasks_stays_as_it_is():
    config = {"tasks": {"a": {"prompts": "a.jsonl"}, "b": None}, "grids": {}}
    assert benchmarks.expand(config) == config and benchmarks.expand({"grids": {}}) == {"grids": {}}
