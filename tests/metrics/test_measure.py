"""Metrics of a corpus of four responses, against values computed by hand."""

import math
import random

import numpy as np
import pyarrow as pa
import pytest
from four_rows import BY_HAND, CHAT, PLAIN, RANKS, REWARD, TEXT, four, measured, value, with_ranks
from tables import LIKELIHOOD, entry, responses, rewards
from teachergrid.errors import BadInput
from teachergrid.metrics.bootstrap import weighted_medians
from teachergrid.metrics.expressions import RANK_CAP
from teachergrid.metrics.formulas import FORMULAS
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import per_response
from teachergrid.metrics.variants import Metric, variants
from teachergrid.store import artifacts


@pytest.mark.parametrize("formula", BY_HAND)
def test_values_by_hand(formula):
    rows = four(chat=with_ranks())
    assert value(formula, rows, reward="rm", threshold=[0.5]) == pytest.approx(BY_HAND[formula], rel=1e-12)


def test_every_formula_is_tested_or_belongs_to_the_grid():
    of_the_grid = {"size", "own_score", "borrowed", "random"}
    assert set(FORMULAS) - set(BY_HAND) == of_the_grid
    assert measured({name: entry(name) for name in of_the_grid}) == {}


WITHOUT_END = {
    "car_mean": 0.5 / (1 + (1 + 2 + 0.5 + 2 / 9) / 4),
    "car_sum": 0.5 / (1 + (3 + 8 + 0.5 + 2) / 4),
    "nll_mean": (1 + 2 + 0.5 + 2 / 9) / 4,
    "ppl": math.exp(13.5 / 17),
    "ifd_loss": (0.5 + 2 + 0.5 + 2 / 9) / 4,
    "ic_ifd_loss": (0.25 + 2 + 0.125 + 2 / 9) / 4,
    "rsr": (4 / 3 + 1 + 1 + 1) / (1 + 2 + 0.5 + 2 / 9),
}


@pytest.mark.parametrize("formula", WITHOUT_END)
def test_end_tokens_are_left_out_when_told(formula):
    rows = four(chat=with_ranks())
    assert value(formula, rows, reward="rm", end_token=False) == pytest.approx(WITHOUT_END[formula], rel=1e-12)


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
    values, reasons = per_response(Metric(entry("car_mean", reward="rm")), four())
    assert values == pytest.approx([1 / 2, 0.5 / 3, 0.5 / 1.5, 0])
    assert reasons.tolist() == [""] * 4
    values, _ = per_response(Metric(entry("car_mean", reward="rm"), 2), four())
    assert values == pytest.approx([1 / 3, 0.5 / 5, 0.5 / 2, 0])
    values, _ = per_response(Metric(entry("ppl")), four())
    assert values == pytest.approx(np.exp([1, 2, 0.5, 0.5]))


def test_per_response_below_zero_is_undefined():
    values, reasons = per_response(Metric(entry("car_mean", reward="rm", offset=-0.75)), four())
    assert values[0] == pytest.approx(0.125) and np.isnan(values[1:]).all()
    assert reasons[3] == "reward below 0: CAR is undefined (state `offset`)"
    with pytest.raises(BadInput, match="distinct_2"):
        per_response(Metric(entry("distinct_2")), four())


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
    (entry("ppl", below=9.5, end_token=False), "ppl/chat/no-end/below=9.5"),
    (entry("reward_median", reward="rm", scorer="bs"), "reward_median/rm"),
]


@pytest.mark.parametrize(("chosen", "name"), NAMES)
def test_names(chosen, name):
    assert Metric(chosen).name == name
    assert Metric(chosen, 7).name == name.replace("beta=1", "beta=7").replace("beta=0.5", "beta=7")


def test_variants_of_one_entry():
    found = variants({"car": entry("car_mean", reward="rm", beta=[1, 3])})
    assert next(iter(found)) == "car_mean/rm/chat/beta=1"
    assert len(found) == 2 * 2 * 2 and [variant.own for variant in found.values()] == [True] + [False] * 7
    rows = measured({"car": entry("car_mean", reward="rm", beta=[1, 3])}, four(plain=PLAIN))
    assert list(rows) == list(found)
    assert rows["car_mean/rm/plain/beta=3/no-end"] | {"low": 0, "high": 0} == {
        "metric": "car_mean/rm/plain/beta=3/no-end",
        "variant_of": "car_mean/rm/beta",
        "entry": "car",
        "own": False,
        "formula": "car_mean",
        "description": FORMULAS["car_mean"].text,
        "value_unit": "reward",
        "direction": "highest",
        "reward": "rm",
        "scorer": "self",
        "format": "plain",
        "end_token": False,
        "beta": 3,
        "parameter": "beta",
        "parameter_value": 3,
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


# --- rows that are left out knowingly


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
        join({"t": answers}, {"rm": {"t": short}}, {})
    with pytest.raises(BadInput, match=r"twice\.parquet: id 'i1', sample 0 occurs twice"):
        join({"t": answers}, {"rm": {"t": twice}}, {})
    with pytest.raises(BadInput, match="no row"):
        join({"t": responses({})}, {}, {})


def test_a_derived_corpus_takes_its_rows_from_several_teachers():
    corpus = artifacts.table(
        [{"id": id, "sample": 0, "teacher": t, "why": ""} for id, t in (("i3", "b"), ("i1", "a"))], artifacts.CORPUS
    )
    both = {"a": rewards(REWARD), "b": rewards({key: 10 + reward for key, reward in REWARD.items()})}
    rows = join({"a": responses(TEXT), "b": responses(TEXT)}, {"rm": both}, {}, corpus)
    assert rows.id.tolist() == ["i1", "i3"] and rows.teacher.tolist() == ["a", "b"]
    assert rows.rewards["rm"]["reward"].tolist() == [1.0, 10.5]
    with pytest.raises(BadInput, match="teacher 'b'"):
        join({"a": responses(TEXT)}, {}, {}, corpus)


@pytest.mark.parametrize("skew", [False, True])
def test_medians_of_draws_are_those_of_the_drawn_values(skew):
    """With a few values in the middle, and with one instruction's many samples on one side of it."""
    rng = np.random.default_rng(3)
    member = (
        np.sort(rng.integers(40, size=3000)) if not skew else np.r_[np.zeros(1500, int), rng.integers(1, 40, size=1500)]
    )
    values = np.round(rng.normal(size=3000), 2) if not skew else np.arange(3000.0)
    counts = rng.integers(0, 4, size=(30, 40)).astype(float)
    counts[0] = 0
    order = np.argsort(values, kind="stable")
    found = weighted_medians(values[order], member[order], counts)
    expected = [np.median(np.repeat(values, row[member].astype(int))) for row in counts[1:]]
    assert np.isnan(found[0]) and found[1:].tolist() == expected
