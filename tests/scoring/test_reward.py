"""Rewards by a checker and by a model: scale, limits, what has none, and shards."""

import math
import re

import pytest
from rated_rows import (
    ASKED,
    FINAL,
    TEXTS,
    changed,
    instruction_set,
    response_table,
    reward_entry,
    reward_model,
    scored,
)
from teachergrid.errors import BadInput
from teachergrid.models import chat, loading
from teachergrid.scoring import reward
from teachergrid.store import artifacts


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict:
    return reward_model(tmp_path_factory.mktemp("rm"))


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
    with pytest.raises(BadInput, match="not in the set, such as zz"):
        reward.score(response_table(("zz", "x")), ASKED, {"reward": reward_entry(checker=FINAL)}, None)


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


def test_nan_rewards(model, tmp_path, capsys):
    def break_one_token(net):
        word = loading.load_tokenizer(model, reward_entry())("7", add_special_tokens=False)["input_ids"][0]
        net.model.embed_tokens.weight.data[word] = math.nan

    table = scored(changed(model, tmp_path / "one", break_one_token), tmp_path / "work", batch=6)
    broken = [text == "7" for text in TEXTS]
    assert table["reward"].is_null().to_pylist() == broken
    assert table["reason"].to_pylist() == [reward.NOT_FINITE if bad else None for bad in broken]

    assert "1 of 6 rewards are NaN or infinite, and left out" in capsys.readouterr().out

    broken = changed(model, tmp_path / "all", lambda net: net.score.weight.data.fill_(math.inf))
    with pytest.raises(BadInput, match=r"all: all 6 rewards are NaN or infinite; try `dtype: float32`"):
        scored(broken, tmp_path / "work-all")


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
