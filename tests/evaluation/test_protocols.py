"""How cases become requests, and replies become verdicts, for each protocol."""

import pytest
from teachergrid.evaluation import judge_prompts
from teachergrid.evaluation.protocols import (
    ALONE,
    MODEL_FIRST,
    MODEL_SECOND,
    PROTOCOLS,
    Case,
    alpaca_order,
    asked,
    decide,
    requests,
    without_call,
)
from teachergrid.evaluation.replies import Reply

PAIR = Case("open", "q1", 0, None, "Why?", "mine", "theirs")
PROMPTS = {path.name.split(".")[0]: path.read_text() for path in judge_prompts.FOLDER.glob("*.txt")}


def verdict(protocol: str, both: bool = False, case: Case = PAIR, **replies: str | Reply):
    """Return the verdict from the replies `first` (model first), `second` and `alone`."""
    names = {"first": MODEL_FIRST, "second": MODEL_SECOND, "alone": ALONE}
    given = {names[name]: Reply(text) if isinstance(text, str) else text for name, text in replies.items()}
    how = PROTOCOLS[protocol]
    return decide(how, case, given, asked(how, case, both))


def test_orders_that_are_asked():
    orders = {name: asked(how, PAIR) for name, how in PROTOCOLS.items()}
    two = (MODEL_SECOND, MODEL_FIRST)
    assert orders == {
        "alpaca_eval2": (alpaca_order("Why?"),),
        "pairwise": two,
        "arena_hard_v0.1": two,
        "arena_hard_v2": two,
        "followbench": (ALONE,),
        "single": (ALONE,),
    }
    assert {*asked(PROTOCOLS["alpaca_eval2"], PAIR, both=True)} == {MODEL_FIRST, MODEL_SECOND}
    assert asked(PROTOCOLS["single"], PAIR, both=True) == (ALONE,)
    # the order hangs on the instruction alone
    drawn = [alpaca_order(f"Why {i}?") for i in range(1000)]
    assert 450 < drawn.count(MODEL_FIRST) < 550
    assert drawn == [alpaca_order(f"Why {i}?") for i in range(1000)]


@pytest.mark.parametrize("name", PROTOCOLS)
def test_requests(name):
    how = PROTOCOLS[name]
    case = PAIR._replace(opponent=None if how.alone else "theirs", answer="<think>hm</think>mine", steps=("a", "Why?"))
    made = requests(how, case, asked(how, case), PROMPTS)
    assert len({one.id for one in made}) == len(made) == len(asked(how, case))
    for one in made:
        assert one.sampling == how.sampling and one.messages[-1]["role"] == "user"
        content = one.messages[-1]["content"]
        assert "mine" in content and "hm" not in content.split() and "Why?" in content
        if not how.alone:
            model_first = content.index("mine") < content.index("theirs")
            assert model_first == one.id.endswith(MODEL_FIRST)


def test_sampling_that_each_needs():
    of = {
        name: (how.sampling["temperature"], how.sampling["max_tokens"], how.logprobs) for name, how in PROTOCOLS.items()
    }
    assert of == {
        "alpaca_eval2": (1, 1, 5),
        "pairwise": (0, 1024, 0),
        "arena_hard_v0.1": (0, 4096, 0),
        "arena_hard_v2": (0, 16000, 0),
        "followbench": (0, 1024, 0),
        "single": (0, 1024, 0),
    }
    creative = requests(PROTOCOLS["arena_hard_v2"], PAIR._replace(category="creative_writing"), (ALONE,), PROMPTS)
    assert "creative" in creative[0].messages[0]["content"]


@pytest.mark.parametrize(
    ("case", "score", "word"),
    [
        (PAIR._replace(answer="theirs \n"), 0.5, "identical"),
        (PAIR._replace(answer=" "), 0, "empty"),
        (PAIR._replace(answer="<think>so it is theirs"), 0, "empty"),  # cut off while it thought
        (PAIR._replace(opponent=""), 1, "baseline empty"),
        (PAIR._replace(opponent="", answer=""), 0.5, "identical"),
        (PAIR._replace(answer="<think>x</think>theirs"), 0.5, "identical"),
        (PAIR._replace(lacking="the baseline has no answer", opponent=""), None, None),
        (PAIR._replace(opponent=None, answer=""), 0, "empty"),
        (PAIR._replace(opponent=None, ruled=True), 1, "satisfied"),
        (PAIR._replace(opponent=None, ruled=False), 0, "not satisfied"),
    ],
)
def test_what_needs_no_call(case, score, word):
    found = without_call(case)
    assert (found.score, found.verdict) == (score, word)
    assert (found.reason is None) == (score is not None)
    for name, how in PROTOCOLS.items():
        assert asked(how, case) == ()
        assert verdict(name, case=case) == found


def test_alpaca_eval2():
    order = "first" if alpaca_order("Why?") == MODEL_FIRST else "second"
    sure = Reply("M", "length", [("M", -0.1), ("m", -2.4)])
    p = verdict("alpaca_eval2", **{order: sure})
    assert p.verdict == ("lost" if order == "first" else "won")
    assert p.score == pytest.approx(0.0911 if order == "first" else 0.9089, abs=1e-4)
    # both orders: their mean, which cancels a judge that likes the second answer
    both = verdict("alpaca_eval2", both=True, first=sure, second=sure)
    assert both.score == pytest.approx(0.5) and both.first == pytest.approx(1 - both.second)


@pytest.mark.parametrize(
    ("first", "second", "score", "word"),
    [
        # A is the answer shown first
        ("[[A]]", "[[B]]", 1, "won"),
        ("[[B]]", "[[A]]", 0, "lost"),
        ("[[C]]", "[[C]]", 0.5, "tie"),
        ("[[A]]", "[[A]]", 0.5, "orders disagree"),
        ("[[A]]", "[[C]]", 0.5, "orders disagree"),
        ("[[A]]", "neither", None, None),
        ("neither", "nor", None, None),
    ],
)
def test_pairwise(first, second, score, word):
    found = verdict("pairwise", first=first, second=second)
    assert (found.score, found.verdict) == (score, word)
    assert (found.reason is None) == (score is not None)


@pytest.mark.parametrize(
    ("second", "first", "v01", "v2"),
    [
        # game 1 has the model second
        ("[[B>>A]]", "[[A>B]]", (1, 1, 1, 1), (1, 1, 1, 1)),
        ("[[A>B]]", "[[A=B]]", (0.5, 0), (0.5, 0)),
        ("[[A>B]]", "I cannot say", (0,), ()),
        ("", "[[A>>B]]", (1, 1, 1), ()),
        ("", "", (), ()),
    ],
)
def test_arena_hard(second, first, v01, v2):
    for name, gains in (("arena_hard_v0.1", v01), ("arena_hard_v2", v2)):
        found = verdict(name, first=first, second=second)
        assert sorted(found.gains) == sorted(gains)
        assert found.score == (sum(gains) / len(gains) if gains else None)
        assert (found.reason is None) == bool(gains)


def test_followbench_and_single():
    case = PAIR._replace(opponent=None, level=3, steps=("a", "b", "c", "d"))
    found = verdict("followbench", case=case, alone="so\n['YES','NO','YES']")
    assert (found.score, found.satisfied) == (0, (True, False, True))
    assert verdict("followbench", case=case, alone="['YES']").score is None
    assert verdict("single", case=case, alone="[[10]]").score == 1


def test_a_judge_that_was_not_asked():
    found = verdict("pairwise", first="[[A]]")
    assert (found.score, found.reason) == (None, "the judge was not asked")
