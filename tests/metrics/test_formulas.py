"""What holds for metrics whatever the numbers: monotone, scaled, in any order, in shards, of what is not there."""

import math

import numpy as np
import pytest
from four_rows import BY_HAND, CHAT, NOT_ASKED, RANKS, REWARD, TEXT, four, measured, value, with_ranks
from tables import entry, likelihoods, responses, rewards
from teachergrid.metrics.formulas import FORMULAS
from teachergrid.metrics.join import join
from teachergrid.metrics.measure import measure, per_response
from teachergrid.metrics.variants import Metric
from teachergrid.store import artifacts

ALL = {name: entry(name, reward="rm", threshold=[0.5]) for name in BY_HAND}


def times(factor: float, chat=CHAT):
    """The same with all log-probabilities of answers times a factor."""
    return {key: (*row[:4], *(factor * value for value in row[4:6]), *row[6:]) for key, row in chat.items()}


RISE_WITH_LOSS = [
    "nll_mean",
    "ppl",
    "ppl_mean",
    "ifd_loss",
    "ifd_ppl",
    "ic_ifd_loss",
    "ic_ifd_ppl",
    "ic_ifd_reverse_loss",
    "ifd_power",
]


@pytest.mark.parametrize("formula", [*RISE_WITH_LOSS, "car_mean", "car_pooled", "car_sum", "car_each", "grape", "rsr"])
def test_monotone_in_the_loss(formula):
    losses = [four(chat=with_ranks(times(factor))) for factor in (0.5, 1, 1.5, 4)]
    steps = np.diff([value(formula, rows, reward="rm") for rows in losses])
    assert (steps > 0).all() if formula in RISE_WITH_LOSS else (steps < 0).all()


@pytest.mark.parametrize("formula", ["car_mean", "car_pooled", "car_sum", "car_each"])
def test_scales_of_reward_and_beta(formula):
    """CAR is in the reward's unit, and beta in that of one over the loss."""
    own = value(formula, reward="rm", beta=[0.3])
    tripled = four(reward={key: 3 * reward for key, reward in REWARD.items()})
    assert value(formula, tripled, reward="rm", beta=[0.3]) == pytest.approx(3 * own)
    assert value(formula, four(chat=times(3)), reward="rm", beta=[0.1]) == pytest.approx(own)


def test_the_family_over_lambda_ranks_as_its_members():
    for power, member in ((0, "ifd_loss"), (1, "ic_ifd_loss"), (-1, "ic_ifd_reverse_loss")):
        values, _ = per_response(Metric(entry("ifd_power"), power), four())
        assert np.exp(values) == pytest.approx(per_response(Metric(entry(member)), four())[0])
    swept = measured({"m": entry("ifd_power", power=[0.5, 2])})
    assert [row["power"] for row in swept.values()] == [0.5, 2, 0.5, 2]


def test_share_above_a_threshold_falls_with_it():
    rows = measured({"m": entry("reward_share", reward="rm", threshold=[-1, 0, 0.5, 1])})
    assert [(row["threshold"], row["value"]) for row in rows.values()] == [(-1, 1), (0, 0.75), (0.5, 0.25), (1, 0)]


def test_ties_everywhere():
    same = dict.fromkeys(CHAT, CHAT["i1", 0])
    ranks = dict.fromkeys(CHAT, RANKS["i1", 0])
    rows = four(dict.fromkeys(TEXT, "a b c d"), dict.fromkeys(TEXT, 1.0), with_ranks(same, ranks))
    for row in measured(ALL, rows, rounds=50).values():
        assert row["value"] is not None
        if not FORMULAS[row["formula"]].text_function:
            assert row["low"] == pytest.approx(row["value"]) == row["high"]
    assert value("self_similarity", rows) == pytest.approx(1)


NOTHING = [
    ("no rewards", {"reward": dict.fromkeys(TEXT, "prompt too long")}, "reward"),
    ("infinite rewards", {"reward": dict.fromkeys(TEXT, math.inf)}, "reward"),
    ("rewards that are NaN", {"reward": dict.fromkeys(TEXT, math.nan)}, "reward"),
    ("empty answers", {"text": dict.fromkeys(TEXT, ""), "chat": dict.fromkeys(TEXT, "empty answer")}, "likelihood"),
]


@pytest.mark.parametrize(("name", "tables", "without"), NOTHING)
def test_what_is_not_there_is_null_and_explained(name, tables, without):
    for row in measured(ALL, four(**{"chat": with_ranks(), **tables}), rounds=20).values():
        joins = Metric(ALL[row["formula"]]).needs
        if without in joins or (without == "likelihood" and FORMULAS[row["formula"]].text_function):
            assert (row["n"], row["missing"], row.get("value")) == (0, 4, None) and row["reason"], row
        elif row["formula"] != "length":
            assert row["value"] is not None and row["n"] == 4


def test_answers_of_one_token():
    one = {key: (2, 1, 0, -2, -0.5, 0, -1, 0) for key in TEXT}
    rows = four(dict.fromkeys(TEXT, "yes"), chat=with_ranks(one, {key: [3] for key in TEXT}))
    found = measured(ALL, rows, rounds=20)
    assert found["rsr/chat"]["value"] == 6 and found["ifd_loss/chat"]["value"] == 0.5
    undefined = {name for name, row in found.items() if row.get("value") is None}
    assert undefined == {"distinct_2", "distinct_3", "distinct_4", "self_similarity"}
    assert {found[name]["reason"] for name in undefined} == {"too little text"}


# --- by category


def test_values_by_category():
    kinds = {"i1": "maths", "i2": "maths", "i3": "code", "i4": None}
    table = artifacts.table(
        [{"id": id, "messages": [], "source": "", "category": kind, "round": 0} for id, kind in kinds.items()],
        artifacts.INSTRUCTIONS,
    )
    entries = {
        "r": entry("reward_mean", reward="rm"),
        "nll": entry("nll_mean", format="chat"),
        "d": entry("distinct_2"),
    }
    rows = measure(entries, four(instructions=[table]), seed=0)
    artifacts.table(rows, artifacts.METRICS)
    found = {(row["metric"], row.get("category")): row for row in rows}
    assert found["reward_mean/rm", None]["value"] == 0.5
    assert found["reward_mean/rm", "maths"]["value"] == 0.75 and found["reward_mean/rm", "maths"]["n"] == 2
    assert found["reward_mean/rm", "code"]["reason"] == "no interval: one instruction"
    assert found["nll_mean/chat", "maths"]["value"] == 1.5
    # variants beside an entry's own, texts as a whole, and instructions without a category have none
    assert {category for metric, category in found if metric == "distinct_2"} == {None}
    assert {category for metric, category in found if metric == "nll_mean/chat/no-end"} == {None}
    assert {category for _, category in found} == {None, "maths", "code"}


# --- order, repetition, intervals


def test_order_of_rows_moves_nothing():
    tables = TEXT, REWARD, with_ranks()
    shuffled = [dict(sorted(table.items(), reverse=True)) for table in tables]
    expected = measured(ALL, four(*tables), rounds=100)
    assert measured(ALL, four(*shuffled), rounds=100) == expected
    # and also where one file has another order than the others
    assert measured(ALL, four(TEXT, *shuffled[1:]), rounds=100) == expected


def test_shards_move_nothing(tmp_path):
    """Row groups of files are what was written at once."""
    whole = {"t": responses(TEXT)}, {"rm": {"t": rewards(REWARD)}}, likelihoods(with_ranks())
    scored = {("self", "chat"): {"t": whole[2]}}
    expected = measured(ALL, join(whole[0], whole[1], scored, ranks=True), rounds=50)
    for groups in ([4], [1, 3], [2, 1, 1]):
        paths = []
        for name, table in (("RESPONSES", whole[0]["t"]), ("REWARDS", whole[1]["rm"]["t"]), ("LIKELIHOODS", whole[2])):
            paths.append(tmp_path / f"{name}.parquet")
            artifacts.write(paths[-1], table, getattr(artifacts, name), None, row_groups=groups)
        answers, reward, scored = map(str, paths)
        found = join({"t": answers}, {"rm": {"t": reward}}, {("self", "chat"): {"t": scored}}, ranks=True)
        assert measured(ALL, found, rounds=50) == expected


def test_a_corpus_there_twice_has_the_same_means():
    def twice(table):
        return {**table, **{(id, 1): value for (id, _), value in table.items()}}

    once = measured(ALL, four(chat=with_ranks()))
    tables = twice(TEXT), twice(REWARD), twice(with_ranks()), twice(NOT_ASKED)
    doubled = measured(ALL, four(*tables))
    for name in set(once) - {name for name, formula in FORMULAS.items() if formula.text_function}:
        assert doubled[name]["value"] == pytest.approx(once[name]["value"], rel=1e-12)
        # the unit of the bootstrap is the instruction, so that a second sample of it adds no certainty
        assert (doubled[name]["low"], doubled[name]["high"]) == pytest.approx((once[name]["low"], once[name]["high"]))
        assert doubled[name]["n"] == 2 * once[name]["n"]
    # text as a whole takes what is there twice for repetition
    for n in (1, 2, 3, 4):
        assert doubled[f"distinct_{n}"]["value"] == once[f"distinct_{n}"]["value"] / 2
    # each of the three rows with a pair of words meets itself, and four times each other's pairs
    similarity = (3 + 4 * 2 / math.sqrt(10)) / 15
    assert doubled["self_similarity"]["value"] == pytest.approx(similarity, rel=1e-12)
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
