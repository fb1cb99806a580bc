"""Checked answers, rewards of both kinds, and pairwise comparison by reward."""

import json
import math
import re
from pathlib import Path

import pyarrow as pa
import pytest
import tiny
from rated_rows import ANSWERED, ASKED, TEXTS, instruction_set, response_table, reward_entry, scored
from teachergrid.errors import BadInput
from teachergrid.evaluation import judge
from teachergrid.models import chat, loading
from teachergrid.scoring import classifier, reward
from teachergrid.spec import schema
from teachergrid.store import artifacts
from teachergrid.tasks.verify import extract, verdict

GSM8K = Path(__file__).parents[3] / "shared/data/gsm8k/test_1319.jsonl"
FINAL = {"extract": r"Answer: (.*)", "compare": "exact"}
RIGHT, WRONG, NONE = (1.0, "right", None), (0.0, "wrong", None), (0.0, "no answer found", None)


# --- verify


@pytest.mark.parametrize(
    ("text", "pattern", "found"),
    [
        ("Answer: 1\nno, Answer:  2 \nBye", r"Answer: (.*)", "2"),
        (" all\nof it ", r"(?s)(.*)", "all\nof it"),
        ("nothing", r"Answer: (.*)", None),
        ("Answer: 1\nAnswer: ", r"Answer: (.*)", None),
        ("", r"(?s)(.*)", None),
        ("b", r"a(x)|b", None),
    ],
)
def test_extract(text, pattern, found):
    assert extract(text, pattern) == found


@pytest.mark.parametrize(
    ("compare", "text", "answer", "expected"),
    [
        ("exact", "Answer: red", "red", RIGHT),
        ("exact", "Answer: red ", " red", RIGHT),
        ("exact", "Answer: Red", "red", WRONG),
        ("exact", "red", "red", NONE),
        ("exact", "Answer: red\nAnswer: blue", "red", WRONG),
        ("exact", "Answer: red", "It is so. Answer: red", RIGHT),
        ("exact", "Answer: red", None, (None, None, "no reference answer")),
        ("exact", "Answer: red", " ", (None, None, "no reference answer")),
        ("lower", "Answer: **The  RED  one.**", "the red one", RIGHT),
        ("lower", "Answer: Stra\u00dfe", "STRASSE", RIGHT),
        ("lower", "Answer: \u201cred\u201d", "(Red)", RIGHT),
        ("lower", "Answer: -5", "5", WRONG),
        ("lower", "Answer: C++", "C", WRONG),
        ("lower", "Answer: ?", "!", WRONG),
        ("number", "Answer: 3.0", "3", RIGHT),
        ("number", "Answer: 1,234.50", "1234.5", RIGHT),
        ("number", "Answer: 1,23", "123", (0.0, "not a number", None)),
        ("number", "Answer: -5", "5", WRONG),
        ("number", "Answer: \N{MINUS SIGN}5.", "-5", RIGHT),
        ("number", "Answer: +5", "5", RIGHT),
        ("number", "Answer: $18", "18", RIGHT),
        ("number", "Answer: -$3", "-3", RIGHT),
        ("number", "Answer: 50 %", "50", RIGHT),
        ("number", "Answer: 50%", "0.5", WRONG),
        ("number", "Answer: .5", "0.50", RIGHT),
        ("number", "Answer: 1.2e3", "1200", RIGHT),
        ("number", "Answer: 0.1", "0.10000000000000000555", WRONG),
        ("number", "Answer: 1 2", "12", (0.0, "not a number", None)),
        ("number", "Answer: --5", "-5", (0.0, "not a number", None)),
        ("number", "Answer: .", "0", (0.0, "not a number", None)),
        ("number", "Answer: five", "5", (0.0, "not a number", None)),
        ("number", "five", "5", NONE),
        ("number", "Answer: 5", "five", (None, None, "the reference answer 'five' is not a number")),
    ],
)
def test_verdict(compare, text, answer, expected):
    assert verdict(text, answer, {**FINAL, "compare": compare}) == expected


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "is no regular expression"), ("Answer", "has 0 groups"), ("(a)(b)", "has 2 groups and needs exactly one")],
)
def test_bad_patterns(pattern, message):
    with pytest.raises(BadInput, match=re.escape(repr(pattern)) + ".*" + message):
        verdict("x", "x", {"extract": pattern, "compare": "exact"})


@pytest.mark.skipif(not GSM8K.exists(), reason=f"needs GSM8K's test set at {GSM8K}")
def test_gsm8k():
    golds = [json.loads(line)["answer"] for line in GSM8K.read_text(encoding="utf-8").split("\n") if line]
    checker = {"extract": r"#### (\-?[0-9\.\,]+)", "compare": "number"}
    bare = [extract(gold, checker["extract"]) for gold in golds]
    assert len(golds) == 1319 and None not in bare
    assert sum(verdict(gold, answer, checker).score for gold, answer in zip(golds, bare, strict=True)) == 1319
    assert all(verdict(gold, gold, checker) == RIGHT for gold in golds)


# --- rewards


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    """Return the entry of a tiny random reward model."""
    folder = tiny.make(tmp_path_factory.mktemp("rm"), kind="reward")
    return schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))


def changed(model: dict, folder, change) -> dict:
    """Return the entry of a copy of a reward model after change(net)."""
    net = loading.load_model(model, kind="reward")
    change(net)
    net.save_pretrained(folder)
    loading.load_tokenizer(model, reward_entry()).save_pretrained(folder)
    return {**model, "repo": str(folder)}


def test_verifier():
    responses = response_table(
        ("a", "Answer: 1"),
        ("b", "Answer: 2"),
        ("c", "Answer: 3"),
        ("a", "2 + 2 is 4. Answer: 1", "length"),
        ("a", "", "prompt_too_long"),
    )
    table = reward.score(
        responses, instruction_set(a="1", b="1", c=None), {"reward": reward_entry(checker=FINAL)}, None
    )
    assert table.schema.equals(artifacts.REWARDS)
    assert table["reward"].to_pylist() == [1, 0, None, 1, None]
    assert table["reason"].to_pylist() == [None, None, "no reference answer", None, "prompt too long"]


def test_response_without_instruction():
    with pytest.raises(BadInput, match="1 of 1 responses answer instructions that are not in the set, such as zz"):
        reward.score(response_table(("zz", "x")), ASKED, {"reward": reward_entry(checker=FINAL)}, None)


# the usual ChatML writes a line break after the end token, and models trained on it are read there
LINE_BREAK = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"


@pytest.mark.parametrize(("read_at", "tail"), [("end", ""), ("template", "\n")])
def test_rewards_are_the_logits_of_the_chat_ids(model, tmp_path, read_at, tail):
    import torch

    table = scored(model, tmp_path, batch=4, read_at=read_at, template=LINE_BREAK)
    assert table.schema.equals(artifacts.REWARDS) and table["id"].to_pylist() == ANSWERED["id"].to_pylist()
    tokenizer, net = loading.load_tokenizer(model, reward_entry()), loading.load_model(model, kind="reward")
    expected = []
    for i, text in enumerate(TEXTS):
        ids = tokenizer(
            f"<|im_start|>user\nsort q{i}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>{tail}",
            add_special_tokens=False,
        )["input_ids"]
        with torch.no_grad():
            hidden = net.model(torch.tensor([ids])).last_hidden_state
        expected.append(net.score(hidden[0, -1]).item())
    assert table["reward"].to_pylist() == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 4) for value in expected}) == len(TEXTS)


def test_batch_is_as_alone(model, tmp_path):
    alone = scored(model, tmp_path / "alone", batch=1)["reward"].to_pylist()
    assert scored(model, tmp_path / "batch", batch=6)["reward"].to_pylist() == pytest.approx(alone, abs=1e-5)


def test_sigmoid(model, tmp_path):
    raw = scored(model, tmp_path / "raw")["reward"].to_pylist()
    share = scored(model, tmp_path / "share", scale="sigmoid")["reward"].to_pylist()
    assert share == pytest.approx([1 / (1 + math.exp(-value)) for value in raw], rel=1e-9)


def test_extreme_logits_keep_a_probability(model, tmp_path):
    folder = tmp_path / "extreme"
    steep = changed(model, folder, lambda net: net.score.weight.data.mul_(50))
    raw = scored(steep, tmp_path / "raw")["reward"].to_pylist()
    share = scored(steep, tmp_path / "share", scale="sigmoid")["reward"].to_pylist()
    assert min(raw) < -50, "else this test shows nothing"
    assert all(0 < value <= 1 for value in share)
    assert min(share) == pytest.approx(math.exp(min(raw)), rel=1e-9)


def test_too_long(model, tmp_path):
    tokenizer = loading.load_tokenizer(model, reward_entry())
    ids = chat.example(tokenizer, ASKED["messages"][2].as_py(), TEXTS[2], reward_entry()).input_ids
    exact = scored(model, tmp_path / "exact", max_length=len(ids))
    assert exact["reason"].null_count == len(TEXTS)
    short = scored(model, tmp_path / "short", max_length=len(ids) - 1)
    assert short["reason"].to_pylist() == [None, None, f"too long ({len(ids)} tokens)", None, None, None]
    assert short["reward"].is_null().to_pylist() == [False, False, True, False, False, False]
    # the model's own context, 512 tokens, is a limit too
    long = response_table(("q0", "red " * 600), ("q1", "red"), ("q2", "", "prompt_too_long"))
    reasons = scored(model, tmp_path / "long", long)["reason"].to_pylist()
    assert re.fullmatch(r"too long \(\d+ tokens\)", reasons[0]) and reasons[1:] == [None, "prompt too long"]


def test_no_second_bos(tmp_path):
    folder = tiny.make(tmp_path / "bos", kind="reward", bos=True, template=tiny.CHATML_WITH_BOS)
    entry = schema.filled({"repo": str(folder), "dtype": "float32"}, schema.definition("model"))
    tokenizer, net = loading.load_tokenizer(entry, reward_entry()), loading.load_model(entry, "reward")
    seen = []
    net.register_forward_pre_hook(lambda _, args, inputs: seen.append(inputs["input_ids"]), with_kwargs=True)
    scorer = classifier.Classifier(tokenizer, net, reward_entry())
    reward.score_rows(reward.join(ANSWERED, ASKED), reward_entry(batch=1), scorer, 512)
    assert len(seen) == len(TEXTS)
    for ids in seen:
        assert ids[0].tolist().count(tokenizer.bos_token_id) == 1 and ids[0, 0] == tokenizer.bos_token_id


def test_model_without_a_padding_token(model, tmp_path):
    def forget(net):
        net.config.pad_token_id = None

    bare = changed(model, tmp_path / "bare", forget)
    assert loading.load_model(bare, kind="reward").config.pad_token_id is None
    expected = scored(model, tmp_path / "with")["reward"].to_pylist()
    assert scored(bare, tmp_path / "without", batch=6)["reward"].to_pylist() == pytest.approx(expected, abs=1e-5)


def test_nan_rewards(model, tmp_path):
    def break_one_token(net):
        word = loading.load_tokenizer(model, reward_entry())("7", add_special_tokens=False)["input_ids"][0]
        net.model.embed_tokens.weight.data[word] = math.nan

    table = scored(changed(model, tmp_path / "one", break_one_token), tmp_path / "work", batch=6)
    broken = [text == "7" for text in TEXTS]
    assert table["reward"].is_null().to_pylist() == broken
    assert table["reason"].to_pylist() == [reward.NOT_FINITE if bad else None for bad in broken]

    broken = changed(model, tmp_path / "all", lambda net: net.score.weight.data.fill_(math.inf))
    with pytest.raises(BadInput, match=r"all: all 6 rewards are NaN or infinite; try `dtype: float32`"):
        scored(broken, tmp_path / "work-all")


def test_not_a_reward_model(tmp_path):
    folder = tiny.make(tmp_path / "causal")
    entry = schema.filled({"repo": str(folder)}, schema.definition("model"))
    with pytest.raises(BadInput, match="causal: no reward model"):
        scored(entry, tmp_path / "work")


def test_shards_are_kept(model, tmp_path, monkeypatch):
    monkeypatch.setattr(reward, "SHARD", 2)
    whole = scored(model, tmp_path / "whole")
    calls = []
    make = reward.score_rows

    def dies_at_the_third(rows, *rest):
        calls.append([row["id"] for row in rows])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(rows, *rest)

    monkeypatch.setattr(reward, "score_rows", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        scored(model, tmp_path / "killed")
    assert scored(model, tmp_path / "killed").equals(whole)
    assert calls == [["q0", "q1"], ["q2", "q3"], ["q4", "q5"], ["q4", "q5"]]


# --- judges


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


def test_identical_answers_load_no_model(tmp_path):
    nowhere = {"judge": {"tie": 0}, "reward": reward_entry(), "model": {"repo": "/nowhere"}}
    mine = answer_table(("math", "q0", "same"), ("math", "q1", ""))
    assert judge.compare(mine, mine, ITEMS, nowhere, tmp_path)["score"].to_pylist() == [0.5, 0.5]
