"""Scores of answers by a checker, and pairwise comparison by reward."""

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from generations import CHAT, MODEL, tiny_models
from rated_rows import ASKED, FINAL, TEXTS, changed, instruction_set, response_table, reward_entry, reward_model, scored
from teachergrid.data import loading as instruction_files
from teachergrid.errors import BadInput
from teachergrid.evaluation import judge
from teachergrid.models import chat, loading
from teachergrid.spec import benchmarks, schema
from teachergrid.store import artifacts

DATA = Path(__file__).parents[3] / "shared/data"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return reward_model(tmp_path_factory.mktemp("rm"))


def answer_table(*rows: tuple) -> pa.Table:
    """Return answers from (task, id, text) or (task, id, text, finish reason)."""
    keys = ("task", "id", "answer", "finish_reason")
    full = [
        {"sample": 0, "finish_reason": "stop", "category": "sums", **dict(zip(keys, row, strict=False))} for row in rows
    ]
    return artifacts.table(full, artifacts.ANSWERS)


# two tasks with one id in common
ITEMS = {"math": instruction_set(q0="1", q1="1", q2="1", q3="1"), "open": instruction_set(q0=None, q1=None)}


CHECKED = {"judge": {"tie": 0}, "reward": reward_entry(checker=FINAL)}


def test_verify_answers():
    answers = answer_table(
        ("math", "q0", "Answer: 1"),
        ("open", "q0", "Answer: 1"),
        ("math", "q1", "Answer: 2"),
        ("math", "q2", "one"),
        ("math", "q3", "", "prompt_too_long"),
    )
    table = judge.verify_answers(answers, ITEMS, {"math": {"checker": FINAL}, "open": {"checker": None}})
    assert table.schema.equals(artifacts.SCORES)
    assert table["task"].to_pylist() == ["math"] * 4 and table["category"].to_pylist() == ["sums"] * 4
    assert table["score"].to_pylist() == [1, 0, 0, None]
    assert table["verdict"].to_pylist() == ["right", "wrong", "no answer found", None]
    assert table["reason"].to_pylist() == [None, None, None, "prompt too long"]
    with pytest.raises(BadInput, match="an answer to math/zz, which is not among"):
        judge.verify_answers(answer_table(("math", "zz", "x")), ITEMS, {"math": {"checker": FINAL}})


def test_compare_by_rule():
    mine = answer_table(
        ("math", "q0", "Answer: 1"),
        ("math", "q1", "Answer: 2"),
        ("math", "q2", "Answer: 1"),
        ("math", "q3", ""),
        ("open", "q0", "Answer: 1"),
        ("open", "q1", "same"),
    )
    theirs = answer_table(
        ("open", "q1", " same\n"),
        ("open", "q0", "Answer: 2"),
        ("math", "q0", "Answer: 3"),
        ("math", "q1", "So. Answer: 1"),
        ("math", "q2", "So. Answer: 1"),
        ("math", "q3", "Answer: 7"),
    )
    table = judge.compare(mine, theirs, ITEMS, CHECKED, None)
    assert table.schema.equals(artifacts.SCORES)
    assert table["verdict"].to_pylist() == ["won", "lost", "tie", "empty", None, "identical"]
    assert table["score"].to_pylist() == [1, 0, 0.5, 0, None, 0.5]
    assert table["reason"].to_pylist() == [None] * 4 + ["answer: no reference answer", None]
    assert table["first"].equals(table["score"]) and table["second"].equals(table["score"])
    assert table["raw"].null_count == table["cost"].null_count == 6


def test_compare_without_an_opponent():
    mine = answer_table(("math", "q0", "Answer: 1"), ("math", "q1", "Answer: 1"), ("math", "q2", "x"))
    theirs = answer_table(("math", "q1", "", "prompt_too_long"), ("math", "q2", " "))
    table = judge.compare(mine, theirs, ITEMS, CHECKED, None)
    assert table["score"].to_pylist() == [None, None, 1]
    assert table["verdict"].to_pylist() == [None, None, "baseline empty"]
    assert table["reason"].to_pylist() == ["the baseline has no answer", "prompt too long", None]


@pytest.mark.parametrize("tie", [0, 0.3, 1e9])
def test_comparison_by_reward_model_is_antisymmetric(model, tmp_path, tie):
    items = {"open": ASKED}
    mine = answer_table(*(("open", f"q{i}", text) for i, text in enumerate(TEXTS)))
    theirs = answer_table(*(("open", f"q{i}", text) for i, text in enumerate(["apple", "", *TEXTS[2:3], *TEXTS[:3]])))
    settings = {"judge": {"tie": tie}, "reward": reward_entry(), "model": model}
    table = judge.compare(mine, theirs, items, settings, tmp_path / "there")
    there = table["score"].to_pylist()
    back = judge.compare(theirs, mine, items, settings, tmp_path / "back")["score"].to_pylist()
    assert there == [1 - score for score in back]
    assert there[1:4] == [1, 0.5, 0], "empty against text, identical, text against empty"
    # the verdict is the order of the rewards that the reward rule gives
    first = scored(model, tmp_path / "first")["reward"].to_pylist()
    texts = theirs["answer"].to_pylist()
    second = scored(model, tmp_path / "second", response_table(*((f"q{i}", text) for i, text in enumerate(texts))))
    second = second["reward"].to_pylist()
    for i in (0, 4, 5):
        difference = first[i] - second[i]
        assert there[i] == (0.5 if abs(difference) <= tie else float(difference > 0))


def test_comparisons_of_which_none_is_a_number_are_refused(model, tmp_path):
    """Each side has a finite reward; no comparison has two."""

    def break_a_word(net):
        word = loading.load_tokenizer(model, reward_entry())("story", add_special_tokens=False)["input_ids"][0]
        net.model.embed_tokens.weight.data[word] = float("nan")

    settings = {"judge": {"tie": 0}, "reward": reward_entry(), "model": changed(model, tmp_path / "m", break_a_word)}
    mine, theirs = (
        answer_table(("open", "q0", "story"), ("open", "q1", "apple")),
        answer_table(("open", "q0", "red"), ("open", "q1", "story")),
    )
    with pytest.raises(BadInput, match="/m: all 2 comparisons are NaN or infinite; try `dtype: float32`"):
        judge.compare(mine, theirs, {"open": ASKED}, settings, tmp_path / "work")


def test_the_rewards_of_an_opponent_are_computed_once_for_all_models(model, tmp_path, monkeypatch):
    items, settings = {"open": ASKED}, {"judge": {"tie": 0}, "reward": reward_entry(), "model": model}
    loads, load = [], loading.load_copies
    monkeypatch.setattr(loading, "load_copies", lambda *args, **kind: loads.append(kind) or load(*args, **kind))
    theirs = answer_table(*(("open", f"q{i}", text) for i, text in enumerate(["apple", "", *TEXTS[2:3], *TEXTS[:3]])))
    one, other = (
        answer_table(*(("open", f"q{i}", text) for i, text in enumerate(texts))) for texts in (TEXTS, TEXTS[::-1])
    )
    kept = tmp_path / "kept.parquet"
    alone = [judge.compare(mine, theirs, items, settings, tmp_path / f"{i}") for i, mine in enumerate((one, other))]
    shared = [
        judge.compare(mine, theirs, items, settings, tmp_path / f"s{i}", kept) for i, mine in enumerate((one, other))
    ]
    assert shared == alone and len(loads) == 4, "one load a job, for both sides"
    assert [path.name for path in tmp_path.glob("kept*")] == [kept.name]
    rewards = artifacts.read(kept, artifacts.REWARDS)
    texts = [(f"q{i}", text) for i, text in enumerate(theirs["answer"].to_pylist()) if text]
    assert rewards["id"].to_pylist() == [f"open/{id}" for id, _ in texts], "an empty answer has lost without a reward"
    expected = scored(model, tmp_path / "expected", response_table(*texts))
    assert rewards["reward"].equals(expected["reward"])
    # the file decides: with other rewards in it the verdicts are others
    better = [row | {"reward": 1e9} for row in rewards.to_pylist()]
    artifacts.write(kept, better, artifacts.REWARDS, None)
    beaten = judge.compare(one, theirs, items, settings, tmp_path / "beaten", kept)["verdict"].to_pylist()
    assert {*beaten} - {"identical", "baseline empty", "empty"} == {"lost"}


def test_identical_answers_load_no_model(tmp_path):
    nowhere = {"judge": {"tie": 0}, "reward": reward_entry(), "model": {"repo": "/nowhere"}}
    mine = answer_table(("math", "q0", "same"), ("math", "q1", ""))
    assert judge.compare(mine, mine, ITEMS, nowhere, tmp_path)["score"].to_pylist() == [0.5, 0.5]


# {benchmark: (file, its fields, an answer that is right, rows that may fail)}
GOLDS = {
    "gsm8k": ("gsm8k/test_1319.jsonl", {}, lambda row: row["answer"], ()),
    "math500": ("math/math500.jsonl", {}, lambda row: row["solution"], ()),
    "humaneval": (
        "code/humaneval-python_164.jsonl",
        {"answer": {"columns": ["task_id", "prompt", "test"]}},
        lambda row: row["canonical_solution"],
        (),
    ),
    "mbpp": (
        "code/mbpp_test_500.jsonl",
        {"instruction": "prompt", "answer": {"columns": ["task_id", "code", "test"]}},
        lambda row: f"Here it is:\n```python\n{row['code']}\n```",
        (112, 356),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDS)
def test_golds_are_right_through_the_benchmarks_files(name):
    file, fields, answer, may_fail = GOLDS[name]
    path = DATA / file
    if not path.exists():
        pytest.skip(f"no {name} next to the checkout")
    entry = benchmarks.expand({"tasks": {name: {"file": name, "prompts": str(path), "fields": fields}}})["tasks"][name]
    task = schema.filled(entry, schema.definition("task"))
    rows = [json.loads(line) for line in path.open()]
    items = {name: instruction_files.items_of(str(path), task, name)}
    assert items[name].num_rows == len(rows), "two items of MBPP have the same prompt and other tests"
    answers = [
        {"task": name, "id": id, "sample": 0, "answer": answer(row), "finish_reason": "stop"}
        for id, row in zip(items[name]["id"].to_pylist(), rows, strict=True)
    ]
    scores = judge.verify_answers(artifacts.table(answers, artifacts.ANSWERS), items, {name: task})["score"].to_pylist()
    assert {i for i, score in enumerate(scores) if score != 1} <= {*may_fail}
    wrong = [row | {"answer": "I do not know."} for row in answers[:20]]
    scores = judge.verify_answers(artifacts.table(wrong, artifacts.ANSWERS), items, {name: task})["score"].to_pylist()
    assert scores == [0] * 20


# --- the loss of reference answers


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    return tiny_models(tmp_path_factory.mktemp("models"))


def losses(repo: Path, work: Path, items: dict[str, pa.Table], **options) -> pa.Table:
    likelihood = schema.filled({"formats": ["chat"], "tokens": False, **options}, schema.definition("likelihood"))
    settings = {"model": MODEL | {"repo": str(repo)}, "scorer": CHAT, "likelihood": likelihood}
    return judge.losses(items, settings, work, options.get("weights"))


def by_hand(repo: Path, question: str, answer: str) -> tuple[float, int]:
    """Return the sum of the losses of an answer with its end, and the number of their tokens."""
    entry = MODEL | {"repo": str(repo)}
    tokenizer, model = loading.load_tokenizer(entry, CHAT), loading.load_model(entry)
    prompt, (lead, ids, end) = chat.answer(tokenizer, [{"role": "user", "content": question}], answer, CHAT)
    whole = torch.tensor([prompt.ids + lead + ids + end])
    n = len(ids) + len(end)
    with torch.inference_mode():
        logits = model(whole).logits[0, -n - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, whole[0, -n:], reduction="sum")), n


def test_a_held_out_loss_is_that_of_training(folders, tmp_path):
    texts = {"held": {"red": "apple bear", "list of colour": "the sum of words is 7."}, "more": {"sort": "story"}}
    items = {
        task: instruction_set(**{f"q{i}": text for i, text in enumerate(of.values())}) for task, of in texts.items()
    }
    questions = {task: [row["messages"][0]["content"] for row in table.to_pylist()] for task, table in items.items()}
    table = losses(folders["llama"], tmp_path / "a", items)
    assert table.schema.equals(artifacts.SCORES) and table["task"].to_pylist() == ["held", "held", "more"]
    rows = table.to_pylist()
    found = [
        by_hand(folders["llama"], question, text)
        for task, of in texts.items()
        for question, text in zip(questions[task], of.values(), strict=True)
    ]
    for row, (total, n) in zip(rows, found, strict=True):
        assert row["score"] == pytest.approx(math.exp(-total / n), rel=1e-4) and row["reason"] is None
    # the mean of the values is that of all tokens of the task, whatever the lengths of its answers are
    held = [row["measures"][0]["value"] for row in rows[:2]]
    assert [row["measures"][0]["measure"] for row in rows] == ["log_probability"] * 3
    assert sum(held) / 2 == pytest.approx(-(found[0][0] + found[1][0]) / (found[0][1] + found[1][1]), rel=1e-4)
    # a student is its base's entry with weights of its own
    student = judge.losses(
        items,
        {
            "model": MODEL | {"repo": str(folders["qwen2"])},
            "scorer": CHAT,
            "likelihood": schema.filled({"formats": ["chat"]}, schema.definition("likelihood")),
        },
        tmp_path / "b",
        folders["llama"],
    )
    assert student["score"].to_pylist() == table["score"].to_pylist()


def test_a_reference_answer_that_is_cut_is_marked_and_told(folders, tmp_path, capsys):
    items = {"held": instruction_set(q0="apple", q1="the sum of words is 7. " * 20)}
    rows = losses(folders["llama"], tmp_path, items, max_length=60).to_pylist()
    assert [row["verdict"] for row in rows] == [None, judge.CUT] and rows[1]["score"] > 0
    assert "held: 1 of 2 reference answers are longer than likelihood.max_length and cut" in capsys.readouterr().out


def test_copies_of_a_student_side_by_side_give_what_one_gives(folders, tmp_path, monkeypatch):
    """Each is loaded with the student's weights, in the number format of its model."""
    items = {"held": instruction_set(**{f"q{i}": text for i, text in enumerate(("apple", "the sum", "a story"))})}
    one = losses(folders["llama"], tmp_path / "one", items, shard=1)
    monkeypatch.setattr(loading, "devices_of_copies", lambda *_: ["cpu", "cpu"])
    options = schema.filled({"formats": ["chat"], "shard": 1}, schema.definition("likelihood"))
    settings = {"model": MODEL | {"repo": str(folders["qwen2"])}, "scorer": CHAT, "likelihood": options}
    two = judge.losses(items, settings, tmp_path / "two", folders["llama"])
    assert two["score"].to_pylist() == one["score"].to_pylist()


def test_an_item_without_an_answer_and_a_model_that_is_a_file_have_no_loss(folders, tmp_path):
    items = {"held": instruction_set(q0="apple", q1=None)}
    rows = losses(folders["llama"], tmp_path, items).to_pylist()
    assert rows[0]["score"] is not None and rows[0]["measures"]
    assert (rows[1]["score"], rows[1]["reason"], rows[1]["measures"]) == (None, "no reference answer", None)
    published = judge.losses(items, None, tmp_path / "none")
    assert {*published["reason"].to_pylist()} == {"published answers have no model"}
