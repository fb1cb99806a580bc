"""Loading of instructions: columns, normalisation, ids, doubles, the draw, and clear errors."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from teachergrid.data import loading
from teachergrid.data.files import message_id
from teachergrid.errors import BadInput
from teachergrid.spec import schema
from teachergrid.store import artifacts

DATA = Path(__file__).parents[3] / "shared/data"
ALPACA_EVAL = DATA / "alpaca_eval/instructions_805.json"


def entry(**options) -> dict:
    """Return a config entry with all defaults, as a job gets it; an explicit seed, as the config's."""
    return schema.filled({"source": "x", "seed": 0, **options}, schema.definition("instructions"))


@pytest.fixture
def load(tmp_path, capsys):
    def load(rows: list[dict], **options) -> list[dict]:
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        table = loading.load(str(path), entry(**options), "set")
        assert table.schema.equals(artifacts.INSTRUCTIONS)
        load.log = capsys.readouterr().out
        return table.to_pylist()

    return load


def user(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "1"},
    {"role": "user", "content": " two\n"},
    {"role": "assistant", "content": "2"},
]
SHAREGPT = [
    {"from": "system", "value": " "},
    {"from": "human", "value": "one"},
    {"from": "gpt", "value": "1"},
    {"from": "human", "value": "two"},
]


@pytest.mark.parametrize(
    ("row", "options", "messages"),
    [
        ({"messages": TURNS}, {}, [*TURNS[:3], *user("two")]),
        ({"messages": TURNS}, {"turns": "first"}, TURNS[:2]),
        ({"conversations": SHAREGPT}, {}, [*TURNS[1:3], *user("two")]),
        ({"conversations": SHAREGPT}, {"turns": "first"}, user("one")),
        ({"instruction": " Add.\n", "input": "1 2 ", "output": "3"}, {}, user("Add.\n\n1 2")),
        ({"instruction": "Add.", "input": ""}, {}, user("Add.")),
        ({"instruction": "Add.", "input": "1 2"}, {"fields": {"instruction": "instruction"}}, user("Add.")),
        ({"a": "Add.", "b": "1 2"}, {"fields": {"instruction": "a", "input": "b"}}, user("Add.\n\n1 2")),
        ({"prompt": "p", "question": "q"}, {}, user("p")),
        ({"prompt": None, "question": "q"}, {}, user("q")),
        ({"prompt": user("p")}, {}, user("p")),
        ({"question": user("q")}, {}, user("q")),
        ({"prompt": "p", "chat": TURNS[:2]}, {"fields": {"messages": "chat"}}, TURNS[:2]),
        # inner text is kept: no Unicode normalisation, no collapsed blanks
        ({"prompt": "\u00a0e\u0301  \u2028x\t"}, {}, user("e\u0301  \u2028x")),
    ],
)
def test_messages(load, row, options, messages):
    (found,) = load([row], **options)
    assert found["messages"] == messages
    assert found["id"] == message_id(messages)


def test_other_columns(load):
    rows = [
        {"prompt": "a", "answer": 3, "category": "sum", "source": "book"},
        {"prompt": "b", "answer": ["x"], "gold": "4"},
    ]
    first, second = load(rows)
    assert (first["answer"], first["category"], first["source"], first["round"]) == ("3", "sum", "book", 0)
    assert (second["answer"], second["category"], second["source"], second["parent_id"]) == (None, None, "set", None)
    (stated,) = load(rows[1:], fields={"answer": "gold"})
    assert stated["answer"] == "4"


def test_equal_rows_are_dropped_and_counted(load):
    rows = [{"prompt": "a", "answer": "1"}, {"prompt": "b"}, {"prompt": " a "}, {"prompt": "a", "answer": "1"}]
    assert [row["answer"] for row in load(rows)] == ["1", None]
    assert "2 of 2 instructions" in load.log and "2 exact duplicates dropped, 1 of them with another" in load.log


def test_own_id_twice_with_the_same_content_is_a_double(load):
    assert len(load([{"uuid": "u", "prompt": "a"}, {"uuid": "u", "prompt": "a"}])) == 1


def test_draw_depends_on_ids_and_seed_alone(load):
    rows = [{"prompt": f"question {i}"} for i in range(200)]
    drawn = load(rows, sample=50, seed=1)
    assert "50 of 200 instructions" in load.log
    ids = [row["id"] for row in drawn]
    assert ids == [row["id"] for row in load(rows) if row["id"] in set(ids)], "in the order of the source"
    assert set(ids) == {row["id"] for row in load(rows[::-1] + rows[:3], sample=50, seed=1)}
    assert set(ids) < {row["id"] for row in load(rows, sample=60, seed=1)}, "a larger draw holds the smaller one"
    assert set(ids) != {row["id"] for row in load(rows, sample=50, seed=2)}
    lots = {row["id"]: hashlib.sha256(f"1/{row['id']}".encode()).hexdigest() for row in load(rows)}
    assert set(ids) == set(sorted(lots, key=lots.get)[:50])


def test_a_task_loads_as_it_is(tmp_path):
    path = tmp_path / "test.parquet"
    pq.write_table(pa.table({"question": ["1 + 1", "1 + 2"], "answer": ["2", "3"]}), path)
    task = schema.filled({"prompts": str(path), "sampling": {"max_tokens": 5}}, schema.definition("task"))
    loaded = loading.load(str(path), task, "sums")
    assert loaded["answer"].to_pylist() == ["2", "3"] and loaded["source"].to_pylist() == ["sums", "sums"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            [{"prompt": "a"}, {"text": "b", "n": 1}],
            {},
            r"set\.jsonl, row 2: no text in 'messages' or .*columns 'text', 'n'",
        ),
        ([{"prompt": " \n"}], {}, r"row 1: no text"),
        (
            [{"prompt": "a"}],
            {"fields": {"instruction": "task"}},
            r"row 1: no text in 'task'; the row has the columns 'prompt'",
        ),
        ([{"prompt": "a"}], {"fields": {"answer": "gold"}}, r"row 1: no column 'gold'.*'prompt'"),
        ([{"prompt": "a", "gold": [1]}], {"fields": {"answer": "gold"}}, r"column 'gold' holds list, not text"),
        ([{"instruction": "a"}], {"fields": {"input": "text"}}, r"no column 'text'"),
        ([{"messages": [{"role": "tool", "content": "x"}]}], {}, r"row 1, column 'messages': a turn of 'tool'"),
        ([{"messages": [{"role": "user", "content": None}]}], {}, r"a turn of 'user' with NoneType content"),
        ([{"messages": ["hello"]}], {}, r"'hello' is not a message"),
        ([{"messages": TURNS[2:3]}], {}, r"row 1: no user turn in \['assistant'\]"),
        ([{"messages": [*user("a"), *user(" ")]}], {}, r"user turn 2 has no text"),
        ([{"prompt": "a\ud800"}], {}, r"row 1: half a surrogate pair"),
        (
            [{"id": 7, "prompt": "a"}, {"id": 8, "prompt": "b"}, {"id": 7, "prompt": "c"}],
            {},
            r"rows 1 and 3 have the same id 7",
        ),
        ([{"uuid": "u", "prompt": "a"}, {"uuid": "u", "prompt": "b"}], {}, r"rows 1 and 2 have the same id 'u'"),
        ([{"prompt": "a"}, {"prompt": "a"}], {"sample": 2}, r"a sample of 2 .* there are 1 instructions"),
        ([], {}, r"set\.jsonl: the file holds no rows"),
    ],
)
def test_bad_rows(load, rows, options, message):
    with pytest.raises(BadInput, match=message):
        load(rows, **options)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"prompt": "a"}\n\n{"prompt": "b"\n', r"a\.jsonl, line 3: broken JSON"),
        ("a.jsonl", "", r"a\.jsonl: the file holds no rows"),
        ("a.json", "[]", r"a\.json: the file holds no rows"),
        ("a.parquet", "PAR1", r"a\.parquet: not a complete parquet file"),
        ("a.csv", "prompt\na\n", r"a\.csv: unknown kind"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(BadInput, match=message):
        loading.load(str(path), entry(), "set")


def test_hub_set(tmp_path, monkeypatch):
    """Read from a folder, as the hub's library leaves it (tests/hub/test_fetch.py has it over HTTP)."""
    import huggingface_hub

    (tmp_path / "README.md").write_text("configs: none")
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"instruction": split}) + "\n")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(tmp_path))
    commit = "a" * 40
    found = loading.load(None, entry(source="hub:org/name", revision=commit, split="test"), "set")
    assert found["messages"].to_pylist() == [user("test")]
    with pytest.raises(BadInput, match=f"hub:org/name, revision {commit}, split no: .*no"):
        loading.load(None, entry(source="hub:org/name", revision=commit, split="no"), "set")
    one = loading.load(None, entry(source="hub:org/name/train.jsonl", revision=commit, split="no"), "set")
    assert one["messages"].to_pylist() == [user("train")]
    with pytest.raises(BadInput, match=r"hub:org/name, revision main, .*prefetch --pin"):
        loading.load(None, entry(source="hub:org/name", revision="main"), "set")


SPLIT = {
    "a.jsonl": [{"instruction": "a", "answer": "2020-01-01"}],
    "b.jsonl": [{"prompt": "b", "answer": 7}, {"question": "c"}],
}


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_hub_set_of_files_with_different_columns(tmp_path, monkeypatch, kind):
    """The hub's library gives all rows the columns and types of the first ones, and refuses others."""
    import huggingface_hub

    for name, rows in SPLIT.items():
        if kind == "jsonl":
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        else:
            rows = [{key: str(value) for key, value in row.items()} for row in rows]
            pq.write_table(pa.Table.from_pylist(rows), tmp_path / name.replace("jsonl", "parquet"))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(tmp_path))
    where = entry(source="hub:org/name", revision="a" * 40)
    if kind == "parquet":
        with pytest.raises(BadInput, match=r"hub:org/name, .*split train, b.parquet, row 2: no text in"):
            loading.load(None, where, "set")
        (tmp_path / "b.parquet").unlink()
    found = loading.load(None, where, "set")
    assert found["messages"].to_pylist() == [user(text) for text in "abc"[: found.num_rows]]
    assert found["answer"].to_pylist() == ["2020-01-01", "7", None][: found.num_rows], "texts stay texts"


def test_hub_set_that_only_its_library_reads(tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda repo, **options: str(tmp_path))
    where = entry(source="hub:org/name", revision="a" * 40)
    (tmp_path / "a.csv").write_text("prompt,answer\na,1\nb,\n")
    found = loading.load(None, where, "set")
    assert found["messages"].to_pylist() == [user("a"), user("b")] and found["answer"].null_count == 1
    (tmp_path / "b.csv").write_text("prompt,answer\nc,1\nd,1,2,3\n")
    with pytest.raises(
        BadInput, match=r"hub:org/name, revision a+, split train: .*name one of them: hub:org/name/path"
    ):
        loading.load(None, where, "set")
    for path in tmp_path.glob("*.csv"):
        path.unlink()
    with pytest.raises(BadInput, match=r"hub:org/name, revision a+, split train: "):
        loading.load(None, where, "set")


def test_ids_that_pandas_left_out_are_none(load):
    rows = [
        {"id": float("nan"), "prompt": "a"},
        {"id": float("nan"), "prompt": "b"},
        {"id": None, "uuid": 1, "prompt": "c"},
    ]
    assert len(load(rows)) == 3


def test_a_task_may_ask_a_set(tmp_path):
    """The table that a set's own job makes is a prompt file as any other: same ids, messages and reference answers."""
    rows = [{"question": "1 + 1?", "answer": 2, "kind": "sum"}, {"question": "why?", "answer": None, "kind": None}]
    (tmp_path / "raw.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields = {"instruction": "question", "answer": "answer", "category": "kind"}
    made = loading.load(str(tmp_path / "raw.jsonl"), entry(fields=fields), "set")
    path = str(tmp_path / "set.parquet")
    artifacts.write(path, made, artifacts.INSTRUCTIONS, {})
    task = schema.filled({}, schema.definition("task"))
    assert loading.load_tasks({"exam": task}, [path])["exam"].to_pylist() == made.to_pylist()


@pytest.mark.skipif(not ALPACA_EVAL.exists(), reason=f"needs the AlpacaEval instructions at {ALPACA_EVAL}")
def test_alpaca_eval():
    loaded = loading.load(str(ALPACA_EVAL), entry(fields={"category": "dataset"}), "alpaca-eval")
    assert loaded.num_rows == len(set(loaded["id"].to_pylist())) == 805
    assert loaded["category"][0].as_py() == "helpful_base"


REAL = [
    ("gsm8k/test_1319.jsonl", {}, ["question"], "answer"),
    ("ifeval/input_data.jsonl", {}, ["prompt"], None),
    ("math/math500.jsonl", {"instruction": "problem"}, ["problem"], "answer"),
    ("code/mbpp_test_500.jsonl", {}, ["prompt"], None),
    ("arena_hard/question_v0.1.jsonl", {}, ["prompt"], None),
    ("alpaca52k/alpaca_500_from_cherry5pct.json", {}, ["instruction", "input"], None),
]


@pytest.mark.skipif(not DATA.exists(), reason=f"needs the real data sets at {DATA}")
@pytest.mark.parametrize(("name", "fields", "columns", "answer"), REAL, ids=[name.split("/")[0] for name, *_ in REAL])
def test_real_sets_are_read_as_they_are(capsys, name, fields, columns, answer):
    text = (DATA / name).read_text(encoding="utf-8")
    rows = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.split("\n") if line]
    texts = ["\n\n".join(row[key].strip() for key in columns if row[key].strip()) for row in rows]
    loaded = loading.load(str(DATA / name), entry(fields=fields), "set")
    assert [turns[0]["content"] for turns in loaded["messages"].to_pylist()] == list(dict.fromkeys(texts))
    assert {len(turns) for turns in loaded["messages"].to_pylist()} == {1}
    if answer:
        first = dict(zip(texts[::-1], [row[answer] for row in rows[::-1]], strict=True))
        assert loaded["answer"].to_pylist() == list(dict(zip(texts, map(first.get, texts), strict=True)).values())
    # nothing was guessed; two prompts of Arena-Hard are damaged at the source
    _, *noted = capsys.readouterr().out.splitlines()
    damaged = sum("\ufffd" in text for text in texts)
    assert [line.rpartition(" (")[2] for line in noted] == ([f"{damaged} rows)"] if damaged else [])


SEVERAL = {"instruction": "prompt", "answer": {"columns": ["tests", "key"]}}


def test_an_answer_of_several_columns_is_json_and_part_of_the_id(load):
    """Two items of MBPP have the same prompt and other tests."""
    rows = [{"prompt": "Count.", "tests": ["assert 1"], "key": 1}, {"prompt": "Count.", "tests": ["é", None], "key": 1}]
    first, second = load([*rows, rows[0]], fields=SEVERAL)
    assert (first["answer"], second["answer"]) == (
        '{"key": 1, "tests": ["assert 1"]}',
        '{"key": 1, "tests": ["é", null]}',
    )
    assert len({first["id"], second["id"], message_id(user("Count."))}) == 3
    assert first["id"] == message_id(user("Count."), first["answer"])
    with pytest.raises(BadInput, match=r"row 1: no column 'key', which `fields\.answer` names"):
        load([{"prompt": "Count.", "tests": []}], fields=SEVERAL)


def test_items_keep_their_ids_from_the_set_that_was_loaded(load, tmp_path):
    """A benchmark from the hub is loaded as an instruction set first, and its tasks read what that job wrote."""
    items = load([{"prompt": "Count.", "tests": [str(i)], "key": i} for i in range(2)], fields=SEVERAL)
    artifacts.write(tmp_path / "set.parquet", items, artifacts.INSTRUCTIONS, None)
    task = {"fields": schema.filled({}, schema.definition("fields"))}
    table = loading.items_of(str(tmp_path / "set.parquet"), task, "task")
    assert table.to_pylist() == items
    # a parquet file of another kind is read as before
    pq.write_table(pa.table({"prompt": ["Count."], "answer": ["1"]}), tmp_path / "other.parquet")
    [other] = loading.items_of(str(tmp_path / "other.parquet"), task, "task").to_pylist()
    assert (other["id"], other["answer"]) == (message_id(user("Count.")), "1")
