"""Records corrected by origins and contents. Each test states the exact record that Snakemake will read."""

import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.errors import BadInput
from teachergrid.store import history, origin, recall
from teachergrid.store.contents import Contents
from teachergrid.store.recall import Recall

RESPONSES = "results/responses/pool__t.parquet"
SCORES = "results/scores/m/suite/verify.parquet"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHERGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def make(output: str, rule: str, *inputs: str, spec: str = "{}") -> None:
    """Do what a job and then Snakemake do."""
    made_from = origin.of(rule, spec, inputs)
    Path(output).parent.mkdir(parents=True, exist_ok=True)
    data = pa.table({"n": [1]}).replace_schema_metadata({origin.KEY: origin.text(made_from)})
    pq.write_table(data, output)
    record = {
        "record_format_version": history.FORMAT,
        "rule": rule,
        "params": [repr(spec)],
        "input": sorted(inputs),
        "input_checksums": made_from["inputs"],
        "endtime": os.stat(output).st_mtime,
    }
    history.write("results", output, record)


def corrections(planned: list[str] | None = None, digest: str = "") -> dict:
    """Return the corrections. planned: the outside files of every job that reads any. digest: of every model folder."""
    by_rule = {rule: planned for rule in ("generate", "verify")}
    return Recall("results", lambda rule, _: by_rule.get(rule), lambda *_: digest, Contents()).corrections()


def corrected(output: str, planned: list[str] | None = None) -> tuple[list[str], list[str]]:
    """Return (params, inputs) of a corrected record, and write all corrections as a run does."""
    found = corrections(planned)
    for path, record in found.items():
        history.write("results", path, record)
    assert corrections(planned) == {}, "what was corrected is right"
    return found[output]["params"], found[output]["input"]


@pytest.fixture
def data() -> Path:
    path = Path("data.jsonl")
    path.write_text("one")
    return path


# --- inputs


def test_nothing_changed(data):
    make(RESPONSES, "generate", "data.jsonl")
    make("results/rewards/rm/pool__t.parquet", "reward", RESPONSES)
    assert corrections(["data.jsonl"]) == corrections() == {}


def test_an_input_replaced_by_an_older_file_and_put_back(data):
    make(RESPONSES, "generate", "data.jsonl")
    Path("new").write_text("two")
    os.utime("new", (1000, 1000))
    os.replace("new", data)
    assert corrected(RESPONSES, ["data.jsonl"]) == (
        ["'{}'", "'made from another input: data.jsonl'"],
        ["data.jsonl"],
    )
    data.write_text("one")
    assert corrected(RESPONSES, ["data.jsonl"]) == (["'{}'"], ["data.jsonl"])


def test_a_renamed_input_of_the_same_content(data):
    make(RESPONSES, "generate", "data.jsonl")
    data.rename("renamed.jsonl")
    assert corrected(RESPONSES, ["renamed.jsonl"]) == (["'{}'"], ["renamed.jsonl"])


def test_an_input_from_the_results_made_again_with_other_rows(data):
    make(RESPONSES, "generate", "data.jsonl")
    reward = "results/rewards/rm/pool__t.parquet"
    make(reward, "reward", RESPONSES)
    make(RESPONSES, "generate", "data.jsonl", spec='{"a": 1}')
    assert corrected(reward) == (["'{}'", f"'made from another input: {RESPONSES}'"], [RESPONSES])


def test_a_missing_input_changes_nothing(data):
    make(RESPONSES, "generate", "data.jsonl")
    data.unlink()
    assert corrections(["data.jsonl"]) == corrections() == {}


def test_two_inputs_that_changed_places():
    """The prompts of two tasks: which file is whose."""
    Path("a").write_text("one")
    Path("b").write_text("two")
    make(SCORES, "verify", "a", "b")
    assert corrections(["a", "b"]) == {}
    assert corrected(SCORES, ["b", "a"])[0] == ["'{}'", "'made from another input: a, b'"]
    Path("a").rename("c")
    assert corrected(SCORES, ["c", "b"]) == (["'{}'"], ["b", "c"])


def test_two_inputs_of_an_older_origin_which_holds_no_order(monkeypatch):
    Path("a").write_text("one")
    Path("b").write_text("two")
    older = {"rule": "verify", "spec": "{}", "inputs": {path: origin.sha256(path) for path in "ab"}}
    monkeypatch.setattr(origin, "of", lambda *_: older)
    make(SCORES, "verify", "a", "b")
    assert corrections(["b", "a"]) == {}


def test_an_input_used_twice(data):
    """Two tasks with the same prompts: Snakemake lists the file twice."""
    make(SCORES, "verify", "data.jsonl", "data.jsonl")
    assert corrections(["data.jsonl", "data.jsonl"]) == {}


def test_another_model_in_the_folder(data):
    make(RESPONSES, "generate", "data.jsonl")
    made_from = {**origin.of("generate", "{}", ["data.jsonl"]), "folders": {"models/t": "sha256:old"}}
    pq.write_table(pa.table({"n": [1]}).replace_schema_metadata({origin.KEY: origin.text(made_from)}), RESPONSES)
    assert corrections(["data.jsonl"], "sha256:old") == {}
    found = corrections(["data.jsonl"], "sha256:new")
    assert found[RESPONSES]["params"] == ["'{}'", "'made from another input: models/t'"]


# --- origins and records


def test_the_origin_decides_not_the_record(data):
    """A file put back from a backup, or of a colleague who made it again."""
    make(RESPONSES, "generate", "data.jsonl", spec='{"temperature": 1}')
    before = history.read("results", RESPONSES)
    make(RESPONSES, "generate", "data.jsonl", spec='{"temperature": 0}')
    history.write("results", RESPONSES, before)
    assert corrected(RESPONSES) == (["'{\"temperature\": 0}'"], ["data.jsonl"])


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        '{"rule": "generate", "spec": "{}"}',
        '{"rule": 1, "spec": "{}", "inputs": {}}',
        "[" * 200_000,
        "\x00",
        "",
    ]
    + ['{"rule": "generate", "spec": "[]", "inputs": {}}', '{"rule": "generate", "spec": "{}", "inputs": {"x": 1}}']
    + [
        '{"rule": "generate", "spec": "{}", "inputs": {}, "files": [1]}',
        '{"rule": "generate", "spec": "{}", "inputs": {}, "folders": 1}',
    ],
)
def test_a_strange_origin_is_an_unknown_one(data, text, capsys):
    make(RESPONSES, "generate", "data.jsonl")
    Path(f"{RESPONSES}.origin").write_text(text)
    found = corrections()
    assert found == {RESPONSES: recall.UNKNOWN}
    recall.report_unknown(found)
    assert RESPONSES in capsys.readouterr().err


def test_an_origin_that_is_a_fifo_or_names_one(data):
    make(RESPONSES, "generate", "data.jsonl")
    os.mkfifo(f"{RESPONSES}.origin")
    assert corrections() == {RESPONSES: recall.UNKNOWN}
    os.unlink(f"{RESPONSES}.origin")
    os.mkfifo("fifo")
    made_from = {"rule": "generate", "spec": "{}", "inputs": {"fifo": "sha256:x", "/dev/zero": "sha256:y"}}
    Path(f"{RESPONSES}.origin").write_text(json.dumps(made_from))
    assert corrected(RESPONSES)[1] == ["/dev/zero", "fifo"], "no input that it has now"


def test_a_damaged_output_is_made_again(data):
    make(RESPONSES, "generate", "data.jsonl")
    Path(RESPONSES).write_bytes(Path(RESPONSES).read_bytes()[:-20])
    assert corrections() == {RESPONSES: recall.UNKNOWN}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"params": 1}', "[" * 200_000, '{"record_format_version": 6, "params": [1]}']
)
def test_a_damaged_record_is_written_from_the_origin(data, text):
    make(RESPONSES, "generate", "data.jsonl")
    history.record_path(Path("results/.history"), RESPONSES).write_text(text)
    assert corrected(RESPONSES) == (["'{}'"], ["data.jsonl"])


def test_a_record_that_is_a_fifo(data):
    make(RESPONSES, "generate", "data.jsonl")
    path = history.record_path(Path("results/.history"), RESPONSES)
    path.unlink()
    os.mkfifo(path)
    assert corrected(RESPONSES) == (["'{}'"], ["data.jsonl"])


def test_an_output_without_origin_or_record_is_of_unknown_origin():
    Path("results/instructions").mkdir(parents=True)
    pq.write_table(pa.table({"n": [1]}), "results/instructions/x.parquet")
    assert corrections() == {"results/instructions/x.parquet": recall.UNKNOWN}


# --- which files are outputs


def test_names_that_are_also_folders_of_ours():
    for path in (
        "results/rewards/weights/pool__t.parquet",
        "results/answers/m/benchmarks.parquet",
        "results/scores/m/logs/verify.parquet",
        "results/corpora/weights/any.parquet",
        "results/students/weights/student.json",
    ):
        make(path, "rule")
    for path in (
        "run.json",
        "logs/x.json",
        "benchmarks/x.json",
        "students/s/weights/config.json",
        "students/s/log.parquet",
    ):
        path = Path("results", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert sorted(recall.outputs("results")) == [
        "results/answers/m/benchmarks.parquet",
        "results/corpora/weights/any.parquet",
        "results/rewards/weights/pool__t.parquet",
        "results/scores/m/logs/verify.parquet",
        "results/students/weights/student.json",
    ]


def test_linked_folders_are_read_once(data):
    make(RESPONSES, "generate", "data.jsonl")
    os.symlink("..", "results/responses/up")
    os.symlink("gone.parquet", "results/responses/x__y.parquet")
    assert corrections() == {}
    assert sorted(recall.outputs("results")) == [RESPONSES, "results/responses/x__y.parquet"]


# --- dates


def test_a_file_of_tomorrow_gets_the_present_time(data, capsys):
    os.utime(data, (time.time() + 6 * 3600,) * 2)
    recall.date_back(["data.jsonl", "gone"])
    assert abs(os.stat(data).st_mtime - time.time()) < 60
    assert "data.jsonl was dated 6.0 h in the future" in capsys.readouterr().err


def test_a_file_of_tomorrow_of_another_user_is_refused(data, monkeypatch):
    def utime(path):
        raise PermissionError(1, "Operation not permitted")

    os.utime(data, (time.time() + 6 * 3600,) * 2)
    monkeypatch.setattr(os, "utime", utime)
    with pytest.raises(BadInput, match=r"data.jsonl is dated 6.0 h in the future .*its owner has to `touch` it"):
        recall.date_back(["data.jsonl"])
