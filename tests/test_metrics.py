"""Metrics of a corpus of four responses, against values computed by hand."""

import math
import random
import zlib

import numpy as np
import pyarrow as pa
import pytest
from tables import LIKELIHOOD, entry, likelihoods, responses, rewards
from teachergrid import artifacts
from teachergrid.errors import BadInput
from teachergrid.formulas import FORMULAS
from teachergrid.frames import frame
from teachergrid.metrics import full_name, measure, own_variant, per_response, variants

TEXT = {("i1", 0): "a b c", ("i2", 0): "a b a b", ("i3", 0): "c", ("i4", 0): "x y z"}
REWARD = {("i1", 0): 1.0, ("i2", 0): 0.5, ("i3", 0): 0.5, ("i4", 0): 0.0}
# with the end token s(A|Q) = 1, 2, 0.5, 0.5, s(A) = 2, 1, 2, 1 and s(Q) = 2, 1, 4, 1
CHAT = {
    ("i1", 0): (4, 3, 1, -8, -3, -1, -6, -2),
    ("i2", 0): (2, 4, 1, -2, -8, -2, -4, -1),
    ("i3", 0): (5, 1, 1, -20, -0.5, -0.5, -1, -3),
    ("i4", 0): (1, 9, 1, -1, -2, -3, -9, -1),
}
# without end tokens, s(A|Q) = 2, 2, 2, 4
PLAIN = {
    ("i1", 0): (4, 3, 0, -8, -6, 0, -6, 0),
    ("i2", 0): (2, 4, 0, -2, -8, 0, -4, 0),
    ("i3", 0): (5, 1, 0, -20, -2, 0, -1, 0),
    ("i4", 0): (1, 9, 0, -1, -36, 0, -9, 0),
}
NOT_ASKED = dict.fromkeys(CHAT, "format not asked for")


def four(text=TEXT, reward=REWARD, chat=CHAT, plain=NOT_ASKED):
    tables = {("self", "chat"): {"t": likelihoods(chat)}, ("self", "plain"): {"t": likelihoods(plain)}}
    return frame({"t": responses(text)}, {"rm": {"t": rewards(reward)}}, tables)


def measured(entries, rows=None, **settings):
    """{full name: row}, after the check that the rows are what the artifact may hold."""
    rows = measure(entries, rows or four(), seed=0, **settings)
    artifacts.table(rows, artifacts.METRICS)
    return {row["metric"]: row for row in rows}


def value(formula, rows=None, **settings):
    chosen = entry(formula, **settings)
    return measured({"m": chosen}, rows)[own_variant(chosen)].get("value")


BY_HAND = {
    "reward_mean": 0.5,
    "car_mean": 0.5 / (1 + 1),
    "car_sum": 0.5 / (1 + (4 + 10 + 1 + 5) / 4),
    "nll_mean": 1.0,
    "ppl": math.exp(20 / 21),
    "ifd_loss": (0.5 + 2 + 0.25 + 0.5) / 4,
    "ifd_ppl": (math.exp(-1) + math.exp(1) + math.exp(-1.5) + math.exp(-0.5)) / 4,
    "ic_ifd_loss": (0.25 + 2 + 0.0625 + 0.5) / 4,
    "ic_ifd_ppl": (math.exp(-3) + math.exp(0) + math.exp(-5.5) + math.exp(-1.5)) / 4,
    "length": 4.25,
    "distinct_2": 5 / 7,  # ab bc, ab ba ab, none, xy yz
    "compression": len(zlib.compress(b"a b c\na b a b\nc\nx y z\n", 1)) / 22,
}


@pytest.mark.parametrize("formula", BY_HAND)
def test_values_by_hand(formula):
    assert value(formula, reward="rm") == pytest.approx(BY_HAND[formula], rel=1e-12)


def test_every_formula_is_tested_or_belongs_to_the_grid():
    assert set(FORMULAS) - set(BY_HAND) == {"size", "borrowed"}
    assert measured({"s": entry("size"), "b": entry("borrowed")}) == {}


WITHOUT_END = {
    "car_mean": 0.5 / (1 + (1 + 2 + 0.5 + 2 / 9) / 4),
    "car_sum": 0.5 / (1 + (3 + 8 + 0.5 + 2) / 4),
    "nll_mean": (1 + 2 + 0.5 + 2 / 9) / 4,
    "ppl": math.exp(13.5 / 17),
    "ifd_loss": (0.5 + 2 + 0.5 + 2 / 9) / 4,
    "ic_ifd_loss": (0.25 + 2 + 0.125 + 2 / 9) / 4,
}


@pytest.mark.parametrize("formula", WITHOUT_END)
def test_end_tokens_are_left_out_when_told(formula):
    assert value(formula, reward="rm", end_token=False) == pytest.approx(WITHOUT_END[formula], rel=1e-12)


def test_plain_format():
    assert value("nll_mean", four(plain=PLAIN), format="plain") == 2.5


def test_beta_sweep_falls_from_the_mean_reward():
    betas = [0, 0.5, 1, 3]
    rows = measured({"car": entry("car_mean", reward="rm", beta=betas)})
    swept = [rows[f"car_mean/rm/chat/beta={beta:g}"]["value"] for beta in betas]
    assert swept == pytest.approx([0.5, 0.5 / 1.5, 0.25, 0.125])


@pytest.mark.parametrize("shift", [-0.5, -2])
def test_car_without_a_positive_reward_is_undefined(shift):
    lower = four(reward={key: reward + shift for key, reward in REWARD.items()})
    row = measured({"car": entry("car_mean", reward="rm")}, lower)["car_mean/rm/chat/beta=1"]
    assert "value" not in row and "low" not in row
    assert row["reason"] == "mean reward <= 0: CAR is undefined (state `offset`)"
    rows = measured({"car": entry("car_mean", reward="rm", offset=-shift)}, lower)
    assert rows[f"car_mean/rm+offset={-shift:g}/chat/beta=1"]["value"] == pytest.approx(0.25)


def test_car_interval_is_left_out_where_draws_are_undefined():
    mixed = four(reward={("i1", 0): 3.0, ("i2", 0): -1.0, ("i3", 0): -1.0, ("i4", 0): 0.0})
    row = measured({"car": entry("car_mean", reward="rm")}, mixed)["car_mean/rm/chat/beta=1"]
    assert row["value"] == pytest.approx(0.125)
    assert "low" not in row and row["reason"].startswith("no interval: undefined in")


def test_per_response():
    values, reasons = per_response(entry("car_mean", reward="rm"), four())
    assert values == pytest.approx([1 / 2, 0.5 / 3, 0.5 / 1.5, 0])
    assert reasons.tolist() == [""] * 4
    values, _ = per_response(entry("car_mean", reward="rm"), four(), beta=2)
    assert values == pytest.approx([1 / 3, 0.5 / 5, 0.5 / 2, 0])
    values, _ = per_response(entry("ppl"), four())
    assert values == pytest.approx(np.exp([1, 2, 0.5, 0.5]))


def test_per_response_below_zero_is_undefined():
    values, reasons = per_response(entry("car_mean", reward="rm", offset=-0.75), four())
    assert values[0] == pytest.approx(0.125) and np.isnan(values[1:]).all()
    assert reasons[3] == "reward below 0: CAR is undefined (state `offset`)"
    with pytest.raises(BadInput, match="distinct_2"):
        per_response(entry("distinct_2"), four())


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
    row = measured({"m": entry(formula, reward="rm")}, rows)[own_variant(entry(formula, reward="rm"))]
    assert (row["n"], row["missing"]) == (3, 1)
    assert row["reason"] == f"1 of 4 responses left out, most often: {reason}"
    if expected is not None:
        assert row["value"] == pytest.approx(expected)


def test_all_rows_undefined_gives_null_and_the_reason():
    row = measured({"m": entry("nll_mean")}, four(chat=dict.fromkeys(CHAT, "response is empty")))["nll_mean/chat"]
    assert (row["n"], row["missing"], row.get("value")) == (0, 4, None)
    assert row["reason"] == "4 of 4 responses left out, most often: response is empty"


def test_what_was_never_scored_is_null_with_a_reason():
    bare = frame({"t": responses(TEXT)}, {}, {})
    rows = measured({"r": entry("reward_mean", reward="rm"), "l": entry("nll_mean", scorer="gpt2")}, bare)
    assert rows["reward_mean/rm"]["reason"] == "no rewards by 'rm'"
    assert rows["nll_mean/chat/by=gpt2"]["reason"] == "no likelihoods by 'gpt2' in chat format"
    assert {row["missing"] for row in rows.values()} == {4}


def test_length_is_in_one_unit_and_says_which():
    length = {"length": entry("length")}
    in_words = measured(length, frame({"t": responses(TEXT)}, {}, {}))["length"]
    assert (in_words["value"], in_words["reason"]) == (2.75, "counted in words")
    tokens = dict(zip(TEXT, (5, 6, 1, 8), strict=True))
    counted = measured(length, frame({"t": responses(TEXT, tokens)}, {}, {}))["length"]
    assert (counted["value"], counted["reason"]) == (5, "counted in the teacher's tokens")
    assert measured(length)["length"]["reason"] is None
    some_unknown = frame({"t": responses(TEXT, {("i1", 0): 5})}, {}, {})
    assert measured(length, some_unknown)["length"]["reason"] == "counted in words"


def test_texts_without_words():
    rows = measured({"d": entry("distinct_2"), "c": entry("compression")}, four(text=dict.fromkeys(TEXT, "")))
    assert {(row["n"], row["missing"], row["reason"]) for row in rows.values()} == {(0, 4, "too little text")}
    rows = measured({"d": entry("distinct_2")}, four(text={**TEXT, ("i4", 0): " \n"}))
    assert rows["distinct_2"]["value"] == 3 / 5 and rows["distinct_2"]["missing"] == 1


def test_compression_knows_repetition():
    repeated = four(text=dict.fromkeys(TEXT, "to be or not to be " * 20))
    rng = random.Random(0)
    varied = four(text={key: "".join(rng.choices("abcdefghij ", k=380)) for key in TEXT})
    assert value("compression", repeated) < 0.1 < value("compression", varied)


# --- names


NAMES = [
    (entry("car_mean", reward="verify"), "car_mean/verify/chat/beta=1"),
    (entry("car_sum", reward="rm", beta=[0.5, 1], format="plain"), "car_sum/rm/plain/beta=0.5"),
    (
        entry("car_mean", reward="rm", offset=2, end_token=False, scorer="bs"),
        "car_mean/rm+offset=2/chat/beta=1/by=bs/no-end",
    ),
    (entry("reward_mean", reward="rm", offset=-1.5, scorer="bs"), "reward_mean/rm+offset=-1.5"),
    (entry("ppl", scorer="gpt2", reward="rm"), "ppl/chat/by=gpt2"),
    (entry("length", format="plain"), "length"),
    (entry("length", scorer="bs"), "length/by=bs"),
    (entry("distinct_2", scorer="bs"), "distinct_2"),
    (entry("borrowed"), "borrowed"),
]


@pytest.mark.parametrize(("chosen", "name"), NAMES)
def test_names(chosen, name):
    assert own_variant(chosen) == name
    assert full_name(chosen, 7) == name.replace("beta=1", "beta=7").replace("beta=0.5", "beta=7")


def test_variants_of_one_entry():
    found = variants({"car": entry("car_mean", reward="rm", beta=[1, 3])})
    assert next(iter(found)) == "car_mean/rm/chat/beta=1"
    assert len(found) == 2 * 2 * 2 and [variant.own for variant in found.values()] == [True] + [False] * 7
    rows = measured({"car": entry("car_mean", reward="rm", beta=[1, 3])}, four(plain=PLAIN))
    assert list(rows) == list(found)
    assert rows["car_mean/rm/plain/beta=3/no-end"] | {"low": 0, "high": 0} == {
        "metric": "car_mean/rm/plain/beta=3/no-end",
        "entry": "car",
        "formula": "car_mean",
        "reward": "rm",
        "scorer": "self",
        "format": "plain",
        "beta": 3,
        "value": pytest.approx(0.5 / (1 + 3 * 2.5)),
        "low": 0,
        "high": 0,
        "n": 4,
        "missing": 0,
        "reason": None,
    }


def test_a_format_that_was_not_asked_for_has_no_rows_unless_it_is_the_entrys_own():
    assert set(measured({"nll": entry("nll_mean")})) == {"nll_mean/chat", "nll_mean/chat/no-end"}
    rows = measured({"nll": entry("nll_mean", format="plain")})
    assert rows["nll_mean/plain"]["reason"].endswith("format not asked for")


def test_a_shared_variant_belongs_to_the_entry_that_states_it():
    entries = {"chat": entry("nll_mean"), "plain": entry("nll_mean", format="plain"), "again": entry("nll_mean")}
    rows = measured(entries, four(plain=PLAIN))
    assert {name: row["entry"] for name, row in rows.items()} == {
        "nll_mean/chat": "chat",
        "nll_mean/plain": "plain",
        "nll_mean/chat/no-end": "chat",
        "nll_mean/plain/no-end": "chat",
    }


# --- order, repetition, intervals


ALL = {name: entry(name, reward="rm") for name in BY_HAND}


def test_order_of_rows_moves_nothing():
    shuffled = [dict(sorted(table.items(), reverse=True)) for table in (TEXT, REWARD, CHAT)]
    assert measured(ALL, four(*shuffled), rounds=100) == measured(ALL, rounds=100)


def test_a_corpus_there_twice_has_the_same_means():
    def twice(table):
        return {**table, **{(id, 1): value for (id, _), value in table.items()}}

    once, doubled = measured(ALL), measured(ALL, four(twice(TEXT), twice(REWARD), twice(CHAT), twice(NOT_ASKED)))
    for name in set(once) - {"distinct_2", "compression"}:
        assert doubled[name]["value"] == pytest.approx(once[name]["value"], rel=1e-12)
        # the unit of the bootstrap is the instruction, so that a second sample of it adds no certainty
        assert (doubled[name]["low"], doubled[name]["high"]) == pytest.approx((once[name]["low"], once[name]["high"]))
        assert doubled[name]["n"] == 2 * once[name]["n"]
    assert doubled["distinct_2"]["value"] == once["distinct_2"]["value"] / 2
    assert doubled["compression"]["value"] < once["compression"]["value"]


def test_intervals():
    n = 200
    keys = [(f"i{i:03}", 0) for i in range(n)]
    reward = dict(zip(keys, np.random.default_rng(1).normal(5, 2, n).tolist(), strict=True))
    many = four(dict.fromkeys(keys, "a b"), reward, dict.fromkeys(keys, CHAT["i1", 0]), dict.fromkeys(keys, "no"))
    rows = measured({"r": entry("reward_mean", reward="rm"), "car": entry("car_mean", reward="rm")}, many, rounds=2000)
    row, values = rows["reward_mean/rm"], np.array(list(reward.values()))
    half = 1.96 * values.std() / math.sqrt(n)
    assert (row["low"], row["high"]) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05)
    # the loss is 1 everywhere, so that the same draws give CAR exactly half of the reward
    car = rows["car_mean/rm/chat/beta=1"]
    assert (car["low"], car["high"]) == pytest.approx((row["low"] / 2, row["high"] / 2), rel=1e-12)
    assert measure(ALL, many, seed=1, rounds=50) != measure(ALL, many, seed=2, rounds=50)


def test_one_instruction_has_no_interval():
    one = [{("i1", 0): table["i1", 0]} for table in (TEXT, REWARD, CHAT, NOT_ASKED)]
    row = measured({"r": entry("reward_mean", reward="rm")}, four(*one))["reward_mean/rm"]
    assert (row["value"], row.get("low"), row["reason"]) == (1.0, None, "no interval: one instruction")


# --- joins


def test_files_that_do_not_match_are_named(tmp_path):
    def written(name, table, schema):
        artifacts.write(tmp_path / name, table, schema, None)
        return str(tmp_path / name)

    answers = written("responses.parquet", responses(TEXT), artifacts.RESPONSES)
    short = written("short.parquet", rewards({key: 1.0 for key in TEXT if key != ("i2", 0)}), artifacts.REWARDS)
    twice = written("twice.parquet", pa.concat_tables([rewards(REWARD)] * 2), artifacts.REWARDS)
    with pytest.raises(
        BadInput, match=r"short\.parquet: 1 of 4 rows are missing, such as id 'i2', sample 0; delete it"
    ):
        frame({"t": answers}, {"rm": {"t": short}}, {})
    with pytest.raises(BadInput, match=r"twice\.parquet: id 'i1', sample 0 is there twice"):
        frame({"t": answers}, {"rm": {"t": twice}}, {})
    with pytest.raises(BadInput, match="no row"):
        frame({"t": responses({})}, {}, {})


def test_a_derived_corpus_takes_its_rows_from_several_teachers():
    corpus = artifacts.table(
        [{"id": id, "sample": 0, "teacher": t, "why": ""} for id, t in (("i3", "b"), ("i1", "a"))], artifacts.CORPUS
    )
    both = {"a": rewards(REWARD), "b": rewards({key: 10 + reward for key, reward in REWARD.items()})}
    rows = frame({"a": responses(TEXT), "b": responses(TEXT)}, {"rm": both}, {}, corpus)
    assert rows.id.tolist() == ["i1", "i3"] and rows.teacher.tolist() == ["a", "b"]
    assert rows.rewards["rm"]["reward"].tolist() == [1.0, 10.5]
    with pytest.raises(BadInput, match="teacher 'b'"):
        frame({"a": responses(TEXT)}, {}, {}, corpus)
