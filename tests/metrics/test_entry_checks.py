"""What the config may state as a metric."""

import pytest
from tables import entry, own
from teachergrid.errors import BadInput
from teachergrid.metrics.entry_checks import check

CONFIG = {
    "rewards": {"rm": {}},
    "bases": {"q": {}},
    "scorers": {"gpt2": {}},
    "likelihood": {"tokens": True, "rank_cap": 100, "distributions": False, "top": False},
}
REFUSED = [
    ({"formula": "expression"}, "config.metrics.m: state either 'formula' or 'expression'"),
    ({"formula": "ppl", "expression": "ppl"}, "config.metrics.m: state either 'formula' or 'expression'"),
    ({"formula": "expression", "expression": "ppl"}, "config.metrics.m.best: state it with an expression"),
    ({"formula": "ppl", "best": "lowest"}, "config.metrics.m.best: state it with an expression"),
    (own("ppl +"), "config.metrics.m.expression: 'ppl +' cannot be read"),
    (own("reward_mean", reward=None), "config.metrics.m.reward: the expression needs a reward; known: rm"),
    (own("reward_mean(reward='r')"), "config.metrics.m.reward: there is no 'r', did you mean 'rm'?"),
    (own("ppl(scorer='gpt')"), "config.metrics.m.scorer: there is no 'gpt', did you mean 'gpt2'?"),
    (own("ppl(format='markdown')"), "config.metrics.m.expression: there is no format 'markdown'; it is chat or plain"),
    ({"formula": "reward_mean"}, "config.metrics.m.reward: formula 'reward_mean' needs a reward; known: rm"),
    ({"formula": "reward_share", "reward": "rm"}, "config.metrics.m.threshold: the formula needs it; state a list"),
    ({"formula": "compression", "below": 1}, "config.metrics.m.below: 'compression' has no value of a single response"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_config_errors_name_the_key_and_the_remedy(settings, message):
    with pytest.raises(BadInput) as error:
        check(CONFIG, "config.metrics.m", entry(**settings))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("likelihood", [{"tokens": False, "rank_cap": 100}, {"tokens": True, "rank_cap": 50}])
def test_ranks_need_lists_that_hold_them(likelihood):
    with pytest.raises(BadInput, match="needs ranks of tokens up to 100"):
        check({**CONFIG, "likelihood": CONFIG["likelihood"] | likelihood}, "config.metrics.m", entry("rsr"))
    check(CONFIG, "config.metrics.m", entry("rsr"))


@pytest.mark.parametrize("metric", [entry("lark"), entry("brier"), own("mean(entropy)", reward=None)])
def test_what_needs_distributions_says_how_to_get_them(metric):
    with pytest.raises(
        BadInput, match=r"set `likelihood: \{distributions: true\}`.* computed again: `teachergrid plan` shows"
    ):
        check(CONFIG, "config.metrics.m", metric)
    check({**CONFIG, "likelihood": CONFIG["likelihood"] | {"distributions": True}}, "config.metrics.m", metric)


@pytest.mark.parametrize("formula", ["top", "sure"])
def test_the_likeliest_tokens_have_to_be_asked_for(formula):
    own_likelihood = CONFIG["likelihood"] | {"distributions": True}
    with pytest.raises(BadInput, match=r"set `likelihood: \{distributions: true, top: true\}`"):
        check({**CONFIG, "likelihood": own_likelihood}, "config.metrics.m", entry(formula))
    check({**CONFIG, "likelihood": own_likelihood | {"top": True}}, "config.metrics.m", entry(formula))
