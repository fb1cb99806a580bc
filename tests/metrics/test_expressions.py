"""Metrics that a config writes itself: what an expression may hold, what it gives, and what its errors say."""

import pytest
from four_rows import BY_HAND, CHAT, PLAIN, REWARD, four, measured, with_ranks
from tables import own
from teachergrid.errors import BadInput
from teachergrid.metrics.measure import per_response
from teachergrid.metrics.variants import Metric, variants


def value(chosen: dict, rows=None):
    return measured({"m": chosen}, rows)[Metric(chosen).name].get("value")


VALUES = [
    ("reward_mean - 0.1 * nll_mean", 0.5 - 0.1),
    ("car_mean(beta=3)", 0.5 / 4),
    ("car_mean", 0.5 / 3),  # with the entry's beta of 2
    ("mean(reward * loss) / mean(loss)", (1 + 1 + 0.25 + 0) / 4),
    ("median(loss)", 0.75),
    ("mean(reward >= 0.5)", 0.75),
    ("mean(loss <= 0.5) + mean(loss < 0.5)", 0.5),
    ("exp(mean(given) / mean(tokens)) / ppl", 1.0),
    ("max(reward_mean, nll_mean) - min(2, nll_mean)", 0.0),
    ("-sqrt(abs(grape)) ** 2 + log(1)", -1.0),
    ("nll_mean(format='plain') - nll_mean", 2.5 - 1),
    ("nll_mean(end_token=False)", (1 + 2 + 0.5 + 2 / 9) / 4),
    ("ppl(scorer='gpt2') / ppl", 1.0),
    ("reward_mean(reward='verifier', offset=1)", 1.75),
    ("rsr * nll_mean", BY_HAND["rank_mean"]),
    ("length - mean(tokens)", 4.25 - 5.25),
    ("reward_share(threshold=0)", 0.75),
]


@pytest.fixture
def rows():
    found = four(chat=with_ranks(), plain=PLAIN)
    found.likelihoods["gpt2", "chat"] = found.likelihoods["self", "chat"]
    verifier = {**found.rewards["rm"], "reward": (found.rewards["rm"]["reward"] > 0).astype(float)}
    return found._replace(rewards={**found.rewards, "verifier": verifier})


@pytest.mark.parametrize(("text", "expected"), VALUES)
def test_values(rows, text, expected):
    assert value(own(text, beta=[2]), rows) == pytest.approx(expected, rel=1e-12)


def test_an_expression_sweeps_has_intervals_and_variants(rows):
    chosen = own("reward_mean - beta * nll_mean", beta=[0.1, 1])
    found = measured({"mine": chosen}, rows)
    assert list(found) == list(variants({"mine": chosen})) and len(found) == 8
    name = "(reward_mean - beta * nll_mean)/rm/chat/beta=0.1"
    assert (Metric(chosen).name, found[name]["beta"], found[name]["formula"]) == (name, 0.1, "expression")
    assert found[name]["low"] < found[name]["value"] < found[name]["high"]
    assert found[name.replace("0.1", "1")]["value"] == pytest.approx(0.5 - 1)
    assert found[name.replace("chat", "plain")]["value"] == pytest.approx(0.5 - 0.25)


def test_the_text_of_an_expression_is_one_however_it_is_written():
    assert Metric(own("reward_mean-.1*( nll_mean )")).name == Metric(own("reward_mean - 0.1 * nll_mean")).name
    # the same with the other direction is another metric
    assert Metric(own("nll_mean", best="lowest")).name == "(nll_mean)/chat/lowest"
    # what every term states for itself is not the entry's
    assert Metric(own("ppl(format='plain')", reward=None, scorer="gpt2", format="chat")).name.startswith("(ppl(")


def test_an_expression_of_single_responses():
    values, _ = per_response(Metric(own("reward_mean - nll_mean")), four())
    assert values == pytest.approx([0, -1.5, 0, -0.5])


def test_all_terms_rest_on_the_same_responses():
    """A response without a loss counts in no term, so that terms are about the same rows."""
    lost = four(chat={**CHAT, ("i1", 0): "response is empty"})
    row = measured({"m": own("reward_mean - nll_mean")}, lost)["(reward_mean - nll_mean)/rm/chat"]
    assert (row["n"], row["missing"], row["value"]) == (3, 1, pytest.approx(1 / 3 - 1))


def test_guards_of_formulas_stay_inside_of_an_expression():
    lower = four(reward={key: reward - 2 for key, reward in REWARD.items()})
    row = measured({"m": own("car_mean + 5")}, lower)["(car_mean + 5)/rm/chat/beta=1"]
    assert row.get("value") is None and row["reason"].startswith("mean reward below 0: CAR is undefined")
    vanished = four(chat={**CHAT, ("i1", 0): (4, 3, 1, -8, -3, -1, 0, 0)})
    row = measured({"m": own("2 * ifd_loss", reward=None)}, vanished)["(2 * ifd_loss)/chat"]
    assert row["reason"].endswith("is not above 1e-06")


def test_division_by_zero_is_null_with_a_reason():
    row = measured({"m": own("1 / (reward_mean - 0.5)")})["(1 / (reward_mean - 0.5))/rm"]
    assert row.get("value") is None and row["reason"] == "value is not finite"
    row = measured({"m": own("mean(1 / reward)")})["(mean(1 / reward))/rm"]
    assert (row["n"], row["missing"], row["value"]) == (3, 1, pytest.approx(5 / 3))


def test_what_an_expression_joins():
    chosen = own("ppl(scorer='gpt2') - reward_mean(reward='b') + reward_mean + rsr")
    assert Metric(chosen).needs == {"reward", "likelihood", "ranks"}
    assert Metric(chosen).rewards == ["b", "rm"]
    assert {scorer for scorer, _ in Metric(chosen).likelihoods} == {"gpt2", "self"}


ERRORS = [
    ("reward_mean +", "cannot be read"),
    ("rewardmean", "there is no 'rewardmean', did you mean 'reward_mean'?"),
    ("reward * 2", "write mean(reward) or median(reward)"),
    ("mean(reward_mean)", "'reward_mean' is a number of a corpus; write it outside"),
    ("mean(mean(reward))", "not known here"),
    ("distinct_2 + 1", "'distinct_2' is not a mean over responses"),
    ("size * 2", "'size' is not a mean over responses"),
    ("2 * 3", "is the same for all corpora"),
    ("mean(2)", "holds no number of a response"),
    ("beta * reward_mean - reward_share", "sweeps beta and threshold; fix all but one"),
    ("car_mean(gamma=1)", "car_mean(gamma=...): there is no such setting"),
    ("car_mean(beta='1')", "beta is one number"),
    ("car_mean(beta=length)", "a setting is a number, a text in quotes"),
    ("exp(reward_mean, 2)", "exp(...) takes 1"),
    ("__import__('os').system('id')", "not known here"),
    ("mean(reward.__class__)", "not known here"),
    ("[x for x in (1,)]", "not known here"),
    ("'a' + reward_mean", "not known here"),
    ("reward_mean if 1 else 0", "not known here"),
    ("True * reward_mean", "not known here"),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors_name_what_is_wrong(text, message):
    with pytest.raises(BadInput) as error:
        _ = Metric(own(text)).expression
    assert message in str(error.value)


def test_large_powers_do_not_stop_the_machine():
    row = measured({"m": own("reward_mean * 9.0 ** 9 ** 9 ** 9")})
    assert next(iter(row.values()))["reason"] == "value is not finite"
