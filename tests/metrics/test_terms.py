"""Which responses count: what is undefined, left out knowingly or counted in another unit, and the reason."""

import math

import numpy as np
import pytest
from four_rows import CHAT, RANKS, REWARD, SURE, TEXT, four, measured, with_ranks
from tables import LIKELIHOOD, entry, responses
from teachergrid.metrics.expressions import RANK_CAP
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import per_response
from teachergrid.metrics.variants import Metric

LOST = {"n_question": 0, "question": None, "reason": "question not found in the prompt"}
LOST |= dict(zip(LIKELIHOOD[1:3] + LIKELIHOOD[4:], (3, 1, -3, -1, -6, -2), strict=True))
# formula, what is wrong with row i1, the value of the other three rows, the reason
UNDEFINED = [
    ("reward_mean", {"reward": "prompt and response are too long"}, 1 / 3, "prompt and response are too long"),
    ("reward_mean", {"reward": math.inf}, 1 / 3, "reward is not a finite number"),
    ("reward_mean", {"reward": math.nan}, 1 / 3, "reward is not a finite number"),
    ("car_mean", {"reward": -math.inf}, (1 / 3) / 2, "reward is not a finite number"),
    ("nll_mean", {"chat": "response is empty"}, 1.0, "response is empty"),
    ("nll_mean", {"chat": (4, 0, 1, -8, 0, -1, 0, -2)}, 1.0, "response has no tokens"),
    ("nll_mean", {"chat": (4, 3, 1, -8, -math.inf, -1, -6, -2)}, 1.0, "value is not finite"),
    ("ifd_loss", {"chat": (4, 3, 1, -8, -3, -1, 0, 0)}, 2.75 / 3, "loss of the answer alone is not above 1e-06"),
    ("ic_ifd_loss", {"chat": (4, 3, 1, 0, -3, -1, -6, -2)}, 2.5625 / 3, "loss of the question is not above 1e-06"),
    ("ic_ifd_loss", {"chat": LOST}, 2.5625 / 3, "question not found in the prompt"),
    ("ic_ifd_ppl", {"chat": (0, 3, 1, 0, -3, -1, -6, -2)}, None, "loss of the question is not above 1e-06"),
]


@pytest.mark.parametrize(("formula", "wrong", "expected", "reason"), UNDEFINED)
def test_undefined_rows_are_left_out_counted_and_explained(formula, wrong, expected, reason):
    key = ("i1", 0)
    tables = {"reward": REWARD, "chat": CHAT}
    rows = four(**{name: {**tables[name], key: value} for name, value in wrong.items()})
    row = measured({"m": entry(formula, reward="rm")}, rows)[Metric(entry(formula, reward="rm")).name]
    assert (row["n"], row["missing"]) == (3, 1)
    assert row["reason"] == f"1 of 4 responses left out, most often: {reason}"
    if expected is not None:
        assert row["value"] == pytest.approx(expected)


def test_all_rows_undefined_gives_null_and_the_reason():
    row = measured({"m": entry("nll_mean")}, four(chat=dict.fromkeys(CHAT, "response is empty")))["nll_mean/chat"]
    assert (row["n"], row["missing"], row.get("value")) == (0, 4, None)
    assert row["reason"] == "4 of 4 responses left out, most often: response is empty"


def test_what_was_never_scored_is_null_with_a_reason():
    bare = join({"t": responses(TEXT)}, {}, {})
    rows = measured({"r": entry("reward_mean", reward="rm"), "l": entry("nll_mean", scorer="gpt2")}, bare)
    assert rows["reward_mean/rm"]["reason"] == "no rewards by 'rm'"
    assert rows["nll_mean/chat/by=gpt2"]["reason"] == "no likelihoods by 'gpt2' in chat format"
    assert {row["missing"] for row in rows.values()} == {4}


def test_length_is_in_one_unit_and_says_which():
    length = {"length": entry("length")}
    in_words = measured(length, join({"t": responses(TEXT)}, {}, {}))["length"]
    assert (in_words["value"], in_words["reason"]) == (2.75, "counted in words")
    tokens = dict(zip(TEXT, (5, 6, 1, 8), strict=True))
    counted = measured(length, join({"t": responses(TEXT, tokens)}, {}, {}))["length"]
    assert (counted["value"], counted["reason"]) == (5, "counted in the teacher's tokens")
    assert measured(length)["length"]["reason"] is None
    some_unknown = join({"t": responses(TEXT, {("i1", 0): 5})}, {}, {})
    assert measured(length, some_unknown)["length"]["reason"] == "counted in words"


def test_ifd_below_1_is_an_option_and_says_what_it_removes():
    chosen = entry("ifd_loss", below=1)
    row = measured({"m": chosen})["ifd_loss/chat/below=1"]
    assert row["value"] == pytest.approx((0.5 + 0.25 + 0.5) / 3)
    assert (row["n"], row["missing"], row["removed"]) == (3, 0, 1)
    assert row["reason"].startswith("1 of 4 responses removed: value is not below 1")
    values, reasons = per_response(Metric(chosen), four())
    assert np.isnan(values).tolist() == [False, True, False, False] and reasons[1] == "value is not below 1"
    nothing = measured({"m": entry("ifd_loss", below=0.1)})["ifd_loss/chat/below=0.1"]
    assert (nothing["n"], nothing.get("value"), nothing["removed"]) == (0, None, 4)
    # what is undefined is not counted as removed
    rows = four(chat={**CHAT, ("i1", 0): "response is empty"})
    both = measured({"m": chosen}, rows)["ifd_loss/chat/below=1"]
    assert (both["n"], both["missing"], both["removed"]) == (2, 1, 1)
    assert measured({"m": entry("ifd_loss")})["ifd_loss/chat"].get("removed") is None


def test_car_of_each_response_is_undefined_with_any_reward_below_0():
    chosen = entry("car_each", reward="rm", offset=-0.25)
    row = measured({"m": chosen})[Metric(chosen).name]
    assert row.get("value") is None
    assert row["reason"].startswith("1 of 4 responses: reward below 0: CAR is undefined")


def test_ranks_that_were_not_kept_are_explained():
    row = measured({"m": entry("rsr")}, four(ranks=True))["rsr/chat"]
    assert (row["n"], row.get("value")) == (0, None)
    assert row["reason"].endswith("no ranks of its tokens were kept (config.likelihood.tokens)")
    part = {key: ranks for key, ranks in RANKS.items() if key != ("i3", 0)}
    row = measured({"m": entry("rsr")}, four(chat=with_ranks(ranks=part)))["rsr/chat"]
    assert (row["n"], row["missing"], row["value"]) == (3, 1, pytest.approx(5 / 3.5))
    assert RANK_CAP == 100  # that of RSR's code


def test_likeliest_tokens_that_were_not_kept_are_explained():
    """Likelihoods of before, or made without `top`; what else the pass keeps is there."""
    without = {key: row[:6] for key, row in SURE.items()}
    rows = measured({"m": entry("sure"), "e": entry("entropy")}, four(sure=without))
    assert (rows["sure/chat"]["n"], rows["sure/chat"].get("value")) == (0, None)
    assert rows["sure/chat"]["reason"].endswith("no likeliest tokens were kept (config.likelihood.top)")
    assert rows["entropy/chat"]["n"] == 4


def test_the_length_of_a_cut_answer_is_that_of_the_whole():
    """i1 and i2 were read whole: 3 and 4 tokens for 3 and 4 words. Of i3's 20 words and i4's 3 the scorer read 2 tokens."""
    texts = {**TEXT, ("i3", 0): " ".join("w" * 20)}
    short = {"n_answer": 2, "n_end": 0, "truncated": True, "reason": "answer cut, no end token"}
    chat = {key: dict(zip(LIKELIHOOD, row, strict=True)) for key, row in CHAT.items()}
    for key in (("i3", 0), ("i4", 0)):
        chat[key] |= short
    row = measured({"length": entry("length")}, four(text=texts, chat=chat))["length"]
    assert (row["value"], row["cut"], row["n"]) == (pytest.approx((3 + 4 + 20 + 3) / 4), 2, 4)
    assert row["reason"] == "2 of 4 answers (50 %) are cut at likelihood.max_length: length estimated"
    loss = measured({"nll": entry("nll_mean")}, four(text=texts, chat=chat))["nll_mean/chat"]
    assert loss["cut"] == 2 and "losses are those of the beginning, without end token" in loss["reason"]
    whole = measured({"nll": entry("nll_mean"), "reward": entry("reward_mean", reward="rm")})
    assert whole["nll_mean/chat"]["cut"] == 0 and whole["reward_mean/rm"].get("cut") is None


def test_where_all_answers_were_cut_there_is_no_length():
    chat = {
        key: dict(zip(LIKELIHOOD, row, strict=True)) | {"truncated": True, "reason": "answer cut, no end token"}
        for key, row in CHAT.items()
    }
    row = measured({"length": entry("length")}, four(chat=chat))["length"]
    assert (row.get("value"), row["missing"]) == (None, 4)
    assert "answer cut, and none to estimate its length from" in row["reason"]
